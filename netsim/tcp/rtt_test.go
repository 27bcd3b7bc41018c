package tcp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const floor = 200 * ms

// RFC 6298 §2.2: after the first sample SRTT is R and RTTVAR R/2.
func TestFirstSample(t *testing.T) {
	var e rttEstimator
	require.Equal(t, time.Second, e.rto(time.Second), "RFC 6298 §2.1: 1 s before the first sample")
	e.sample(0, 100*ms, floor, 1, 1)
	require.Equal(t, 100*ms, e.smoothed())
	require.Equal(t, 300*ms, e.rto(time.Second), "4·50 ms is the floor of the variance")
	e = rttEstimator{}
	e.sample(0, time.Second, floor, 1, 1)
	require.Equal(t, 3*time.Second, e.rto(time.Second), "R + 4·R/2")
}

// RFC 6298 §2.3: SRTT follows with 1/8.
func TestSRTTFollows(t *testing.T) {
	var e rttEstimator
	e.sample(0, 100*ms, floor, 1, 1)
	e.sample(0, 180*ms, floor, 1, 1)
	require.InDelta(t, 110*ms, e.smoothed(), float64(2*time.Microsecond))
}

// A steady round trip brings the timeout down to SRTT and the floor; a longer one brings it up before a
// shorter one takes it down.
func TestRTOFollowsVariance(t *testing.T) {
	var e rttEstimator
	rng := rand.New(rand.NewPCG(1, 2))
	seq := uint32(0)
	feed := func(n int, rtt func() time.Duration) {
		for range n {
			seq += 1000
			e.sample(0, rtt(), floor, seq, seq+500)
		}
	}
	feed(200, func() time.Duration { return 100 * ms })
	require.Equal(t, 300*ms, e.rto(0))
	feed(200, func() time.Duration { return 100*ms + time.Duration(rng.IntN(400))*ms })
	require.Greater(t, e.rto(0), 500*ms)
	feed(1, func() time.Duration { return 2 * time.Second })
	up := e.rto(0)
	require.Greater(t, up, 1500*ms)
	feed(3, func() time.Duration { return ms })
	require.Greater(t, e.rto(0), up/2, "RTTVAR falls by a quarter per round trip at most")
}

// Whatever the samples, the timeout is above SRTT and the floor.
func TestRTOBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e rttEstimator
		seq := uint32(0)
		for _, us := range rapid.SliceOfN(rapid.IntRange(-5, 100_000_000), 1, 50).Draw(t, "µs") {
			seq += 10
			e.sample(0, time.Duration(us)*time.Microsecond, floor, seq, seq+5)
			require.GreaterOrEqual(t, e.rto(0), e.smoothed()+floor)
			require.LessOrEqual(t, e.rto(0), 10*time.Minute)
		}
	})
}

// The filter's value is the least sample of five minutes, as far as three of them can tell: never less
// than the true one, never older than the window, and exact while the minimum is recent.
func TestWindowedMin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w windowedMin
		type sample struct {
			at  time.Duration
			val micros
		}
		var all []sample
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "samples") {
			now += time.Duration(rapid.IntRange(0, 60).Draw(t, "gap s")) * time.Second
			s := sample{now, micros(rapid.IntRange(1, 1000).Draw(t, "µs"))}
			all = append(all, s)
			w.update(now, s.val)
			least, seen := micros(1<<31), false
			for _, x := range all {
				if now-x.at <= minRTTWindow*time.Second {
					least = min(least, x.val)
					seen = seen || x.val == w.value()
				}
			}
			require.GreaterOrEqual(t, w.value(), least)
			require.True(t, seen, "%d is not from the last five minutes", w.value())
		}
	})
}
