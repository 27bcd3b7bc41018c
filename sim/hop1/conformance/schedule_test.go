package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// drawTime draws a time in steps of 10 ms, which shrinks well.
func drawTime(t *rapid.T, least, most time.Duration, label string) time.Duration {
	const step = 10 * time.Millisecond
	return time.Duration(rapid.IntRange(int(least/step), int(most/step)).Draw(t, label)) * step
}

// drawPlan draws what goes wrong between the first and the seventh second.
func drawPlan(t *rapid.T) *plan {
	p := newPlan(rapid.SampledFrom(hop1.Transports()).Draw(t, "transport"))
	p.link, p.nat = latency, rapid.Bool().Draw(t, "behind a NAT")
	p.length = 8 * time.Second
	p.quiet(span{6 * time.Second, forever})
	outside := []string{"client-*", "client-1", "publisher", "client-*|publisher"}
	if p.nat {
		outside = []string{"nat", "publisher", "nat|publisher"}
	}
	if rapid.Bool().Draw(t, "idle time-out") {
		p.idle = drawTime(t, 500*time.Millisecond, 3*time.Second, "idle")
	}
	// An edge goes once and comes back. One that stops may take its time: net/http gives a connection that
	// has asked for nothing yet 5 s to do so.
	for _, name := range []string{"edge-1", "edge-2"} {
		at := drawTime(t, time.Second, 4*time.Second, name+" goes at")
		away := drawTime(t, 500*time.Millisecond, 2500*time.Millisecond, name+" is away for")
		switch rapid.SampledFrom([]string{"stays", "stops", "crashes"}).Draw(t, name) {
		case "stops":
			p.add(at, sim.Stop(name))
			p.add(at+6*time.Second+away, sim.Restart(name))
			p.length = 14 * time.Second
		case "crashes":
			p.add(at, sim.Crash(name))
			p.add(at+away, sim.Restart(name))
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "faults") {
		at := drawTime(t, time.Second, 5*time.Second, "at")
		end := at + drawTime(t, 50*time.Millisecond, 2*time.Second, "for")
		who := rapid.SampledFrom(outside).Draw(t, "who")
		switch rapid.SampledFrom([]string{"partition", "one way", "loss", "rebind"}).Draw(t, "fault") {
		case "partition":
			p.add(at, netsim.Partition(who, frontage))
			p.add(end, netsim.Heal())
		case "one way":
			p.add(at, netsim.Blackhole(frontage, who))
			p.add(end, netsim.Heal())
		case "loss":
			lossy := latency
			lossy.Loss = 0.2
			p.add(at, netsim.SetLink(who, frontage, lossy))
			p.add(end, netsim.SetLink(who, frontage, latency))
		case "rebind":
			if p.nat {
				p.add(at, netsim.Rebind("nat"))
			}
		}
	}
	return p
}

// Goal: whatever goes wrong together, once it is over every client has every message once and in order.
// Method: random schedules of all faults of the table, and some more, on random seeds.
func TestSchedules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlan(rt)
		o := carryOut(t, sim.Config{Seed: rapid.Uint64().Draw(rt, "seed")}, p)
		if !o.res.Ok() {
			rt.Fatalf("%s: %s", p.transport, o.res.Banner(nil, "by rapid's fail file"))
		}
	})
}

// Goal: the schedules are bad enough to tell: both mutants are caught by several of a few fixed ones.
func TestSchedulesCatchMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("takes dozens of runs")
	}
	plans := rapid.Custom(drawPlan)
	for mutant, catcher := range map[hop1.Mutant]string{hop1.NoResume: "NoLoss", hop1.NoDedupe: "NoDuplicate"} {
		caught := 0
		for i := range 12 {
			p := plans.Example(i)
			p.mutant = mutant
			o := carryOut(t, sim.Config{Seed: uint64(i)}, p)
			require.NoError(t, o.res.Err)
			for _, v := range o.res.Verdicts {
				if v.Property == catcher && v.Outcome == model.Illegal {
					caught++
				}
			}
		}
		require.GreaterOrEqual(t, caught, 3, "%s", mutant)
	}
}
