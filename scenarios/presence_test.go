package scenarios_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Goal: whoever is in a room is seen at every edge while edges crash and clients are cut off, and nobody who left;
// whoever starts at a position that a failover loses is told. Each is the same twice.
func TestWhoIsThereAndFailover(t *testing.T) {
	for _, name := range []string{"presence-never-leaves", "blind-start"} {
		t.Run(name, func(t *testing.T) {
			cases, err := scenarios.FindMutants([]string{name})
			require.NoError(t, err)
			c, err := cases[0].Setting.Capsule("", 1)
			require.NoError(t, err)
			report, res, err := c.Run(t, sim.Config{Repeat: repeat(true)})
			require.NoError(t, err)
			require.Equal(t, model.Ok, report.Outcome(), res.Banner(nil, ""))
		})
	}
}

// Goal: presence is shown over every transport and strategy, with the faults that are the scenario's own.
func TestPresenceAcross(t *testing.T) {
	for _, how := range [][2]string{{"poll", "redis-streams"}, {"longpoll", "redis-streams"}, {"ws", "redis-pubsub"}, {"sse", "nats"}} {
		if testing.Short() {
			break
		}
		p := scenarios.NewPresence()
		p.Transport, p.Hop2 = how[0], how[1]
		report, res := scenarios.Execute(t, p, "", sim.Config{Seed: 1, DropTrace: true})
		require.Equal(t, model.Ok, report.Outcome(), "%v: %s", how, res.Banner(nil, ""))
	}
}
