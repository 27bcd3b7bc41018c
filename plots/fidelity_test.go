package plots_test

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/kernel"
	"github.com/twohop/twohop/plots"
)

// comparison holds made-up latencies against measured ones: the first run's, a little slower in the tail.
func comparison(t *testing.T, loss float64) plots.Comparison {
	runs, err := kernel.Messages(loss, "cubic")
	require.NoError(t, err)
	c := plots.Comparison{Subtitle: "200 B every 20 ms, 50 ms each way", Name: "Linux 6.18", Noise: kernel.Noise}
	for _, r := range runs {
		c.Measured = append(c.Measured, r)
	}
	for i, d := range runs[0] {
		c.Simulated = append(c.Simulated, time.Duration(float64(d)*(1+0.01*loss*float64(i))))
	}
	return c
}

func TestFidelityGolden(t *testing.T) {
	for name, loss := range map[string]float64{"fidelity_lossy": 0.01, "fidelity_clean": 0} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, plots.Fidelity(comparison(t, loss)).WritePNG(&got))
			golden := filepath.Join("testdata", name+".png")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			if !bytes.Equal(want, got.Bytes()) {
				requireAlike(t, want, got.Bytes())
			}
		})
	}
}

// The title tells the worst of the quantiles, whichever way it is off.
func TestFidelityTitle(t *testing.T) {
	c := plots.Comparison{Name: "X", Measured: [][]time.Duration{{100, 100, 100, 200}}, Simulated: []time.Duration{70, 70, 70, 210}}
	c.Quantiles = []float64{0.5}
	require.Equal(t, "Simulated latency is within 30 % of X at the median", plots.Fidelity(c).Title())
	c.Quantiles = []float64{0.5, 0.9, 0.999}
	require.Equal(t, "Simulated latency is within 30 % of X at the median, p90 and p99.9", plots.Fidelity(c).Title())
}

// A comparison that cannot be drawn says which field is wrong; one that is odd is drawn.
func TestFidelityProblems(t *testing.T) {
	for want, change := range map[string]func(*plots.Comparison){
		"Simulated is empty":                  func(c *plots.Comparison) { c.Simulated = nil },
		"Simulated is not sorted":             func(c *plots.Comparison) { slices.Reverse(c.Simulated) },
		"Measured is empty":                   func(c *plots.Comparison) { c.Measured = nil },
		"Measured[1] is empty or not sorted":  func(c *plots.Comparison) { c.Measured[1] = nil },
		"Noise is 1; it must lie in (0, 1)":   func(c *plots.Comparison) { c.Noise = 1 },
		"Noise is NaN; it must lie in (0, 1)": func(c *plots.Comparison) { c.Noise = math.NaN() },
		"Quantiles: 0.5 is not allowed":       func(c *plots.Comparison) { c.Quantiles = []float64{0.9, 0.5} },
		"Quantiles: NaN is not allowed":       func(c *plots.Comparison) { c.Quantiles = []float64{math.NaN()} },
		"Quantiles: there are 7":              func(c *plots.Comparison) { c.Quantiles = []float64{.1, .2, .3, .4, .5, .6, .7} },
	} {
		c := comparison(t, 0.01)
		change(&c)
		require.Contains(t, plots.Fidelity(c).Problem(), want)
		require.NoError(t, plots.Fidelity(c).WriteSVG(io.Discard))
	}
	for _, d := range []time.Duration{0, 1, time.Microsecond, time.Hour, 1 << 62} {
		c := plots.Comparison{Simulated: []time.Duration{0, d}, Measured: [][]time.Duration{{d}, {0, 0, d}}, Noise: 0.9999999}
		require.Empty(t, plots.Fidelity(c).Problem())
		require.NoError(t, plots.Fidelity(c).WriteSVG(io.Discard))
	}
}
