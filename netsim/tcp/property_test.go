package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// transfer is one direction of a stream, with what the reader must get.
type transfer struct {
	from, to *end
	data     []byte
	written  int
	read     int
	rng      *rand.Rand
	resting  bool    // the writer waits
	chat     bool    // the writer writes little at a time
	pause    float64 // probability that the reader does not read when it could
}

// pump has the writer write what fits, and close at the end.
func (x *transfer) pump() {
	if x.from.c.State() < Established && x.from.c.State() != Closed || x.resting {
		return
	}
	for x.written < len(x.data) {
		n := min(1+x.rng.IntN(4000), len(x.data)-x.written)
		if x.chat {
			n = min(200, n)
			x.resting = true
			w := x.from.w
			w.at(w.now+time.Duration(x.rng.IntN(40))*time.Millisecond, func() {
				x.resting = false
				x.from.settle()
			})
		}
		k := x.from.c.Write(x.data[x.written : x.written+n])
		x.written += k
		if k < n || x.chat {
			break
		}
	}
	if x.written == len(x.data) {
		x.from.c.CloseWrite()
	}
}

func (x *transfer) drain(t require.TestingT) {
	if x.rng.Float64() < x.pause {
		w := x.to.w
		w.at(w.now+time.Duration(x.rng.IntN(300))*time.Millisecond, x.to.settle)
		return
	}
	buf := make([]byte, 1+x.rng.IntN(5000))
	for {
		n := x.to.c.Read(buf)
		if n == 0 {
			return
		}
		require.LessOrEqual(t, x.read+n, len(x.data), "%s read more than was written", x.to.name)
		require.Equal(t, x.data[x.read:x.read+n], buf[:n], "%s read other bytes at %d", x.to.name, x.read)
		x.read += n
	}
}

// drawConfig draws a configuration in which every option may be on or off, and buffers may be tiny.
func drawConfig(t *rapid.T, name string) Config {
	c := Config{
		Congestion:      rapid.SampledFrom([]Congestion{CUBIC, Reno}).Draw(t, name+" congestion"),
		MSS:             rapid.SampledFrom([]int{0, 88, 536, 8960}).Draw(t, name+" MSS"),
		SendBuffer:      rapid.SampledFrom([]int{0, 1, 3000}).Draw(t, name+" send buffer"),
		ReceiveBuffer:   rapid.SampledFrom([]int{0, 100, 3000}).Draw(t, name+" receive buffer"),
		Nagle:           rapid.Bool().Draw(t, name+" Nagle"),
		NoSACK:          rapid.Bool().Draw(t, name+" no SACK"),
		NoTimestamps:    rapid.Bool().Draw(t, name+" no timestamps"),
		NoWindowScaling: rapid.Bool().Draw(t, name+" no scaling"),
		SynRetries:      100, SynAckRetries: 100, Retries2: 100, MaxRTO: 5 * time.Second,
	}
	if rapid.IntRange(0, 3).Draw(t, name+" keep-alive") == 0 {
		c.KeepAlive = KeepAlive{Idle: time.Second, Interval: time.Second, Count: 127}
	}
	return c
}

func drawLink(t *rapid.T, name string, l *link) {
	l.latency = time.Duration(rapid.IntRange(0, 200).Draw(t, name+" latency ms")) * time.Millisecond
	l.loss = float64(rapid.SampledFrom([]int{0, 1, 5, 20, 40}).Draw(t, name+" loss %")) / 100
	l.reorder = float64(rapid.SampledFrom([]int{0, 0, 10, 50}).Draw(t, name+" reorder %")) / 100
	l.jitter = time.Duration(rapid.IntRange(1, 200).Draw(t, name+" jitter ms")) * time.Millisecond
	l.duplicate = float64(rapid.SampledFrom([]int{0, 0, 10}).Draw(t, name+" duplicate %")) / 100
	if rapid.IntRange(0, 3).Draw(t, name+" limited") == 0 {
		l.rate, l.queue = 200e3, 300*time.Millisecond
	}
}

// Goal: whatever the network does short of losing everything, both ends get exactly the bytes that the
// other wrote, and both connections end.
// Method: random configurations, links, users; the ends' state is checked at every step, and the
// number of segments is bounded.
func TestDelivery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		a := mustSettings(drawConfig(t, "a"))
		b := mustSettings(drawConfig(t, "b"))
		w := newWorld(a, b, seed)
		drawLink(t, "a→b", w.links[0])
		drawLink(t, "b→a", w.links[1])
		rng := rand.New(rand.NewPCG(seed, 99))
		var xs [2]*transfer
		total := 0
		for i := range xs {
			n := rapid.SampledFrom([]int{0, 1, 500, 5000, 20000}).Draw(t, fmt.Sprintf("bytes %d", i))
			if w.ends[i].c.s.cfg.SendBuffer == 1 || w.ends[1-i].c.s.cfg.ReceiveBuffer == 100 {
				n = min(n, 500)
			}
			x := &transfer{from: w.ends[i], to: w.ends[1-i], data: make([]byte, n), rng: rng}
			x.chat = rapid.Bool().Draw(t, fmt.Sprintf("chat %d", i))
			x.pause = float64(rapid.SampledFrom([]int{0, 30, 90}).Draw(t, fmt.Sprintf("pause %d %%", i))) / 100
			for j := range x.data {
				x.data[j] = byte(rng.Uint32())
			}
			xs[i] = x
			total += n
		}
		for i := range w.ends {
			w.ends[i].user = func() {
				xs[i].pump()
				xs[1-i].drain(t)
			}
		}
		w.limit = 20_000 + 20*total
		w.open()
		done := func() bool {
			for i, e := range w.ends {
				if s := e.c.State(); s != Closed && s != TimeWait || xs[i].read < len(xs[i].data) {
					return false
				}
			}
			return true
		}
		require.True(t, w.runUntil(3*time.Hour, done), "at %v: %v read %d of %d, %v read %d of %d", w.now,
			w.ends[1].c.State(), xs[0].read, len(xs[0].data), w.ends[0].c.State(), xs[1].read, len(xs[1].data))
		for i, e := range w.ends {
			require.True(t, e.c.EOF(), "end %d has not seen the FIN", i)
		}
		w.run(w.now + time.Hour)
		for _, e := range w.ends {
			require.Equal(t, Closed, e.c.State())
			require.Empty(t, leaks(e.c), "memory is missing from the pool")
		}
	})
}

// leaks lists what a closed connection still holds of its pool's memory.
func leaks(c *Conn) (what []string) {
	if c.snd.head != nil {
		what = append(what, "send buffer")
	}
	if c.rcv.head != nil {
		what = append(what, "receive buffer")
	}
	if c.rcv.gaps != nil {
		what = append(what, "reassembly")
	}
	if c.flight != nil {
		what = append(what, "flight")
	}
	return what
}

// The same seed gives the same run, segment by segment.
func TestDeterminism(t *testing.T) {
	trace := func() (lines []string) {
		s := mustSettings(Config{})
		w := newWorld(s, s, 42)
		w.links[0].loss, w.links[1].loss = 0.05, 0.05
		w.links[0].reorder, w.links[0].jitter = 0.1, 20*time.Millisecond
		w.trace = func(line string) { lines = append(lines, line) }
		reader(w.ends[1])
		w.open()
		w.at(time.Second, func() { bulk(w.ends[0]) })
		w.run(10 * time.Second)
		return lines
	}
	first := trace()
	require.Greater(t, len(first), 1000)
	require.Equal(t, first, trace())
}
