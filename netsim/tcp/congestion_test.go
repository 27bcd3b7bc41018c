package tcp

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// bulk has an end write as much as fits, whenever it can.
func bulk(e *end) {
	e.w.unchecked = true // windows become large
	buf := make([]byte, 256<<10)
	e.user = func() { e.c.Write(buf) }
	e.settle()
}

// RFC 5681 §3.1: slow start doubles the window every round trip; congestion avoidance adds a segment.
func TestSlowStartAndAvoidance(t *testing.T) {
	k := connected(t, Config{Congestion: Reno}, Config{})
	reader(k.b)
	bulk(k.a)
	k.pass(20 * ms)
	for _, want := range []uint32{10, 20, 40, 80} {
		require.InDelta(t, want, k.a.c.Info().Cwnd, 2) // the last acknowledgement may be delayed
		k.pass(100 * ms)
	}
	k.a.c.cc.ssthresh = 160
	k.pass(50 * ms)
	k.pass(50 * ms)
	from := k.a.c.Info().Cwnd
	require.EqualValues(t, 160, from)
	k.pass(10 * 100 * ms)
	require.InDelta(t, from+10, k.a.c.Info().Cwnd, 1)
}

// RFC 7661 §4.1: a window that is not used does not grow.
func TestUnusedWindowStays(t *testing.T) {
	k := connected(t, Config{}, Config{})
	reader(k.b)
	k.chatter(k.a, 500)
	require.EqualValues(t, 10, k.a.c.Info().Cwnd)
}

// RFC 2861 §3: after an idle period the window is halved for every timeout that passed, down to the
// initial window, and the threshold remembers three quarters of it.
func TestIdleRestart(t *testing.T) {
	for _, keep := range []bool{false, true} {
		k := connected(t, Config{KeepIdleWindow: keep}, Config{})
		reader(k.b)
		k.a.c.cc.cwnd, k.a.c.cc.ssthresh = 80, 40
		k.a.c.lastSend = k.now
		k.pass(time.Duration(2.5 * float64(k.a.c.rto())))
		k.write(k.a, 1448)
		if keep {
			require.EqualValues(t, 80, k.a.c.Info().Cwnd)
			continue
		}
		require.EqualValues(t, 20, k.a.c.Info().Cwnd)
		require.EqualValues(t, 60, k.a.c.Info().Ssthresh)
		k.pass(time.Minute)
		k.write(k.a, 1448)
		require.EqualValues(t, 10, k.a.c.Info().Cwnd)
	}
}

// RFC 9438 §4.2: the window follows C(t-K)³ + W_max, within the rounding of whole segments.
func TestCubicCurve(t *testing.T) {
	var q cubic
	g := congestion{cwnd: 1000, ssthresh: unlimited, limited: true}
	g.ssthresh = q.threshold(g.cwnd)
	require.EqualValues(t, 700, g.ssthresh, "RFC 9438 §4.6: β = 0.7")
	g.cwnd = g.ssthresh
	g.cubic = q
	start := 10 * time.Second
	rtt := 100 * ms
	for now := start; now < start+15*time.Second; now += rtt {
		for range g.cwnd {
			g.acked(now, 1)
		}
		sec := (now - start).Seconds()
		k := math.Cbrt(300 / 0.4)
		want := 0.4*math.Pow(sec-k, 3) + 1000
		reno := 700 + 0.53*sec/rtt.Seconds()
		if want > reno && sec > 0.5 {
			require.InEpsilon(t, want, g.cwnd, 0.03, "at %v", now-start)
		}
	}
	require.Greater(t, g.cwnd, uint32(1000), "past the plateau")
}

// RFC 9438 §4.3: with a small window it is no slower than Reno, which gains 0.53 segments per round
// trip in equilibrium with β = 0.7.
func TestCubicRenoFriendly(t *testing.T) {
	g := congestion{cwnd: 14, ssthresh: 14, limited: true}
	g.cubic.wMax = 20
	now := time.Second
	for range 100 {
		for range g.cwnd {
			g.acked(now, 1)
		}
		now += 10 * ms // K is 2.5 s: the curve stays below 20 in this time
	}
	require.InDelta(t, 14+53, g.cwnd, 8)
}

// RFC 9438 §4.7: a second loss before the window is back lowers W_max further.
func TestFastConvergence(t *testing.T) {
	var q cubic
	q.threshold(100)
	require.EqualValues(t, 100, q.wMax)
	q.threshold(80)
	require.EqualValues(t, 68, q.wMax, "80·(1+β)/2")
	q.threshold(90)
	require.EqualValues(t, 90, q.wMax)
	require.EqualValues(t, 2, q.threshold(1), "RFC 9438 §4.6: no less than two")
}

// RFC 9438 §5.8: time in which nothing was sent does not count.
func TestCubicIdle(t *testing.T) {
	q := cubic{epoch: 1000}
	q.resume(61*time.Second, time.Second)
	require.EqualValues(t, 61000, q.epoch)
	q.resume(62*time.Second, 0)
	require.EqualValues(t, 62000, q.epoch, "never in the future")
}

func TestCubeRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64Range(0, 1<<62).Draw(t, "x")
		r := uint64(cubeRoot(x))
		require.LessOrEqual(t, r*r*r, x)
		require.Greater(t, (r+1)*(r+1)*(r+1), x)
	})
}

// HyStart ends slow start when the round trip grows by an eighth, before the queue overflows.
func TestHystartDelay(t *testing.T) {
	k := connected(t, Config{SendBuffer: 1 << 20}, Config{ReceiveBuffer: 1 << 20})
	reader(k.b)
	k.links[0].rate, k.links[0].queue = 1e6, time.Second // 70 segments per round trip, deep queue
	bulk(k.a)
	require.True(t, k.runUntil(k.now+10*time.Second, func() bool { return k.a.c.Info().Ssthresh != 0 }))
	require.Zero(t, k.a.c.Info().Lost)
	require.Less(t, k.a.c.Info().Cwnd, uint32(200))
}

// RFC 5681 §3.1 equation 4.
func TestRenoThreshold(t *testing.T) {
	require.EqualValues(t, 50, renoThreshold(100))
	require.EqualValues(t, 2, renoThreshold(3))
}
