package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func ExamplePoll() {
	p := model.Poll{
		Path:   model.Push{Publish: model.Leg{Latency: 20 * ms}, Deliver: model.Leg{Latency: 40 * ms}},
		Period: model.Leg{Latency: 10 * time.Second},
	}
	fmt.Printf("mean %v, p99 %v, a million clients read %.0f times a second\n", p.Mean(), p.Quantile(0.99), p.ReadsPerSecond(1e6))
	// Output: mean 5.06s, p99 9.96s, a million clients read 100000 times a second
}

// Cases that can be worked out by hand.
func TestPollByHand(t *testing.T) {
	steady := model.Poll{Path: model.Push{Publish: model.Leg{Latency: 30 * ms}, Deliver: model.Leg{Latency: 20 * ms}}, Period: model.Leg{Latency: time.Second}}
	require.Equal(t, 550*ms, steady.Mean())
	require.InDelta(t, float64(time.Second)/math.Sqrt(12), float64(steady.StdDev()), 1)
	require.Zero(t, steady.CDF(50*ms))
	require.InDelta(t, 0.25, steady.CDF(300*ms), 1e-9)
	require.Equal(t, 1.0, steady.CDF(1050*ms))
	require.InDelta(t, float64(550*ms), float64(steady.Quantile(0.5)), 2)
	least, greatest := steady.Bounds()
	require.Equal(t, [2]time.Duration{50 * ms, 1050 * ms}, [2]time.Duration{least, greatest})
	require.Equal(t, 1.0, steady.RequestsPerSecond())

	// The period anything from 0 to 2 s: an update falls into long periods more often. E[W] = 1/2 + 1/6 s.
	full := model.Poll{Period: model.Leg{Latency: time.Second, Jitter: time.Second}}
	require.InDelta(t, 2.0/3*float64(time.Second), float64(full.Mean()), 1)
	require.InDelta(t, 1-1.0/4, full.CDF(time.Second), 1e-9)
	require.Equal(t, 1.0, full.RequestsPerSecond(), "as often, for all that")

	// One leg with jitter and the wait, equally wide: a triangle.
	triangle := model.Poll{Path: model.Push{Publish: model.Leg{Latency: 50 * ms, Jitter: 50 * ms}}, Period: model.Leg{Latency: 100 * ms}}
	require.InDelta(t, 0.5*0.3*0.3, triangle.CDF(30*ms), 1e-6)
	require.InDelta(t, 0.5, triangle.CDF(100*ms), 1e-6)
}

// The closed form against requests that follow one another and updates that happen whenever.
func TestPollAgainstSamples(t *testing.T) {
	const n = 200_000
	for i, jitter := range [][2]time.Duration{{0, 0}, {100 * ms, 0}, {0, 30 * ms}, {300 * ms, 30 * ms}, {20 * ms, 20 * time.Microsecond}} {
		leg := model.Leg{Latency: 40 * ms, Jitter: jitter[1]}
		p := model.Poll{Path: model.Push{Publish: leg, Store: model.Leg{Latency: ms}, Deliver: leg}, Period: model.Leg{Latency: 300 * ms, Jitter: jitter[0]}}
		require.NoError(t, p.Validate())
		rng := rand.New(rand.NewPCG(2, uint64(i)))
		drawn := func(l model.Leg) float64 { return float64(l.Latency) + (2*rng.Float64()-1)*float64(l.Jitter) }
		quantiles := []float64{0.001, 0.1, 0.5, 0.9, 0.99, 0.999}
		below := make([]int, len(quantiles))
		at := make([]time.Duration, len(quantiles))
		for k, q := range quantiles {
			at[k] = p.Quantile(q)
			require.InDelta(t, q, p.CDF(at[k]), 1e-5)
		}
		least, greatest := p.Bounds()
		sum, squares := 0.0, 0.0
		request, update := 0.0, 0.0 // when they arrive at the edge
		for range n {
			update += rng.ExpFloat64() * 1e9
			for request < update {
				request += drawn(p.Period)
			}
			took := drawn(p.Path.Publish) + drawn(p.Path.Store) + request - update + drawn(p.Path.Deliver)
			require.True(t, took >= float64(least) && took <= float64(greatest))
			sum, squares = sum+took, squares+took*took
			for k := range quantiles {
				if took <= float64(at[k]) {
					below[k]++
				}
			}
		}
		mean := sum / n
		require.InEpsilon(t, float64(p.Mean()), mean, 0.005)
		require.InEpsilon(t, float64(p.StdDev()), math.Sqrt(squares/n-mean*mean), 0.01)
		for k, q := range quantiles {
			// Consecutive waits are not quite independent: a long period has several updates.
			require.InDelta(t, q, float64(below[k])/n, 6*math.Sqrt(q*(1-q)/n), "jitters %v, q=%v", jitter, q)
		}
		last := 0.0
		for at := least; at <= greatest; at += (greatest - least) / 500 {
			f := p.CDF(at)
			require.GreaterOrEqual(t, f, last-1e-5, "the CDF never falls: %v at %v", jitter, at)
			last = f
		}
		require.Equal(t, least, p.Quantile(math.NaN()))
		require.LessOrEqual(t, p.Quantile(2), greatest)
	}
}

func TestPollValidate(t *testing.T) {
	require.ErrorContains(t, model.Poll{}.Validate(), "Period.Latency is 0s; it must be more than 0")
	require.ErrorContains(t, model.Poll{Period: model.Leg{Latency: 1, Jitter: 2}}.Validate(), "Period.Jitter is 2ns")
	require.ErrorContains(t, model.Poll{Period: model.Leg{Latency: 1}, Path: model.Push{Fetch: model.Leg{Latency: -1}}}.Validate(), "Fetch.Latency is -1ns")
}
