// Package properties judges histories: each property says whether a run kept one promise.
//
// Its nouns are the property (a [model.Property], a function from a history to a verdict) and the
// verdict ([model.Verdict]: Ok, Illegal with the step that broke it and why, or Unknown, which never
// passes). There is one property per file, which also says what it does not cover.
//
// Start with [Check] and [All]; [Catalogue] lists the others, and [Find] reads one such as
// "Staleness(500ms)". [NoLoss], [NoDuplicate], [InOrder] and [HonestRecovery] are what a client's
// application notices, and [Refill] after a failover; [FIFO], [Causal] and [TotalOrder] are other promises of
// order, [Staleness], [Reconnect] and [ReconnectRate] those of time. [Linearizable] is about the room's log
// behind it, and its like about other shared objects; [NoZombie], [BoundedQueue], [FanoutBound],
// [MinimalMovement], [DualDelivery] and [Presence] are about the servers, and need events that only some worlds
// record. [Conforms] holds a run against the whole specification. [LastValue] is for systems that conflate; it
// has to be told what a message's key is.
//
// # Determinism
//
// Verdicts depend on the history alone, down to the wording. The exception is [Linearizable], and its
// like, when it runs out of its wall-clock time, which makes it Unknown. It starts goroutines and
// timers, so check histories outside any synctest bubble.
//
// # Limitations
//
// Where events do not name the epochs of a room's log, there is taken to be one. If a client was sent
// back in it, which only a new epoch explains, [NoLoss] and [Conforms] answer Unknown for the room. A
// new epoch that sends no client back goes unnoticed then, and its positions are taken for those of the
// old one. A history in which some events of a room name epochs and some do not is not judged at all.
package properties
