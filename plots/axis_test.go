package plots

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
)

// No tick lies beyond its axis, not even by rounding: the label of one that does is cut off.
func TestTicksAreOnTheirAxis(t *testing.T) {
	for _, ticker := range []plot.Ticker{linearTicks{}, logTicks{}, denseLogTicks{}} {
		for _, hi := range []float64{2, 5, 7, 20, 30, 500, 20_000, 50_000} {
			lo, end := math.Log10(hi/10), math.Log10(hi)
			if ticker == (linearTicks{}) {
				lo, end = 0.1, 0.1*hi
			}
			ticks := ticker.Ticks(lo, end)
			require.NotEmpty(t, ticks)
			for _, tick := range ticks {
				require.GreaterOrEqual(t, tick.Value, lo)
				require.LessOrEqual(t, tick.Value, end)
			}
		}
	}
}
