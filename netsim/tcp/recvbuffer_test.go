package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Segments in any order, overlapping as they like, come out as the stream; what came twice is
// reported, and the blocks are those of a plain bitmap.
func TestReassembly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 4000
		pool := NewPool()
		start := rapid.SampledFrom([]uint32{1, 0xffffff00}).Draw(t, "start")
		b := recvBuffer{nxt: start}
		var have [size]bool
		read := 0
		for range rapid.IntRange(1, 40).Draw(t, "segments") {
			at := rapid.IntRange(0, size-1).Draw(t, "at")
			n := rapid.IntRange(1, min(700, size-at)).Draw(t, "length")
			p := make([]byte, n)
			firstDup := -1
			for i := range p {
				p[i] = byte((at + i) % 249)
				if have[at+i] && firstDup < 0 {
					firstDup = at + i
				}
				have[at+i] = true
			}
			dup := b.insert(pool, start+uint32(at), p)
			if firstDup < 0 {
				require.Zero(t, dup, "nothing came twice")
			} else {
				require.Equal(t, start+uint32(firstDup), dup.Start, "RFC 2883 §4: the first range that came twice")
				require.Greater(t, dup.End-dup.Start, uint32(0))
			}
			checkBitmap(t, &b, start, have[:])
			buf := make([]byte, rapid.IntRange(0, 500).Draw(t, "read"))
			for i := range b.read(pool, buf) {
				require.Equal(t, byte(read%249), buf[i], "byte %d", read)
				read++
			}
		}
		b.dropGaps(pool)
		b.clear(pool)
		require.Zero(t, b.held())
	})
}

// checkBitmap compares RCV.NXT and the blocks with what has arrived.
func checkBitmap(t *rapid.T, b *recvBuffer, start uint32, have []bool) {
	i := 0
	for i < len(have) && have[i] {
		i++
	}
	require.Equal(t, start+uint32(i), b.nxt)
	var want []Block
	gap := 0
	for i < len(have) {
		if !have[i] {
			i++
			continue
		}
		from := i
		for i < len(have) && have[i] {
			i++
		}
		want = append(want, Block{start + uint32(from), start + uint32(i)})
		gap += i - from
	}
	var got []Block
	for r := b.gaps; r != nil; r = r.next {
		got = append(got, Block{r.seq, r.end()})
	}
	require.Equal(t, want, got)
	require.EqualValues(t, gap, b.gapLen)
	reported := make([]Block, MaxSACK)
	n := b.blocks(reported)
	require.Equal(t, min(MaxSACK, len(want)), n)
	require.Subset(t, got, reported[:n])
}

// RFC 2018 §4: the first block is the one that has just changed, and the others are the most recent.
func TestSACKOrder(t *testing.T) {
	pool := NewPool()
	b := recvBuffer{nxt: 100}
	for _, seq := range []uint32{200, 400, 300, 600, 700} {
		b.insert(pool, seq, make([]byte, 10))
	}
	b.insert(pool, 410, make([]byte, 10))
	blocks := make([]Block, 3)
	require.Equal(t, 3, b.blocks(blocks))
	require.Equal(t, []Block{{400, 420}, {700, 710}, {600, 610}}, blocks)
}

// Of bytes that arrive twice the first copy counts.
func TestFirstCopyCounts(t *testing.T) {
	pool := NewPool()
	b := recvBuffer{nxt: 0}
	b.insert(pool, 2, []byte("CD"))
	b.insert(pool, 1, []byte("xxxx"))
	b.insert(pool, 0, []byte("yyy"))
	buf := make([]byte, 9)
	require.Equal(t, "yxCDx", string(buf[:b.read(pool, buf)]))
}
