package scenarios

import (
	"cmp"
	"slices"
)

// nearest gives the names closest to one that was misspelt, at most three, the closest first.
func nearest(name string, known []string) []string {
	sorted := slices.Clone(known)
	slices.SortStableFunc(sorted, func(a, b string) int {
		return cmp.Compare(distance(name, a), distance(name, b))
	})
	return sorted[:min(3, len(sorted))]
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
