package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 6928: ten segments at first, each full; the last carries PSH (RFC 9293 §3.9.1).
func TestInitialWindow(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.write(k.a, 20_000)
	segs := k.data(k.a)
	require.Len(t, segs, 10)
	for _, s := range segs {
		require.Len(t, s.Payload, 1448)
		require.False(t, s.Flags.Has(PSH))
	}
	k.pass(time.Second)
	require.True(t, k.data(k.a)[13].Flags.Has(PSH))
}

// RFC 896, in Minshall's variant: a segment that is not full waits while another such is
// unacknowledged.
func TestNagle(t *testing.T) {
	k := connected(t, Config{Nagle: true}, Config{})
	reader(k.b)
	for range 4 {
		k.write(k.a, 100)
	}
	require.Len(t, k.data(k.a), 1)
	k.pass(time.Second)
	require.Len(t, k.data(k.a), 2)
	require.Len(t, k.data(k.a)[1].Payload, 300)

	k.forget()
	k.write(k.a, 100)
	k.write(k.a, 100)
	require.Len(t, k.data(k.a), 1)
	k.a.c.SetNoDelay(true)
	k.a.settle()
	require.Len(t, k.data(k.a), 2)
	k.a.c.SetNoDelay(false)
	k.write(k.a, 100)
	require.Len(t, k.data(k.a), 2)
}

// The send buffer grows with the window, unless it is fixed.
func TestSendBufferGrows(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	require.Equal(t, 3*10*1448, k.a.c.Writable())
	bulk(k.a)
	k.pass(2 * time.Second)
	require.Equal(t, 4<<20, k.a.c.sendSpace())
	k = connected(t, Config{SendBuffer: 1000}, Config{})
	require.Equal(t, 1000, k.a.c.Writable())
}

// MaySend is false exactly while acknowledgements only move numbers.
func TestMaySend(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.pass(time.Second)
	require.False(t, k.a.c.MaySend())
	k.write(k.a, 200)
	require.False(t, k.a.c.MaySend())
	k.write(k.a, 20_000)
	require.True(t, k.a.c.MaySend(), "data waits for the window")
	k.pass(time.Second)
	require.False(t, k.a.c.MaySend())
	k.a.c.CloseWrite()
	require.True(t, k.a.c.MaySend(), "a FIN is pending")
}

// An acknowledgement that is Patient makes an end for which MaySend is false neither send nor wake.
func TestPatient(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	patient := 0
	k.b.tap = func(seg *Segment) {
		if k.a.c.MaySend() || !k.a.c.Patient(seg) {
			return
		}
		patient++
		c := *seg
		before := len(k.log[0])
		writable := k.a.c.Writable() > 0
		k.at(k.now+50*ms, func() {
			k.a.input(&c)
			require.Len(t, k.log[0], before, "it has made the end send")
			require.True(t, writable == (k.a.c.Writable() > 0))
		})
	}
	for range 20 {
		k.write(k.a, 200)
		before := len(k.data(k.a))
		k.pass(150 * ms)
		require.Len(t, k.data(k.a), before)
	}
	require.Equal(t, 20, patient)
	c := k.a.c
	require.False(t, c.Patient(&Segment{Flags: ACK, Seq: c.rcvNxt() - 1}), "a probe is to be answered")
	require.False(t, c.Patient(&Segment{Flags: ACK | FIN, Seq: c.rcvNxt()}))
	require.False(t, c.Patient(&Segment{Flags: ACK, Seq: c.rcvNxt(), NumSACK: 1}))
}

// The same holds while an acknowledgement is owed and all but due.
func TestPatientWhileOwing(t *testing.T) {
	k := connected(t, Config{}, Config{})
	c := k.a.c
	c.ack.quick, c.ack.ato = 0, 40
	k.write(k.b, 100)
	k.pass(60 * ms)
	require.NotZero(t, c.ack.bits&ackOwed)
	before := len(k.log[0])
	k.at(c.ack.at-time.Millisecond, func() {
		seg := &Segment{Flags: ACK, Seq: c.rcvNxt(), Ack: c.una, Window: 1000}
		require.True(t, c.Patient(seg) && !c.MaySend())
		k.a.input(seg)
		require.Len(t, k.log[0], before, "it has made the end send")
	})
	k.pass(60 * ms)
	require.Len(t, k.log[0], before+1, "the timer sends it")
}

// NeedsFlush says whether Flush would have anything to do.
func TestNeedsFlush(t *testing.T) {
	k := connected(t, Config{}, Config{})
	require.False(t, k.a.c.NeedsFlush())
	k.a.c.Write([]byte("x"))
	require.True(t, k.a.c.NeedsFlush())
	k.a.settle()
	require.False(t, k.a.c.NeedsFlush())
	k.b.c.ack.quick, k.b.c.ack.ato = 0, 40
	k.pass(60 * ms)
	k.b.c.Read(make([]byte, 10))
	require.True(t, k.b.c.NeedsFlush(), "the acknowledgement goes when the reader has read")
}

// Info tells of the connection.
func TestInfo(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.write(k.a, 3000)
	i := k.a.c.Info()
	require.Equal(t, Established, i.State)
	require.Equal(t, "ESTABLISHED", i.State.String())
	require.Equal(t, 3000, i.Unacked)
	require.Equal(t, 3, i.InFlight)
	require.Equal(t, 100*ms, i.MinRTT)
	require.EqualValues(t, 64240, i.PeerWindow)
	k.pass(time.Second)
	require.Zero(t, k.a.c.Info().Unacked)
	require.EqualValues(t, 5, k.a.c.Info().SegmentsOut)
	require.EqualValues(t, 3000, k.b.c.Info().BytesIn)
}

// Release gives back what a forgotten connection holds.
func TestRelease(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.dropNth(k.a, 2)
	k.write(k.a, 20_000)
	k.pass(70 * ms)
	require.Len(t, leaks(k.b.c), 2)
	k.a.c.Release()
	k.b.c.Release()
	require.Empty(t, leaks(k.a.c))
	require.Empty(t, leaks(k.b.c))
}
