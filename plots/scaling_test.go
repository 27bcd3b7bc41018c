package plots_test

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/plots"
)

// scaleEvents is a made-up comparison.
func scaleEvents() plots.ScaleEvents {
	return plots.ScaleEvents{
		Subtitle: "1,000 clients; a server comes to 9, and goes", End: 20 * time.Second,
		Marks: []plots.Mark{{At: 5 * time.Second, Text: "9 → 10 servers"}, {At: 12 * time.Second, Text: "10 → 9 servers"}},
		Series: []plots.ScaleSeries{
			{Name: "modulo", Reconnects: []int{0, 0, 0, 0, 0, 310, 290, 200, 90, 10, 0, 0, 280, 330, 220, 70}, Moved: [2]float64{0.901, 0.899}, Expected: 0.9},
			{Name: "consistent", Reconnects: []int{0, 0, 0, 0, 0, 40, 32, 20, 6, 0, 0, 0, 42, 30, 21, 8}, Moved: [2]float64{0.098, 0.101}, Expected: 0.1},
			{Name: "bounded", Reconnects: []int{0, 0, 0, 0, 0, 52, 45, 23, 8, 1, 0, 0, 55, 41, 20, 8}, Moved: [2]float64{0.129, 0.124}, Expected: 0.1},
		},
	}
}

// What cannot be drawn says which field is wrong; what is odd is drawn.
func TestScalingProblems(t *testing.T) {
	for want, change := range map[string]func(*plots.ScaleEvents){
		"End is 0s; it must be positive":        func(s *plots.ScaleEvents) { s.End = 0 },
		"there are 0 Series; want 1 to 3":       func(s *plots.ScaleEvents) { s.Series = nil },
		"Marks: there are 1":                    func(s *plots.ScaleEvents) { s.Marks = s.Marks[:1] },
		"or not in order":                       func(s *plots.ScaleEvents) { s.Marks[0].At = time.Hour },
		`series "modulo": the share NaN is not`: func(s *plots.ScaleEvents) { s.Series[0].Expected = math.NaN() },
		`the share 1.5 is not in [0, 1]`:        func(s *plots.ScaleEvents) { s.Series[1].Moved[1] = 1.5 },
	} {
		s := scaleEvents()
		change(&s)
		require.Contains(t, plots.Scaling(s).Problem(), want)
		require.NoError(t, plots.Scaling(s).WriteSVG(io.Discard))
	}
	s := scaleEvents()
	s.Series = s.Series[:1]
	s.Series[0] = plots.ScaleSeries{Name: "", Reconnects: make([]int, 500)}
	require.Empty(t, plots.Scaling(s).Problem())
	require.NoError(t, plots.Scaling(s).WriteSVG(io.Discard))
}
