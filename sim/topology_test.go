package sim_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/sim"
)

func ExampleTopology() {
	for seed := range 3 {
		fmt.Println(sim.Topology(sim.Extent{}).Example(seed))
	}
	// Output:
	// edges=2 clients=3 access=cable
	// edges=3 clients=1 access=flakywifi
	// edges=3 clients=2 access=geo
}

// Whatever is drawn is valid, within its bounds, and prints as it parses.
func TestTopology(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := sim.Extent{Regions: 2, Edges: 4, Clients: 5}
		l := sim.Topology(most).Draw(rt, "layout")
		require.NoError(rt, l.Validate())
		require.LessOrEqual(rt, len(l), most.Regions)
		clients := 0
		for _, r := range l {
			require.LessOrEqual(rt, r.Edges, most.Edges)
			require.LessOrEqual(rt, r.Clients, most.Clients)
			clients += r.Edges * r.Clients
		}
		require.Len(rt, l.Clients(), clients)
		again, err := sim.ParseLayout(l.String())
		require.NoError(rt, err)
		require.Equal(rt, l, again)
	})
}

// recorder is a test that fails in another's stead.
type recorder struct {
	testing.TB
	text strings.Builder
}

func (r *recorder) Helper()                   {}
func (r *recorder) Name() string              { return "TestOfAnother" }
func (r *recorder) Logf(f string, a ...any)   { fmt.Fprintf(&r.text, f+"\n", a...) }
func (r *recorder) Errorf(f string, a ...any) { r.Logf(f, a...) }
func (r *recorder) Fatalf(f string, a ...any) { r.Logf(f, a...) }
func (r *recorder) Fail()                     {}
func (r *recorder) FailNow()                  {}
func (r *recorder) Failed() bool              { return false }

// Goal: what rapid ends at is the smallest layout that fails.
func TestTopologyShrinks(t *testing.T) {
	require.NoError(t, flag.Set("rapid.nofailfile", "true")) // these are not failures of ours
	defer func() { require.NoError(t, flag.Set("rapid.nofailfile", "false")) }()
	for want, fails := range map[string]func(sim.Layout) bool{
		"edges=1 clients=1 access=datacenter":                                      func(sim.Layout) bool { return true },
		"edges=2 clients=1 access=datacenter":                                      func(l sim.Layout) bool { return len(l.Edges()) > 1 && len(l) == 1 },
		"edges=1 clients=3 access=datacenter":                                      func(l sim.Layout) bool { return l[0].Clients >= 3 },
		"edges=1 clients=1 access=datacenter; edges=1 clients=1 access=datacenter": func(l sim.Layout) bool { return len(l) > 1 },
	} {
		var last sim.Layout
		rapid.Check(&recorder{TB: t}, func(rt *rapid.T) {
			l := sim.Topology(sim.Extent{}).Draw(rt, "layout")
			if fails(l) {
				last = l
				rt.Fatalf("%v", l)
			}
		})
		require.Equal(t, want, last.String())
	}
}

// Goal: what cannot be a layout is refused, with the region, the value and what is allowed.
func TestLayoutErrors(t *testing.T) {
	for text, want := range map[string]string{
		"edges=0":                       "layout: region 1: edges: 0; want 1 to 100",
		"edges=101":                     "layout: region 1: edges: 101; want 1 to 100",
		"clients=-1":                    "layout: region 1: clients: -1; want 0 to 10000",
		"clients=0":                     "no region has clients; want one client at least",
		"clients=x":                     `layout: region 1: "clients=x": strconv.Atoi`,
		"access=pigeon":                 `layout: region 1: access: "pigeon"; want cable, crossregion`,
		"away=1ms":                      "layout: region 1: away: 1ms; want 0s: the first region is where all else is",
		"edges=1; away=2s":              "layout: region 2: away: 2s; want 0s to 1s",
		"edges=1; away=-1ms":            "layout: region 2: away: -1ms; want 0s to 1s",
		"edges=1; hosts=3":              `layout: region 2: "hosts=3": the fields are edges, clients, access and away`,
		"edges=99999999999999999999999": "value out of range",
	} {
		_, err := sim.ParseLayout(text)
		require.ErrorContains(t, err, want, text)
	}
	require.ErrorContains(t, sim.Layout{}.Validate(), "there is no region")
	res := sim.Run(t, sim.Config{}, func(w *sim.World) error { w.Apply(nil); return nil })
	require.ErrorContains(t, res.Err, "sim: Apply: layout: there is no region")
	res = sim.Run(t, sim.Config{}, func(w *sim.World) error {
		w.Apply(sim.Layout{{Edges: 1, Clients: 1, Access: "lte"}})
		w.RunFor(time.Second)
		return nil
	})
	require.ErrorContains(t, res.Err, "edge-1", "a layout's node that the world has not")
}

// Goal: whatever the text, there is an error or a layout that prints as it parses.
func FuzzParseLayout(f *testing.F) {
	f.Add("edges=2 clients=3 access=lte; edges=1 clients=5 access=cable away=40ms")
	f.Add("; clients=0;")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := sim.ParseLayout(text)
		if err != nil {
			return
		}
		again, err := sim.ParseLayout(l.String())
		require.NoError(t, err, "%q", l.String())
		require.Equal(t, l, again)
	})
}

// Goal: nodes are as far from each other as the layout says.
// Method: everybody shakes hands with everybody, over the loss-free links of data centres and cables.
func TestApply(t *testing.T) {
	l, err := sim.ParseLayout("edges=1 clients=1 access=datacenter; edges=1 clients=1 access=cable away=40ms")
	require.NoError(t, err)
	took := map[string]time.Duration{} // from and to, there and back
	res := sim.Run(t, sim.Config{Seed: 1}, func(w *sim.World) error {
		for _, name := range []string{"broker", "edge-1", "edge-2"} {
			w.Node(name, func(ctx context.Context, n *sim.Node) error {
				l, err := n.Listen("tcp", ":1")
				if err != nil {
					return err
				}
				context.AfterFunc(ctx, func() { _ = l.Close() })
				for {
					if _, err := l.Accept(); err != nil {
						return nil
					}
				}
			})
		}
		for i, from := range []string{"client-1", "client-2"} {
			w.Node(from, func(ctx context.Context, n *sim.Node) error {
				for _, to := range []string{"broker", "edge-1", "edge-2"} {
					began := n.Now()
					var conn net.Conn
					conn, err := n.DialContext(ctx, "tcp", to+":1")
					if err != nil {
						return err
					}
					took[fmt.Sprint(i+1, " ", to)] = n.Now() - began
					_ = conn.Close()
				}
				return nil
			})
		}
		w.Apply(l)
		w.RunFor(10 * time.Second)
		return nil
	})
	require.NoError(t, res.Err)
	for pair, ms := range map[string]int{
		"1 broker": 0, "1 edge-1": 0, "1 edge-2": 80, // a round trip, and up to 30 ms more by cable
		"2 broker": 80 + 28, "2 edge-1": 80 + 28, "2 edge-2": 28,
	} {
		require.InDelta(t, ms, float64(took[pair].Milliseconds()), 8, pair)
	}
}
