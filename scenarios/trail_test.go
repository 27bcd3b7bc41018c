package scenarios_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Goal: whatever the transport and the balancer, the trail tells how each message came to each client.
// Method: to each delivery belongs a copy that the edge had handed to that very client, of a message that it had
// got from hop 2; and to each publish that returned, an append.
func TestTrailIsComplete(t *testing.T) {
	for _, balancer := range []string{"l4", "l7"} {
		t.Run(balancer, func(t *testing.T) {
			c := scenarios.NewChat()
			for name, value := range map[string]string{"clients": "10", "rooms": "2", "duration": "10s", "rate": "2", "balancer": balancer} {
				require.NoError(t, scenarios.Set(c, name, value))
			}
			c.Transport = "all"
			if testing.Short() {
				c.Transport = "sse"
			}
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 2})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			type hop struct {
				node, peer, id string
			}
			copies, received, appended := map[hop]bool{}, map[hop]bool{}, map[string]bool{}
			for _, e := range res.Trail {
				switch e.Kind {
				case model.Copy:
					copies[hop{e.Node, e.Peer, e.ID}] = true
				case model.Receive:
					received[hop{e.Node, e.Peer, e.ID}] = true
				case model.Append:
					appended[e.ID] = true
				}
			}
			deliveries := 0
			for _, e := range res.History.Events {
				switch e.Kind {
				case model.Deliver:
					deliveries++
					require.True(t, copies[hop{e.Peer, e.Node, e.ID}], "%s handed %s to %s (%s)", e.Peer, e.ID, e.Node, e.Transport)
					require.True(t, received[hop{e.Peer, "redis", e.ID}], "%s got %s", e.Peer, e.ID)
				case model.PublishOK:
					require.True(t, appended[e.ID], "%s is in the log", e.ID)
				}
			}
			require.Greater(t, deliveries, 50)
		})
	}
}
