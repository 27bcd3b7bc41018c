package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Any range that is held can be read, in any order, across chunks and around the end of the sequence
// space, whatever has been acknowledged.
func TestSendBuffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := NewPool()
		base := rapid.SampledFrom([]uint32{0, 0xfffff000, 1 << 31}).Draw(t, "base")
		b := sendBuffer{base: base}
		var cur cursor
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p := make([]byte, rapid.SampledFrom([]int{1, 200, 3000, 20000}).Draw(t, "bytes"))
				for i := range p {
					p[i] = byte((b.end() + uint32(i)) % 251)
				}
				b.write(pool, p)
			},
			"ack": func(t *rapid.T) {
				una := b.base + uint32(rapid.IntRange(0, b.len).Draw(t, "bytes"))
				cur.passed(una)
				b.ack(pool, una)
				require.Equal(t, una, b.base)
			},
			"bytes": func(t *rapid.T) {
				off := rapid.IntRange(0, b.len).Draw(t, "offset")
				n := rapid.IntRange(0, b.len-off).Draw(t, "length")
				seq := b.base + uint32(off)
				for i, x := range b.bytes(pool, &cur, seq, n) {
					require.Equal(t, byte((seq+uint32(i))%251), x)
				}
			},
		})
	})
}
