package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chatter has an end write 200 bytes every 20 ms, n times.
func (k *talk) chatter(e *end, n int) {
	for range n {
		k.write(e, 200)
		k.pass(20 * ms)
	}
}

// RFC 8985 §6.2 step 5: with fewer than three segments SACKed, a segment is lost when a later one has
// been delivered and a quarter of the least round trip has passed besides.
func TestRACKReorderingWindow(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.chatter(k.a, 5)
	k.dropNth(k.a, 1)
	lostAt := k.now
	k.chatter(k.a, 10)
	k.pass(time.Second)
	var again time.Duration
	seen := map[uint32]bool{}
	for _, s := range k.data(k.a) {
		if seen[s.Seq] {
			again = s.at
		}
		seen[s.Seq] = true
	}
	require.Equal(t, lostAt+100*ms+25*ms+timerSlack, again)
	require.EqualValues(t, 1, k.a.c.Info().Retransmits)
}

// RFC 8985 §6.2 step 4: with reordering seen, the window is kept even in recovery; a D-SACK widens
// it, once per round trip, and sixteen recoveries without one take it back.
func TestReorderingAdapts(t *testing.T) {
	var r rackMemory
	r.reset()
	require.EqualValues(t, 1, r.steps)
	r.dsack = true
	r.adaptReordering(100, 500)
	require.EqualValues(t, 2, r.steps)
	r.dsack = true
	r.adaptReordering(400, 900)
	require.EqualValues(t, 2, r.steps, "the same round trip")
	r.dsack = true
	r.adaptReordering(500, 1300)
	require.EqualValues(t, 3, r.steps)
	require.EqualValues(t, rackPersist, r.persist)
	for range rackPersist {
		r.persist--
		r.adaptReordering(600, 1300)
	}
	require.EqualValues(t, 1, r.steps)
	r.steps = 255
	r.dsack = true
	r.adaptReordering(1300, 1400)
	require.EqualValues(t, 255, r.steps)
}

// RFC 8985 §3.3.1: a path that has been seen to reorder is not punished for it: what arrives three
// places late is not sent again.
func TestReorderingTolerated(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.a.c.rack.seen = true
	n := 0
	k.links[0].drop = func(seg *Segment) bool {
		if len(seg.Payload) == 0 {
			return false
		}
		if n++; n%7 != 1 {
			return false
		}
		held := *seg
		held.Payload = append([]byte(nil), seg.Payload...)
		k.at(k.now+60*ms, func() { k.b.input(&held); k.b.settle() }) // 10 ms late
		return true
	}
	k.write(k.a, 10*1448)
	k.pass(time.Second)
	require.Zero(t, k.a.c.Info().Retransmits)
	require.EqualValues(t, 10*1448, k.b.c.Info().BytesIn)
}

// RFC 8985 §6.2: a retransmission that is lost is noticed by what was sent after it, without a timeout.
func TestLostRetransmission(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	second, times := k.a.c.nxt+1448, 0
	k.links[0].drop = func(seg *Segment) bool {
		if seg.Seq != second {
			return false
		}
		times++
		return times <= 2
	}
	k.write(k.a, 10*1448)
	for range 50 {
		k.pass(20 * ms)
		k.write(k.a, 1448)
	}
	k.pass(time.Second)
	i := k.a.c.Info()
	require.Zero(t, i.Timeouts)
	require.EqualValues(t, 2, i.Retransmits)
}
