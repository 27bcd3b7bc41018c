package model_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// Latency counts from the first call of publish to the first delivery at each client.
func TestLatencies(t *testing.T) {
	h := story(t, "c connected 0|d connected 0|p publish a|p unknown a|p publish a|c deliver 1 a|d deliver 1 a|c deliver 1 a|d deliver 2 zzz|end")
	h.Events[5].Transport = "ws"
	h.Events[6].Transport = "sse"
	ls := model.Latencies(h)
	require.Len(t, ls, 2)
	require.Equal(t, model.Latency{
		Transport: "sse", Client: "d", Room: "r", ID: "a", Seq: 1, Step: 7,
		Published: 3 * time.Millisecond, Delivered: 7 * time.Millisecond,
	}, ls[0])
	require.Equal(t, 4*time.Millisecond, ls[0].Value())
	require.Equal(t, "c", ls[1].Client)
	require.Equal(t, 3*time.Millisecond, ls[1].Value())

	ds := model.Distributions(ls)
	require.Equal(t, []model.Distribution{
		{Transport: "sse", Sorted: []time.Duration{4 * time.Millisecond}},
		{Transport: "ws", Sorted: []time.Duration{3 * time.Millisecond}},
	}, ds)
	require.Empty(t, model.Latencies(nil))
	require.Empty(t, model.Distributions(nil))
}

func TestDistribution(t *testing.T) {
	d := model.Distribution{}
	require.Zero(t, d.Mean())
	require.Zero(t, d.Quantile(0.5))
	for i := 1; i <= 100; i++ {
		d.Sorted = append(d.Sorted, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{
		-1: 1, 0: 1, 0.001: 1, 0.01: 1, 0.0101: 2, 0.5: 50, 0.99: 99, 0.991: 100, 1: 100, 2: 100, math.NaN(): 1, math.Inf(1): 100,
	} {
		require.Equal(t, want, d.Quantile(q), "q=%v", q)
	}
	require.Equal(t, time.Duration(51), d.Mean()) // 50.5 rounds away from zero
}

// The definition of the nearest-rank quantile.
func TestQuantileDefinition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(rt, "n")
		k := rapid.IntRange(1, n).Draw(rt, "k")
		d := model.Distribution{}
		for i := range n {
			d.Sorted = append(d.Sorted, time.Duration(i))
		}
		require.Equal(rt, time.Duration(k-1), d.Quantile(float64(k)/float64(n)), "the k-th of n is the k/n quantile")
	})
}
