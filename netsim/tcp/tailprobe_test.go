package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 8985 §7.2: a lost tail is probed after two round trips, and the SACK that the probe brings mends
// the rest by fast recovery.
func TestTailLoss(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.dropNth(k.a, 4, 5)
	k.write(k.a, 5*1448)
	start := k.now
	k.pass(time.Second)
	segs := k.data(k.a)
	require.Len(t, segs, 7)
	require.Equal(t, segs[4].Seq, segs[5].Seq, "the probe is the last segment")
	// The acknowledgement of the first three comes after 100 ms; the delay counts from there.
	require.Equal(t, start+100*ms+200*ms+timerSlack, segs[5].at)
	require.Equal(t, segs[3].Seq, segs[6].Seq)
	i := k.a.c.Info()
	require.Zero(t, i.Timeouts)
	require.EqualValues(t, 1, i.TailProbes)
	require.EqualValues(t, 1, i.Recoveries)
}

// RFC 8985 §7.2: with a single segment out, the probe allows for the acknowledgement to be delayed;
// here that takes it up to the timeout, which it replaces.
func TestTailProbeForOne(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.dropNth(k.a, 1)
	k.write(k.a, 100)
	start := k.now
	k.pass(time.Second)
	segs := k.data(k.a)
	require.Len(t, segs, 2)
	require.Equal(t, start+300*ms, segs[1].at)
	require.Zero(t, k.a.c.Info().Timeouts)
}

// RFC 8985 §7.3: a probe with new data is preferred.
func TestTailProbeNewData(t *testing.T) {
	k := connected(t, Config{InitialWindow: 2}, Config{})
	reader(k.b)
	k.links[0].drop = func(seg *Segment) bool { return len(seg.Payload) > 0 }
	k.write(k.a, 4*1448)
	k.pass(250 * ms)
	segs := k.data(k.a)
	require.Len(t, segs, 3)
	require.Equal(t, segs[1].Seq+1448, segs[2].Seq)
}

// RFC 8985 §7.4.2: a loss that the probe has mended reduces the window, for congestion it was; a
// probe whose original had arrived does not.
func TestTailProbeDetectsLoss(t *testing.T) {
	for _, lost := range []bool{true, false} {
		k := connected(t, Config{}, Config{})
		reader(k.b)
		if lost {
			k.dropNth(k.a, 5)
		} else {
			n := 0
			k.links[1].drop = func(*Segment) bool { n++; return k.now < 300*ms }
		}
		k.write(k.a, 5*1448)
		k.pass(450 * ms)
		k.write(k.a, 100) // acknowledged beyond the probe
		k.pass(time.Second)
		i := k.a.c.Info()
		require.EqualValues(t, 1, i.TailProbes)
		if lost {
			require.EqualValues(t, 7, i.Cwnd)
		} else {
			require.GreaterOrEqual(t, i.Cwnd, uint32(10))
		}
	}
}
