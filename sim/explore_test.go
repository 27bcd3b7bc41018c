package sim_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// exploreTicker looks for a schedule under which the receiver hears less than it should.
func exploreTicker(t *testing.T, least int) {
	sim.Explore(t, sim.Search{
		Seeds: 30, Intensity: sim.Heavy, Window: sim.Window{Begin: time.Second, End: 15 * time.Second},
		Hazards: []sim.Hazard{
			{Faults: []sim.Fault{netsim.Pause("receiver")}, Least: time.Second, Most: 3 * time.Second},
			{Faults: []sim.Fault{netsim.Partition("sender", "receiver")}, Least: time.Second, Most: 10 * time.Second},
		},
	}, func(w *sim.World) {
		heard := ticker(w)
		w.RunFor(20*time.Second + 500*time.Millisecond)
		if *heard < least {
			w.Failf("it heard %d of 20", *heard)
		}
	})
}

// Goal: a system that survives its hazards passes.
func TestExplore(t *testing.T) { exploreTicker(t, 0) }

// Goal: one that does not fails, with the faults that it takes and no others, and a line that replays it.
// Method: this test again in another process, where it may fail.
func TestExploreFinds(t *testing.T) {
	if os.Getenv("EXPLORE_FINDS") != "" {
		exploreTicker(t, 16)
		return
	}
	test := exec.Command(os.Args[0], "-test.run", "^TestExploreFinds$")
	test.Env = append(os.Environ(), "EXPLORE_FINDS=1")
	out, err := test.CombinedOutput()
	require.Error(t, err)
	require.Regexp(t, `seed \d+ fails; the faults it takes: partition\(sender, receiver\)@\d+s for \S+\n`, string(out))
	require.Contains(t, string(out), "it heard 1")
	require.Regexp(t, `replay: go test github.com/twohop/twohop/sim -run '\^TestExploreFinds\$' -sim.seed=\d+`, string(out))
}
