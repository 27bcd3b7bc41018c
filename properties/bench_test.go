package properties_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// busy is a correct run: in each room, publishers in groups of five publish at the same time, the
// fifth never hears whether it succeeded, and every client gets every message.
func busy(rooms, publishes, clients int) *model.History {
	h := &model.History{}
	add := func(e model.Event) { h.Events = append(h.Events, e) }
	for r := range rooms {
		room := fmt.Sprintf("room-%d", r+1)
		for c := range clients {
			add(model.Event{Kind: model.Connected, Node: fmt.Sprintf("c%d-%d", r, c), Room: room})
		}
		for first := 1; first <= publishes; first += 5 {
			id := func(i int) string { return fmt.Sprintf("%s-m%d", room, i) }
			for i := first; i < first+5; i++ {
				add(model.Event{Kind: model.PublishCall, Node: fmt.Sprintf("p%d", i%5), Room: room, ID: id(i)})
			}
			for i := first; i < first+5; i++ {
				e := model.Event{Kind: model.PublishOK, Node: fmt.Sprintf("p%d", i%5), Room: room, ID: id(i), Seq: uint64(i)}
				if i == first+4 {
					e.Kind, e.Seq = model.PublishUnknown, 0
				}
				add(e)
			}
			for i := first; i < first+5; i++ {
				for c := range clients {
					add(model.Event{Kind: model.Deliver, Node: fmt.Sprintf("c%d-%d", r, c), Room: room, ID: id(i), Seq: uint64(i)})
				}
			}
		}
	}
	add(model.Event{Kind: model.RunEnd})
	renumber(h)
	return h
}

// The promise is 10 rooms × 60 appends × 1,200 reads in well under 100 ms of wall-clock time; it takes
// some 3 ms, so that the bound fails only if the search has begun to grow with the history.
func TestLinearizableIsFast(t *testing.T) {
	h := busy(10, 60, 20)
	best := time.Hour
	for range 5 {
		start := time.Now()
		v := properties.Linearizable().Check(h)
		best = min(best, time.Since(start))
		require.True(t, v.Ok(), v)
	}
	require.Less(t, best, 100*time.Millisecond)
}

// A publish of unknown outcome stays open to the end. A history with hundreds of them, and an error at
// its very end, must not send the search through all their subsets.
func TestManyUnknownPublishesStayFast(t *testing.T) {
	h := busy(1, 2000, 2)
	last := &h.Events[len(h.Events)-2]
	last.ID = "room-1-m1"
	p, err := properties.LinearizableWithin(5 * time.Second)
	require.NoError(t, err)
	v := p.Check(h)
	require.Equal(t, illegal, v.Outcome, v)
	require.Equal(t, last.Step, v.Step)
	require.NotContains(t, v.Detail, "no time")
}

func BenchmarkProperties(b *testing.B) {
	h := busy(10, 60, 31)
	b.Logf("%d events", len(h.Events))
	for _, p := range properties.All() {
		b.Run(p.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v := p.Check(h); !v.Ok() {
					b.Fatal(v)
				}
			}
		})
	}
}

// One room is the worst case for Linearizable, which cannot split it; and an error at the end for the
// search for its step.
func BenchmarkLinearizable(b *testing.B) {
	for _, broken := range []bool{false, true} {
		h := busy(1, 3000, 5)
		want := legal
		if broken {
			h.Events[len(h.Events)-2].ID = "room-1-m1"
			want = illegal
		}
		b.Run(fmt.Sprintf("OneRoom/%s", want), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v := properties.Linearizable().Check(h); v.Outcome != want {
					b.Fatal(v)
				}
			}
		})
	}
}
