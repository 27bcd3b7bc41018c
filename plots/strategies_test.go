package plots_test

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/plots"
)

// strategies is a made-up comparison.
func strategies() plots.StrategyPlot {
	const us = time.Microsecond
	return plots.StrategyPlot{
		Subtitle: "2 publishers, 3 edges. The broker is away for 2 s. Made-up numbers", Limit: 10 * ms, Outage: true,
		Rows: []plots.StrategyRow{
			{Name: "jetstream", Median: 1100 * us, P99: 1120 * us, Bytes: 2731, Packets: 8.1, Back: 60 * ms},
			{Name: "kafka", Median: 1150 * us, P99: 1830 * us, Bytes: 6252, Packets: 15.7, Back: 144 * ms},
			{Name: "nats", Median: 1110 * us, P99: 1110 * us, Bytes: 4158, Packets: 13.7, Lost: true},
			{Name: "pull", Median: 621 * ms, P99: 982 * ms, Bytes: 1917, Packets: 4.1, Back: 56 * ms},
			{Name: "redis-pubsub", Median: 1060 * us, P99: 1500 * us, Bytes: 2101, Packets: 7.9, Back: 1095 * ms},
			{Name: "redis-streams", Median: 1060 * us, P99: 1070 * us, Bytes: 2339, Packets: 8.2, Back: 574 * ms},
			{Name: "ring", Median: 1080 * us, P99: 1090 * us, Bytes: 1324, Packets: 5, Back: 588 * ms},
		},
	}
}

func TestStrategiesGolden(t *testing.T) {
	f := plots.Strategies(strategies())
	require.Equal(t, "6 of 7 strategies deliver 99 of 100 messages within 1.83 ms", f.Title())
	requireGolden(t, "strategies", f)
	s := strategies()
	s.Outage, s.Rows = false, s.Rows[:3]
	f = plots.Strategies(s)
	require.Equal(t, "Every strategy delivers 99 of 100 messages within 1.83 ms", f.Title())
	requireGolden(t, "strategies_calm", f)
}

// What cannot be drawn says so; what is odd is drawn.
func TestStrategiesProblems(t *testing.T) {
	for want, change := range map[string]func(*plots.StrategyPlot){
		"there are no strategies":                 func(s *plots.StrategyPlot) { s.Rows = nil },
		"There are 14 strategies; there is room":  func(s *plots.StrategyPlot) { s.Rows = append(s.Rows, s.Rows...) },
		"Limit is 0s; it must be positive":        func(s *plots.StrategyPlot) { s.Limit = 0 },
		"jetstream has a median of -1ns":          func(s *plots.StrategyPlot) { s.Rows[0].Median = -1 },
		"kafka has a median of 1.15ms and a P99 ": func(s *plots.StrategyPlot) { s.Rows[1].P99 = 1 },
		"kafka has NaN Bytes":                     func(s *plots.StrategyPlot) { s.Rows[1].Bytes = math.NaN() },
		"15.7 Packets; want 0 or more":            func(s *plots.StrategyPlot) { s.Rows[1].Bytes = -1 },
		"and +Inf Packets":                        func(s *plots.StrategyPlot) { s.Rows[1].Packets = math.Inf(1) },
		"pull was Back after -1s":                 func(s *plots.StrategyPlot) { s.Rows[3].Back = -time.Second },
	} {
		s := strategies()
		change(&s)
		f := plots.Strategies(s)
		require.Contains(t, f.Problem(), want)
		require.NoError(t, f.WriteSVG(io.Discard))
	}
	for _, r := range []plots.StrategyRow{
		{}, {Name: strings.Repeat("long ", 40), P99: time.Hour, Bytes: 1e12, Packets: 1e9, Back: time.Hour},
		{Median: time.Second, P99: math.MaxInt64, Bytes: 1e-9},
	} {
		f := plots.Strategies(plots.StrategyPlot{Limit: 1, Outage: true, Rows: []plots.StrategyRow{r}})
		require.Empty(t, f.Problem())
		require.NoError(t, f.WriteSVG(io.Discard))
	}
	s := strategies()
	s.Limit = time.Microsecond
	require.Equal(t, "No strategy delivers 99 of 100 messages within 1.00 µs", plots.Strategies(s).Title())
}
