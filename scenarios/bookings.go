package scenarios

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// Bookings is agents that share objects over a coordination service: they read and write keys of a registry, reserve
// the seats of a hall, and bid at auctions, while the service's nodes crash and are cut off. [NewBookings] gives it
// its defaults.
type Bookings struct {
	// Agents is how many agents there are; each makes one call at a time. Rate is how many calls it makes per
	// second on average, if the service is quick.
	Agents int
	Rate   float64
	// Keys, Seats and Lots are how many there are of the registry's keys, of seats in the hall, and of auctions.
	Keys, Seats, Lots int
	// Duration is how long a run takes. Agents stop a second before it ends.
	Duration time.Duration

	plain
	chosenFaults
	mutant string
}

// NewBookings gives the bookings of the catalogue.
func NewBookings() *Bookings {
	return &Bookings{Agents: 4, Rate: 4, Keys: 2, Seats: 4, Lots: 2, Duration: 15 * time.Second}
}

// Name implements [Scenario].
func (*Bookings) Name() string { return "bookings" }

// Summary implements [Scenario].
func (*Bookings) Summary() string {
	return "agents reserve seats, bid, and share a registry over a replicated service whose nodes crash"
}

// Params implements [Scenario].
func (b *Bookings) Params() []Param {
	return []Param{
		{"agents", "agents, each making one call at a time", intValue{&b.Agents, 1, 50, "agents"}},
		{"rate", "calls of each agent", floatValue{&b.Rate, 0.1, 100, "calls/s"}},
		{"keys", "keys of the registry", intValue{&b.Keys, 1, 100, "keys"}},
		{"seats", "seats in the hall", intValue{&b.Seats, 1, 1000, "seats"}},
		{"lots", "auctions", intValue{&b.Lots, 1, 100, "lots"}},
		{"duration", "virtual time", durationValue{&b.Duration, 5 * time.Second, 10 * time.Minute}},
	}
}

// The mutants of Bookings, besides those of package coord.
const (
	mutantCheckThenAct  = "check-then-act"
	mutantBlindBid      = "blind-bid"
	mutantRetryBlindly  = "retry-blindly"
	mutantUnsyncedCoord = "ack-before-fsync"
)

// Mutants implements [Scenario].
func (*Bookings) Mutants() []Mutant {
	return []Mutant{
		{string(coord.StaleReads), "a node of the service answers reads without asking whether it still leads", "LinearizableRegistry"},
		{mutantUnsyncedCoord, "the service's nodes acknowledge what is not on their disks yet", "LinearizableRegistry"},
		{mutantRetryBlindly, "a compare-and-swap that timed out is made again as if it had not happened", "LinearizableRegistry"},
		{mutantCheckThenAct, "a seat that was found free is taken without a second look", "LinearizableSeats"},
		{mutantBlindBid, "a bid that was found to be the highest is written without a second look", "LinearizableAuction"},
	}
}

// Mutate implements [Scenario].
func (b *Bookings) Mutate(name string) error { return mutate(b, name, &b.mutant) }

// Properties implements [Scenario].
func (*Bookings) Properties() []model.Property {
	return []model.Property{properties.LinearizableRegistry(), properties.LinearizableSeats(), properties.LinearizableAuction()}
}

// Length implements [Scenario].
func (b *Bookings) Length() time.Duration { return b.Duration }

// Run implements [Scenario].
func (b *Bookings) Run(w *sim.World) error {
	w.Link("*", "*", netsim.Link{Latency: time.Millisecond, Jitter: 500 * time.Microsecond})
	r := &ring{coords: map[string]*coord.Node{}, options: sourceOptions{unsynced: b.mutant == mutantUnsyncedCoord}}
	if b.mutant == string(coord.StaleReads) {
		r.mutant = b.mutant
	}
	r.buildCoordinators(w)
	for i := range b.Agents {
		a := &agent{bookings: b, ring: r}
		w.Node(fmt.Sprintf("agent-%d", i+1), a.run)
	}
	w.Plan(b.Faults())
	w.RunFor(b.Duration)
	w.Check(b.Properties()...)
	return nil
}

// Faults implements [Faulty]: unless others were chosen, one node after the other crashes and returns.
func (b *Bookings) Faults() sim.Schedule {
	if b.chosen {
		return b.faults
	}
	var s sim.Schedule
	for i := range coordinators {
		s = append(s, sim.Scheduled{
			Fault: sim.Crash((&ring{}).coordName(i)), At: b.Duration * time.Duration(3+2*i) / 10, For: b.Duration / 10,
		})
	}
	return s
}

// Window implements [Faulty]: from when a leader has been elected.
func (b *Bookings) Window() sim.Window {
	return sim.Window{Begin: 2 * time.Second, End: b.Duration - 2*time.Second}
}

// Hazards implements [Faulty]. The service is safe whatever happens to its nodes, all at once included, as long as
// their disks keep what they have synced; only while most of them are up and connected does it answer.
func (b *Bookings) Hazards() []sim.Hazard {
	var crashes, pauses, cuts []sim.Fault
	for i := range coordinators {
		node := (&ring{}).coordName(i)
		crashes = append(crashes, sim.Crash(node))
		pauses = append(pauses, netsim.Pause(node))
		cuts = append(cuts, netsim.Partition(node, "coord-*"), netsim.Blackhole(node, "coord-*"), netsim.Partition(node, "agent-*"))
	}
	return []sim.Hazard{
		{Faults: crashes, Least: 100 * time.Millisecond, Most: 3 * time.Second},
		{Faults: pauses, Least: 100 * time.Millisecond, Most: 3 * time.Second},
		{Faults: cuts, Least: 500 * time.Millisecond, Most: 4 * time.Second},
		{Faults: []sim.Fault{netsim.Delay("coord-*", "coord-*", true, 100*time.Millisecond)}, Least: time.Second, Most: 4 * time.Second},
		{Faults: []sim.Fault{netsim.Loss("agent-*", "coord-*", true, 0.2)}, Least: time.Second, Most: 5 * time.Second},
	}
}
