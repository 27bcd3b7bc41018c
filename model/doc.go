// Package model is the reference model: what a real-time-update system may do, written down so that
// runs can be judged against it.
//
// Its nouns are the [History] (what publishers, clients and servers called and saw, in one total order),
// the [Cursor] (a position in a room's log), and the [Verdict] (what a [Property] says of a history).
//
// Executable specifications take a history step by step: [Room] one room's log and its clients'
// positions, [Sessions] who is connected when, [Assignments] which edge owns which room. [Explore] goes
// through every interleaving of a small system, for the protocols that no run can exhaust: the four-step
// scaling dance and resuming. [Lamport], [Vector], [HLC] and [CausalBuffer] are the ways to order
// messages. [Push], [Poll], [LongPoll] and [Fanout] are closed forms to compare the times of a run with, and
// [WireCost] one for its bytes. [Placement] says which server owns what, and [Transition] how that changes
// without a loss.
//
// Start with [Event], the unit of a history, then [Validate] and [Explore].
//
// # Determinism
//
// The package is pure: no goroutines, no I/O and no clock. Time is an argument. Results that list
// things have an order of their own, which no map decides.
//
// # Limitations
//
// Where events do not name the epochs of their positions, a room in which a log lost its history is
// judged up to there only. See [Room] for what it lets pass. What [Explore] shows, it shows of the
// protocol as written there and of so many clients, messages and faults, not of the code that follows
// it.
package model
