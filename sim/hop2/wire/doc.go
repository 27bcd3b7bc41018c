// Package wire is what a durable log service and its clients say to each other over HTTP, in JSON.
//
// Its nouns are the [Op] (append a message, or read a page of a room's log), sent in a [Batch], and the
// [Result] of each. [DecodeBatch] and [DecodeResults] check what they read, and [Handler] is the service's half.
//
//	POST /batch   a Batch, answered with 200 and Results in the same order
//
// Services that also deliver what is appended, as it is, do so on streams of lines, each a [Delivery].
//
// # Determinism
//
// The package is pure but for Handler, which has no goroutines of its own.
//
// # Limitations
//
// Bodies travel as base64, at 4/3 of their size.
package wire
