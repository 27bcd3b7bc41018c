package plots_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/plots"
)

// straight is made-up data: points of a line that falls to a floor, and what was simulated near it.
func straight(name, transport string, from, floor time.Duration) plots.FormSeries {
	s := plots.FormSeries{Name: name, Transport: transport}
	s.Form = []plots.Point{{X: 0, Y: from}, {X: from - floor, Y: floor}, {X: 320 * ms, Y: floor}}
	for x := 20 * ms; x <= 300*ms; x += 40 * ms {
		s.Simulated = append(s.Simulated, plots.Point{X: x, Y: max(from-x, floor) + x/50})
	}
	return s
}

func TestClosedFormGolden(t *testing.T) {
	two := plots.FormPlot{
		Title: "What was simulated, and what the closed form says", Subtitle: "Made-up latencies", X: "Time between updates",
		Series: []plots.FormSeries{straight("long polling, 100 ms one way", "longpoll", 300*ms, 100*ms), straight("pushed", "sse", 80*ms, 80*ms), straight("simulated only", "ws", 200*ms, 60*ms)},
	}
	two.Series[2].Form = nil
	requireGolden(t, "closedform_falling", plots.ClosedForm(two))

	rising := plots.FormPlot{Title: "Latency grows with the interval", Subtitle: "Made-up latencies", X: "Interval"}
	for _, q := range []struct {
		name  string
		share time.Duration
	}{{"99th percentile", 99}, {"median", 50}} {
		s := plots.FormSeries{Name: q.name, Transport: "poll"}
		for x := 500 * ms; x <= 4*time.Second; x *= 2 {
			s.Form = append(s.Form, plots.Point{X: x, Y: x * q.share / 100})
			s.Simulated = append(s.Simulated, plots.Point{X: x, Y: x*q.share/100 + 50*ms})
		}
		rising.Series = append(rising.Series, s)
	}
	rising.Low = []plots.Point{{X: 500 * ms}, {X: 4 * time.Second}}
	rising.High = []plots.Point{{X: 500 * ms, Y: 500 * ms}, {X: 4 * time.Second, Y: 4 * time.Second}}
	requireGolden(t, "closedform_rising", plots.ClosedForm(rising))
}

// What cannot be drawn says so; what is odd is drawn.
func TestClosedFormProblems(t *testing.T) {
	point := []plots.Point{{X: 1, Y: 1}}
	for want, f := range map[string]plots.FormPlot{
		"there are no points":                     {Series: []plots.FormSeries{{Name: "empty"}}},
		"Series[0] has a point at -1ns, 0s":       {Series: []plots.FormSeries{{Form: []plots.Point{{X: -1}}}}},
		"There are 7 series; there is room for 6": {Series: []plots.FormSeries{{Form: point}, {}, {}, {}, {}, {}, {}}},
		"Low has 1 points and High 0":             {Series: []plots.FormSeries{{Form: point}}, Low: point},
	} {
		require.Contains(t, plots.ClosedForm(f).Problem(), want)
		require.NoError(t, plots.ClosedForm(f).WriteSVG(io.Discard))
	}
	for _, d := range []time.Duration{0, 1, time.Microsecond, time.Hour, 1 << 62} {
		f := plots.FormPlot{Series: []plots.FormSeries{{Simulated: []plots.Point{{X: d, Y: d}}, Form: []plots.Point{{}, {X: d, Y: d}}}}}
		require.Empty(t, plots.ClosedForm(f).Problem())
		require.NoError(t, plots.ClosedForm(f).WriteSVG(io.Discard))
	}
}
