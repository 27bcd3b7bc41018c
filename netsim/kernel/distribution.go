package kernel

import (
	"slices"
	"sort"
	"time"
)

// Distribution is times in ascending order.
type Distribution []time.Duration

// Quantile is the time that a fraction p of all are below: the one of rank floor(p·n), counting from 0. A
// p outside [0, 1] counts as the nearer bound, and NaN as 0. It is 0 if there are no times.
func (d Distribution) Quantile(p float64) time.Duration {
	switch {
	case len(d) == 0:
		return 0
	case !(p > 0):
		return d[0]
	case p >= 1:
		return d[len(d)-1]
	}
	return d[int(p*float64(len(d)))]
}

// Median is the middle, or the mean of the two in the middle; 0 if there are no times.
func (d Distribution) Median() time.Duration {
	if len(d) == 0 {
		return 0
	}
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// Later is the fraction of times that are longer than t; 0 if there are none.
func (d Distribution) Later(t time.Duration) float64 {
	if len(d) == 0 {
		return 0
	}
	return float64(len(d)-sort.Search(len(d), func(i int) bool { return d[i] > t })) / float64(len(d))
}

// Pool makes one distribution of several.
func Pool(ds ...Distribution) Distribution {
	all := slices.Concat(ds...)
	slices.Sort(all)
	return all
}
