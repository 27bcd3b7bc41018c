package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// RFC 9293 §3.8.6: the right edge of the window never moves left.
func TestWindowNeverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			ReceiveBuffer:   rapid.SampledFrom([]int{0, 1, 700, 5000, 100_000}).Draw(t, "buffer"),
			NoWindowScaling: rapid.Bool().Draw(t, "no scaling"),
		}
		w := newWorld(mustSettings(Config{}), mustSettings(cfg), rapid.Uint64().Draw(t, "seed"))
		w.links[0].loss = 0.05
		edge, seen := uint32(0), false
		w.ends[1].tap = func(seg *Segment) {
			if seg.Flags&SYN != 0 {
				return
			}
			right := seg.Ack + uint32(seg.Window)<<w.ends[1].c.win.shift
			require.True(t, !seen || seqGEQ(right, edge), "right edge moved left by %d", edge-right)
			edge, seen = right, true
		}
		buf := make([]byte, 2000)
		w.ends[1].user = func() { w.ends[1].c.Read(buf[:rapid.IntRange(0, len(buf)).Draw(t, "read")]) }
		w.ends[0].user = func() { w.ends[0].c.Write(buf) }
		w.open()
		w.run(3 * time.Second)
		require.LessOrEqual(t, w.ends[1].c.rcv.held(), int(w.ends[1].c.win.buffer)+100<<w.ends[1].c.win.shift,
			"each window may be rounded up by a unit of the scale")
	})
}

// Back-pressure: a reader that does not read stops the writer when both buffers are full.
func TestBackPressure(t *testing.T) {
	k := connected(t, Config{SendBuffer: 20_000}, Config{ReceiveBuffer: 30_000})
	bulk(k.a)
	k.pass(time.Minute)
	require.Zero(t, k.a.c.Writable())
	require.True(t, k.a.c.MaySend(), "an acknowledgement would wake the writer")
	total := k.b.c.Readable() + k.a.c.Unacked()
	require.InDelta(t, 50_000, total, 2000)
}

// RFC 9293 §3.8.6.2.2: the window does not open by less than it is worth. A reader that takes 100
// bytes at a time does not bring forth small segments.
func TestNoSillyWindow(t *testing.T) {
	k := connected(t, Config{}, Config{ReceiveBuffer: 20_000})
	bulk(k.a)
	k.pass(2 * time.Second)
	k.forget()
	buf := make([]byte, 100)
	for range 1000 {
		k.b.c.Read(buf)
		k.b.settle()
		k.pass(5 * ms)
	}
	segs := k.data(k.a)
	require.NotEmpty(t, segs)
	small := 0
	for _, s := range segs {
		if len(s.Payload) < 1000 {
			small++
		}
	}
	require.LessOrEqual(t, small, len(segs)/4)
	require.Less(t, len(k.log[1]), 4*len(segs), "nor does it tell of every read")
}

// Right-sizing: the buffer grows ahead of slow start, so that the window is not what limits a reader
// that keeps up, but not for one that does not read.
func TestRightSizing(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	bulk(k.a)
	k.pass(time.Second)
	require.Greater(t, k.b.c.win.buffer, uint32(1<<20))
	require.Greater(t, k.a.c.Info().Cwnd, uint32(1000))

	k = connected(t, Config{}, Config{})
	bulk(k.a)
	k.pass(10 * time.Second)
	require.EqualValues(t, 65535, k.b.c.win.buffer)
	require.InDelta(t, 65535, k.b.c.Readable(), 5000)
}

// The same without timestamps, where the receiver measures its round trip by windows.
func TestRightSizingWithoutTimestamps(t *testing.T) {
	k := connected(t, Config{NoTimestamps: true}, Config{})
	reader(k.b)
	bulk(k.a)
	k.pass(2 * time.Second)
	require.Greater(t, k.b.c.win.buffer, uint32(1<<20))
}
