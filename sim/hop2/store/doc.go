// Package store is a durable log service: rooms' logs in a real SQLite database, on a disk of the
// simulation, served over HTTP.
//
// Its noun is the [Store]. Start with [Open], and serve [Store.Handler]; the strategies "pull" and "ring"
// of package hop2 are its clients, and package wire is what they say to each other.
//
// Every batch of operations is one transaction, which is synced before it is answered: what a client was
// told survives a crash. The database writes ahead (SQLite's WAL), so that a transaction costs one sync.
//
// # Determinism
//
// SQLite here has no goroutines and no files of the operating system. Epochs derive from the database's
// identity, drawn when it is made, and the room's name, so that they do not depend on who asks first.
//
// # Limitations
//
// One batch is done at a time. A disk that lies about syncs ([disk.Disk.IgnoreSync]) can lose the end of a
// log, which keeps its epoch: a reader that was ahead of what is left, or had
// another message than has come to its position since, is told of a gap.
package store
