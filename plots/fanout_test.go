package plots_test

import (
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/plots"
)

func TestFanoutGolden(t *testing.T) {
	f := plots.FanoutPlot{Title: "One sends to all, or many to a few each", Subtitle: "Made-up costs", Y: "Copies (log scale)"}
	one := plots.FanoutSeries{Name: "one for all"}
	for n := 10; n <= 10000; n *= 10 {
		one.Simulated = append(one.Simulated, plots.FanoutPoint{Clients: n, Value: 1.1 * float64(n)})
		one.Form = append(one.Form, plots.FanoutPoint{Clients: n, Value: float64(n)})
	}
	f.Series = append(f.Series, one,
		plots.FanoutSeries{Name: "simulated only", Simulated: []plots.FanoutPoint{{Clients: 100, Value: 30}, {Clients: 3000, Value: 300}}},
		plots.FanoutSeries{Name: "a tree", Form: []plots.FanoutPoint{{Clients: 10, Value: 10}, {Clients: 10000, Value: 10}}})
	requireGolden(t, "fanout", plots.Fanout(f))
}

// What cannot be drawn says so.
func TestFanoutProblems(t *testing.T) {
	points := func(p plots.FanoutPoint) []plots.FanoutSeries {
		return []plots.FanoutSeries{{Name: "s", Form: []plots.FanoutPoint{p}}}
	}
	for want, series := range map[string][]plots.FanoutSeries{
		"there are 0 Series; want 1 to 3":                  nil,
		"there are 4 Series":                               make([]plots.FanoutSeries, 4),
		"there are no points":                              make([]plots.FanoutSeries, 1),
		`series "s" has the value 1 for 0 clients`:         points(plots.FanoutPoint{Value: 1}),
		`series "s" has the value 0 for 1 clients`:         points(plots.FanoutPoint{Clients: 1}),
		`series "s" has the value NaN for 1 clients; both`: points(plots.FanoutPoint{Clients: 1, Value: math.NaN()}),
		`series "s" has the value +Inf for 1 clients`:      points(plots.FanoutPoint{Clients: 1, Value: math.Inf(1)}),
	} {
		f := plots.Fanout(plots.FanoutPlot{Series: series})
		require.Contains(t, f.Problem(), want)
		require.NoError(t, f.WriteSVG(io.Discard))
	}
	one := plots.Fanout(plots.FanoutPlot{Series: points(plots.FanoutPoint{Clients: 1, Value: 1e-9})})
	require.Empty(t, one.Problem())
	require.NoError(t, one.WriteSVG(io.Discard))
}
