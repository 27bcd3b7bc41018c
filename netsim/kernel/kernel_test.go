package kernel

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: the data is whole, and physically possible: nothing is faster than the path.
func TestData(t *testing.T) {
	for _, c := range Measured() {
		t.Run(c.String(), func(t *testing.T) {
			runs, err := Messages(c.Loss, c.Congestion)
			require.NoError(t, err)
			require.Len(t, runs, 3)
			for _, r := range runs {
				require.Len(t, r, permilles)
				require.GreaterOrEqual(t, r[0], Latency)
				require.Less(t, r.Quantile(Noise), 4*Latency)
				require.InEpsilon(t, Latency, r.Median(), 0.01)
				if c.Loss == 0 {
					require.InEpsilon(t, Latency, r.Quantile(Noise), 0.03)
				} else {
					require.Greater(t, r.Quantile(0.99), 3*Latency, "a lost message comes a round trip later")
				}
			}
			require.Len(t, Pool(runs...), 3*permilles)

			small, large, err := Fetches(c.Loss, c.Congestion)
			require.NoError(t, err)
			require.Len(t, small, 10)
			require.Len(t, large, 10)
			for _, f := range append(small, large...) {
				require.GreaterOrEqual(t, f.Connect, 2*Latency)
				require.GreaterOrEqual(t, f.FirstByte, 2*Latency)
				require.InDelta(t, f.Connect+f.FirstByte, f.FirstByteFromDial, float64(time.Millisecond))
				require.GreaterOrEqual(t, f.Total, f.FirstByteFromDial)
			}
			total := func(f Fetch) time.Duration { return f.Total }
			require.Less(t, Times(small, total).Median(), Times(large, total).Median())
		})
	}
}

func TestNotMeasured(t *testing.T) {
	for _, c := range []Condition{{0, "reno"}, {0.02, "cubic"}, {0.01, ""}, {-1, "cubic"}, {math.NaN(), "cubic"}} {
		_, err := Messages(c.Loss, c.Congestion)
		require.ErrorIs(t, err, ErrNotMeasured)
		require.ErrorContains(t, err, "there is cubic at 0 % loss, cubic at 1 % loss, reno at 1 % loss")
		_, _, err = Fetches(c.Loss, c.Congestion)
		require.ErrorIs(t, err, ErrNotMeasured)
	}
	all := Measured()
	all[0].Congestion = "changed"
	require.Equal(t, "cubic", Measured()[0].Congestion, "the caller's copy is its own")
}

func TestDistribution(t *testing.T) {
	d := Pool(Distribution{10, 30}, Distribution{20, 40})
	require.Equal(t, Distribution{10, 20, 30, 40}, d)
	for p, want := range map[float64]time.Duration{-1: 10, 0: 10, 0.24: 10, 0.25: 20, 0.5: 30, 0.99: 40, 1: 40, 7: 40, math.Inf(1): 40} {
		require.Equal(t, want, d.Quantile(p), "%v", p)
	}
	require.EqualValues(t, 10, d.Quantile(math.NaN()))
	require.EqualValues(t, 25, d.Median())
	require.EqualValues(t, 20, d[:3].Median())
	require.Equal(t, 0.5, d.Later(20))
	require.Equal(t, 1.0, d.Later(9))
	require.Zero(t, d.Later(40))

	var none Distribution
	require.Zero(t, none.Quantile(0.5))
	require.Zero(t, none.Median())
	require.Zero(t, none.Later(0))
}

// Goal: a file that is not as it should be is refused with what is wrong and where.
func TestMalformed(t *testing.T) {
	body := strings.Repeat("0,5\n", permilles)
	for in, want := range map[string]string{
		"":                           "there are 0 rows; want a header and 1001",
		"permille,a_run0\n0,5\n":     "there are 2 rows",
		"permille,b_run0\n" + body:   "no column is named a_",
		"permille,a_run0\n\"" + body: "kernel: messages: ",
		"permille,a_run0\n" + strings.Repeat("0,5\n", permilles-1) + "0,4\n":   `a_run0 at 1000 ‰ is "4"; want whole microseconds, at least 5`,
		"permille,a_run0\n" + strings.Repeat("0,5\n", permilles-1) + "0,6.5\n": `a_run0 at 1000 ‰ is "6.5"`,
	} {
		_, err := readMessages(strings.NewReader(in), "a_")
		require.ErrorContains(t, err, want)
	}
	header := strings.Join(fetchColumns, ",") + "\n"
	for in, want := range map[string]string{
		"":                             "the first row is not",
		"run,what\n":                   "the first row is not",
		header + "0,tiny,1,1,1,1\n":    `row 1: what is "tiny"; want small or mb`,
		header + "0,mb,1,1,NaN,1\n":    `row 1: ttfb_from_dial_ms is "NaN"`,
		header + "0,small,-1,1,1,1\n":  `row 1: connect_ms is "-1"; want milliseconds`,
		header + "0,small,1,1,1\n":     "kernel: fetches: ",
		header + "0,small,1,1,1,2e9\n": `row 1: total_from_dial_ms is "2e9"`,
	} {
		_, _, err := readFetches(strings.NewReader(in))
		require.ErrorContains(t, err, want)
	}
}

// Whatever the file says, what is read is sorted and within bounds, and nothing panics.
func FuzzMessages(f *testing.F) {
	f.Add("permille,a_run0,a_run1\n"+strings.Repeat("0,5,6\n", permilles), "a_")
	f.Add("permille,a\n0,5\n", "a")
	f.Fuzz(func(t *testing.T, in, prefix string) {
		runs, err := readMessages(strings.NewReader(in), prefix)
		if err != nil {
			require.Empty(t, runs)
			return
		}
		for _, r := range runs {
			require.Len(t, r, permilles)
			require.True(t, slices.IsSorted(r))
			require.GreaterOrEqual(t, r[0], time.Duration(0))
		}
	})
}

func FuzzFetches(f *testing.F) {
	f.Add(strings.Join(fetchColumns, ",") + "\n0,small,101.17,100.92,202.28,202.45\n0,mb,101.02,100.69,201.78,808.86\n")
	f.Fuzz(func(t *testing.T, in string) {
		small, large, err := readFetches(strings.NewReader(in))
		if err != nil {
			require.Empty(t, small)
			require.Empty(t, large)
			return
		}
		for _, fetch := range append(small, large...) {
			require.GreaterOrEqual(t, fetch.Total, time.Duration(0))
			require.LessOrEqual(t, fetch.Total, 1e9*time.Millisecond)
		}
	})
}
