package scenarios_test

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// smallScaling is the catalogue's comparison with fewer clients and one system, for tests that run it often.
func smallScaling() *scenarios.Scaling {
	s := scenarios.NewScaling()
	s.Placement, s.Clients, s.Rooms, s.Edges, s.Publishers, s.Rate = "modulo", 24, 12, 3, 1, 10
	s.MovePace, s.Duration = 500*time.Millisecond, 40*time.Second
	return s
}

// Goal: an edge comes and goes, and clients miss, repeat and reorder nothing, and wait for nothing; as many
// are moved as the closed form says. The figure shows it.
// Method: the catalogue's comparison, as it is.
func TestScaling(t *testing.T) {
	if testing.Short() {
		t.Skip("TestScalingVariants has the same with fewer clients")
	}
	s := scenarios.NewScaling()
	report, res := scenarios.Execute(t, s, "", sim.Config{Seed: 1})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.Zero(t, report.Discontinuities)
	require.Equal(t, report.Reconnects, report.Resumed)

	figures := s.Figures(res.History)
	require.Len(t, figures, 1)
	require.Empty(t, figures[0].Figure.Problem())
	require.Equal(t, "Modulo moves 82 %, consistent 27 % of the clients when a server comes", figures[0].Figure.Title())
	const golden = "testdata/scaling.png"
	var drawn bytes.Buffer
	require.NoError(t, figures[0].Figure.WritePNG(&drawn))
	if *update {
		require.NoError(t, os.WriteFile(golden, drawn.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	if differ := pixelsThatDiffer(t, want, drawn.Bytes()); differ > 100 { // processors round differently
		t.Errorf("%d pixels differ from %s; look at both, then run this test with -update", differ, golden)
	}
}

// Goal: the same, by every rule and over every transport.
func TestScalingVariants(t *testing.T) {
	for name, change := range map[string]func(*scenarios.Scaling){
		"modulo over tcp": func(s *scenarios.Scaling) { s.Fidelity = "tcp" },
		"consistent":      func(s *scenarios.Scaling) { s.Placement, s.Transport = "consistent", "ws" },
		"bounded":         func(s *scenarios.Scaling) { s.Placement, s.Transport = "bounded", "sse" },
		"from one edge":   func(s *scenarios.Scaling) { s.Edges, s.Rooms = 1, 6 },
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "consistent" {
				t.Skip("its like is tested")
			}
			s := smallScaling()
			change(s)
			require.NoError(t, s.Validate())
			report, res := scenarios.Execute(t, s, "", sim.Config{Seed: 3, DropTrace: true})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Positive(t, report.Reconnects)
		})
	}
}

// Goal: clients find their edge by redirection, which costs two round trips, by a central lookup, which is a
// bottleneck if it is slow, or by a mapping that they keep, which spares both.
func TestScalingFind(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes five runs")
	}
	type run struct {
		connected          time.Duration // mean of the clients' first connections
		redirects, lookups int
	}
	try := func(change func(*scenarios.Scaling)) run {
		s := smallScaling()
		s.Jitter = 0
		change(s)
		require.NoError(t, s.Validate())
		var sys *scenarios.ScalingSystem
		res := sim.Run(t, sim.Config{Seed: 4, Fidelity: netsim.Stream, DropTrace: true}, func(w *sim.World) error {
			sys = s.Build(w)[0]
			s.Finish(w)
			w.Check(s.Properties()...)
			return nil
		})
		require.True(t, res.Ok(), "%s", res.Banner(nil, ""))
		first, sum := map[string]bool{}, time.Duration(0)
		for _, e := range res.History.Events {
			if e.Kind == model.Connected && !first[e.Node] {
				first[e.Node] = true
				sum += e.Time
			}
		}
		return run{sum / time.Duration(len(first)), sys.Edges().Redirects, sys.Lookups()}
	}
	one := try(func(s *scenarios.Scaling) { s.Edges, s.Rooms = 1, 6 })
	redirect := try(func(s *scenarios.Scaling) {})
	// Two thirds of the clients come to another's edge, and make a connection and a request, 40 ms each, more.
	require.InDelta(t, 80*2/3, (redirect.connected - one.connected).Milliseconds(), 25)
	require.Positive(t, redirect.redirects)
	require.Zero(t, redirect.lookups)
	lookup := try(func(s *scenarios.Scaling) { s.Find = "lookup" })
	require.Less(t, lookup.redirects, redirect.redirects/3, "but for those who ask while rooms move")
	require.Greater(t, lookup.lookups, 24)
	mapping := try(func(s *scenarios.Scaling) { s.Find = "mapping" })
	require.Positive(t, mapping.lookups)
	slow := try(func(s *scenarios.Scaling) { s.Find, s.Lookup = "lookup", 60*time.Millisecond })
	require.Greater(t, slow.connected-lookup.connected, 200*time.Millisecond, "24 clients in a second, 60 ms each: they queue")
}

// Goal: the same seed gives the same trace.
func TestScalingReproduces(t *testing.T) {
	if testing.Short() {
		t.Skip("its parts are tested: the chat over the ring, and clients that are moved")
	}
	s := smallScaling()
	s.Clients, s.Duration = 12, 30*time.Second
	require.NoError(t, s.Validate())
	res := sim.Run(t, sim.Config{Seed: 11, Repeat: 2, Fidelity: netsim.Stream}, s.Run)
	require.NoError(t, res.Err)
}

// Goal: whoever dies or is cut off in the middle of the dance, nothing is lost, repeated or reordered, and the
// change comes to its end.
// Method: each fault hits when the change has been announced and some rooms have been moved, but not all.
func TestScalingFaults(t *testing.T) {
	type world struct {
		*sim.World
		sys    *scenarios.ScalingSystem
		middle time.Duration // of the dance
	}
	for name, c := range map[string]struct {
		slow   bool // left out by -short
		strike func(w world)
		bites  []string
		judge  func(t *testing.T, sys *scenarios.ScalingSystem)
	}{
		"an old owner dies": {
			slow: true,
			strike: func(w world) {
				w.Inflict(sim.Crash("modulo-edge-1"))
				w.At(w.middle+12*time.Second, sim.Restart("modulo-edge-1"))
			},
			bites: []string{"crash"},
			judge: func(t *testing.T, sys *scenarios.ScalingSystem) {
				require.Contains(t, sys.Steps(), "move modulo-edge-1", "the controller speaks for the dead")
			},
		},
		"the new owner dies": {
			slow:   true,
			strike: func(w world) { w.Inflict(sim.Crash("modulo-edge-4")) },
			bites:  []string{"crash"},
			judge: func(t *testing.T, sys *scenarios.ScalingSystem) {
				require.Equal(t, []string{"begin", "announce", "commit", "announce", "move modulo-edge-4", "commit"}, sys.Steps())
			},
		},
		"the coordinators' leader dies": {
			slow: true,
			strike: func(w world) {
				leader := w.sys.Leader(w.World)
				require.NotEmpty(w.T(), leader)
				w.Inflict(sim.Crash(leader))
				w.At(w.middle+5*time.Second, sim.Restart(leader))
			},
			bites: []string{"crash"},
		},
		"the controller dies, and another goes on": {
			strike: func(w world) {
				w.Inflict(sim.Crash("modulo-controller"))
				w.RunFor(5 * time.Second)
				require.Equal(w.T(), []string{"begin", "announce"}, w.sys.Steps(), "it died too late")
				w.Inflict(sim.Restart("modulo-controller"))
			},
			bites: []string{"crash"},
			judge: func(t *testing.T, sys *scenarios.ScalingSystem) {
				require.Equal(t, []string{"begin", "announce", "commit", "announce", "commit"}, sys.Steps())
			},
		},
		"the source dies": {
			slow: true,
			strike: func(w world) {
				w.Inflict(sim.Crash("modulo-source"))
				w.At(w.middle+1500*time.Millisecond, sim.Restart("modulo-source"))
			},
			bites: []string{"crash"},
		},
		"an old owner is cut off from the coordinators": {
			slow: true,
			strike: func(w world) {
				w.Inflict(netsim.Partition("modulo-edge-2", "modulo-coord-*"))
				w.At(w.middle+9*time.Second, netsim.Heal())
			},
			bites: []string{"partition"},
			judge: func(t *testing.T, sys *scenarios.ScalingSystem) {
				require.Positive(t, sys.Edges().Fenced, "it must take itself for dead, as the others do")
				require.Contains(t, sys.Steps(), "move modulo-edge-2")
			},
		},
		"the source is cut off from the coordinators": {
			slow: true,
			strike: func(w world) {
				w.Inflict(netsim.Partition("modulo-source", "modulo-coord-*"))
				w.At(w.middle+6*time.Second, netsim.Heal())
			},
			bites: []string{"partition"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.slow && testing.Short() {
				t.Skip("its like is tested")
			}
			s := smallScaling()
			var sys *scenarios.ScalingSystem
			res := sim.Run(t, sim.Config{Seed: 5, Fidelity: netsim.Stream}, func(w *sim.World) error {
				sys = s.Build(w)[0]
				middle := s.Duration*3/10 + 1200*time.Millisecond
				w.RunFor(middle)
				require.Equal(t, []string{"begin", "announce"}, sys.Steps())
				require.Positive(t, sys.Edges().Moved, "the dance has not begun")
				c.strike(world{w, sys, middle})
				s.Finish(w)
				w.MustHaveBitten(c.bites...)
				w.Check(properties.All()...)
				return nil
			})
			require.True(t, res.Ok(), "%s", res.Banner(nil, ""))
			require.True(t, s.CaughtUp(), "not all clients have come to the end, or the change has not: %q", sys.Steps())
			require.False(t, slices.ContainsFunc(res.History.Events, func(e model.Event) bool { return e.Kind == model.Discontinuity }))
			if c.judge != nil {
				c.judge(t, sys)
			}
		})
	}
}

// Goal: the properties of this scenario reject what they should, and judge nothing that they cannot.
func TestScalingProperties(t *testing.T) {
	s := scenarios.NewScaling()
	type e = model.Event
	ok := e{Kind: model.PublishOK, Node: "p", Room: "r", ID: "1", Seq: 1}
	call := e{Kind: model.PublishCall, Node: "p", Room: "r", ID: "1"}
	in := e{Kind: model.Connected, Node: "c", Room: "r", Peer: "edge-1"}
	got := e{Kind: model.Deliver, Node: "c", Room: "r", ID: "1", Seq: 1}
	out := e{Kind: model.Disconnected, Node: "c", Room: "r"}
	at := func(t time.Duration, ev e) e { ev.Time = t; return ev }
	for name, c := range map[string]struct {
		want   model.Outcome
		events []e
	}{
		"in time":                    {model.Ok, []e{in, call, ok, at(time.Second, got)}},
		"late":                       {model.Illegal, []e{in, call, ok, at(1001*time.Millisecond, got)}},
		"late, but newly connected":  {model.Ok, []e{in, call, at(1, out), at(2, ok), at(1500*time.Millisecond, in), at(1600*time.Millisecond, got)}},
		"not before the client left": {model.Illegal, []e{in, call, ok, at(2*time.Second, out), at(2*time.Second, in), at(2*time.Second, got)}},
		"the client left soon":       {model.Ok, []e{in, call, ok, at(time.Second, out), at(2*time.Second, in), at(2*time.Second, got)}},
		"nothing":                    {model.Unknown, []e{in, call, ok}},
	} {
		h := &model.History{Events: c.events}
		for i := range h.Events {
			h.Events[i].Step = uint64(i + 1)
			if i > 0 {
				h.Events[i].Time = max(h.Events[i].Time, h.Events[i-1].Time)
			}
		}
		v := s.Prompt().Check(h)
		require.Equal(t, c.want, v.Outcome, "%s: %v", name, v)
		require.Equal(t, model.Unknown, s.Movement().Check(h).Outcome)
	}
	require.Equal(t, model.Unknown, s.Prompt().Check(nil).Outcome)

	if testing.Short() {
		return
	}
	// Movement rejects a run of one rule that is judged by another.
	s = smallScaling()
	report, res := scenarios.Execute(t, s, "", sim.Config{Seed: 3, DropTrace: true})
	require.Equal(t, model.Ok, report.Outcome())
	require.Equal(t, model.Ok, s.Movement().Check(res.History).Outcome)
	h := *res.History
	h.Events = slices.Clone(h.Events)
	for i := range h.Events {
		if h.Events[i].Kind == model.Connected && h.Events[i].Node == "modulo-client-7" {
			h.Events[i].Peer = "modulo-edge-1" // wherever it really was
		}
	}
	v := s.Movement().Check(&h)
	require.Equal(t, model.Illegal, v.Outcome)
	require.Contains(t, v.Detail, "modulo-client-7")
}

func TestScalingParameters(t *testing.T) {
	s := scenarios.NewScaling()
	require.ErrorContains(t, scenarios.Set(s, "placement", "random"), "want one of compare | bounded | consistent | modulo")
	require.NoError(t, scenarios.Set(s, "rooms", "1000"))
	require.ErrorContains(t, s.Validate(), "parameter duration: 40s is not allowed: rooms take up to 1m40s to move")
	s = scenarios.NewScaling()
	s.Jitter = time.Second
	require.ErrorContains(t, s.Validate(), "parameter jitter: 1s is not allowed")
	require.Equal(t, "This cannot be drawn: scale events: there are 0 Series; want 1 to 3",
		plots.Scaling(plots.ScaleEvents{End: 1, Marks: make([]plots.Mark, 2)}).Problem())
}
