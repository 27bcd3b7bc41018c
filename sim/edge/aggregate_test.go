package edge

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2"
)

// aggregated runs a room for a while, with Poisson arrivals, and measures batches and how long messages waited.
func aggregated(t *testing.T, a model.Aggregation, queue, n int) (batches int, mean, longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		hop := newScripted(model.Cursor{Epoch: "e1", Seq: 3})
		s, err := New(Config{Strategy: hop, QueueLimit: queue, Aggregate: a.Interval})
		require.NoError(t, err)
		sub, err := s.Open(within(t), "r", model.Cursor{})
		require.NoError(t, err)
		luck, came := rand.New(rand.NewPCG(3, 4)), make([]time.Time, n)
		go func() {
			for i := range came {
				time.Sleep(time.Duration(luck.ExpFloat64() / a.Rate * float64(time.Second)))
				came[i] = time.Now()
				hop.messages("e1", uint64(4+i), uint64(4+i))
			}
		}()
		waited := time.Duration(0)
		for got := 0; got < n; batches++ {
			b, err := sub.Next(context.Background(), nil)
			require.NoError(t, err)
			for _, m := range b.Messages {
				require.Equal(t, uint64(4+got), m.Seq)
				wait := time.Since(came[got])
				waited += wait
				longest = max(longest, wait)
				got++
			}
		}
		mean = waited / time.Duration(n)
		sub.Close()
		require.NoError(t, s.Shutdown(within(t)))
	})
	return batches, mean, longest
}

// Goal: what aggregation costs in latency and saves in batches is what the closed form says.
func TestAggregation(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 4000
	}
	for _, a := range []model.Aggregation{
		{Interval: 50 * time.Millisecond, Rate: 100}, {Interval: 200 * time.Millisecond, Rate: 2}, {Interval: time.Second, Rate: 30},
	} {
		batches, mean, longest := aggregated(t, a, 1000, n)
		require.InEpsilon(t, a.BatchSize(), float64(n)/float64(batches), 0.05, "%+v", a)
		require.InEpsilon(t, a.MeanWait().Seconds(), mean.Seconds(), 0.05, "%+v", a)
		require.InDelta(t, a.LongestWait().Seconds(), longest.Seconds(), 1e-5)
	}
	batches, mean, _ := aggregated(t, model.Aggregation{Rate: 100}, 1000, n)
	require.InDelta(t, n, batches, float64(n)/1000, "but for those that come within a microsecond")
	require.LessOrEqual(t, mean, 2*gatherFor)

	// A batch that is half of what a client may be behind goes out at once: no flood is dammed up.
	batches, mean, _ = aggregated(t, model.Aggregation{Interval: time.Second, Rate: 1000}, 20, n)
	require.GreaterOrEqual(t, batches, n/10)
	require.Less(t, mean, 20*time.Millisecond)
}

// Goal: a gap does not overtake the messages gathered before it, and waits for nothing more.
func TestAggregationEndsAtAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hop := newScripted(model.Cursor{Epoch: "e1", Seq: 3})
		up, err := hop.Subscribe(t.Context(), "r", model.Cursor{})
		require.NoError(t, err)
		r := instants{up: up, interval: time.Second, most: 10}
		began := time.Now()
		hop.messages("e1", 4, 5)
		hop.gap(model.Cursor{Epoch: "e1", Seq: 8})
		b, err := r.next(t.Context())
		require.NoError(t, err)
		require.Len(t, b.Messages, 2)
		b, err = r.next(t.Context())
		require.NoError(t, err)
		require.Equal(t, &hop2.Gap{To: model.Cursor{Epoch: "e1", Seq: 8}, Why: "a gap to e1:8"}, b.Gap)
		require.Zero(t, time.Since(began))
	})
	_, err := New(Config{Strategy: newScripted(model.Cursor{}), Aggregate: -1})
	require.ErrorContains(t, err, "Aggregate: -1ns; want 0")
	_, err = New(Config{Strategy: newScripted(model.Cursor{}), Aggregate: time.Hour})
	require.ErrorContains(t, err, "Aggregate: 1h0m0s")
}
