package kernel

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed data/many.csv
var manyCSV string

// manyRuns is how many runs were measured at once for [Many].
const manyRuns = 40

// manyLosses are the probabilities of loss that [Many] knows.
var manyLosses = []float64{0.005, 0.01, 0.02, 0.03, 0.05}

// ManyMeasured lists the conditions that [Many] knows.
func ManyMeasured() []Condition {
	var all []Condition
	for _, loss := range manyLosses {
		for _, congestion := range []string{"cubic", "reno"} {
			all = append(all, Condition{loss, congestion})
		}
	}
	return all
}

// Many gives the latencies of messages in forty runs together, as [Messages] does for single ones: their
// 1,001 quantiles by the permille. Three runs do not tell where the cliff of a distribution is (at 1 %
// loss about nine in ten messages take 50 ms, the others 60 to 190); forty do, to about half a percentage
// point. The error is [ErrNotMeasured] if there is no data for the condition.
func Many(loss float64, congestion string) (Distribution, error) {
	c := Condition{loss, congestion}
	if !slices.Contains(ManyMeasured(), c) {
		return nil, fmt.Errorf("%w in many runs: %v; there is 0.5 or 1 %% loss, with cubic or reno", ErrNotMeasured, c)
	}
	runs, err := readMessages(strings.NewReader(manyCSV), fmt.Sprintf("loss%g_%s", 100*loss, congestion))
	if err != nil {
		return nil, err
	}
	return runs[0], nil
}

// Known is everything that is known of messages under a condition.
type Known struct {
	// Times are the latencies of all runs together, each run of the same weight.
	Times Distribution
	// Runs is how many runs that was, at least one.
	Runs int
	// Single are those runs that are known one by one, if any are.
	Single []Distribution
}

// Reference gives everything that is known of messages under a condition: the single runs of [Messages] and the
// forty of [Many]. The error is [ErrNotMeasured] if there is neither.
func Reference(loss float64, congestion string) (Known, error) {
	single, none := Messages(loss, congestion)
	many, notMany := Many(loss, congestion)
	if none != nil && notMany != nil {
		return Known{}, fmt.Errorf("%w; %w", none, notMany)
	}
	all := slices.Clone(single)
	for range manyRuns {
		if notMany == nil {
			all = append(all, many)
		}
	}
	return Known{Pool(all...), len(all), single}, nil
}
