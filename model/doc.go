// Package model is the reference model: what a real-time-update system may do, written down so that
// runs can be judged against it.
//
// Its nouns are the [History] (what publishers and clients called and saw, in one total order), the
// [Cursor] (a position in a room's log), and the [Verdict] (what a [Property] says of a history).
// [Room] is the executable specification of one room's log, and [Push] a closed form to compare the
// latencies of a run with. [Placement] says which server owns what, and [Transition] how that changes
// without a loss.
//
// Start with [Event], the unit of a history, then [Validate].
//
// # Determinism
//
// The package is pure: no goroutines, no I/O and no clock. Time is an argument. Results that list
// things have an order of their own, which no map decides.
//
// # Limitations
//
// Where events do not name the epochs of their positions, a room in which a log lost its history is
// judged up to there only. See [Room] for what it lets pass.
package model
