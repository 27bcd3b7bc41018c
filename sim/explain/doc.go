// Package explain says why a run failed: what became of the message that a verdict is about, in words and in a
// picture.
//
// Its nouns are the [Run], which is what is known of one; the [Case], which is its first violation; the
// [Journey] of a message, hop by hop; the space-time [Diagram] of what led to the violation; and the [Page],
// which has all of it in one file of HTML.
//
// Start with [Run.Case]. Package sim does, for what it prints and writes when a run fails.
//
// # Determinism
//
// Everything here is a pure function of the run: the same run gives the same bytes.
//
// # Limitations
//
// A journey can tell no more than was recorded. The history has what publishers and clients called and saw; what
// edges did is in the trail, if they note it. Of a message that vanished between two of them, the nearest thing
// before and after is said, and what packets the client's host lost meanwhile.
package explain
