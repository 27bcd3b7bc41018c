package netsim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Goal: occupancy is exact. Method: 8 Mbit/s (1000 bytes a millisecond) and room for 2000 bytes, by hand.
func TestDropTailByHand(t *testing.T) {
	const rate, room = 8e6, 2000
	dropped := time.Duration(-1)
	var q dropTail
	for i, c := range []struct {
		at      time.Duration
		size    int
		done    time.Duration
		bytes   int // waiting afterwards
		packets int
	}{
		{0, 1000, 1 * ms, 0, 0},                // A is sent at once, until 1 ms
		{0, 1000, 2 * ms, 1000, 1},             // B waits
		{0, 500, 2500 * us, 1500, 2},           // C
		{0, 501, dropped, 1500, 2},             // too much by a byte
		{0, 500, 3 * ms, 2000, 3},              // D: full
		{1*ms - 1, 1, dropped, 2000, 3},        // A is still being sent
		{1 * ms, 1000, 4 * ms, 2000, 3},        // B is being sent and counts no more: C, D, E wait
		{2 * ms, 40, 4040 * us, 500 + 1040, 3}, // D, E, F
		{3 * ms, 1000, 5040 * us, 1040, 2},     // E is being sent: F, G
		{5040 * us, 1500, 6540 * us, 0, 0},     // G is just done
		{5041 * us, 9000, 15540 * us, 9000, 1}, // larger than the queue, but alone
		{5041 * us, 1, dropped, 9000, 1},       // nothing beside it
		{20 * ms, 1000, 21 * ms, 0, 0},         // idle again
		{21 * ms, 125_000, 146 * ms, 0, 0},     // at the very end of a transmission nothing waits
		{21*ms + 1, 2000, 148 * ms, 2000, 1},   // full to the byte
		{145999 * us, 1, dropped, 2000, 1},     // still
		{146 * ms, 2000, 150 * ms, 2000, 1},    // one in, one out
		{147 * ms, 1, dropped, 2000, 1},        //
		{time.Hour, 1, time.Hour + us, 0, 0},   // a long time after
	} {
		done, taken := q.take(c.at, c.size, rate, room, 0)
		require.Equal(t, c.done != dropped, taken, "packet %d", i)
		if taken {
			require.Equal(t, c.done, done, "packet %d", i)
		}
		require.Equal(t, c.bytes, q.bytes, "packet %d", i)
		require.Equal(t, c.packets, q.waiting.count, "packet %d", i)
	}
}

func TestDropTailLimits(t *testing.T) {
	var byPackets dropTail
	for i, want := range []bool{true, true, true, false} { // one is sent, two wait
		_, taken := byPackets.take(0, 1, 8e6, 0, 2)
		require.Equal(t, want, taken, i)
	}
	// Without limits 100 ms of rate may wait: 100,000 bytes.
	var byDefault dropTail
	n := 0
	for ; ; n++ {
		if _, taken := byDefault.take(0, 1000, 8e6, 0, 0); !taken {
			break
		}
	}
	require.Equal(t, 1+100, n)
	// However slow, one may wait.
	var slow dropTail
	for i, want := range []bool{true, true, false} {
		_, taken := slow.take(0, 1500, 1, 0, 0)
		require.Equal(t, want, taken, i)
	}
}

func TestTransmitTime(t *testing.T) {
	require.Equal(t, 1200*time.Nanosecond, transmitTime(1500, 10e9))
	require.Equal(t, 4*time.Nanosecond, transmitTime(40, 100e9), "3.2 ns rounded up")
	require.Equal(t, 12000*time.Second, transmitTime(1500, 1))
	require.Equal(t, time.Duration(1), transmitTime(1, maxRate))
}

// The ring gives the same answers as going through all packets that were ever taken.
func TestDropTailAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q dropTail
		var all []queued
		now, free := time.Duration(0), time.Duration(0)
		for range rapid.IntRange(1, 4).Draw(t, "rates") {
			rate := rapid.Int64Range(1e5, 1e8).Draw(t, "rate")
			limit := rapid.IntRange(1, 30_000).Draw(t, "limit")
			packetLimit := rapid.IntRange(0, 60).Draw(t, "packet limit")
			for range 100 {
				now += drawnDuration(ms/2, t, "gap")
				size := rapid.IntRange(1, 1500).Draw(t, "size")
				bytes, packets := 0, 0
				for _, p := range all {
					if p.starts > now {
						bytes += p.size
						packets++
					}
				}
				starts := max(now, free)
				fits := starts == now || packets == 0 || bytes+size <= limit && (packetLimit == 0 || packets < packetLimit)
				done, taken := q.take(now, size, rate, limit, packetLimit)
				if taken != fits {
					t.Fatalf("at %v, %d bytes in %d packets wait: taken is %v", now, bytes, packets, taken)
				}
				if !taken {
					continue
				}
				all = append(all, queued{starts, size})
				free = starts + transmitTime(size, rate)
				if done != free {
					t.Fatalf("at %v: done at %v, want %v", now, done, free)
				}
			}
		}
	})
}
