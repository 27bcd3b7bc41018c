package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 5961 §3.2: only a RST with exactly the next number resets; another in the window is challenged,
// one outside ignored.
func TestRSTValidation(t *testing.T) {
	k := connected(t, Config{}, Config{})
	answer := k.inject(k.a, func(s *Segment) { s.Flags = RST; s.Seq += 1000 })
	require.Len(t, answer, 1, "challenge ACK")
	require.Equal(t, ACK, answer[0].Flags)
	require.Empty(t, k.inject(k.a, func(s *Segment) { s.Flags = RST; s.Seq += 1 << 30 }))
	require.Equal(t, Established, k.a.c.State())
	require.Empty(t, k.inject(k.a, func(s *Segment) { s.Flags = RST }))
	require.Equal(t, syscall.ECONNRESET, k.a.c.Err())
}

// RFC 5961 §4.2: a SYN on a synchronized connection is challenged, not obeyed. Challenges are rare
// (§7), or two ends could answer each other for ever.
func TestSYNChallenged(t *testing.T) {
	k := connected(t, Config{}, Config{})
	syn := func(s *Segment) { s.Flags = SYN; s.Seq += 100 }
	require.Len(t, k.inject(k.a, syn), 1)
	require.Empty(t, k.inject(k.a, syn))
	k.pass(time.Second)
	require.Len(t, k.inject(k.a, syn), 1)
	require.Equal(t, Established, k.a.c.State())
}

// RFC 5961 §5.2: an acknowledgement of what was never sent, or of what is long gone, is challenged and
// its segment dropped. One without ACK is dropped.
func TestACKValidation(t *testing.T) {
	k := connected(t, Config{}, Config{})
	data := func(edit func(*Segment)) []logged {
		return k.inject(k.a, func(s *Segment) { s.Payload = []byte("evil"); edit(s) })
	}
	require.Len(t, data(func(s *Segment) { s.Ack += 1 }), 1)
	require.Len(t, data(func(s *Segment) { s.Ack -= 1 << 24 }), 1)
	require.Empty(t, data(func(s *Segment) { s.Flags = 0 }))
	require.Zero(t, k.a.c.Readable())
	data(func(s *Segment) {})
	require.Equal(t, 4, k.a.c.Readable())
}

// RFC 7323 §5.3 R1: a segment with an older timestamp is acknowledged and dropped; RST is exempt, and
// so is a connection that has been idle for 24 days (§5.5).
func TestPAWS(t *testing.T) {
	k := connected(t, Config{}, Config{})
	old := func(s *Segment) { s.TSVal -= 10; s.Payload = []byte("old") }
	require.Len(t, k.inject(k.a, old), 1)
	require.Zero(t, k.a.c.Readable())
	k.pass(25 * day)
	k.inject(k.a, old)
	require.Equal(t, 3, k.a.c.Readable())
	k.inject(k.a, func(s *Segment) { s.Flags = RST; s.TSVal -= 100 })
	require.Equal(t, Closed, k.a.c.State())
}

// RFC 7323 §4.3: the timestamp to be echoed is that of the segment which fills the edge, not of the
// latest.
func TestTimestampEcho(t *testing.T) {
	k := connected(t, Config{}, Config{})
	first := k.a.c.seen.recent + 5
	k.inject(k.a, func(s *Segment) { s.Payload = []byte("ab"); s.Seq += 2; s.TSVal = first + 5 })
	require.NotEqual(t, first+5, k.last(k.a).TSEcr, "beyond a gap")
	k.inject(k.a, func(s *Segment) { s.Payload = []byte("ab"); s.TSVal = first })
	require.Equal(t, first, k.last(k.a).TSEcr)
}

// RFC 9293 §3.10.7.4: what lies outside the window is cut off.
func TestPayloadTrimmed(t *testing.T) {
	k := connected(t, Config{}, Config{ReceiveBuffer: 500})
	k.inject(k.b, func(s *Segment) { s.Payload = make([]byte, 900); s.Flags |= FIN })
	require.LessOrEqual(t, k.b.c.Readable(), 512)
	require.False(t, k.b.c.flags&finSeen != 0, "the FIN was beyond the window")
	k.inject(k.b, func(s *Segment) { s.Payload = make([]byte, 10); s.Seq -= 100 })
	require.LessOrEqual(t, k.b.c.Readable(), 512)
}

// A FIN that arrives before the data in front of it waits; nothing that comes after a FIN is data.
func TestEarlyFIN(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.inject(k.a, func(s *Segment) { s.Flags |= FIN; s.Seq += 3; s.Payload = []byte("def") })
	require.Equal(t, Established, k.a.c.State())
	k.inject(k.a, func(s *Segment) { s.Seq += 6; s.Payload = []byte("ghi") })
	k.inject(k.a, func(s *Segment) { s.Payload = []byte("abc") })
	require.Equal(t, CloseWait, k.a.c.State())
	buf := make([]byte, 20)
	require.Equal(t, "abcdef", string(buf[:k.a.c.Read(buf)]))
	require.True(t, k.a.c.EOF())
}

// RFC 2883 §4: what arrives twice is reported in the first block.
func TestDSACKSent(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.inject(k.a, func(s *Segment) { s.Payload = make([]byte, 100) })
	from := k.a.c.rcvNxt() - 100
	answer := k.inject(k.a, func(s *Segment) { s.Seq = from; s.Payload = make([]byte, 100) })
	require.Len(t, answer, 1)
	require.Equal(t, 1, answer[0].NumSACK)
	require.Equal(t, Block{from, from + 100}, answer[0].SACK[0])
	require.Equal(t, from+100, answer[0].Ack)
}

// RFC 9293 §3.5.1: half-open. One end has lost its memory; the other finds out when it sends.
func TestHalfOpen(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.b.c.Init(k.b.c.s, k.b.pool, 1)
	k.write(k.a, 100)
	k.pass(200 * ms)
	require.Equal(t, syscall.ECONNRESET, k.a.c.Err())
}
