// Package edge is the endpoint server, which joins the hops: clients subscribe to it and publish
// through it over hop 1, and it subscribes to rooms and publishes over hop 2.
//
// Its nouns are the [Server] and, inside it, the room: one upstream subscription, one goroutine and one
// cache of recent messages, however many clients read it. A client has no goroutine and no queue of its
// own here, only a position in the room's cache; how far it is behind is its queue.
//
// A client that is too far behind is a slow consumer, and its [SlowPolicy] says what becomes of it: it is
// disconnected and resumes, or skips what is oldest, or what has a later message of the same key. The first
// loses nothing. The others tell the client what it skips, so that properties judge them by what was
// announced: NoLoss forgives that, and LastValue holds the last to its promise.
//
// A room that opens asks hop 2 for the message at the end of the log, so that whoever is put there learns its ID
// (see [hop1.Start]). Where hop 2 keeps no log, a stamp of the edge's own takes its place, which proves nothing to
// another edge: a client that moves before the next message is told of a discontinuity.
//
// With [Config].Aggregate a room passes on messages by intervals, as batches.
//
// With [Presence] an edge knows who is in each room, at whichever edge: edges tell each other over hop 2, and
// believe each other for a lease, so that whoever was at an edge that crashed is gone within a bound.
//
// Start with [New] and [Server.Handler]. In front of several servers stands a [Proxy], which balances
// requests, not connections.
//
// # Determinism
//
// The package runs on real sockets and in a testing/synctest bubble alike. It draws no random numbers,
// holds no lock while it waits, and lets nothing depend on which of the goroutines that wake at one
// instant runs first: each client is told the same, on a connection of its own, and what reaches a room in
// one instant is passed on as one batch, a microsecond later. A client that arrives
// at the very nanosecond at which a room's linger ends may find the room open or open it anew.
//
// # Limitations
//
// A Proxy speaks HTTP/1.1 without TLS to its backends. It does not drain by itself when it is told to stop:
// its clients are cut, and reconnect.
//
// A client that resumes from beyond the cache has its whole backlog in memory until it is sent, at most
// what hop 2 keeps. With Conflate a room keeps up to KeyLimit messages more, from when it opened, and a
// slow consumer that many references. Policies are the server's, not a client's.
//
// Presence is of identities, and of rooms whose messages go by hop 2 to any edge: over ring, where one edge alone
// has the edges' room, the others do not hear it, and each knows its own clients only. What hop 2 delivers late
// renews a lease late. A list is asked for; nobody is told of its changes.
package edge
