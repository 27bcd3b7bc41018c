package scenarios

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// Faulty is a scenario whose faults can be chosen.
type Faulty interface {
	Scenario
	// Hazards are what the scenario's system promises to survive, and Window when faults may be in force,
	// so that there is time left for everything to get well.
	Hazards() []sim.Hazard
	Window() sim.Window
	// Faults are those that will befall a run: the scenario's own, unless SetFaults has replaced them.
	Faults() sim.Schedule
	SetFaults(sim.Schedule)
}

// ChooseFaults replaces a scenario's faults: by none, by such as are drawn from its hazards ("light" or
// "heavy"; the seed decides which), or by those in a file of that name, which [sim.ParseSchedule] reads.
func ChooseFaults(s Scenario, choice string, seed uint64) error {
	f, ok := s.(Faulty)
	if !ok {
		return fmt.Errorf("the scenario %s has no faults to choose", s.Name())
	}
	for i, name := range sim.Intensities {
		if choice == name {
			f.SetFaults(sim.DrawFaults(netsim.NewRand(seed, "faults of "+s.Name()), f.Hazards(), sim.Intensity(i), f.Window()))
			return nil
		}
	}
	text, err := os.ReadFile(choice)
	if err != nil {
		return fmt.Errorf("%q is none of %s, nor a file that can be read: %w", choice, strings.Join(sim.Intensities, ", "), err)
	}
	schedule, err := sim.ParseSchedule(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", choice, err)
	}
	f.SetFaults(schedule)
	return nil
}

// chosenFaults are the faults of a run that were chosen in place of a scenario's own, which embeds it.
type chosenFaults struct {
	chosen bool
	faults sim.Schedule
}

// SetFaults implements [Faulty].
func (c *chosenFaults) SetFaults(s sim.Schedule) { *c = chosenFaults{true, s} }

// plan has the chat's faults happen: those that were chosen, or else the crash of the first edge, which
// must then have bitten by the end of the run.
func (c *Chat) plan(w *sim.World) (mustBite []string) {
	w.Plan(c.Faults())
	if c.chosen {
		return nil
	}
	return []string{"crash"}
}

// Faults implements [Faulty].
func (c *Chat) Faults() sim.Schedule {
	if c.chosen {
		return c.faults
	}
	return sim.Schedule{{Fault: sim.Crash("edge-1"), At: c.Duration / 4, For: c.Duration*2/5 - c.Duration/4}}
}

// Window implements [Faulty]: from when all clients have connected, until publishers pause.
func (c *Chat) Window() sim.Window {
	begin := 2 * time.Second
	if c.Hop2 == hop2.RingName {
		begin = 4 * time.Second // it must elect a leader, and find its edges, before rooms have any
	}
	return sim.Window{Begin: begin, End: c.Duration - max(c.Duration/5, 4*time.Second)}
}

// edgeRest is how long a chat needs after an edge has come back, until the next may go: for the balancer to
// notice, and for clients to have connected again.
const edgeRest = 3 * time.Second

// outside is whoever is outside the data centre, and cutsOutside what cuts them all off from it.
const outside = "client-*|publisher-*"

func cutsOutside() []sim.Fault {
	return []sim.Fault{netsim.Partition(outside, "lb"), netsim.Blackhole(outside, "lb"), netsim.Blackhole("lb", outside)}
}

// Hazards implements [Faulty]. The chat survives the loss of any edge, but not of two at a time; and that of the
// source, or of anything else that hop 2 consists of, one at a time. What a strategy that promises less loses
// then, clients are told of. The source of core NATS does not crash, as it would forget which messages it has had.
func (c *Chat) Hazards() []sim.Hazard {
	from := sources[c.Hop2]
	sourceNodes := from.nodes(c.hosts())
	each := func(fault func(node string) sim.Fault) (all []sim.Fault) {
		for i := range c.Edges {
			all = append(all, fault(fmt.Sprintf("edge-%d", i+1)))
		}
		return all
	}
	pause := func(node string) sim.Fault { return netsim.Pause(node) }
	var hopFaults []sim.Fault
	nodes := append(slices.Clone(sourceNodes), from.others...)
	for i := range c.Relays {
		nodes = append(nodes, relayName("relay", i))
	}
	for _, node := range nodes {
		if !from.forgets || !slices.Contains(sourceNodes, node) {
			hopFaults = append(hopFaults, sim.Crash(node))
		}
		hopFaults = append(hopFaults, pause(node))
	}
	var cut []sim.Fault // an edge, from one of the source's hosts
	for _, node := range sourceNodes {
		cut = append(cut, each(func(edge string) sim.Fault { return netsim.Partition(edge, node) })...)
	}
	var lost []sim.Fault // a coordinator loses its disk, and is not replaced: after it, nothing more may go
	if c.Hop2 == hop2.RingName {
		for i := range coordinators {
			lost = append(lost, sim.LoseDisk((&ring{}).coordName(i)))
		}
	}
	return []sim.Hazard{
		{Faults: each(sim.Crash), Least: time.Second, Most: 5 * time.Second, Group: "edges", Rest: edgeRest},
		{Faults: each(sim.Stop), Least: 6 * time.Second, Most: 8 * time.Second, Group: "edges", Rest: edgeRest},
		{Faults: each(pause), Least: 100 * time.Millisecond, Most: 5 * time.Second, Group: "edges", Rest: edgeRest},
		{Faults: each(func(node string) sim.Fault { return netsim.Slow(node, 50*time.Millisecond) }), Least: time.Second, Most: 10 * time.Second},
		{Faults: hopFaults, Least: 100 * time.Millisecond, Most: 3 * time.Second, Group: "hop 2", Rest: time.Second},
		{Faults: lost, Least: time.Second, Most: 3 * time.Second, Group: "hop 2", Rest: time.Hour},
		{Faults: cut, Least: 100 * time.Millisecond, Most: 5 * time.Second},
		{Faults: cutsOutside(), Least: 100 * time.Millisecond, Most: 5 * time.Second},
		{Faults: []sim.Fault{netsim.Loss(outside, "lb", true, 0.05), netsim.Loss(outside, "lb", false, 0.2), netsim.Loss("lb", outside, false, 0.2)}, Least: time.Second, Most: 20 * time.Second},
		{Faults: []sim.Fault{netsim.Delay(outside, "lb", true, 200*time.Millisecond)}, Least: time.Second, Most: 10 * time.Second},
		{Faults: []sim.Fault{netsim.Duplicate("*", "*", true, 0.05)}, Least: time.Second, Most: 20 * time.Second},
		{Faults: []sim.Fault{netsim.ChangeIP("client-*")}},
	}
}
