package model_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// poissonWindow is a window of a queue whose service takes 10 ms, with arrivals at a rate per second.
func poissonWindow(luck *rand.Rand, rate, length float64, start time.Duration) *model.QueueWindow {
	w := &model.QueueWindow{From: time.Second, Start: start, Service: 10 * time.Millisecond}
	w.To = w.From + time.Duration(length*float64(time.Second))
	for at := w.From; ; {
		if at += time.Duration(luck.ExpFloat64() / rate * float64(time.Second)); at > w.To {
			return w
		}
		w.Arrivals = append(w.Arrivals, at)
	}
}

func meanOf(ds []time.Duration) (mean time.Duration) {
	for _, d := range ds {
		mean += d
	}
	return mean / time.Duration(max(len(ds), 1))
}

// Goal: waits are those of a server that serves one after the other.
// Method: it is played through, a microsecond at a time.
func TestQueueWindowWaits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &model.QueueWindow{
			To:      100 * time.Microsecond,
			Start:   time.Duration(rapid.IntRange(0, 30).Draw(rt, "start")) * time.Microsecond,
			Service: time.Duration(rapid.IntRange(0, 20).Draw(rt, "service")) * time.Microsecond,
		}
		work := w.Start
		var want []time.Duration
		for at := range w.To / time.Microsecond {
			for range rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(rt, "arrivals") {
				w.Arrivals = append(w.Arrivals, at*time.Microsecond)
				want = append(want, work)
				work += w.Service
			}
			work = max(0, work-time.Microsecond)
		}
		require.NoError(rt, w.Validate())
		waits, left := w.Waits()
		require.Equal(rt, len(want), len(waits))
		for i := range want {
			require.Equal(rt, want[i], waits[i])
		}
		require.Equal(rt, work, left)
	})
}

// Goal: a window's mean is never as far from what is expected as a false alarm of one in a million would have it, and
// the bound is no wider than it must be; and arrivals at another rate, or in bursts, are told from a Poisson process.
// Method: thousands of windows, idle and busy, short and long; with false alarms that are allowed often, they are rare.
func TestQueueWindowExpect(t *testing.T) {
	windows := 500
	if testing.Short() {
		windows = 100
	}
	for _, rate := range []float64{5, 30, 60, 80, 95} {
		luck := rand.New(rand.NewPCG(1, uint64(rate)))
		alarms, closest, sum := 0, 0.0, 0.0
		for i := range windows {
			w := poissonWindow(luck, rate, 4+float64(i%3)*8, time.Duration(i%4)*20*time.Millisecond)
			waits, _ := w.Waits()
			mean := meanOf(waits)
			expected, allowed, ok := w.Expect(rate, 1e-6)
			if !ok {
				require.Empty(t, waits)
				continue
			}
			require.LessOrEqual(t, (mean - expected).Abs(), allowed, "%v messages/s", rate)
			closest = max(closest, float64((mean-expected).Abs())/float64(allowed))
			sum += float64(mean - expected)
			if _, often, _ := w.Expect(rate, 0.1); (mean - expected).Abs() > often {
				alarms++
			}
		}
		require.Greater(t, closest, 0.2, "the bound at %v messages/s allows anything", rate)
		require.LessOrEqual(t, float64(alarms), 0.1*float64(windows), "%v messages/s", rate)
	}
	luck := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		w := poissonWindow(luck, 60, 100, 0)
		bursts := *w
		bursts.Arrivals = nil
		for k := 0; k+5 <= len(w.Arrivals); k += 5 {
			for range 5 { // five at once, as often as one was
				bursts.Arrivals = append(bursts.Arrivals, w.Arrivals[k])
			}
		}
		for name, c := range map[string]struct {
			of   *model.QueueWindow
			rate float64
		}{"bursts": {&bursts, 60}, "another rate": {w, 30}} {
			waits, _ := c.of.Waits()
			expected, allowed, ok := c.of.Expect(c.rate, 1e-6)
			require.True(t, ok)
			require.Greater(t, (meanOf(waits) - expected).Abs(), allowed, "%s, window %d", name, i)
		}
	}
}

// The edges of what is allowed, and beyond.
func TestQueueWindowBounds(t *testing.T) {
	good := model.QueueWindow{From: 1, To: 10, Start: 2, Service: 3, Arrivals: []time.Duration{1, 5, 10}}
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*model.QueueWindow){
		"To is 0s; it must not be before From": func(w *model.QueueWindow) { w.To = 0 },
		"Start is -1ns":                        func(w *model.QueueWindow) { w.Start = -1 },
		"Service is -1ns":                      func(w *model.QueueWindow) { w.Service = -1 },
		"Arrivals[1] is 0s; want 1ns to 10ns":  func(w *model.QueueWindow) { w.Arrivals = []time.Duration{1, 0} },
		"Arrivals[0] is 11ns":                  func(w *model.QueueWindow) { w.Arrivals = []time.Duration{11} },
	} {
		w := good
		change(&w)
		require.ErrorContains(t, w.Validate(), want)
	}
	for _, rate := range []float64{-1, 0, 1e9 / 3 * 1.001, 1e10, math.NaN(), math.Inf(1)} {
		_, _, ok := good.Expect(rate, 1e-6)
		require.False(t, ok, "%v messages/s", rate)
	}
	empty := model.QueueWindow{Start: 5, To: 3}
	waits, left := empty.Waits()
	require.Empty(t, waits)
	require.Equal(t, time.Duration(2), left)
	_, _, ok := empty.Expect(1, 1e-6)
	require.False(t, ok)
	buried := model.QueueWindow{Start: time.Hour, To: time.Second, Service: time.Millisecond, Arrivals: []time.Duration{0}}
	_, allowed, ok := buried.Expect(1, 1e-6)
	require.True(t, ok)
	require.Positive(t, allowed)
}
