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
// time and for the memory of a connection, which are measured.
//
// # Limitations
//
// Brokers of all strategies at once has been seen to differ from one run to the next, with one seed of eleven: a
// coordinator of the ring called an election a tick later. Most likely that is since all strategies' libraries draw
// from the process's one source of chance, crypto/rand, and raft gets what another has not taken. No strategy alone has
// been seen to.
//
// An edge of Brokers that is told to stop does not hand its rooms of the ring over first, as one of a chat does: it
// goes, and says so.
//
// Parameters are checked one by one: combinations that make no sense, such as more edges than clients,
// run and show what they show.
package scenarios
