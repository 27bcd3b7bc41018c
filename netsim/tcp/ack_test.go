package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Linux acknowledges the first segments of a connection at once, so that slow start gets going, and
// later every second one (RFC 9293 §3.8.6.3).
func TestQuickThenDelayed(t *testing.T) {
	k := connected(t, Config{}, Config{ReceiveBuffer: 60_000})
	reader(k.b)
	k.dropNth(k.a)
	for range 40 {
		k.write(k.a, 2*1448)
		k.pass(200 * ms)
	}
	acks := k.acks(k.b)
	quick, later := 0, 0
	for _, s := range acks {
		if s.at < 3*time.Second {
			quick++
		}
		if s.at > 5*time.Second {
			later++
		}
	}
	require.Greater(t, quick, 20, "nearly one for each segment")
	require.InDelta(t, 16, later, 3, "one for each pair")
}

// RFC 9293 §3.8.6.3: a lone segment is acknowledged within 40 ms, if the reader does not read it, and
// at once if a reader drains what was pushed to it.
func TestDelayedAck(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.b.c.ack.quick, k.b.c.ack.ato = 0, 40
	k.write(k.a, 100)
	sent := k.now
	k.pass(time.Second)
	require.Equal(t, sent+50*ms+40*ms, k.last(k.b).at)

	k = connected(t, Config{}, Config{})
	reader(k.b)
	k.b.c.ack.quick, k.b.c.ack.ato = 0, 40
	k.write(k.a, 100)
	sent = k.now
	k.pass(time.Second)
	require.Equal(t, sent+50*ms, k.last(k.b).at)
}

// Data that goes back soon carries the acknowledgement.
func TestPiggyback(t *testing.T) {
	k := connected(t, Config{}, Config{})
	answered := 0
	buf := make([]byte, 1000)
	k.b.user = func() {
		if n := k.b.c.Read(buf); n > 0 {
			answered++
			k.b.c.Write(buf[:n])
		}
	}
	reader(k.a)
	for range 30 {
		k.write(k.a, 100)
		k.pass(150 * ms)
	}
	require.Equal(t, 30, answered)
	late := 0
	for _, s := range k.acks(k.b) {
		if s.at > time.Second {
			late++
		}
	}
	require.Zero(t, late, "no acknowledgement without data")
}

// RFC 5681 §4.2: what arrives beyond a gap, or fills one, is acknowledged at once.
func TestGapAckedAtOnce(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.b.c.ack.quick, k.b.c.ack.ato = 0, 40
	answer := k.inject(k.b, func(s *Segment) { s.Seq += 100; s.Payload = make([]byte, 100) })
	require.Len(t, answer, 1)
	require.Equal(t, Block{k.b.c.rcv.nxt + 100, k.b.c.rcv.nxt + 200}, answer[0].SACK[0])
	answer = k.inject(k.b, func(s *Segment) { s.Payload = make([]byte, 100) })
	require.Len(t, answer, 1)
	require.Zero(t, answer[0].NumSACK)
}

// Many segments beyond a gap that arrive at once are reported together, after a millisecond.
func TestSACKCompression(t *testing.T) {
	k := connected(t, Config{InitialWindow: 40}, Config{})
	reader(k.b)
	k.b.c.ack.quick, k.b.c.ack.ato = 0, 40
	k.b.c.win.limit = k.b.c.win.buffer // a window that still grows asks for acknowledgements
	k.dropNth(k.a, 5)
	k.write(k.a, 40*1448)
	start := k.now
	k.pass(52 * ms)
	var at []time.Duration
	for _, s := range k.acks(k.b) {
		if s.NumSACK > 0 {
			at = append(at, s.at-start)
		}
	}
	require.Equal(t, []time.Duration{50 * ms, 50 * ms, 50 * ms, 51 * ms}, at)
}
