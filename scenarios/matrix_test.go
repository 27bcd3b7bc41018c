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
// Method: all pairs, of which one for each strategy runs twice; with -short those only, once.
func TestAnyHop1WithAnyHop2(t *testing.T) {
	transports := hop1.Transports()
	for i, strategy := range chatStrategies() {
		for k, transport := range transports {
			if testing.Short() && k != i%len(transports) {
				continue
			}
			t.Run(strategy+"/"+transport, func(t *testing.T) {
				c := tinyChat(t, transport, strategy)
				report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 3, Repeat: repeat(k == i%len(transports))})
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

// Goal: what the chat promises holds over every strategy, whatever hazards come, those of the strategy's own
// nodes included; and it runs the same way twice.
func TestAnyHop2SurvivesTheHazards(t *testing.T) {
	for i, strategy := range chatStrategies() {
		if testing.Short() && strategy != hop2.RingName && strategy != "kafka" {
			continue
		}
		t.Run(strategy, func(t *testing.T) {
			c := tinyChat(t, "mix", strategy)
			c.Clients, c.Duration = 12, 30*time.Second
			require.NoError(t, scenarios.ChooseFaults(c, "heavy", uint64(i)))
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: uint64(i), Repeat: repeat(true)})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			own := 0
			for _, h := range c.Hazards() {
				if h.Group == "hop 2" {
					own += len(h.Faults)
				}
			}
			want := 2 // its one node crashes, or pauses
			switch strategy {
			case "nats":
				want = 1 // a crash would have it forget IDs, and publishers try again
			case hop2.RingName:
				want *= 1 + 4 // a controller and three nodes of a coordination service,
				want += 3     // each of which may lose its disk
			}
			require.Equal(t, want, own)
		})
	}
}

// Goal: a chat over several hosts of Redis or Kafka survives the same hazards, of which each befalls one of them; and it
// runs the same way twice.
func TestShardsSurviveTheHazards(t *testing.T) {
	for strategy, param := range map[string]string{"redis-streams": "shards", "kafka": "brokers"} {
		if testing.Short() && strategy == "kafka" {
			continue
		}
		t.Run(strategy, func(t *testing.T) {
			c := tinyChat(t, "mix", strategy)
			c.Clients, c.Duration = 12, 30*time.Second
			require.NoError(t, scenarios.Set(c, param, "3"))
			require.NoError(t, c.Validate())
			require.NoError(t, scenarios.ChooseFaults(c, "heavy", 2))
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 2, Repeat: 2})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			hit := map[string]bool{}
			for _, h := range c.Hazards() {
				for _, f := range h.Faults {
					if h.Group == "hop 2" {
						hit[f.String()] = true
					}
				}
			}
			require.Len(t, hit, 2*3, "each crashes, or pauses: %v", hit)
			c.Hop2 = "nats"
			require.ErrorContains(t, c.Validate(), "parameter "+param+": 3 is not allowed with hop2 nats")
		})
	}
}

// Goal: a chat whose edges get their messages from relays survives the same hazards, and the relays' own.
func TestRelaysSurviveTheHazards(t *testing.T) {
	for i, strategy := range []string{"redis-streams", "nats"} {
		if testing.Short() && strategy == "nats" {
			continue
		}
		t.Run(strategy, func(t *testing.T) {
			c := tinyChat(t, "mix", strategy)
			c.Clients, c.Relays, c.Duration = 12, 2, 30*time.Second
			require.NoError(t, scenarios.ChooseFaults(c, "heavy", uint64(i)))
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: uint64(i), Repeat: repeat(true)})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		})
	}
	c := tinyChat(t, "ws", hop2.RingName)
	c.Relays = 1
	require.ErrorContains(t, c.Validate(), "parameter relays: 1 is not allowed with hop2 ring")
}

// Goal: the ring loses nothing, whatever of it fails, one thing at a time.
// Method: a chat over it, with one fault after its clients have connected; each must bite.
func TestRingConformance(t *testing.T) {
	for i, failure := range []struct{ name, faults string }{
		{"source restart", "crash(source)@5s for 3s"},
		{"source partition", "partition(edge-1, source)@5s for 3s"},
		{"coordinator restart", "crash(coord-1)@5s for 3s"},
		{"controller restart", "crash(controller)@5s for 3s"},
		{"edge crash", "crash(edge-1)@5s for 4s"},
		{"edge gone", "crash(edge-1)@5s"},
		{"rolling restart", "stop(edge-1)@5s for 3s\nstop(edge-2)@10s for 3s"},
		{"slow edge", "slow(edge-1, 300ms)@5s for 4s"},
		{"scale in", "stop(edge-1)@5s"},
		{"scale out", "stop(edge-2)@1ms for 6s"}, // it is not there before
	} {
		if testing.Short() && failure.name != "edge gone" {
			continue
		}
		t.Run(failure.name, func(t *testing.T) {
			faults, err := sim.ParseSchedule(failure.faults)
			require.NoError(t, err)
			c := tinyChat(t, "mix", hop2.RingName)
			c.Duration = 20 * time.Second
			c.SetFaults(faults)
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 4, Repeat: repeat(i%2 == 0)})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Zero(t, report.Discontinuities)
			require.Len(t, report.Faults, len(faults))
			for _, f := range report.Faults {
				require.Positive(t, f.Bites, "%s", f.Fault)
			}
		})
	}
}
