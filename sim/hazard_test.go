package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// hazards is what a system of two servers behind a NAT survives.
var hazards = []sim.Hazard{
	{Faults: []sim.Fault{sim.Crash("a"), sim.Crash("b")}, Least: time.Second, Most: 5 * time.Second, Group: "servers", Rest: 2 * time.Second},
	{Faults: []sim.Fault{netsim.Pause("a"), netsim.Pause("b")}, Least: 100 * time.Millisecond, Most: time.Second, Group: "servers"},
	{Faults: []sim.Fault{netsim.Rebind("nat")}},
	{Faults: []sim.Fault{netsim.Loss("*", "*", true, 0.1)}, Least: time.Second, Most: time.Minute},
}

var window = sim.Window{Begin: 5 * time.Second, End: 35 * time.Second}

// checkSchedule requires that a schedule is one that the hazards allow.
func checkSchedule(t require.TestingT, s sim.Schedule) {
	last := window.Begin
	for i, f := range s {
		require.GreaterOrEqual(t, f.At, last, "in order: %v", s)
		require.LessOrEqual(t, f.At+f.For, window.End, "all end: %v", s)
		last = f.At
		for _, g := range s[:i] {
			servers := func(x sim.Scheduled) bool { return x.Fault.Kind() == "crash" || x.Fault.Kind() == "pause" }
			end := g.At + g.For
			if g.Fault.Kind() == "crash" {
				end += 2 * time.Second
			}
			if servers(f) && servers(g) || f.Fault.String() == g.Fault.String() {
				require.Greater(t, f.At, end, "%v while %v: %v", f, g, s)
			}
		}
	}
	again, err := sim.ParseSchedule(s.String())
	require.NoError(t, err)
	require.Equal(t, s.String(), again.String())
}

// Goal: whatever is drawn, the system is asked for no more than it promises.
func TestFaultScheduleKeepsToHazards(t *testing.T) {
	for _, how := range []sim.Intensity{sim.Light, sim.Heavy} {
		rapid.Check(t, func(rt *rapid.T) {
			s := sim.FaultSchedule(hazards, how, window).Draw(rt, "faults")
			checkSchedule(rt, s)
			require.NotEmpty(rt, s)
		})
	}
}

// Goal: seeds differ in what goes wrong, and every hazard has its turn, alone too; the same seed draws the same.
func TestDrawFaultsIsASwarm(t *testing.T) {
	w := map[string]int{}
	for seed := range uint64(300) {
		s := sim.DrawFaults(netsim.NewRand(seed, "faults"), hazards, sim.Heavy, window)
		require.Equal(t, s.String(), sim.DrawFaults(netsim.NewRand(seed, "faults"), hazards, sim.Heavy, window).String())
		checkSchedule(t, s)
		var kinds []string
		for _, f := range s {
			kinds = append(kinds, f.Fault.Kind())
		}
		slices.Sort(kinds)
		w[strings.Join(slices.Compact(kinds), " ")]++
	}
	for _, alone := range []string{"crash", "pause", "rebind", "loss", "crash loss pause rebind"} {
		require.Greater(t, w[alone], 3, "%v", w)
	}
}

// Goal: where nothing can go wrong, nothing does.
func TestDrawNoFaults(t *testing.T) {
	luck := netsim.NewRand(1, "faults")
	require.Empty(t, sim.DrawFaults(luck, hazards, sim.None, window))
	require.Empty(t, sim.DrawFaults(luck, nil, sim.Heavy, window))
	require.Empty(t, sim.DrawFaults(luck, []sim.Hazard{{}}, sim.Heavy, window))
	require.Empty(t, sim.DrawFaults(luck, hazards[:1], sim.Heavy, sim.Window{Begin: time.Second, End: 1500 * time.Millisecond}))
	require.Equal(t, "heavy", sim.Heavy.String())
	require.Equal(t, "Intensity(7)", sim.Intensity(7).String())
}
