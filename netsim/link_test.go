package netsim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// drawnDuration draws from 0 to most, zero and the bounds included.
func drawnDuration(most time.Duration, t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, label))
}

func drawnProbability(t *rapid.T, label string) float64 {
	if rapid.Bool().Draw(t, label+" is 0") {
		return 0
	}
	return rapid.Float64Range(0, 1).Draw(t, label)
}

// drawnLink draws a valid link.
func drawnLink(t *rapid.T) Link {
	l := Link{
		Latency:   drawnDuration(100*ms, t, "latency"),
		Loss:      drawnProbability(t, "loss"),
		Duplicate: drawnProbability(t, "duplicate"),
		MTU:       rapid.SampledFrom([]int{0, minMTU, 576, 1400, maxMTU}).Draw(t, "mtu"),
	}
	if rapid.Bool().Draw(t, "jittery") {
		l.Jitter = drawnDuration(l.Latency, t, "jitter")
	}
	l.Variation = drawnVariation(t, l.room())
	l.Burst = drawnModel(t)
	if rapid.Bool().Draw(t, "reorders") {
		l.Reorder = rapid.Float64Range(0.01, 1).Draw(t, "reorder")
		l.ReorderBy = 1 + drawnDuration(20*ms, t, "reorder by")
	}
	if rapid.Bool().Draw(t, "limited") {
		l.Rate = rapid.Int64Range(1000, 1e10).Draw(t, "rate")
		l.Queue = rapid.IntRange(0, 1<<16).Draw(t, "queue")
		l.QueuePackets = rapid.IntRange(0, 20).Draw(t, "queue packets")
	}
	return l
}

func TestLinkValidate(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		link Link
		want string
	}{
		{Link{Latency: -1}, "Latency is -1ns; it must not be negative"},
		{Link{Latency: 2 * time.Hour}, "Latency is 2h0m0s; it must not be more than 1h0m0s"},
		{Link{Latency: 5, Jitter: 6}, "Jitter is 6ns; it must lie between 0 and the Latency of 5ns"},
		{Link{Latency: 5, Jitter: -6}, "Jitter is -6ns"},
		{Link{Loss: 1.5}, "Loss is 1.5; it is a probability in [0, 1]"},
		{Link{Loss: nan}, "Loss is NaN"},
		{Link{Duplicate: -0.1}, "Duplicate is -0.1; it is a probability"},
		{Link{Reorder: 2, ReorderBy: 1}, "Reorder is 2; it is a probability"},
		{Link{Reorder: nan, ReorderBy: 1}, "Reorder is NaN"},
		{Link{Reorder: 0.5, ReorderBy: -1}, "ReorderBy is -1ns; it must lie between 0 and 1h0m0s"},
		{Link{ReorderBy: ms}, "ReorderBy is 1ms but Reorder is 0"},
		{Link{Reorder: 0.5}, "Reorder is 0.5 but all packets take equally long"},
		{Link{Reorder: 0.5, Variation: Constant(ms)}, "all packets take equally long"},
		{Link{Reorder: 0.5, Variation: Empirical(ms, ms)}, "all packets take equally long"},
		{Link{Rate: -1}, "Rate is -1 bit/s; it must lie between 0 and 10^15"},
		{Link{Rate: 1 << 60}, "Rate is 1152921504606846976 bit/s"},
		{Link{Rate: 1, Queue: -1}, "Queue is -1 bytes; it must lie between 0 and 1073741824"},
		{Link{Rate: 1, Queue: 1<<30 + 1}, "Queue is 1073741825 bytes"},
		{Link{Rate: 1, QueuePackets: -1}, "QueuePackets is -1"},
		{Link{Queue: 1}, "Queue is 1 bytes but Rate is 0"},
		{Link{QueuePackets: 1}, "QueuePackets is 1 but Rate is 0"},
		{Link{MTU: 67}, "MTU is 67 bytes; it must lie between 68 and 65535 (0 means 1500)"},
		{Link{MTU: -1}, "MTU is -1 bytes"},
		{Link{MTU: 1 << 16}, "MTU is 65536 bytes"},
		{Link{Burst: GilbertElliott{P: 2}}, "Burst is gemodel(2, 0, 0, 0); want P in [0, 1], not 2"},
		{Link{Burst: GilbertElliott{P: 0.1}}, "Burst is gemodel(0.1, 0, 0, 0); want R above 0 if P is"},
		{Link{Burst: GilbertElliott{LossGood: nan}}, "want LossGood in [0, 1], not NaN"},
		{Link{Burst: Bursts(0.9, 2)}, "want P in [0, 1], not 4.5"},
		{Link{Burst: Bursts(0.1, 0.5)}, "want R in [0, 1], not 2"},
		{Link{Burst: Bursts(1, 2)}, "want P in [0, 1], not +Inf"},
		{Link{Burst: Bursts(nan, 2)}, "want P in [0, 1], not NaN"},
		{Link{Burst: Fades(0.995, ms)}, "want P in [0, 1], not 1.9"},
		{Link{Burst: Fades(0.1, -ms)}, "want P in [0, 1], not -"},
		{Link{Burst: Fades(0.1, 101*time.Hour)}, "want Slot from 0 to 1h0m0s"},
		{Link{Latency: 10 * ms, Jitter: 4 * ms, Variation: Uniform(7 * ms)}, "Variation is uniform(7ms); want at most 6ms"},
		{Link{Latency: 10 * ms, Variation: Normal(11 * ms)}, "Variation is normal(11ms); want at most 10ms"},
		{Link{Variation: Normal(-1)}, "Variation is normal(-1ns); want durations from 0 to 1h0m0s"},
		{Link{Variation: Constant(2 * time.Hour)}, "Variation is constant(2h0m0s)"},
		{Link{Variation: LogNormal(ms, 0)}, "want a sigma in (0, 4]"},
		{Link{Variation: LogNormal(ms, nan)}, "want a sigma in (0, 4]"},
		{Link{Variation: Pareto(ms, 1)}, "want an alpha in (1, 1000]"},
		{Link{Variation: Pareto(ms, math.Inf(1))}, "want an alpha in (1, 1000]"},
		{Link{Variation: Empirical()}, "it has 0 delays: want 1 to 4096"},
		{Link{Variation: Empirical(make([]time.Duration, 4097)...)}, "it has 4097 delays"},
		{Link{Variation: Empirical(5, -1)}, "want delays from 0 to 1h0m0s"},
	} {
		require.ErrorContains(t, c.link.validate(), c.want, "%+v", c.link)
	}
	for _, l := range []Link{
		{}, {Latency: time.Hour, Jitter: time.Hour}, {Loss: 1, Duplicate: 1}, {Rate: 1}, {MTU: 68},
		{Reorder: 1, Latency: 1, Jitter: 1}, {Reorder: 1, Variation: Pareto(1, 2)},
		{Latency: ms, Variation: Normal(ms)}, {Burst: GilbertElliott{LossGood: 1}},
	} {
		require.NoError(t, l.validate(), "%+v", l)
	}
}

// Whatever the link, nothing arrives before its least latency, of which the loop makes use.
func TestLeastLatency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &pipe{luck: newPCG(rapid.Uint64().Draw(t, "seed"), "link")}
		now := time.Duration(0)
		for range rapid.IntRange(1, 3).Draw(t, "links") {
			p.link = drawnLink(t)
			if err := p.link.validate(); err != nil {
				t.Fatalf("%v: %v", p.link, err)
			}
			least := p.link.minLatency()
			if least < leastLatency {
				t.Fatalf("%v: least latency is %v", p.link, least)
			}
			for _, gap := range rapid.SliceOfN(rapid.Int64Range(0, int64(5*ms)), 1, 200).Draw(t, "gaps") {
				now += time.Duration(gap)
				way := p.carry(now, rapid.IntRange(40, 1500).Draw(t, "size"), true)
				for _, at := range way.arrivals[:way.copies] {
					if at < now+least {
						t.Fatalf("%v: sent at %v, arrived at %v, less than %v later", p.link, now, at, least)
					}
				}
			}
		}
	})
}
