package plots_test

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/plots"
)

func TestLoadGolden(t *testing.T) {
	l := plots.LoadPlot{Title: "Latency grows without bound as the card fills", Subtitle: "Made-up latencies", Of: "the broker's card"}
	for i, name := range []string{"mean", "99th percentile"} {
		s := plots.LoadSeries{Name: name, Transport: "sse"}
		for u := 0.05; u < 0.96; u += 0.05 {
			d := time.Duration((1 + u/(1-u)) * float64(i+1) * float64(5*ms))
			s.Simulated = append(s.Simulated, plots.LoadPoint{Utilization: u, Latency: d + ms})
			if i == 0 {
				s.Form = append(s.Form, plots.LoadPoint{Utilization: u, Latency: d})
			}
		}
		l.Series = append(l.Series, s)
	}
	requireGolden(t, "load", plots.Load(l))
}

// What cannot be drawn says so; what is odd is drawn.
func TestLoadProblems(t *testing.T) {
	for _, u := range []float64{-0.1, 2.1, math.NaN(), math.Inf(1)} {
		f := plots.Load(plots.LoadPlot{Series: []plots.LoadSeries{{Name: "s", Form: []plots.LoadPoint{{Utilization: u}}}}})
		require.Contains(t, f.Problem(), `series "s" has a utilization of`)
		require.NoError(t, f.WriteSVG(io.Discard))
	}
	require.Contains(t, plots.Load(plots.LoadPlot{}).Problem(), "no points")
	for _, p := range []plots.LoadPoint{{}, {Utilization: 2, Latency: math.MaxInt64}} {
		f := plots.Load(plots.LoadPlot{Series: []plots.LoadSeries{{Simulated: []plots.LoadPoint{p}}}})
		require.Empty(t, f.Problem())
		require.NoError(t, f.WriteSVG(io.Discard))
	}
}
