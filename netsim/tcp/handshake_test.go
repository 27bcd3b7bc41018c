package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 9293 §3.5 figure 6: three segments, and each end knows the other's numbers.
func TestHandshake(t *testing.T) {
	k := newTalk(t, Config{}, Config{})
	require.True(t, k.connect())
	k.pass(time.Second)
	require.Len(t, k.log[0], 2)
	require.Len(t, k.log[1], 1)
	syn, synAck, ack := k.log[0][0], k.log[1][0], k.log[0][1]
	require.Equal(t, SYN, syn.Flags)
	require.Equal(t, SYN|ACK, synAck.Flags)
	require.Equal(t, ACK, ack.Flags)
	require.Equal(t, syn.Seq+1, synAck.Ack)
	require.Equal(t, synAck.Seq+1, ack.Ack)
	require.Equal(t, 100*ms, ack.at)
	// RFC 7323 §3.2: both SYNs carry the option, and so does everything after; TSEcr comes back.
	require.True(t, syn.HasTS && synAck.HasTS && ack.HasTS)
	require.Equal(t, syn.TSVal, synAck.TSEcr)
	// RFC 7323 §2.2: the window of a SYN is not scaled.
	require.Equal(t, uint16(64240), syn.Window)
	require.EqualValues(t, 64240>>7+1, ack.Window, "rounded up to the unit of the scale")
	// RFC 9293 §3.7.1: MSS is without options, a segment's payload is not.
	require.EqualValues(t, 1460, syn.MSS)
	require.Equal(t, 1448, k.a.c.Info().MSS)
	require.Equal(t, 100*ms, k.a.c.Info().SRTT)
	require.Equal(t, 100*ms, k.b.c.Info().SRTT)
}

// An option is used only if both ends send it (RFC 7323 §1.3, RFC 2018 §2).
func TestOptionsNeedBoth(t *testing.T) {
	for _, k := range []*talk{
		connected(t, Config{NoTimestamps: true, NoSACK: true, NoWindowScaling: true, MSS: 1000}, Config{}),
		connected(t, Config{}, Config{NoTimestamps: true, NoSACK: true, NoWindowScaling: true, MSS: 1000}),
	} {
		reader(k.b)
		k.dropNth(k.a, 1)
		k.write(k.a, 3000)
		k.pass(time.Second)
		for _, s := range append(k.log[0], k.log[1]...) {
			require.False(t, s.HasTS)
			require.Zero(t, s.NumSACK)
			require.LessOrEqual(t, len(s.Payload), 1000)
		}
		require.Zero(t, k.b.c.win.shift)
		require.Zero(t, k.a.c.sndShift)
		require.EqualValues(t, 3000, k.b.c.Info().BytesIn)
	}
}

// RFC 6298 §5.5: the timeout doubles; after the last SYN the connection fails with ETIMEDOUT.
func TestSYNRetransmission(t *testing.T) {
	times := func(c Config) (at []time.Duration, k *talk) {
		k = newTalk(t, c, Config{})
		k.links[0].drop = func(*Segment) bool { return true }
		k.open()
		k.pass(time.Hour)
		for _, s := range k.log[0] {
			require.Equal(t, SYN, s.Flags)
			at = append(at, s.at)
		}
		return at, k
	}
	at, k := times(Config{})
	require.Equal(t, []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second, 63 * time.Second}, at)
	require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
	require.Equal(t, Closed, k.a.c.State())
	at, _ = times(Config{SynRetries: 3, SynLinear: 2})
	require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, at)
	at, _ = times(Config{SynRetries: -1})
	require.Len(t, at, 1)
}

// A lost SYN-ACK is sent again, by the server's own timer as well as for the client's SYN. The round
// trip is not taken from what was sent twice (RFC 6298 §3), but from the timestamp that comes back,
// here that of the second SYN.
func TestSYNACKLost(t *testing.T) {
	k := newTalk(t, Config{}, Config{})
	n := 0
	k.links[1].drop = func(*Segment) bool { n++; return n == 1 }
	require.True(t, k.connect())
	k.pass(2 * time.Second)
	require.Equal(t, Established, k.b.c.State())
	require.Equal(t, 100*ms, k.a.c.Info().SRTT)
	// RFC 6298 §5.7: with no sample, the timeout is 3 s once data is sent.
	require.Zero(t, k.b.c.Info().SRTT)
	require.Equal(t, 3*time.Second, k.b.c.Info().RTO)
}

// The server gives up a handshake that nobody completes.
func TestSYNACKGivenUp(t *testing.T) {
	k := newTalk(t, Config{SynRetries: -1}, Config{SynAckRetries: 2})
	k.links[1].drop = func(*Segment) bool { return true }
	k.open()
	k.pass(time.Hour)
	require.Len(t, k.log[1], 3)
	require.Equal(t, Closed, k.b.c.State())
}

// RFC 5681 §3.1: after SYNs have been lost the path is not to be burdened.
func TestWindowAfterLostSYNs(t *testing.T) {
	k := newTalk(t, Config{}, Config{})
	n := 0
	k.links[0].drop = func(*Segment) bool { n++; return n <= 2 }
	require.True(t, k.connect())
	require.EqualValues(t, 1, k.a.c.Info().Cwnd)
}

// RFC 9293 §3.10.7.3: a RST that acknowledges our SYN refuses the connection; another is ignored.
func TestRefused(t *testing.T) {
	k := newTalk(t, Config{}, Config{})
	k.a.c.Connect(k.now, k.a)
	k.inject(k.a, func(s *Segment) { s.Flags = RST })
	require.Equal(t, SynSent, k.a.c.State())
	answer := k.inject(k.a, func(s *Segment) { s.Flags, s.Ack = ACK, k.a.c.iss })
	require.Len(t, answer, 1, "an unacceptable ACK is answered with <SEQ=SEG.ACK><CTL=RST>")
	require.Equal(t, RST, answer[0].Flags)
	require.Equal(t, k.a.c.iss, answer[0].Seq)
	k.inject(k.a, func(s *Segment) { s.Flags = RST | ACK })
	require.Equal(t, Closed, k.a.c.State())
	require.Equal(t, syscall.ECONNREFUSED, k.a.c.Err())
}

// RFC 9293 §3.5 figure 7: both ends connect at once.
func TestSimultaneousOpen(t *testing.T) {
	k := newTalk(t, Config{}, Config{})
	reader(k.a)
	reader(k.b)
	k.a.c.Connect(k.now, k.a)
	k.b.c.Connect(k.now, k.b)
	k.pass(time.Second)
	require.Equal(t, Established, k.a.c.State())
	require.Equal(t, Established, k.b.c.State())
	k.write(k.a, 5000)
	k.write(k.b, 6000)
	k.pass(time.Second)
	require.EqualValues(t, 6000, k.a.c.Info().BytesIn)
	require.EqualValues(t, 5000, k.b.c.Info().BytesIn)
}

// Data written before the handshake is over goes out when it is, and so does a FIN.
func TestWriteBeforeEstablished(t *testing.T) {
	k := newTalk(t, Config{}, Config{})
	k.open()
	require.Equal(t, 300, k.a.c.Write(make([]byte, 300)))
	k.a.settle()
	k.pass(time.Second)
	require.Equal(t, 300, k.b.c.Readable())
}

// Connect and Accept do nothing on a connection that is in use, and Accept nothing without a SYN.
func TestOpenTwice(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.a.c.Connect(k.now, k.a)
	k.a.c.Accept(k.now, &Segment{Flags: SYN}, k.a)
	require.Empty(t, k.log[0])
	c := New(k.a.c.s, k.a.pool, 1)
	c.Accept(0, &Segment{Flags: SYN | ACK}, k.a)
	require.Equal(t, Closed, c.State())
}
