package scenarios_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Wherever its edges and clients are, and whatever the faults that it promises to survive, a chat keeps all its
// promises. If it does not, rapid shrinks layout and faults together.
func TestChatAnywhere(t *testing.T) {
	before, checks := flag.Lookup("rapid.checks").Value.String(), "12" // a run takes a tenth of a second
	if testing.Short() {
		checks = "2"
	}
	require.NoError(t, flag.Set("rapid.checks", checks))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, func(rt *rapid.T) {
		chat := scenarios.NewChat().In(sim.Topology(sim.Extent{}).Draw(rt, "layout"))
		chat.Rooms, chat.Publishers, chat.Rate, chat.Duration = 3, 1, 4, 15*time.Second
		chat.SetFaults(sim.FaultSchedule(chat.Hazards(), sim.Light, chat.Window()).Draw(rt, "faults"))
		cfg := sim.Config{Seed: rapid.Uint64().Draw(rt, "seed"), DropTrace: true}
		if res := sim.Run(t, cfg, chat.Run); !res.Ok() {
			rt.Fatalf("%s", res.Banner(nil, ""))
		}
	})
}
