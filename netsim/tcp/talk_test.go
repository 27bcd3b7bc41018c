package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// talk is a world with a record of what each end has sent.
type talk struct {
	*world
	t    *testing.T
	a, b *end
	log  [2][]logged
}

type logged struct {
	at time.Duration
	Segment
}

// newTalk makes two ends 50 ms apart on a path that loses nothing, with exact timers unless the
// configuration says otherwise.
func newTalk(t *testing.T, a, b Config) *talk {
	for _, c := range []*Config{&a, &b} {
		if c.Tick == 0 {
			c.Tick = -1
		}
	}
	k := &talk{world: newWorld(mustSettings(a), mustSettings(b), 7), t: t}
	k.a, k.b = k.ends[0], k.ends[1]
	for i, e := range k.ends {
		e.tap = func(seg *Segment) {
			s := logged{at: k.now, Segment: *seg}
			s.Payload = append([]byte(nil), seg.Payload...)
			k.log[i] = append(k.log[i], s)
		}
	}
	return k
}

// connected is newTalk after the handshake, the record empty.
func connected(t *testing.T, a, b Config) *talk {
	k := newTalk(t, a, b)
	require.True(t, k.connect())
	k.forget()
	return k
}

func (k *talk) forget() { k.log = [2][]logged{} }

// pass lets time pass.
func (k *talk) pass(d time.Duration) { k.run(k.now + d) }

// write has an end write and flush; all must fit.
func (k *talk) write(e *end, n int) {
	require.Equal(k.t, n, e.c.Write(make([]byte, n)))
	e.settle()
}

// reader has an end read whatever comes.
func reader(e *end) {
	buf := make([]byte, 64<<10)
	e.user = func() {
		for e.c.Read(buf) > 0 {
		}
	}
}

// dropNth loses the segments with payload that an end sends with these numbers, counted from 1.
func (k *talk) dropNth(e *end, numbers ...int) {
	n := 0
	k.links[e.i].drop = func(seg *Segment) bool {
		if len(seg.Payload) == 0 {
			return false
		}
		n++
		for _, x := range numbers {
			if n == x {
				return true
			}
		}
		return false
	}
}

// data is what of an end's record has payload.
func (k *talk) data(e *end) (segs []logged) {
	for _, s := range k.log[e.i] {
		if len(s.Payload) > 0 {
			segs = append(segs, s)
		}
	}
	return segs
}

// acks is what of an end's record has none.
func (k *talk) acks(e *end) (segs []logged) {
	for _, s := range k.log[e.i] {
		if len(s.Payload) == 0 {
			segs = append(segs, s)
		}
	}
	return segs
}

// last is the last segment that an end has sent.
func (k *talk) last(e *end) logged {
	require.NotEmpty(k.t, k.log[e.i], "%s has sent nothing", e.name)
	return k.log[e.i][len(k.log[e.i])-1]
}

// inject hands an end a segment as if from its peer, with the next numbers unless edit changes them,
// and returns what the end sends in answer.
func (k *talk) inject(e *end, edit func(*Segment)) []logged {
	seg := Segment{Flags: ACK, Seq: e.c.rcvNxt(), Ack: e.c.nxt, Window: 1000, WScale: -1}
	if e.c.flags&useTS != 0 {
		seg.HasTS, seg.TSVal, seg.TSEcr = true, e.c.seen.recent, e.c.timestamp(k.now)
	}
	edit(&seg)
	before := len(k.log[e.i])
	e.c.Input(k.now, &seg, e)
	e.settle()
	return k.log[e.i][before:]
}

const ms = time.Millisecond
