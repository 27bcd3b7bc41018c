package scenarios_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Goal: a source that loses its only disk, which nobody promises to survive, begins a new log, and every client
// is told. After a mere crash of the same length nobody has to be.
func TestChatWhoseSourceLosesItsDisk(t *testing.T) {
	for strategy, node := range map[string]string{
		"redis-streams": "redis", "kafka": "kafka", "jetstream": "jetstream", "pull": "store", "ring": "source",
	} {
		t.Run(strategy, func(t *testing.T) {
			if testing.Short() && strategy != "pull" {
				t.Skip("its like is tested")
			}
			for _, kind := range []string{"crash", "disk-lose"} {
				c := smallChat()
				c.Hop2 = strategy
				faults, err := sim.ParseSchedule(kind + "(" + node + ")@5s for 1s")
				require.NoError(t, err)
				c.SetFaults(faults)
				report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 2, Repeat: repeat(kind == "disk-lose")})
				require.Equal(t, model.Ok, report.Outcome(), "%s: %s", kind, res.Banner(nil, ""))
				require.Equal(t, 1, report.Faults[0].Bites)
				if kind == "crash" {
					require.Zero(t, report.Discontinuities)
				} else {
					require.Equal(t, c.Clients, report.Discontinuities)
				}
			}
		})
	}
}

// Goal: a coordination service goes on when a minority has lost its disk, and whoever did steps aside.
func TestChatWhoseCoordinatorLosesItsDisk(t *testing.T) {
	for _, node := range []string{"coord-1", "coord-2", "coord-3"} {
		if testing.Short() && node != "coord-1" {
			continue
		}
		c := smallChat()
		c.Hop2 = "ring"
		faults, err := sim.ParseSchedule("disk-lose(" + node + ")@4s for 1s; crash(edge-1)@6s for 2s")
		require.NoError(t, err)
		c.SetFaults(faults)
		report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 2, Repeat: repeat(node == "coord-1")})
		require.Equal(t, model.Ok, report.Outcome(), "%s: %s", node, res.Banner(nil, ""))
		require.Equal(t, 1, report.Faults[0].Bites)
		require.Zero(t, report.Discontinuities)
		answers := map[string]bool{} // who accepts connections once all is well again
		for i := range res.Trace.Steps() {
			if s, _ := res.Trace.At(i + 1); s.Kind == netsim.Established.String() && s.Time > 6*time.Second {
				answers[s.Host] = true
			}
		}
		for _, coord := range []string{"coord-1", "coord-2", "coord-3"} {
			require.Equal(t, coord != node, answers[coord], "%s has lost its disk; %s", node, coord)
		}
	}
}

// Goal: a chat over the ring is asked to survive the loss of one coordinator's disk, and of no other, and nothing of
// hop 2 goes after that.
func TestHazardsLoseOneDisk(t *testing.T) {
	lost := map[string]bool{}
	for seed := range uint64(300) {
		c := smallChat()
		require.NoError(t, scenarios.ChooseFaults(c, "heavy", seed))
		require.NotContains(t, c.Faults().String(), "disk-lose", "there is one store only")
		c.Hop2 = "ring"
		require.NoError(t, scenarios.ChooseFaults(c, "heavy", seed))
		after := ""
		for _, f := range c.Faults() {
			text := f.Fault.String()
			hop2 := f.Fault.Kind() == "crash" || f.Fault.Kind() == "pause"
			if after != "" && hop2 {
				require.Contains(t, text, "edge-", "seed %d, after %s", seed, after)
			}
			if f.Fault.Kind() == "disk-lose" {
				require.Empty(t, after, "seed %d", seed)
				after = text
				lost[text] = true
			}
		}
	}
	require.Len(t, lost, 3, "each of the coordinators, in one seed or another")
}
