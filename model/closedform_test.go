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

const ms = time.Millisecond

func ExamplePush() {
	p := model.Push{
		Publish: model.Leg{Latency: 20 * ms, Jitter: 5 * ms},
		Store:   model.Leg{Latency: 1 * ms},
		Fetch:   model.Leg{Latency: 1 * ms},
		Deliver: model.Leg{Latency: 40 * ms, Jitter: 10 * ms},
	}
	least, greatest := p.Bounds()
	fmt.Printf("mean %v ± %.1f ms, from %v to %v, p99 %.1f ms\n", p.Mean(),
		float64(p.StdDev())/float64(ms), least, greatest, float64(p.Quantile(0.99))/float64(ms))
	// Output: mean 62ms ± 6.5 ms, from 47ms to 77ms, p99 75.0 ms
}

// Cases that can be worked out by hand.
func TestPushByHand(t *testing.T) {
	one := model.Push{Publish: model.Leg{Latency: 10 * ms, Jitter: 4 * ms}}
	require.InDelta(t, 0.25, one.CDF(8*ms), 1e-9)
	require.InDelta(t, float64(8*ms), float64(one.Quantile(0.25)), 1)

	// Two equal widths: a triangle, whose left half is x²/2 in units of the width.
	two := model.Push{Publish: model.Leg{Latency: 10 * ms, Jitter: 5 * ms}, Deliver: model.Leg{Latency: 10 * ms, Jitter: 5 * ms}}
	require.InDelta(t, 0.5*0.3*0.3, two.CDF(13*ms), 1e-9)
	require.InDelta(t, 0.5, two.CDF(20*ms), 1e-9)

	// Four equal widths: Irwin-Hall, F(1) = 1/4!.
	leg := model.Leg{Latency: 10 * ms, Jitter: 5 * ms}
	four := model.Push{Publish: leg, Store: leg, Fetch: leg, Deliver: leg}
	require.InDelta(t, 1.0/24, four.CDF(30*ms), 1e-9)
	require.Equal(t, 40*ms, four.Mean())
	require.InDelta(t, float64(10*ms)/math.Sqrt(3), float64(four.StdDev()), 1)

	fixed := model.Push{Publish: model.Leg{Latency: 10 * ms}, Deliver: model.Leg{Latency: 5 * ms}}
	require.Equal(t, 0.0, fixed.CDF(15*ms-1))
	require.Equal(t, 1.0, fixed.CDF(15*ms))
	require.Equal(t, 15*ms, fixed.Quantile(0.5))
	require.Zero(t, model.Push{}.Mean())
	require.Equal(t, 1.0, model.Push{}.CDF(0))
}

// The closed form against the sum of drawn delays, for widths of all sorts, some of them negligible.
func TestPushAgainstSamples(t *testing.T) {
	jitters := [][4]time.Duration{
		{5 * ms, 1 * ms, 1 * ms, 10 * ms}, {5 * ms, 0, 0, 5 * ms}, {0, 0, 0, 10 * ms},
		{5 * ms, 5 * time.Microsecond, 12 * time.Microsecond, 7 * ms}, {10 * ms, 5, 7, 9}, {10 * ms, 9 * ms, 100 * time.Microsecond, 20 * time.Microsecond},
	}
	const n = 200_000
	for i, j := range jitters {
		p := model.Push{
			Publish: model.Leg{Latency: 20 * ms, Jitter: j[0]}, Store: model.Leg{Latency: 10 * ms, Jitter: j[1]},
			Fetch: model.Leg{Latency: 10 * ms, Jitter: j[2]}, Deliver: model.Leg{Latency: 30 * ms, Jitter: j[3]},
		}
		require.NoError(t, p.Validate())
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		quantiles := []float64{0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999}
		below := make([]int, len(quantiles))
		at := make([]time.Duration, len(quantiles))
		for k, q := range quantiles {
			at[k] = p.Quantile(q)
		}
		least, greatest := p.Bounds()
		for range n {
			sum := time.Duration(0)
			for _, l := range []model.Leg{p.Publish, p.Store, p.Fetch, p.Deliver} {
				sum += l.Latency + time.Duration((2*rng.Float64()-1)*float64(l.Jitter))
			}
			if sum < least || sum > greatest {
				t.Fatalf("%v is out of bounds %v to %v", sum, least, greatest)
			}
			for k := range quantiles {
				if sum <= at[k] {
					below[k]++
				}
			}
		}
		for k, q := range quantiles {
			sigma := math.Sqrt(q * (1 - q) / n)
			require.InDelta(t, q, float64(below[k])/n, 4.5*sigma, "jitters %v, q=%v", j, q)
		}
		last := 0.0
		for at := least; at <= greatest; at += (greatest - least) / 1000 {
			f := p.CDF(at)
			require.GreaterOrEqual(t, f, last-1e-7, "the CDF never falls: %v at %v", j, at)
			last = f
		}
		require.InDelta(t, 0.5, p.CDF(p.Mean()), 1e-6, "it is symmetric")
		require.Equal(t, least, p.Quantile(-1))
		require.Equal(t, least, p.Quantile(math.NaN()))
		require.LessOrEqual(t, p.Quantile(2), greatest)
	}
}

func TestPushValidate(t *testing.T) {
	require.ErrorContains(t, model.Push{Fetch: model.Leg{Latency: -1}}.Validate(), "Fetch.Latency is -1ns")
	require.ErrorContains(t, model.Push{Deliver: model.Leg{Latency: 1, Jitter: 2}}.Validate(), "Deliver.Jitter is 2ns")
	require.ErrorContains(t, model.Push{Store: model.Leg{Jitter: -2}}.Validate(), "Store.Jitter is -2ns")
}
