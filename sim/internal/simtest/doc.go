// Package simtest is what the tests of the two hops and of the edge share. They run the same code on real
// sockets and, over wires made in the bubble, in virtual time.
//
// Its nouns are the [Pipes] (a listener without a network) and the leak: goroutines that a package's
// tests left behind, which [Main] looks for.
//
// # Determinism
//
// Pipes have no latency and no buffer, and need no goroutines of their own.
//
// # Limitations
//
// Only what two packages at least would otherwise write twice is here. What a network loses, stalls or
// cuts is netsim's business, and of tests that need little of it, their own.
package simtest
