package properties

import (
	"math"
	"slices"
)

// span is a range of positions, from lo to hi, both included. Invariant: lo <= hi.
type span struct{ lo, hi uint64 }

func (s span) len() uint64 { return saturatingAdd(s.hi-s.lo, 1) }

// spans is a set of positions, as sorted spans that neither overlap nor touch. Ranges make it small
// (a client that missed nothing has one) and indifferent to absurd positions.
type spans []span

// from finds the first span that ends at or after p.
func (s spans) from(p uint64) int {
	i, _ := slices.BinarySearchFunc(s, p, func(a span, p uint64) int {
		switch {
		case a.hi < p:
			return -1
		case a.hi > p:
			return 1
		}
		return 0
	})
	return i
}

func (s spans) contains(p uint64) bool {
	i := s.from(p)
	return i < len(s) && s[i].lo <= p
}

// add puts the positions from lo to hi into the set; none if lo > hi.
func (s *spans) add(lo, hi uint64) {
	if lo > hi {
		return
	}
	i := s.from(max(lo, 1) - 1) // what ends at lo-1 touches
	j := i
	for ; j < len(*s) && (hi == math.MaxUint64 || (*s)[j].lo <= hi+1); j++ {
		lo, hi = min(lo, (*s)[j].lo), max(hi, (*s)[j].hi)
	}
	*s = slices.Replace(*s, i, j, span{lo, hi})
}

// minus gives the positions from lo to hi that are not in the set.
func (s spans) minus(lo, hi uint64) spans {
	var rest spans
	for i := s.from(lo); lo <= hi && i < len(s) && s[i].lo <= hi; i++ {
		if s[i].lo > lo {
			rest = append(rest, span{lo, s[i].lo - 1})
		}
		if s[i].hi == math.MaxUint64 {
			return rest
		}
		lo = s[i].hi + 1
	}
	if lo <= hi {
		rest = append(rest, span{lo, hi})
	}
	return rest
}

// size is how many positions the set has; MaxUint64 if they are more.
func (s spans) size() uint64 {
	n := uint64(0)
	for _, a := range s {
		n = saturatingAdd(n, a.len())
	}
	return n
}

func saturatingAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
