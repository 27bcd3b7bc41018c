package scenarios

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// Failover is a chat whose broker fails over to a copy that lags: the end of each room's log is lost, though it was
// acknowledged and delivered, and other messages take its place. Clients come all the time; some start at the very
// position that is lost. [NewFailover] gives it its defaults.
//
// That loses messages, and no client can help it: what is promised is that whoever connects again is told.
type Failover struct {
	Clients, Rooms, Publishers int
	// Rate is how many messages each publisher posts per second on average.
	Rate float64
	// Lag is how many messages of each room the copy is behind.
	Lag int
	// Transport is what clients use, as that of a [Chat].
	Transport string
	// Duration is how long a run takes. The broker is lost when two fifths have passed, with the first edge.
	Duration time.Duration

	plain
	mutant hop1.Mutant
}

// NewFailover gives the failover of the catalogue.
func NewFailover() *Failover {
	return &Failover{Clients: 24, Rooms: 6, Publishers: 2, Rate: 2, Lag: 1, Transport: "mix", Duration: 20 * time.Second}
}

// Name implements [Scenario].
func (*Failover) Name() string { return "failover" }

// Summary implements [Scenario].
func (*Failover) Summary() string {
	return "a chat whose broker fails over to a copy that lags; clients that lost messages are told"
}

// Params implements [Scenario].
func (f *Failover) Params() []Param {
	return []Param{
		{"clients", "clients, each in one room", intValue{&f.Clients, 1, 1000, "clients"}},
		{"rooms", "rooms", intValue{&f.Rooms, 1, 1000, "rooms"}},
		{"publishers", "publishers, each posting to all rooms", intValue{&f.Publishers, 1, 100, "publishers"}},
		{"rate", "messages posted by each publisher", floatValue{&f.Rate, 0.1, 100, "messages/s"}},
		{"lag", "messages of each room that the copy is behind", intValue{&f.Lag, 1, 100, "messages"}},
		{"transport", "what clients use; mix is half and half", choiceValue{&f.Transport, append([]string{"mix"}, hop1.Transports()...)}},
		{"duration", "virtual time", durationValue{&f.Duration, 10 * time.Second, 10 * time.Minute}},
	}
}

// Mutants implements [Scenario].
func (*Failover) Mutants() []Mutant {
	return []Mutant{{string(hop1.BlindStart), "a client does not learn which message is at the position that it starts at", "Refill"}}
}

// Mutate implements [Scenario].
func (f *Failover) Mutate(name string) error { return mutate(f, name, &f.mutant) }

// Properties implements [Scenario].
func (*Failover) Properties() []model.Property {
	return []model.Property{properties.Refill(), properties.HonestRecovery()}
}

// Length implements [Scenario].
func (f *Failover) Length() time.Duration { return f.Duration }

// chat is the chat that fails over.
func (f *Failover) chat() *Chat {
	c := NewChat()
	c.Clients, c.Rooms, c.Publishers, c.Rate = f.Clients, f.Rooms, f.Publishers, f.Rate
	c.Transport, c.Duration, c.lag = f.Transport, f.Duration, f.Lag
	c.client = func(_ *sim.Node, cfg *hop1.ClientConfig) visits {
		cfg.Mutant = f.mutant
		return func(ctx context.Context, luck *rand.Rand, run func(context.Context)) {
			if sleep(ctx, time.Duration(luck.Int64N(int64(f.Duration/2)))) {
				run(ctx)
			}
		}
	}
	return c
}

// Run implements [Scenario].
func (f *Failover) Run(w *sim.World) error {
	f.chat().Build(w)
	w.Plan(f.failover())
	w.RunFor(f.Duration)
	w.MustHaveBitten("disk-lose", "crash")
	w.Check(f.Properties()...)
	return nil
}

// The failover, which begins when two fifths of the run have passed.
const (
	// failoverTakes is for how long there is no broker.
	failoverTakes = 200 * time.Millisecond
	// silentBefore and silentAfter are for how long publishers are cut off: no message is under way at the failover,
	// and none takes the place of a lost one before the edges that are up have looked at the log again. By that they
	// notice the loss; see the limitations of package hop2.
	silentBefore = 500 * time.Millisecond
	silentAfter  = 1500 * time.Millisecond
	// edgeAway is for how long the first edge is away. Its clients notice later than publishers return, so that the
	// lost positions are filled again when they come back.
	edgeAway = 3 * time.Second
)

// failover is what befalls a run. It is the scenario's own: what a copy loses while edges are cut off from it, or
// crash, nobody may notice.
func (f *Failover) failover() sim.Schedule {
	at := f.Duration * 2 / 5
	return sim.Schedule{
		{Fault: netsim.Partition("publisher-*", "lb"), At: at - silentBefore, For: silentBefore + silentAfter},
		{Fault: sim.LoseDisk("redis"), At: at, For: failoverTakes},
		{Fault: sim.Crash("edge-1"), At: at, For: edgeAway},
	}
}
