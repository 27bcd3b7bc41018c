package sim_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
)

// Goal: a world is looked at at regular times, when its programs are at rest, until it ends.
// Method: a program counts at the very instants at which it is looked at, of which it sees half.
func TestEvery(t *testing.T) {
	var seen []int
	res := sim.Run(t, sim.Config{Seed: 1, Repeat: 2}, func(w *sim.World) error {
		seen = nil
		var count atomic.Int64
		w.Node("n", func(ctx context.Context, n *sim.Node) error {
			time.Sleep(time.Second - n.Now())
			for ; ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
				count.Add(1)
			}
			return nil
		})
		w.Every(time.Second, func() {
			seen = append(seen, int(count.Load()))
			w.Record(model.Event{Kind: model.Level, Node: "n", Object: "count", Value: count.Load()})
		})
		w.RunFor(3500 * time.Millisecond)
		return nil
	})
	require.NoError(t, res.Err)
	require.Equal(t, []int{1, 3, 5}, seen)
	require.Len(t, res.History.Events, 4, "three looks, and the end of the run")
	for i, e := range res.History.Events[:3] {
		require.Equal(t, time.Duration(i+1)*time.Second, e.Time)
		require.EqualValues(t, seen[i], e.Value)
	}
}

// Goal: a period that is none fails the run and says so.
func TestEveryNever(t *testing.T) {
	res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
		w.Every(0, func() {})
		return nil
	})
	require.ErrorContains(t, res.Err, "Every: the period is 0s; want a positive one")
}
