package scenarios

import (
	"cmp"
	"slices"
)

// nearest gives the names close enough to one that was misspelt, at most three, the closest first.
func nearest(name string, known []string) []string {
	limit := max(2, len(name)/3)
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return distance(name, k) > limit })
	slices.SortStableFunc(near, func(a, b string) int {
		return cmp.Compare(distance(name, a), distance(name, b))
	})
	return near[:min(3, len(near))]
}

// distance is how many characters must be inserted, deleted or replaced to get from a to b
// (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
