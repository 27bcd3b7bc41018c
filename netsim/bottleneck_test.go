package netsim

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Goal: what a server sends to many clients queues on its own uplink, however fast the paths are.
// Method: 100 clients, one packet of 1000 bytes for each at once, 8 Mbit/s.
func TestFanOutQueuesOnUplink(t *testing.T) {
	uplink := &bottleneck{limit: Bottleneck{Rate: 8e6, Queue: 79_000}}
	for i := range 100 {
		path := pipeOf(Link{Latency: 10 * ms})
		leaves, f := uplink.take(0, 1000)
		if i >= 80 {
			require.Equal(t, fateQueueFull, f, "one is sent, 79 wait")
			continue
		}
		require.Equal(t, fateArrives, f)
		way := path.carry(leaves, 1000, false)
		require.Equal(t, time.Duration(i+1)*ms+10*ms, way.arrivals[0])
	}
}

// Goal: a shared bottleneck accounts for every byte, and drops the same fraction of every flow.
// Method: two flows at 4 and 8 Mbit/s through 6 Mbit/s for a minute. They are Poisson, so that both find the
// queue in the same state on average; five standard errors are 0.018 for the smaller one.
func TestSharedBottleneck(t *testing.T) {
	const size, rate, end = 1500, 6_000_000, time.Minute
	b := &bottleneck{limit: Bottleneck{Rate: rate, Queue: 30_000}}
	luck := newPCG(1, "flows")
	var offered, carried [2]int
	gap := [2]time.Duration{3 * ms, 3 * ms / 2}
	next := [2]time.Duration{}
	last := time.Duration(0)
	for next[0] < end || next[1] < end {
		flow := 0
		if next[1] < next[0] {
			flow = 1
		}
		offered[flow]++
		leaves, f := b.take(next[flow], size)
		if f == fateArrives {
			carried[flow]++
			require.GreaterOrEqual(t, leaves, last+transmitTime(size, rate), "one at a time")
			last = leaves
		}
		next[flow] += time.Duration(-math.Log(1-uniform(luck)) * float64(gap[flow]))
	}
	// It was never idle but in the first milliseconds: all that was carried took up all the time.
	busy := time.Duration(carried[0]+carried[1]) * transmitTime(size, rate)
	require.InDelta(t, float64(last), float64(busy), float64(50*ms))
	require.LessOrEqual(t, busy, last)
	share := [2]float64{float64(carried[0]) / float64(offered[0]), float64(carried[1]) / float64(offered[1])}
	require.InDelta(t, 0.5, share[0], 0.018, "half of 12 Mbit/s fits")
	require.InDelta(t, 0.5, share[1], 0.018)
}

func TestNoBottleneck(t *testing.T) {
	for _, b := range []*bottleneck{nil, {}} {
		leaves, f := b.take(3*ms, 1e6)
		require.Equal(t, 3*ms, leaves)
		require.Equal(t, fateArrives, f)
		require.Zero(t, b.least(1500))
	}
}

func TestAccessRules(t *testing.T) {
	var a access
	require.NoError(t, a.set("edge-*", Bottleneck{Rate: 1e9}))
	require.NoError(t, a.set("phone-1|phone-2", Bottleneck{Name: "cell", Rate: 50e6}))
	var edge1, edge2, phone1, phone2, other accessPoint
	epoch := uint64(1)
	find := func(p *accessPoint, host string) *bottleneck { return p.bottleneck(&a, host, epoch) }

	require.NotNil(t, find(&edge1, "edge-1"))
	require.NotSame(t, find(&edge1, "edge-1"), find(&edge2, "edge-2"), "each has its own")
	require.Same(t, find(&phone1, "phone-1"), find(&phone2, "phone-2"), "they share the cell")
	require.Nil(t, find(&other, "client"))
	require.Equal(t, transmitTime(1500, 1e9), find(&edge1, "edge-1").least(1500))

	// A later rule holds, keeps what is queued, and changes a named bottleneck for all.
	leaves, _ := find(&edge1, "edge-1").take(0, 125_000) // 1 ms
	require.Equal(t, ms, leaves)
	require.NoError(t, a.set("edge-1", Bottleneck{Rate: 1e8}))
	require.NoError(t, a.set("phone-2", Bottleneck{Name: "cell", Rate: 5e6}))
	epoch++
	leaves, _ = find(&edge1, "edge-1").take(0, 125_000)
	require.Equal(t, 11*ms, leaves)
	leaves, _ = find(&edge2, "edge-2").take(0, 125_000)
	require.Equal(t, ms, leaves)
	require.Equal(t, int64(5e6), find(&phone1, "phone-1").limit.Rate)

	// Out of the cell, and the limit lifted.
	require.NoError(t, a.set("phone-1", Bottleneck{}))
	epoch++
	leaves, _ = find(&phone1, "phone-1").take(5*ms, 1e6)
	require.Equal(t, 5*ms, leaves)
	require.Equal(t, int64(5e6), find(&phone2, "phone-2").limit.Rate)

	require.ErrorContains(t, a.set("", Bottleneck{}), `pattern "" has an empty part`)
	require.ErrorContains(t, a.set("edge-1", Bottleneck{Rate: -1}), "edge-1: bottleneck: Rate is -1 bit/s")
	require.ErrorContains(t, a.set("edge-1", Bottleneck{Queue: 1}), "bottleneck: Queue is 1 bytes but Rate is 0")
	require.ErrorContains(t, a.set("edge-1", Bottleneck{Name: "a b"}), `bottleneck: Name "a b" has ' '`)
	require.ErrorContains(t, a.set("edge-1", Bottleneck{Name: strings.Repeat("x", 64)}), "has 64 characters")
}

func TestBottleneckText(t *testing.T) {
	require.Equal(t, "name=cell-7 rate=50Mbit queue=9000 queue-packets=3", Bottleneck{"cell-7", 50e6, 9000, 3}.String())
	require.Equal(t, "rate=0bit", Bottleneck{}.String())
	require.Equal(t, "name=x rate=0bit", Bottleneck{Name: "x"}.String())
	_, err := ParseBottleneck("name=a/b rate=1bit")
	require.ErrorContains(t, err, `Name "a/b" has '/'`)
	_, err = ParseBottleneck("latency=1ms")
	require.ErrorContains(t, err, `unknown key "latency"; want name, rate, queue, queue-packets`)
	rapid.Check(t, func(t *rapid.T) {
		b := Bottleneck{Name: rapid.StringMatching(`[A-Za-z0-9._-]{0,63}`).Draw(t, "name")}
		if b.Rate = rapid.Int64Range(0, maxRate).Draw(t, "rate"); b.Rate > 0 {
			b.Queue = rapid.IntRange(0, maxQueue).Draw(t, "queue")
			b.QueuePackets = rapid.IntRange(0, maxQueue).Draw(t, "queue packets")
		}
		text, err := b.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again Bottleneck
		if err := again.UnmarshalText(text); err != nil || again != b {
			t.Fatalf("%s became %v, %v", text, again, err)
		}
	})
}

func FuzzParseBottleneck(f *testing.F) {
	f.Add("name=cell-7 rate=50Mbit queue=9000 queue-packets=3")
	f.Add("rate=0bit")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBottleneck(text)
		if err != nil {
			return
		}
		again, err := ParseBottleneck(b.String())
		require.NoError(t, err)
		require.True(t, b == again, "%q is %v, then %v", text, b, again)
	})
}
