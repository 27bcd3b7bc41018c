package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 9293 §3.6 figure 12: a normal close, through all its states.
func TestClose(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.a.c.CloseWrite()
	require.Equal(t, FinWait1, k.a.c.State())
	k.a.settle()
	require.Equal(t, FIN|ACK, k.last(k.a).Flags)
	k.pass(200 * ms)
	require.Equal(t, FinWait2, k.a.c.State())
	require.Equal(t, CloseWait, k.b.c.State())
	require.True(t, k.b.c.EOF())
	require.Zero(t, k.a.c.Write([]byte("late")), "this side is closed")
	k.b.c.Close()
	k.b.settle()
	require.Equal(t, LastAck, k.b.c.State())
	k.pass(100 * ms)
	require.Equal(t, Closed, k.b.c.State())
	require.Equal(t, TimeWait, k.a.c.State())
	require.NoError(t, k.a.c.Err())
	require.NoError(t, k.b.c.Err())
	k.pass(time.Minute)
	require.Equal(t, Closed, k.a.c.State())
}

// RFC 9293 §3.6 figure 13: both ends close at once.
func TestSimultaneousClose(t *testing.T) {
	k := connected(t, Config{}, Config{})
	for _, e := range k.ends {
		e.c.Close()
		e.settle()
	}
	k.pass(60 * ms)
	require.Equal(t, Closing, k.a.c.State())
	k.pass(60 * ms)
	require.Equal(t, TimeWait, k.a.c.State())
	require.Equal(t, TimeWait, k.b.c.State())
}

// What was written before Close is delivered, and then the FIN.
func TestCloseDelivers(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.dropNth(k.a, 3)
	k.write(k.a, 30_000)
	k.a.c.Close()
	k.a.settle()
	k.pass(2 * time.Second)
	require.EqualValues(t, 30_000, k.b.c.Info().BytesIn)
	require.True(t, k.b.c.EOF())
}

// RFC 9293 §3.6.1: closing with data unread resets, for the peer must learn that it is lost.
func TestCloseUnread(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.write(k.a, 100)
	k.pass(time.Second)
	require.Equal(t, 100, k.b.c.Readable())
	k.b.c.Close()
	k.b.settle()
	require.Equal(t, RST|ACK, k.last(k.b).Flags)
	require.Equal(t, Closed, k.b.c.State())
	k.pass(time.Second)
	require.Equal(t, syscall.ECONNRESET, k.a.c.Err())
	require.Equal(t, Closed, k.a.c.State())
}

// The same for data that arrives after Close.
func TestDataAfterClose(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.b.c.Close()
	k.b.settle()
	k.pass(200 * ms)
	k.write(k.a, 100)
	k.pass(60 * ms)
	require.Equal(t, Closed, k.b.c.State())
	require.Equal(t, RST|ACK, k.last(k.b).Flags)
	k.pass(time.Second)
	require.Equal(t, syscall.EPIPE, k.a.c.Err(), "a RST after the peer's FIN")
}

// Half-closed: the other direction stays open for as long as it is held.
func TestHalfClose(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.a)
	k.a.c.CloseWrite()
	k.a.settle()
	k.pass(time.Hour)
	k.write(k.b, 1000)
	k.pass(time.Second)
	require.EqualValues(t, 1000, k.a.c.Info().BytesIn)
	require.Equal(t, FinWait2, k.a.c.State())
}

// An end that nobody holds does not wait for ever for its peer to close.
func TestOrphanInFinWait2(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.a.c.Close()
	k.a.settle()
	k.pass(50 * time.Second)
	require.Equal(t, FinWait2, k.a.c.State())
	k.pass(20 * time.Second)
	require.Equal(t, Closed, k.a.c.State())

	k = connected(t, Config{}, Config{})
	k.a.c.CloseWrite()
	k.a.settle()
	k.pass(time.Hour)
	k.a.c.Close()
	k.a.settle()
	k.pass(50 * time.Second)
	require.Equal(t, FinWait2, k.a.c.State())
	k.pass(20 * time.Second)
	require.Equal(t, Closed, k.a.c.State())
}

// And neither does it retransmit for ever to a peer that is gone.
func TestOrphanGivesUp(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.links[0].drop = func(*Segment) bool { return true }
	k.a.c.Close()
	k.a.settle()
	k.pass(10 * time.Minute)
	require.Equal(t, Closed, k.a.c.State())
	require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
	require.EqualValues(t, orphanRetries, k.a.c.Info().Timeouts)
}

// Abort sends a RST at once; what had arrived can still be read on the other side.
func TestAbort(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.write(k.a, 100)
	k.a.c.Abort(k.now, k.a)
	require.Equal(t, syscall.ECONNABORTED, k.a.c.Err())
	k.pass(time.Second)
	require.Equal(t, syscall.ECONNRESET, k.b.c.Err())
	require.Equal(t, 100, k.b.c.Readable())
	require.Zero(t, k.b.c.Write([]byte("x")))
}

// RFC 9293 §3.6.1, RFC 6191 §2: a SYN that cannot be old may reuse a connection in TIME-WAIT. A FIN
// that comes again is acknowledged again.
func TestTimeWait(t *testing.T) {
	k := connected(t, Config{}, Config{})
	for _, e := range k.ends {
		e.c.Close()
		e.settle()
	}
	k.pass(time.Second)
	c := k.a.c
	require.Equal(t, TimeWait, c.State())
	require.True(t, c.Reusable(&Segment{Flags: SYN, Seq: c.rcvNxt() + 1}))
	require.False(t, c.Reusable(&Segment{Flags: SYN, Seq: c.rcvNxt() - 5}))
	require.True(t, c.Reusable(&Segment{Flags: SYN, Seq: c.rcvNxt() - 5, HasTS: true, TSVal: c.seen.recent + 1}))
	require.False(t, c.Reusable(&Segment{Flags: ACK, Seq: c.rcvNxt() + 1}))

	k.pass(30 * time.Second)
	answer := k.inject(k.a, func(s *Segment) { s.Flags |= FIN; s.Seq-- })
	require.Len(t, answer, 1)
	require.Equal(t, ACK, answer[0].Flags)
	k.pass(59 * time.Second)
	require.Equal(t, TimeWait, c.State(), "the FIN has started it anew")
	k.inject(k.a, func(s *Segment) { s.Flags = RST; s.Seq += 9 })
	require.Equal(t, TimeWait, c.State())
	k.inject(k.a, func(s *Segment) { s.Flags = RST })
	require.Equal(t, Closed, c.State())
	require.NoError(t, c.Err())
}
