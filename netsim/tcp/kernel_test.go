package tcp

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The measurements of a real kernel are those of package kernel.

// kernelRuns reads the quantiles of message latency of the runs with a name prefix: a column of
// 1,001, by the permille, for each run.
func kernelRuns(t *testing.T, prefix string) [][]time.Duration {
	rows := readCSV(t, "messages.csv")
	var runs [][]time.Duration
	for col, name := range rows[0] {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		var q []time.Duration
		for _, row := range rows[1:] {
			us, err := strconv.Atoi(row[col])
			require.NoError(t, err)
			q = append(q, time.Duration(us)*time.Microsecond)
		}
		runs = append(runs, q)
	}
	require.Len(t, runs, 3)
	return runs
}

// kernelFetches reads one of the times of the fetches of one kind.
func kernelFetches(t *testing.T, file, what, column string) []time.Duration {
	rows := readCSV(t, file)
	col := slices.Index(rows[0], column)
	require.GreaterOrEqual(t, col, 0)
	var out []time.Duration
	for _, row := range rows[1:] {
		if row[1] != what {
			continue
		}
		ms, err := strconv.ParseFloat(row[col], 64)
		require.NoError(t, err)
		out = append(out, time.Duration(ms*float64(time.Millisecond)))
	}
	require.Len(t, out, 10)
	return out
}

func readCSV(t *testing.T, file string) [][]string {
	f, err := os.Open(filepath.Join("..", "kernel", "data", file))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	return rows
}

// quantile is the p-quantile of durations, which need not be sorted.
func quantile(d []time.Duration, p float64) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[min(int(p*float64(len(s))), len(s)-1)]
}

// median is the middle, or the mean of the two in the middle.
func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// late is the share of messages that took longer than 60 ms.
func late(d []time.Duration) float64 {
	n := 0
	for _, x := range d {
		if x > 60*time.Millisecond {
			n++
		}
	}
	return float64(n) / float64(len(d))
}

// seeds is how many times each workload runs.
const seeds = 30

// Goal: a message over a lossy path takes as long as with a real kernel, in the middle and in the tail.
// Method: 200 bytes every 20 ms, 3,000 times, 50 ms each way, loss in both directions; 30 seeds
// against three measured runs.
//
// Quantiles are to be within 10 % of those of the three runs together. Where the distribution has a
// cliff at a quantile (at 1 % loss about 90 % of messages take 50 ms, the others 60 to 190), three
// runs do not say on which side of it the quantile lies; there it suffices that it lies between
// those of the single runs.
func TestMessagesLikeKernel(t *testing.T) {
	for _, cc := range []Congestion{CUBIC, Reno} {
		for _, percent := range []int{0, 1} {
			if cc == Reno && percent == 0 {
				continue // was not measured; without loss it makes no difference
			}
			t.Run(fmt.Sprintf("%v %d%%", cc, percent), func(t *testing.T) {
				t.Parallel()
				compareMessages(t, cc, percent)
			})
		}
	}
}

func compareMessages(t *testing.T, cc Congestion, percent int) {
	runs := kernelRuns(t, fmt.Sprintf("loss%d_%v_", percent, cc))
	var sim []time.Duration
	for seed := range uint64(seeds) {
		sim = append(sim, messages(cc, float64(percent)/100, seed, 3000)...)
	}
	pooled := slices.Concat(runs...)
	for _, p := range []float64{.50, .90, .95, .99} {
		got, want := quantile(sim, p), quantile(pooled, p)
		var single []time.Duration
		for _, r := range runs {
			single = append(single, quantile(r, p))
		}
		t.Logf("p%.0f: %v, kernel %v %v", 100*p, got, want, single)
		if got >= slices.Min(single) && got <= slices.Max(single) {
			continue
		}
		require.InEpsilon(t, want, got, 0.10, "p%.0f: %v, kernel %v %v", 100*p, got, want, single)
	}
	least, most := 1.0, 0.0
	for _, r := range runs {
		least, most = min(least, late(r)), max(most, late(r))
	}
	share := late(sim)
	t.Logf("later than 60 ms: %.2f %%, kernel %.2f to %.2f %%", 100*share, 100*least, 100*most)
	slack := (most - least) / 5
	if percent == 0 {
		slack = most // what was late without loss was the measurement
		least = 0
	}
	require.GreaterOrEqual(t, share, least-slack)
	require.LessOrEqual(t, share, most+slack)
}

// Goal: fetching a small and a large response on a fresh connection takes as long as with a kernel.
// Method: connect, request, response; 30 seeds against ten measured fetches.
func TestFetchesLikeKernel(t *testing.T) {
	for _, cc := range []Congestion{CUBIC, Reno} {
		for _, percent := range []int{0, 1} {
			if cc == Reno && percent == 0 {
				continue // was not measured
			}
			t.Run(fmt.Sprintf("%v %d%%", cc, percent), func(t *testing.T) {
				t.Parallel()
				compareFetches(t, cc, percent)
			})
		}
	}
}

func compareFetches(t *testing.T, cc Congestion, percent int) {
	file := fmt.Sprintf("http_loss%d_%v.csv", percent, cc)
	for what, size := range map[string]int{"small": 200, "mb": 1 << 20} {
		var connect, first, total []time.Duration
		for seed := range uint64(seeds) {
			f := get(cc, float64(percent)/100, seed, size)
			connect = append(connect, f.connect)
			first = append(first, f.firstByte)
			total = append(total, f.total)
		}
		kernel := func(column string) time.Duration { return median(kernelFetches(t, file, what, column)) }
		require.InEpsilon(t, kernel("connect_ms"), median(connect), 0.02, "connect")
		require.InEpsilon(t, kernel("ttfb_after_request_ms"), median(first), 0.02, "first byte")
		want := kernel("total_from_dial_ms")
		q1, q2, q3 := quantile(total, .25), median(total), quantile(total, .75)
		t.Logf("%s: %v, %v, %v; kernel %v", what, q1, q2, q3, want)
		if percent == 0 || what == "small" {
			require.InEpsilon(t, want, q2, 0.10, "%s in all", what)
			continue
		}
		require.LessOrEqual(t, q1, want, "%s in all: the kernel's median is below the quartiles", what)
		require.GreaterOrEqual(t, q3, want, "%s in all: the kernel's median is above the quartiles", what)
	}
}
