package properties

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A set of spans behaves as a set of positions.
func TestSpansAreASet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const top = 20
		base := rapid.SampledFrom([]uint64{0, 1, math.MaxUint64 - top}).Draw(rt, "base")
		position := rapid.Uint64Range(0, top)
		var s spans
		var set [top + 1]bool
		for range rapid.IntRange(0, 10).Draw(rt, "adds") {
			lo, hi := position.Draw(rt, "lo"), position.Draw(rt, "hi")
			s.add(base+lo, base+hi)
			for p := lo; p <= hi; p++ {
				set[p] = true
			}
		}
		in := uint64(0)
		for p, want := range set {
			require.Equal(rt, want, s.contains(base+uint64(p)), "position %d of %v", p, s)
			if want {
				in++
			}
		}
		require.Equal(rt, in, s.size())
		for i, a := range s {
			require.LessOrEqual(rt, a.lo, a.hi)
			require.True(rt, i == 0 || a.lo > s[i-1].hi+1, "%v must neither overlap nor touch", s)
		}
		lo, hi := position.Draw(rt, "from"), position.Draw(rt, "to")
		rest := s.minus(base+lo, base+hi)
		for p := range uint64(top + 1) {
			require.Equal(rt, lo <= p && p <= hi && !set[p], rest.contains(base+p), "position %d of %v", p, rest)
		}
	})
}

func TestSpansSaturate(t *testing.T) {
	var s spans
	s.add(0, math.MaxUint64)
	require.Equal(t, uint64(math.MaxUint64), s.size())
	require.Empty(t, s.minus(0, math.MaxUint64))
	require.Equal(t, spans{{3, math.MaxUint64}}, spans{{1, 2}}.minus(1, math.MaxUint64))
}
