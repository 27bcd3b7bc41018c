package scenarios

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	ringsource "github.com/twohop/twohop/sim/hop2/source"
)

// Scaling has an edge come and go where a room belongs to one edge: by the rule of modulo, and beside that,
// in a system of its own, by consistent hashing. Clients connect to any edge, behind an L4 balancer, and are
// redirected to their room's. When the edge comes, and again when it goes, the rooms that belong to another
// then are moved by the four-step dance. [NewScaling] gives it its defaults.
type Scaling struct {
	// Placement is the rule, or "compare" for two systems, by modulo and by consistent hashing.
	Placement string
	// VirtualNodes is how many points each edge has on the ring; modulo has no ring.
	VirtualNodes int
	// Clients, Rooms, Publishers and Edges are those of each system; one more edge comes and goes.
	Clients, Rooms, Publishers, Edges int
	// Rate is how many messages each publisher posts per second.
	Rate float64
	// Transport is what clients use; "mix" gives every other one WebSocket and SSE.
	Transport string
	// Find is how clients find their room's edge: "redirect" by asking any, "lookup" by asking a central
	// service each time, "mapping" by asking that for the whole mapping and keeping it. Lookup is how long
	// the service is busy with each request.
	Find   string
	Lookup time.Duration
	// Latency and Jitter are those of the links between clients and data centre, one way.
	Latency, Jitter time.Duration
	// MovePace is the time from one room that an edge moves to its next.
	MovePace time.Duration
	// Fidelity is how closely connections are modelled: "tcp" or "stream".
	Fidelity string
	// Duration is how long a run takes. The edge comes after three tenths and goes after six. Publishers
	// pause for the last fifth, so that all can arrive.
	Duration time.Duration

	mutant  string
	systems []*ScalingSystem // of the latest run
}

// NewScaling gives the comparison of the catalogue, from four edges to five and back.
func NewScaling() *Scaling {
	return &Scaling{
		Placement: compare, VirtualNodes: 200, Clients: 120, Rooms: 60, Publishers: 2, Edges: 4, Rate: 20,
		Transport: "mix", Find: findRedirect, Lookup: time.Millisecond, Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, MovePace: 200 * time.Millisecond,
		Fidelity: netsim.Stream.String(), Duration: 40 * time.Second,
	}
}

// compare is the placement that stands for two.
const compare = "compare"

// How clients find their room's edge.
const (
	findRedirect = "redirect"
	findLookup   = "lookup"
	findMapping  = "mapping"
)

// Name implements [Scenario].
func (*Scaling) Name() string { return "scaling" }

// Summary implements [Scenario].
func (*Scaling) Summary() string {
	return "an edge comes and goes where rooms belong to edges: modulo against consistent hashing"
}

// Params implements [Scenario].
func (s *Scaling) Params() []Param {
	kinds := []string{compare}
	for _, k := range model.PlacementKinds() {
		kinds = append(kinds, string(k))
	}
	return []Param{
		{"placement", "rule by which rooms belong to edges; compare is modulo and consistent, side by side", choiceValue{&s.Placement, kinds}},
		{"vnodes", "points of each edge on the ring", intValue{&s.VirtualNodes, 1, 4096, "points"}},
		{"clients", "clients of each system, each in one room", intValue{&s.Clients, 1, 5000, "clients"}},
		{"rooms", "rooms", intValue{&s.Rooms, 1, 1000, "rooms"}},
		{"publishers", "publishers, each posting to all rooms", intValue{&s.Publishers, 1, 100, "publishers"}},
		{"edges", "endpoint servers, before one more comes", intValue{&s.Edges, 1, 30, "servers"}},
		{"rate", "messages posted by each publisher", floatValue{&s.Rate, 0.1, 1000, "messages/s"}},
		{"transport", "what clients use; mix is half WebSocket, half SSE", choiceValue{&s.Transport, append([]string{"mix"}, hop1.Transports()...)}},
		{"find", "how clients find their room's edge", choiceValue{&s.Find, []string{findRedirect, findLookup, findMapping}}},
		{"lookup", "how long the central lookup is busy with each request", durationValue{&s.Lookup, 0, time.Second}},
		{"latency", "one-way delay between clients and data centre", durationValue{&s.Latency, 0, 5 * time.Second}},
		{"jitter", "how much that delay varies, each way; at most latency", durationValue{&s.Jitter, 0, 5 * time.Second}},
		{"pace", "time from one room that an edge moves to its next", durationValue{&s.MovePace, time.Millisecond, time.Minute}},
		{"fidelity", "how closely connections are modelled", choiceValue{&s.Fidelity, []string{netsim.TCP.String(), netsim.Stream.String()}}},
		{"duration", "virtual time", durationValue{&s.Duration, 20 * time.Second, time.Hour}},
	}
}

// Mutants implements [Scenario].
func (*Scaling) Mutants() []Mutant {
	return []Mutant{
		{string(ringsource.NoDualSend), "while rooms move, messages go to the new owner only", "DualDelivery"},
		{string(hop2.EarlyCommit), "the ring is updated before clients have moved", "Prompt"},
		{mutantModulo, "where rooms should be placed by consistent hashing, they are by modulo", "MinimalMovement"},
		{string(hop1.NoResume), "a client that is moved reconnects without its cursor", "NoLoss"},
	}
}

// Mutate implements [Scenario].
func (s *Scaling) Mutate(name string) error { return mutate(s, name, &s.mutant) }

// Properties implements [Scenario].
func (s *Scaling) Properties() []model.Property {
	return append(append(properties.All(), s.Prompt(), s.Movement()), resourceProperties()...)
}

// Length implements [Scenario].
func (s *Scaling) Length() time.Duration { return s.Duration }

// Validate implements [Scenario].
func (s *Scaling) Validate() error {
	if s.Jitter > s.Latency {
		return fmt.Errorf("parameter jitter: %v is not allowed: want at most the latency, %v", s.Jitter, s.Latency)
	}
	// An edge moves its rooms one after the other, and has three tenths of the run for it; at worst all
	// rooms are its own.
	if need := time.Duration(s.Rooms) * s.MovePace / time.Duration(s.Edges) * 2; need > s.Duration*3/10-5*time.Second {
		return fmt.Errorf("parameter duration: %v is not allowed: rooms take up to %v to move; want at least %v",
			s.Duration, need, (need+5*time.Second)*10/3)
	}
	return nil
}

// Configure implements [Scenario].
func (s *Scaling) Configure(cfg *sim.Config) {
	if f, err := netsim.ParseFidelity(s.Fidelity); err == nil {
		cfg.Fidelity = f
	}
}

// comes and goes are when the edge more does.
func (s *Scaling) comes() time.Duration { return s.Duration * 3 / 10 }
func (s *Scaling) goes() time.Duration  { return s.Duration * 6 / 10 }

// kinds are the placements of the systems, in order.
func (s *Scaling) kinds() []model.PlacementKind {
	if s.Placement == compare {
		return []model.PlacementKind{model.Modulo, model.Consistent}
	}
	return []model.PlacementKind{model.PlacementKind(s.Placement)}
}

// placement is a rule without its members.
func (s *Scaling) placement(kind model.PlacementKind) model.Placement {
	p := model.Placement{Kind: kind}
	if kind != model.Modulo {
		p.VirtualNodes = s.VirtualNodes
	}
	return p
}

// Run implements [Scenario].
func (s *Scaling) Run(w *sim.World) error {
	s.Build(w)
	s.Finish(w)
	w.Check(s.Properties()...)
	return nil
}

// Build adds the systems to a world, and has the edge more come and go. It gives them in order of kind.
func (s *Scaling) Build(w *sim.World) []*ScalingSystem {
	s.systems = nil
	w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
	for _, kind := range s.kinds() {
		sys := &ScalingSystem{scaling: s, kind: kind}
		sys.build(w)
		w.At(s.goes(), sim.Stop(sys.edgeName(s.Edges)))
		s.systems = append(s.systems, sys)
	}
	return s.systems
}

// Finish lets the run run its time, and longer if need be for all messages to arrive, and has all leave. What
// each system's moves give occasion to judge is checked.
func (s *Scaling) Finish(w *sim.World) {
	w.RunFor(s.Duration - w.Now())
	runUntil(w, settleLimit, s.CaughtUp)
	var all []*gauges
	for _, sys := range s.systems {
		all = append(all, &sys.gauges)
	}
	end(w, s.CaughtUp, all...)
	for _, sys := range s.systems {
		for _, p := range sys.record.properties(sys.kind) {
			w.Check(ofSystem{p, sys})
		}
	}
}

// CaughtUp reports whether every client has reached the end of its room's log, as far as publishers know it.
func (s *Scaling) CaughtUp() bool {
	for _, sys := range s.systems {
		if !sys.settled() {
			return false
		}
	}
	return true
}

// Figures implements [Illustrator].
func (s *Scaling) Figures(h *model.History) []plots.Named {
	sc := plots.ScaleEvents{
		Subtitle: fmt.Sprintf("%d clients in %d rooms; an edge more comes to %d, and goes; each edge moves a room every %v",
			s.Clients, s.Rooms, s.Edges, s.MovePace),
		End:   s.Duration,
		Marks: []plots.Mark{{At: s.comes(), Text: fmt.Sprintf("%d → %d edges", s.Edges, s.Edges+1)}, {At: s.goes(), Text: fmt.Sprintf("%d → %d edges", s.Edges+1, s.Edges)}},
	}
	for _, sys := range s.systems {
		tally := sys.tally(h)
		sc.Series = append(sc.Series, plots.ScaleSeries{
			Name: string(sys.kind), Reconnects: tally.reconnects, Moved: tally.share(s.Clients), Expected: model.Movement(sys.kind, s.Edges),
		})
	}
	return []plots.Named{{Name: "scaling", Figure: plots.Scaling(sc)}}
}
