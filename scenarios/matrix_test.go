package scenarios_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// chatStrategies are the values of the chat's parameter hop2.
func chatStrategies() []string {
	names := append(hop2.Names(), hop2.RingName)
	slices.Sort(names)
	return names
}

// tinyChat is a chat that is run for each of many combinations.
func tinyChat(t *testing.T, transport, strategy string) *scenarios.Chat {
	c := scenarios.NewChat()
	c.Clients, c.Rooms, c.Publishers, c.Rate, c.Duration = 8, 4, 2, 3, 14*time.Second
	require.NoError(t, scenarios.Set(c, "transport", transport))
	require.NoError(t, scenarios.Set(c, "hop2", strategy))
	return c
}

// Goal: any hop 1 goes with any hop 2: an edge crashes and returns, clients lose nothing of which they are not
// told, and the run reproduces itself.
// Method: all pairs; with -short every strategy with one transport, and every transport.
func TestAnyHop1WithAnyHop2(t *testing.T) {
	transports := hop1.Transports()
	for i, strategy := range chatStrategies() {
		for k, transport := range transports {
			if testing.Short() && k != i%len(transports) {
				continue
			}
			t.Run(strategy+"/"+transport, func(t *testing.T) {
				c := tinyChat(t, transport, strategy)
				report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 3, Repeat: 2})
				require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
				require.Equal(t, transport == "webrtc", report.Inexact)
				require.Equal(t, []string{transport}, report.Transports())
				if transport != "poll" { // which has no connection to lose
					require.Positive(t, report.Reconnects, "nobody was at the edge that crashed")
				}
				if hop2.PromisesOf(strategy).Resume {
					require.Zero(t, report.Discontinuities)
				}
			})
		}
	}
}
