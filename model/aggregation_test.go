package model_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// The closed form agrees with what comes of drawing the messages one by one.
func TestAggregation(t *testing.T) {
	for _, a := range []model.Aggregation{
		{Interval: 50 * time.Millisecond, Rate: 150}, {Interval: 50 * time.Millisecond, Rate: 1},
		{Interval: time.Second, Rate: 10}, {Interval: 0, Rate: 20},
	} {
		require.NoError(t, a.Validate())
		luck := rand.New(rand.NewPCG(1, 2))
		const n = 200_000
		now, ends, waited, longest := 0.0, -1.0, 0.0, 0.0
		batches := 0
		for range n {
			now += luck.ExpFloat64() / a.Rate
			if now > ends {
				batches++
				ends = now + a.Interval.Seconds()
			}
			waited += ends - now
			longest = max(longest, ends-now)
		}
		require.InEpsilon(t, n/float64(batches), a.BatchSize(), 0.01)
		require.InEpsilon(t, float64(batches)/now, a.BatchesPerSecond(), 0.01)
		require.InDelta(t, waited/n, a.MeanWait().Seconds(), 0.01*a.Interval.Seconds())
		require.InDelta(t, longest, a.LongestWait().Seconds(), 1e-9)
		require.InDelta(t, 40*(n-float64(batches))/now, a.SavedPerSecond(40), 0.01*40*a.Rate)
	}
	require.ErrorContains(t, model.Aggregation{Interval: -1, Rate: 1}.Validate(), "Interval is -1ns")
	for _, rate := range []float64{0, -1} {
		require.ErrorContains(t, model.Aggregation{Rate: rate}.Validate(), "Rate is")
	}
}
