package tcp

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// wire carries segments from one end to the other one at a time, in order, without allocating.
type wire struct {
	segs    []Segment
	data    []byte
	offsets []int
}

func (w *wire) Send(seg *Segment) {
	w.offsets = append(w.offsets, len(w.data))
	w.data = append(w.data, seg.Payload...)
	w.segs = append(w.segs, *seg)
}

// deliver has an end handle all that is on the wire.
func (w *wire) deliver(now time.Duration, to *Conn, out Output) {
	for i := range w.segs {
		end := len(w.data)
		if i+1 < len(w.offsets) {
			end = w.offsets[i+1]
		}
		seg := &w.segs[i]
		seg.Payload = w.data[w.offsets[i]:end]
		to.Input(now, seg, out)
	}
	w.segs, w.data, w.offsets = w.segs[:0], w.data[:0], w.offsets[:0]
}

// pair is two established ends with a wire each way.
type pair struct {
	now    time.Duration
	a, b   *Conn
	ab, ba wire
	buf    []byte
}

func newPair(tb testing.TB) *pair {
	s := mustSettings(Config{})
	pool := NewPool()
	p := &pair{a: New(s, pool, 1000), b: New(s, pool, 4e9), buf: make([]byte, 64<<10), now: time.Second}
	p.a.Connect(p.now, &p.ab)
	p.b.Accept(p.now, &p.ab.segs[0], &p.ba)
	p.ab = wire{}
	for range 3 {
		p.exchange()
	}
	require.Equal(tb, Established, p.a.State())
	require.Equal(tb, Established, p.b.State())
	return p
}

// exchange lets 50 ms pass each way.
func (p *pair) exchange() {
	p.now += 50 * time.Millisecond
	p.ab.deliver(p.now, p.b, &p.ba)
	for p.b.Read(p.buf) > 0 {
	}
	p.b.Flush(p.now, &p.ba)
	p.now += 50 * time.Millisecond
	p.ba.deliver(p.now, p.a, &p.ab)
	p.timers()
}

func (p *pair) timers() {
	if at, ok := p.a.Deadline(); ok && at <= p.now {
		p.a.Timer(p.now, &p.ab)
	}
	if at, ok := p.b.Deadline(); ok && at <= p.now {
		p.b.Timer(p.now, &p.ba)
	}
}

func (p *pair) message() {
	p.a.Write(p.buf[:200])
	p.a.Flush(p.now, &p.ab)
	p.exchange()
}

func (p *pair) bulk() {
	for p.a.Write(p.buf) > 0 {
	}
	p.a.Flush(p.now, &p.ab)
	p.exchange()
}

// A message from one end to the other and its acknowledgement back.
func BenchmarkMessage(b *testing.B) {
	p := newPair(b)
	b.ReportAllocs()
	for b.Loop() {
		p.message()
	}
}

// One window of bulk data after the other, by the megabyte.
func BenchmarkBulk(b *testing.B) {
	p := newPair(b)
	for range 30 {
		p.bulk() // until the windows have stopped growing
	}
	b.ReportAllocs()
	before := p.b.Info().BytesIn
	for b.Loop() {
		p.bulk()
	}
	b.SetBytes(int64(p.b.Info().BytesIn-before) / int64(b.N))
}

// In steady state nothing is allocated: neither for messages nor for bulk.
func TestNoAllocation(t *testing.T) {
	p := newPair(t)
	for range 20 {
		p.message()
	}
	require.Zero(t, testing.AllocsPerRun(100, p.message), "per message")
	for range 30 {
		p.bulk()
	}
	require.Zero(t, testing.AllocsPerRun(20, p.bulk), "per window of bulk")
}

// A connection is small, and holds nothing else while it is idle.
func TestIdleMemory(t *testing.T) {
	t.Logf("Conn takes %d bytes", unsafe.Sizeof(Conn{}))
	p := newPair(t)
	for range 20 {
		p.message()
	}
	for p.a.flight != nil {
		p.exchange()
	}
	for _, c := range []*Conn{p.a, p.b} {
		require.Empty(t, leaks(c))
	}
}
