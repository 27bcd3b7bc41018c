package model_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func ExampleLongPoll() {
	for _, oneWay := range []time.Duration{100 * ms, 50 * ms} {
		l := model.LongPoll{Deliver: oneWay, Request: oneWay}
		first, second := l.Pair(10 * ms)
		fmt.Printf("%v one way: two updates 10 ms apart arrive %v and %v after they happened\n", oneWay, first, second)
	}
	// Output:
	// 100ms one way: two updates 10 ms apart arrive 100ms and 290ms after they happened
	// 50ms one way: two updates 10 ms apart arrive 50ms and 140ms after they happened
}

// Cases that can be worked out by hand.
func TestLongPollByHand(t *testing.T) {
	l := model.LongPoll{Before: 5 * ms, Deliver: 100 * ms, Request: 60 * ms}
	require.NoError(t, l.Validate())
	require.Equal(t, 160*ms, l.Gap())
	for spacing, want := range map[time.Duration]time.Duration{0: 265 * ms, 100 * ms: 165 * ms, 160 * ms: 105 * ms, time.Second: 105 * ms} {
		first, second := l.Pair(spacing)
		require.Equal(t, 105*ms, first)
		require.Equal(t, want, second, "%v apart", spacing)
	}
	require.InDelta(t, 1, l.Prompt(1e-6), 1e-6, "rare updates do not wait")
	require.InDelta(t, 0, l.Prompt(1e3), 1e-6, "of many, next to all do")
	require.InDelta(t, float64(105*ms+80*ms), float64(l.Mean(1e3)), float64(ms))
	require.InDelta(t, 1/0.16, l.RequestsPerSecond(1e6), 1e-3, "a round trip is the least there is between two requests")
	require.InDelta(t, 0.01, l.RequestsPerSecond(0.01), 1e-4)
	require.Zero(t, l.RequestsPerSecond(0))
	l.Hold = 840 * ms
	require.InDelta(t, 1, l.RequestsPerSecond(0), 1e-9)
	require.InDelta(t, 1, l.RequestsPerSecond(1e-9), 1e-6, "it is continuous there")
	require.Equal(t, 0.0, l.CDF(1, 104*ms))
	require.Equal(t, 1.0, l.CDF(1, 265*ms))
	require.InDelta(t, l.Prompt(1), l.CDF(1, 105*ms), 1e-9)
	require.Equal(t, 105*ms, l.Quantile(1, 0.1))
}

// The closed form against a client that is told of updates as long polling does, one after the other.
func TestLongPollAgainstSamples(t *testing.T) {
	const n = 200_000
	for i, c := range []struct {
		hold time.Duration
		rate float64
	}{{0, 1}, {0, 20}, {400 * ms, 1}, {400 * ms, 8}, {30 * ms, 5}} {
		l := model.LongPoll{Before: 3 * ms, Deliver: 40 * ms, Request: 60 * ms, Hold: c.hold}
		require.NoError(t, l.Validate())
		rng := rand.New(rand.NewPCG(3, uint64(i)))
		gap, hold := float64(l.Gap()), float64(l.Hold)
		quantiles := []float64{0.5, 0.7, 0.9, 0.99}
		below := make([]int, len(quantiles))
		at := make([]time.Duration, len(quantiles))
		for k, q := range quantiles {
			at[k] = l.Quantile(c.rate, q)
		}
		asked := 0.0     // when the client's request is at the edge, or will be
		pending := false // there is something that it will be answered with
		requests, prompt, update, sum := 0, 0, 0.0, 0.0
		for range n {
			update += rng.ExpFloat64() / c.rate * 1e9
			for {
				if pending && asked <= update {
					asked, pending = asked+gap, false
				} else if !pending && hold > 0 && asked+hold <= update {
					asked += hold + gap
				} else {
					break
				}
				requests++
			}
			wait := max(0, asked-update)
			if wait == 0 {
				prompt++
				requests++
				asked = update + gap
			} else {
				pending = true
			}
			sum += wait
			for k := range quantiles {
				if l.Before+l.Deliver+time.Duration(wait) <= at[k] {
					below[k]++
				}
			}
		}
		require.InDelta(t, float64(l.Mean(c.rate)), sum/n+float64(l.Before+l.Deliver), float64(ms)/3, "%+v", c)
		require.InDelta(t, l.Prompt(c.rate), float64(prompt)/n, 0.01, "%+v", c)
		require.InEpsilon(t, l.RequestsPerSecond(c.rate), float64(requests)/(update/1e9), 0.01, "%+v", c)
		for k, q := range quantiles {
			want := max(q, l.Prompt(c.rate)) // more than q, where that many do not wait
			require.InDelta(t, want, float64(below[k])/n, 0.01, "%+v, q=%v", c, q)
		}
	}
}

func TestLongPollValidate(t *testing.T) {
	require.ErrorContains(t, model.LongPoll{Request: -1}.Validate(), "Request is -1ns; it must not be negative")
	require.ErrorContains(t, model.LongPoll{Hold: -time.Second}.Validate(), "Hold is -1s")
}
