package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// RFC 9293 §3.4: comparison is modulo 2³².
func TestSeqWraps(t *testing.T) {
	require.True(t, seqLT(0xffffffff, 0))
	require.True(t, seqGT(1, 0xfffffffe))
	require.False(t, seqLT(0, 0xffffffff))
	require.Equal(t, uint32(3), seqMax(0xfffffff0, 3))
	require.Equal(t, uint32(0xfffffff0), seqMin(0xfffffff0, 3))
}

// Adding less than 2³¹ gives a later number, wherever one starts.
func TestSeqOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Uint32().Draw(t, "a")
		d := rapid.Uint32Range(1, 1<<31-1).Draw(t, "distance")
		b := a + d
		require.True(t, seqLT(a, b) && seqLEQ(a, b) && seqGT(b, a) && seqGEQ(b, a))
		require.True(t, !seqLT(b, a) && !seqLEQ(b, a) && !seqGT(a, b) && !seqGEQ(a, b))
		require.True(t, seqLEQ(a, a) && seqGEQ(a, a) && !seqLT(a, a) && !seqGT(a, a))
		require.Equal(t, b, seqMax(a, b))
		require.Equal(t, a, seqMin(b, a))
	})
}
