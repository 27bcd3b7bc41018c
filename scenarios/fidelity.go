package scenarios

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/kernel"
	"github.com/twohop/twohop/netsim/tcp"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
)

// Fidelity repeats in simulation what was measured with a real kernel (package netsim/kernel), so that the
// two can be held against each other: senders that write a message every now and then on one connection
// each, and fetches on fresh connections, over a path of known delay and loss. [NewFidelity] gives it the
// parameters of the measurement.
type Fidelity struct {
	// Runs is how many connections carry messages, each between two hosts of its own: they are as
	// independent as runs with other seeds would be.
	Runs int
	// Messages is how many messages each of them carries, Size bytes each, one every Interval.
	Messages, Size int
	Interval       time.Duration
	// Fetches is how many responses of kernel.SmallSize bytes are fetched, and how many of
	// kernel.LargeSize, each on a fresh connection between two hosts of its own.
	Fetches int
	// Latency and Loss are those of every path, one way.
	Latency time.Duration
	Loss    float64
	// Congestion is the congestion control algorithm, "cubic" or "reno".
	Congestion string

	mutant string
}

// NewFidelity gives the measured workload, with ten connections, at 1 % loss with CUBIC.
func NewFidelity() *Fidelity {
	return &Fidelity{
		Runs: 10, Messages: kernel.MessageCount, Size: kernel.MessageSize, Interval: kernel.MessageInterval,
		Fetches: 20, Latency: kernel.Latency, Loss: 0.01, Congestion: tcp.CUBIC.String(),
	}
}

// Name implements [Scenario].
func (*Fidelity) Name() string { return "fidelity" }

// Summary implements [Scenario].
func (*Fidelity) Summary() string {
	return "messages and fetches over a lossy path, held against what a real kernel's TCP did"
}

// Params implements [Scenario].
func (f *Fidelity) Params() []Param {
	return []Param{
		{"runs", "connections that carry messages, each between hosts of its own", intValue{&f.Runs, 1, 1000, "connections"}},
		{"messages", "messages on each connection", intValue{&f.Messages, 1, 100000, "messages"}},
		{"interval", "time from one message to the next", durationValue{&f.Interval, time.Millisecond, time.Minute}},
		{"size", "size of a message", intValue{&f.Size, leastMessage, 65536, "bytes"}},
		{"fetches", "fetches of 200 B, and as many of 1 MiB", intValue{&f.Fetches, 0, 1000, "fetches"}},
		{"latency", "one-way delay of every path", durationValue{&f.Latency, 0, 5 * time.Second}},
		{"loss", "packets lost, each way", floatValue{&f.Loss, 0, 0.2, "probability"}},
		{"congestion", "congestion control algorithm", choiceValue{&f.Congestion, []string{tcp.CUBIC.String(), tcp.Reno.String()}}},
	}
}

// The mutants of Fidelity.
const (
	mutantSlowPath = "slow-path"
	mutantNoSACK   = "no-sack"
)

// Mutants implements [Scenario].
func (*Fidelity) Mutants() []Mutant {
	return []Mutant{
		{mutantSlowPath, "the path takes a fifth longer than it should", "LikeKernel"},
		{mutantNoSACK, "connections recover without selective acknowledgements", "LikeKernel"},
	}
}

// Mutate implements [Scenario].
func (f *Fidelity) Mutate(name string) error { return mutate(f, name, &f.mutant) }

// Properties implements [Scenario].
func (f *Fidelity) Properties() []model.Property {
	return []model.Property{properties.NoLoss(), properties.NoDuplicate(), properties.InOrder(), f.LikeKernel()}
}

// Length implements [Scenario].
func (f *Fidelity) Length() time.Duration {
	return 3*f.Latency + time.Duration(f.Messages)*f.Interval
}

// Validate implements [Scenario].
func (f *Fidelity) Validate() error {
	const most = 5_000_000
	if f.Runs*f.Messages > most {
		return fmt.Errorf("parameter messages: %d is not allowed with %d runs: want at most %d in all", f.Messages, f.Runs, most)
	}
	return nil
}

// Configure implements [Scenario].
func (f *Fidelity) Configure(cfg *sim.Config) {
	cfg.Fidelity = netsim.TCP
	cfg.TCP.Congestion = tcp.CUBIC
	if f.Congestion == tcp.Reno.String() {
		cfg.TCP.Congestion = tcp.Reno
	}
	cfg.TCP.NoSACK = f.mutant == mutantNoSACK
}

// arrivalLimit bounds how much longer than Length a run may take for everything to arrive: a fetch whose
// connection meets timeouts in a row backs off to two minutes.
const arrivalLimit = time.Hour

// Run implements [Scenario].
func (f *Fidelity) Run(w *sim.World) error {
	sys := f.Build(w)
	w.RunFor(f.Length())
	for waited := time.Duration(0); waited < arrivalLimit && !sys.Done() && !w.Interrupted(); waited += time.Second {
		w.RunFor(time.Second)
	}
	w.Check(f.Properties()...)
	return nil
}

// label is the transport that the messages are reported as.
func (f *Fidelity) label() string { return "tcp " + f.Congestion }
