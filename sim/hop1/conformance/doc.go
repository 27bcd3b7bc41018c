// Package conformance is what every transport of hop 1 must hold: one table of checks, each made on one
// table of networks, over the real client, edge and broker.
//
// Its nouns are the check (what clients are put through, and what must come of it), the network (what
// goes wrong meanwhile, and must be seen to have) and the traits (what a transport declares of itself).
// A transport joins by its line in package hop1's registry; what it cannot hold it declares, with the
// reason, in traits_test.go.
//
// Start with TestConformance. The package has tests only.
//
// # Determinism
//
// Every case is a world of its own with a fixed seed; random schedules come on top. Each transport but WebRTC
// must give the same trace again; of WebRTC, what clients got is compared. The live tests run what applies
// over loopback sockets, in real time, and judge outcomes only.
//
// # Limitations
//
// One room, three clients and two edges: it is about what is promised, not about load. Peer connections are
// between clients and edges, which reach each other directly; what NATs do to them is in package scenarios.
package conformance
