// Package disk is a node's disk, which survives the node's crash with what was synced and no more.
//
// Its nouns are the [Disk] and, on it, the [File]. Start with [New]; give the same disk to every life of a
// node, and call [Disk.Crash] before each life but the first.
//
// # Determinism
//
// What a crash leaves of the writes that were not synced is drawn from the generator that it is given, in
// the order in which they were made.
//
// # Limitations
//
// Everything is in memory. Names are safe at once: a file that was made, renamed or removed stays so, as
// on a file system that is mounted with dirsync. A disk takes no time, never fills up and reads back what
// was written; what it can do wrong is to forget ([Disk.Crash], and all of it, [Disk.Lose]) and to lie ([Disk.IgnoreSync]).
package disk
