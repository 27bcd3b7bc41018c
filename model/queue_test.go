package model_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Goal: the closed form is what a queue does.
// Method: a queue is simulated, message by message, for long enough.
func TestFanoutQueue(t *testing.T) {
	messages := 400_000
	if testing.Short() {
		messages = 50_000
	}
	for _, copies := range []int{1, 5} {
		q := model.FanoutQueue{Copies: copies, Service: 10 * time.Millisecond, Rest: time.Duration(copies) * time.Millisecond}
		require.NoError(t, q.Validate())
		require.InDelta(t, 100, q.Capacity(), 1e-9)
		for _, utilization := range []float64{0.01, 0.5, 0.8} {
			luck := rand.New(rand.NewPCG(1, uint64(copies)))
			now, free, sum := 0.0, 0.0, 0.0
			service, rest := q.Service.Seconds(), q.Rest.Seconds()
			for range messages {
				now += luck.ExpFloat64() * service / utilization
				free = max(free, now)
				for range copies {
					free += (service - rest) / float64(copies)
					sum += free - now
				}
				free += rest
			}
			got := time.Duration(sum / float64(messages*copies) * float64(time.Second))
			require.InEpsilon(t, q.Delay(utilization), got, 0.03, "%d copies at %v", copies, utilization)
		}
	}
}

// The edges of what is allowed, and beyond.
func TestFanoutQueueBounds(t *testing.T) {
	q := model.FanoutQueue{Copies: 1, Service: time.Second}
	require.Equal(t, time.Second, q.Delay(0))
	require.Equal(t, time.Second, q.Delay(-3))
	for _, full := range []float64{1, 2, math.Inf(1), math.NaN()} {
		require.Equal(t, time.Duration(math.MaxInt64), q.Delay(full))
	}
	require.Equal(t, time.Duration(math.MaxInt64), model.FanoutQueue{Copies: 1, Service: math.MaxInt64}.Delay(0.9))
	require.Zero(t, model.FanoutQueue{Copies: 2}.Delay(0.5))
	require.True(t, math.IsInf(model.FanoutQueue{Copies: 2}.Capacity(), 1))
	require.ErrorContains(t, model.FanoutQueue{}.Validate(), "Copies is 0")
	require.ErrorContains(t, model.FanoutQueue{Copies: 1, Service: -1}.Validate(), "Service is -1ns")
	for _, rest := range []time.Duration{-1, 3} {
		require.ErrorContains(t, model.FanoutQueue{Copies: 1, Service: 2, Rest: rest}.Validate(), "it must lie between 0 and Service, 2ns")
	}
}
