package scenarios

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// Failover is a chat whose broker fails over to a copy that lags: the end of each room's log is lost, though it was
// acknowledged and delivered, and other messages take its place. Clients come all the time; some start at the very
// position that is lost. [NewFailover] gives it its defaults.
//
// That loses messages, and no client can help it: what is promised is that whoever had them is told. With a Lag of more
// than one, under faults that have publishers try again, that fails in one run of some hundreds: a message that was lost
// comes to its old position again behind others that took those before it, and its reader cannot tell the logs apart; see
// the limitations of package hop2.
type Failover struct {
	Clients, Rooms, Publishers int
	// Rate is how many messages each publisher posts per second on average.
	Rate float64
	// Lag is how many messages of each room the copy is behind.
	Lag int
	// Transport is what clients use, as that of a [Chat].
	Transport string
	// Duration is how long a run takes. The broker is lost when two fifths have passed.
	Duration time.Duration

	plain
	chosenFaults
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
	w.Plan(f.Faults())
	w.RunFor(f.Duration)
	w.MustHaveBitten("disk-lose")
	if !f.chosen {
		w.MustHaveBitten("crash")
	}
	w.Check(f.Properties()...)
	return nil
}

// failoverTakes is for how long there is no broker.
const failoverTakes = 200 * time.Millisecond

// begins is when the broker is lost.
func (f *Failover) begins() time.Duration { return f.Duration * 2 / 5 }

// failover is what every run is of, whatever else befalls it.
func (f *Failover) failover() sim.Schedule {
	return sim.Schedule{{Fault: sim.LoseDisk("redis"), At: f.begins(), For: failoverTakes}}
}

// Faults implements [Faulty]: unless others were chosen, the first edge crashes with the broker. When its clients have
// noticed, and come to another edge, other messages are at the positions that were lost.
func (f *Failover) Faults() sim.Schedule {
	if f.chosen {
		return f.faults
	}
	return sim.Schedule{{Fault: sim.Crash("edge-1"), At: f.begins(), For: 3 * time.Second}}
}

// Window implements [Faulty].
func (f *Failover) Window() sim.Window { return f.chat().Window() }

// Hazards implements [Faulty]: those of a chat, but the broker does not crash at another time, too. The failover is a
// crash, and a host that is down cannot go down.
func (f *Failover) Hazards() []sim.Hazard {
	all := f.chat().Hazards()
	for i := range all {
		all[i].Faults = slices.DeleteFunc(all[i].Faults, func(fault sim.Fault) bool { return fault.String() == sim.Crash("redis").String() })
	}
	return all
}
