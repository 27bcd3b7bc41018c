package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 6675 §5, RFC 9937: one loss in a window is mended within a round trip, once, and costs CUBIC
// three tenths of the window, Reno half.
func TestFastRecovery(t *testing.T) {
	for cc, want := range map[Congestion]uint32{CUBIC: 7, Reno: 5} {
		k := connected(t, Config{Congestion: cc}, Config{})
		reader(k.b)
		k.dropNth(k.a, 2)
		k.write(k.a, 10*1448)
		start := k.now
		k.pass(120 * ms)
		segs := k.data(k.a)
		require.Len(t, segs, 11)
		again := segs[10]
		require.Equal(t, segs[1].Seq, again.Seq)
		require.Equal(t, start+100*ms, again.at, "at the first SACKs")
		k.pass(time.Second)
		i := k.a.c.Info()
		require.Equal(t, want, i.Cwnd, "%v", cc)
		require.Equal(t, want, i.Ssthresh)
		require.EqualValues(t, 1, i.Recoveries)
		require.EqualValues(t, 1, i.Retransmits)
		require.Zero(t, i.Timeouts)
		require.EqualValues(t, 10*1448, k.b.c.Info().BytesIn)
	}
}

// RFC 9937 §6.2: while it recovers, the sender keeps sending, about ssthresh segments per round trip.
func TestProportionalReduction(t *testing.T) {
	k := connected(t, Config{Congestion: Reno, InitialWindow: 40, SendBuffer: 1 << 20}, Config{ReceiveBuffer: 1 << 20})
	reader(k.b)
	k.dropNth(k.a, 1)
	k.write(k.a, 300*1448)
	start := k.now
	k.pass(149 * ms)
	sent := 0
	for _, s := range k.data(k.a) {
		if s.at > start {
			sent++
		}
	}
	require.InDelta(t, 20, sent, 2, "half of the window, spread over the round trip")
	k.pass(60 * ms)
	require.InDelta(t, 20, k.a.c.Info().Cwnd, 2)
}

// RFC 6582: without SACK three duplicate acknowledgements do, and partial acknowledgements mend
// one loss per round trip.
func TestNewReno(t *testing.T) {
	k := connected(t, Config{NoSACK: true, Congestion: Reno}, Config{})
	reader(k.b)
	k.dropNth(k.a, 2, 4)
	k.write(k.a, 10*1448)
	start := k.now
	k.pass(time.Second)
	segs := k.data(k.a)
	require.Len(t, segs, 12)
	require.Equal(t, segs[1].Seq, segs[10].Seq)
	require.Equal(t, start+100*ms, segs[10].at)
	require.Equal(t, segs[3].Seq, segs[11].Seq)
	require.Equal(t, start+200*ms, segs[11].at)
	i := k.a.c.Info()
	require.EqualValues(t, 1, i.Recoveries)
	require.Zero(t, i.Timeouts)
	require.EqualValues(t, 5, i.Cwnd)
}

// RFC 3042: the first two duplicate acknowledgements each let a new segment out.
func TestLimitedTransmit(t *testing.T) {
	k := connected(t, Config{NoSACK: true}, Config{})
	k.inject(k.a, func(s *Segment) { s.Window = 500 }) // the window is known
	k.write(k.a, 20*1448)
	require.Len(t, k.data(k.a), 10)
	dup := func(s *Segment) { s.Ack = k.a.c.una; s.Window = 500 }
	for n := 1; n <= 2; n++ {
		answer := k.inject(k.a, dup)
		require.Len(t, answer, 1)
		require.Equal(t, k.data(k.a)[0].Seq+uint32(1448*(9+n)), answer[0].Seq)
	}
}

// RFC 3522 (Eifel): segments were late, not lost. The acknowledgement's timestamp tells, and the
// window is restored.
func TestEifelUndo(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	slow := true
	k.links[0].drop = func(seg *Segment) bool {
		if len(seg.Payload) == 0 || !slow {
			return false
		}
		slow = false // the first segment arrives 70 ms after the others
		held := *seg
		held.Payload = append([]byte(nil), seg.Payload...)
		k.at(k.now+120*ms, func() { k.b.input(&held); k.b.settle() })
		return true
	}
	k.write(k.a, 10*1448)
	k.pass(110 * ms)
	require.EqualValues(t, 1, k.a.c.Info().Recoveries)
	require.Less(t, k.a.c.Info().Cwnd, uint32(10))
	k.pass(time.Second)
	i := k.a.c.Info()
	require.EqualValues(t, 1, i.Undone)
	require.GreaterOrEqual(t, i.Cwnd, uint32(10))
	require.Zero(t, i.Ssthresh, "as if nothing had been lost")
	require.EqualValues(t, 1, i.DSACKs, "the copy arrived too")
}

// RFC 3708: without timestamps it is the D-SACK that tells.
func TestDSACKUndo(t *testing.T) {
	k := connected(t, Config{NoTimestamps: true}, Config{})
	reader(k.b)
	slow := true
	k.links[0].drop = func(seg *Segment) bool {
		if len(seg.Payload) == 0 || !slow {
			return false
		}
		slow = false
		held := *seg
		held.Payload = append([]byte(nil), seg.Payload...)
		k.at(k.now+70*ms, func() { k.b.input(&held); k.b.settle() })
		return true
	}
	k.write(k.a, 10*1460)
	k.pass(time.Second)
	i := k.a.c.Info()
	require.EqualValues(t, 1, i.Recoveries)
	require.EqualValues(t, 1, i.Undone)
	require.GreaterOrEqual(t, i.Cwnd, uint32(10))
}

// Lost messages are sent again together: what is short and follows what is sent again goes along,
// unless it has been SACKed.
func TestRetransmissionMerges(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.dropNth(k.a, 1, 2, 3)
	for range 5 {
		k.write(k.a, 200)
		k.pass(20 * ms)
	}
	k.pass(time.Second)
	var again []int
	for _, s := range k.data(k.a)[5:] {
		again = append(again, len(s.Payload))
	}
	require.Equal(t, []int{600}, again)
	require.EqualValues(t, 1000, k.b.c.Info().BytesIn)
}
