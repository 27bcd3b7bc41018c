package netsim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func pipeOf(l Link) *pipe { return &pipe{link: l, luck: newPCG(1, "link")} }

// within checks a sample's mean against the expected one: with n draws of this standard deviation it is
// further off than 4.5 standard errors once in 150,000 times, and as the seed is fixed, never again.
func within(t *testing.T, want, got, stdDev float64, n int, what ...any) {
	t.Helper()
	require.InDelta(t, want, got, 4.5*stdDev/math.Sqrt(float64(n)), what...)
}

func TestPipeFates(t *testing.T) {
	big := pipeOf(Link{MTU: 576})
	require.Equal(t, fateTooBig, big.carry(0, 577, false).fate)
	require.Equal(t, passage{arrivals: [2]time.Duration{us}, copies: 1}, big.carry(0, 576, false))
	require.Equal(t, fateArrives, big.carry(0, 64<<10, true).fate, "a network card splits it")
	require.Equal(t, fateTooBig, pipeOf(Link{}).carry(0, 1501, false).fate)
	require.Equal(t, fateArrives, pipeOf(Link{}).carry(0, 1500, false).fate)

	cut := pipeOf(Link{})
	cut.block = &block{}
	require.Equal(t, passage{fate: fateCut}, cut.carry(0, 2000, false))
	require.Equal(t, passage{fate: fateLost}, pipeOf(Link{Loss: 1}).carry(0, 100, false))

	// 1000 bytes take 1 ms. One packet is sent, one waits.
	full := pipeOf(Link{Latency: 5 * ms, Rate: 8e6, QueuePackets: 1})
	require.Equal(t, 6*ms, full.carry(0, 1000, false).arrivals[0])
	require.Equal(t, 7*ms, full.carry(0, 1000, false).arrivals[0])
	require.Equal(t, passage{fate: fateQueueFull}, full.carry(0, 1000, false))
	require.Equal(t, 8*ms, full.carry(1*ms, 1000, false).arrivals[0])
}

// A lost packet has been transmitted: it has used the link's rate.
func TestLossUsesRate(t *testing.T) {
	p := pipeOf(Link{Rate: 8e6, Loss: 1})
	require.Equal(t, fateLost, p.carry(0, 1000, false).fate)
	p.link.Loss = 0
	require.Equal(t, 2*ms+us, p.carry(0, 1000, false).arrivals[0])
}

func TestBernoulliLossAndDuplicates(t *testing.T) {
	const n, loss, duplicate = 100_000, 0.03, 0.2
	p := pipeOf(Link{Latency: ms, Loss: loss, Duplicate: duplicate})
	lost, twice := 0, 0
	for i := range n {
		way := p.carry(time.Duration(i)*ms, 100, false)
		switch {
		case way.fate == fateLost:
			lost++
			require.Zero(t, way.copies)
		case way.copies == 2:
			twice++
			require.Equal(t, way.arrivals[0], way.arrivals[1], "without variation both take equally long")
		}
	}
	within(t, loss, float64(lost)/n, math.Sqrt(loss*(1-loss)), n)
	arrived := n - lost
	within(t, duplicate, float64(twice)/float64(arrived), math.Sqrt(duplicate*(1-duplicate)), arrived)
}

// Copies draw delays of their own, and reordering may make the second the first.
func TestDuplicatesVary(t *testing.T) {
	p := pipeOf(Link{Latency: 10 * ms, Jitter: 5 * ms, Duplicate: 1, Reorder: 1})
	first, second := 0, 0
	for i := range 1000 {
		way := p.carry(time.Duration(i)*time.Second, 100, false)
		require.Equal(t, 2, way.copies)
		switch {
		case way.arrivals[0] < way.arrivals[1]:
			first++
		case way.arrivals[0] > way.arrivals[1]:
			second++
		}
	}
	within(t, 0.5, float64(first)/1000, 0.5, 1000)
	within(t, 0.5, float64(second)/1000, 0.5, 1000)
}

// Packets keep their order, through changes of the link, too, as long as none reorders.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pipeOf(Link{})
		now, last := time.Duration(0), time.Duration(0)
		for range rapid.IntRange(1, 4).Draw(t, "links") {
			p.link = drawnLink(t)
			p.link.Reorder, p.link.ReorderBy = 0, 0
			for range 50 {
				now += drawnDuration(ms, t, "gap")
				way := p.carry(now, rapid.IntRange(40, 1500).Draw(t, "size"), true)
				for _, at := range way.arrivals[:way.copies] {
					if at < last {
						t.Fatalf("%v: arrival at %v after one at %v", p.link, at, last)
					}
					last = at
				}
			}
		}
	})
}

// A packet that leaves the order is late by a time uniform in (0, ReorderBy], and holds up nobody.
func TestReorder(t *testing.T) {
	const n, by = 50_000, 8 * ms
	p := pipeOf(Link{Latency: 20 * ms, Reorder: 0.1, ReorderBy: by})
	late, sum, overtaken, latest := 0, 0.0, 0, time.Duration(0)
	for i := range n {
		now := time.Duration(i) * ms
		at := p.carry(now, 100, false).arrivals[0]
		if offset := at - now - 20*ms; offset > 0 {
			require.LessOrEqual(t, offset, by)
			late++
			sum += float64(offset)
		}
		if at < latest {
			overtaken++
		}
		latest = max(latest, at)
	}
	within(t, 0.1, float64(late)/n, math.Sqrt(0.1*0.9), n)
	within(t, float64(by)/2, sum/float64(late), float64(by)/math.Sqrt(12), late)
	require.Greater(t, overtaken, late, "some are overtaken by several")

	// Exempt from the order only: what Jitter makes late stays behind.
	p = pipeOf(Link{Latency: 20 * ms, Jitter: 10 * ms, Reorder: 1})
	backwards, last := 0, time.Duration(0)
	for i := range 1000 {
		at := p.carry(time.Duration(i)*us, 100, false).arrivals[0]
		if at < last {
			backwards++
		}
		last = at
	}
	within(t, 0.5, float64(backwards)/1000, 0.5, 1000)
}

// A link changed in mid-run: what was taken keeps its fate, and what follows waits behind it.
func TestChangedLink(t *testing.T) {
	p := pipeOf(Link{Rate: 8e6}) // 1000 bytes take 1 ms
	for i := 1; i <= 3; i++ {
		require.Equal(t, time.Duration(i)*ms+us, p.carry(0, 1000, false).arrivals[0])
	}
	p.link.Rate = 80e6 // ten times faster, but only for those who come now
	require.Equal(t, 3100*us+us, p.carry(0, 1000, false).arrivals[0])
	p.link.Rate = 0 // nothing queues any more, but order holds
	require.Equal(t, 3100*us+us, p.carry(0, 1000, false).arrivals[0])
	p.link.Rate = 0.8e6
	require.Equal(t, 13100*us+us, p.carry(0, 1000, false).arrivals[0])
	p.link.Queue = 2000 // of the five that were taken, three wait: 2, 3 and 4 began or begin by 3.1 ms
	require.Equal(t, fateQueueFull, p.carry(2*ms, 1000, false).fate)
	require.Equal(t, fateArrives, p.carry(3*ms, 1000, false).fate)
	p.link = Link{Latency: 5 * ms}
	require.Equal(t, 105*ms, p.carry(100*ms, 1000, false).arrivals[0])
}

// The same seed makes the same fates, and what cannot happen takes no luck.
func TestPipeDeterminism(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, seed := drawnLink(t), rapid.Uint64().Draw(t, "seed")
		a, b := &pipe{link: l, luck: newPCG(seed, "x")}, &pipe{link: l, luck: newPCG(seed, "x")}
		for i := range 200 {
			now := time.Duration(i) * ms
			if x, y := a.carry(now, 40+i, true), b.carry(now, 40+i, true); x != y {
				t.Fatalf("packet %d: %+v and %+v", i, x, y)
			}
		}
	})
	quiet := pipeOf(Link{Latency: ms, Rate: 1e6})
	for i := range 10 {
		quiet.carry(time.Duration(i)*ms, 100, false)
	}
	require.Equal(t, newPCG(1, "link").Uint64(), quiet.luck.Uint64(), "a link without chance draws nothing")
}

// everything is a link on which all that can happen does.
func everything(v Variation) Link {
	return Link{
		Latency: 50 * ms, Jitter: ms, Variation: v, Loss: 0.01, Burst: Fades(0.02, 10*ms), Duplicate: 0.1,
		Reorder: 0.1, ReorderBy: ms, Rate: 10e6, Queue: 30_000, QueuePackets: 25,
	}
}

var someVariations = []Variation{
	Constant(ms), Uniform(5 * ms), Normal(5 * ms), LogNormal(5*ms, 0.5), Pareto(5*ms, 2.5), Empirical(ms, 2*ms, 9*ms),
}

func TestCarryAllocatesNothing(t *testing.T) {
	for _, v := range someVariations {
		p, now := pipeOf(everything(v)), time.Duration(0)
		require.NoError(t, p.link.validate())
		send := func() {
			p.carry(now, 1500, false)
			now += ms // 1.2 times the rate, so that the queue stays full
		}
		for range 1000 {
			send() // the queue's ring grows to its full size
		}
		require.Zero(t, testing.AllocsPerRun(1000, send), v)
	}
}

func BenchmarkCarry(b *testing.B) {
	bench := func(name string, l Link) {
		b.Run(name, func(b *testing.B) {
			p, now := pipeOf(l), time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				p.carry(now, 1500, false)
				now += ms
			}
		})
	}
	bench("plain", Link{Latency: 50 * ms})
	bench("jitter+loss", Link{Latency: 50 * ms, Jitter: ms, Loss: 0.01})
	bench("rate", Link{Latency: 50 * ms, Rate: 10e6})
	for _, v := range someVariations {
		bench(v.String(), Link{Latency: 50 * ms, Variation: v})
	}
	bench("everything", everything(LogNormal(5*ms, 0.5)))
}
