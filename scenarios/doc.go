// Package scenarios is the catalogue of experiments: each composes a system of nodes, both hops and
// faults, and says which properties its runs must have.
//
// A [Scenario] is a value with parameters; [New] finds one by name, and [Names] lists them. Its Run
// builds the system in a world and lets it run; [Execute] does all of that and sums up the result in a
// [Report], with what each transport cost ([Metrics]). A scenario is one file and one line in the registry.
// It may have figures ([Illustrator]), tables ([Tabulator]) and warnings ([Warner]) of its own, and parts
// ([Composite]), which are scenarios too.
//
// # Determinism
//
// A run is a function of the scenario's parameters, its mutant, and the seed. So is its report, but for wall
// time and for the memory of a connection, which are measured. Runs with WebRTC are an exception ([Inexact]): pion's
// draws shift them by milliseconds, and what they are compared by is what came of them. With a hop 2 that keeps no log
// (redis-pubsub, nats) and clients that come and go all at once, even that may differ: who is the first to come back to
// an edge has it subscribe to the room, and finds a gap that the next one does not.
//
// # Limitations
//
// Parameters are checked one by one, and together where a system cannot be built of them. Other combinations that make
// no sense, such as more edges than clients, run and show what they show.
package scenarios
