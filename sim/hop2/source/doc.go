// Package source is where updates are made: a durable log service that also delivers each message, as soon
// as it is safe, to the edge that owns its room.
//
// Its noun is the [Source]. Start with [New], run [Source.Run], and serve [Source.Handler]; the strategy
// "ring" of package hop2 is its client.
//
// # Determinism
//
// Messages of one room go out in the order of its log, and to the edges of one message in the order of the
// assignment. There is one goroutine per stream, which is net/http's.
//
// # Limitations
//
// There is one source. It delivers by the assignment that it last heard of: while it cannot reach the
// coordination service, no change of the assignment takes effect.
package source
