// Package sim runs worlds: real programs on a simulated network, in virtual time, under faults.
//
// A [World] owns the network and its nodes. A [Node] is a process on a host: a function with a context
// that listens, dials and records what it sees. A [Fault] is a value, such as Crash("edge-1"), that a
// [Schedule] inflicts on the world; schedules print, parse ([ParseSchedule]), are drawn from [Hazard]s and
// shrink. What came of it is in the [Result]: the trace (what the world did, step by step), the history (what
// the programs recorded), the trail (how far messages came, as nodes on their way saw it), the verdicts of the
// properties, and the [Usage] of each host: bytes, connections, requests. Of a failure, [Result.Banner] and
// [Result.WriteReport] say why, by package explain.
//
// Start with [Test] in a test of your own. [Explore] searches seeds and faults for a failure; [Run] reports
// instead of failing, for sweeps.
//
// # Determinism
//
// A run is one testing/synctest bubble. Virtual time passes when every goroutine waits; the network
// hands out one event at a time, and takes what the programs do in one instant in canonical order. All
// luck comes from the seed. The same seed gives the same trace hash, in any process, with any number
// of processors.
//
// # Limitations
//
// Not byte-exact is what depends on things that the runtime decides at random or that nobody can
// seed: a select with several ready cases, the order of a map, the top-level functions of math/rand/v2,
// goroutines of one node that race with each other in one instant. Programs for which that shows on
// the wire do not reproduce; Config.Repeat finds out, and Config.Outcome compares what came of them
// instead. Sources that can be seeded are (crypto/rand, anew for each instant, as all libraries share it; with
// "godebug randseednop=0" in go.mod the top-level functions of math/rand too), so worlds run one at a time in
// a process.
//
// Virtual time stands still while a goroutine waits for a sync.Mutex whose owner waits for the
// network. Such a world is given up after Config.WallLimit, with the goroutines named.
package sim
