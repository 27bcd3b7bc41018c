package scenarios_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// smallBrokers is the catalogue's comparison, of one strategy, shorter.
func smallBrokers(strategy, fault string) *scenarios.Brokers {
	b := scenarios.NewBrokers()
	b.Hop2, b.Fault, b.Duration, b.Outage = strategy, fault, 12*time.Second, 4*time.Second
	b.Edges, b.Rooms, b.Rate = 2, 2, 10
	return b
}

// Goal: what each strategy promises holds, whatever fails; and what it does not promise is seen to fail,
// and to be announced.
// Method: every strategy with every fault; a strategy that keeps no log must have told of gaps wherever
// somebody was away or slow, one that keeps a log must not.
func TestConformance(t *testing.T) {
	for i, strategy := range chatStrategies() {
		for _, storage := range []string{"file", "memory"} {
			promises := hop2.PromisesOf(strategy)
			name := strategy
			if storage == "memory" {
				if strategy != "jetstream" {
					continue
				}
				name, promises.Durable = "jetstream-memory", false
			}
			for k, c := range []struct {
				fault    string
				lossless bool
			}{
				{"broker-restart", promises.Durable},
				{"broker-partition", promises.Resume},
				{"edge-crash", promises.Resume},
				{"rolling-restart", promises.Resume},
				{"slow-edge", promises.Resume},
				{"scale-in", promises.Resume},
				{"scale-out", true},
				{"none", true},
			} {
				fault, lossless := c.fault, c.lossless
				if testing.Short() && k > 0 {
					continue
				}
				t.Run(name+"/"+fault, func(t *testing.T) {
					b := smallBrokers(strategy, fault)
					b.Storage = storage
					require.NoError(t, b.Validate())
					report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5, Repeat: repeat(k%4 == i%4)})
					require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
					require.Positive(t, report.Delivered)
					if strategy == hop2.RingName { // one edge reads each room, for all
						require.Equal(t, report.Published, report.Delivered)
						requireMoves(t, fault, b.Rooms, report)
					}
					if lossless {
						require.Zero(t, report.Discontinuities)
					} else {
						require.Positive(t, report.Discontinuities, "nothing was lost: the fault is no test of the strategy")
					}
				})
			}
		}
	}
}

// requireMoves requires that, in a ring, rooms have gone to another edge if edges came or went for long, and else have
// not.
func requireMoves(t *testing.T, fault string, rooms int, report *scenarios.Report) {
	t.Helper()
	judged := slices.ContainsFunc(report.Verdicts, func(v model.Verdict) bool { return v.Property == "MinimalMovement" })
	switch fault {
	case "edge-crash", "rolling-restart", "scale-out", "scale-in":
		require.Positive(t, report.Reconnects, "no room has moved")
		require.True(t, judged)
	default:
		require.Equal(t, rooms, report.Reconnects+1)
		require.False(t, judged)
	}
}

// Goal: with relays between, every strategy keeps its promises all the same, whatever fails, a relay included.
// Method: as above; the broker is out of reach for a relay, not for an edge.
func TestRelayConformance(t *testing.T) {
	for i, strategy := range hop2.Names() {
		for k, fault := range []string{"none", "broker-restart", "broker-partition", "relay-restart", "edge-crash", "slow-edge"} {
			if testing.Short() && (fault != "relay-restart" || i%3 != k%3) {
				continue
			}
			t.Run(strategy+"/"+fault, func(t *testing.T) {
				b := smallBrokers(strategy, fault)
				b.Relays = 2
				require.NoError(t, b.Validate())
				report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5, Repeat: repeat(k == i%6)})
				require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
				require.Positive(t, report.Delivered)
				promises := hop2.PromisesOf(strategy)
				switch {
				case promises.Resume && (promises.Durable || fault != "broker-restart"), fault == "none",
					fault == "edge-crash", fault == "slow-edge": // the relay keeps what was missed
					require.Zero(t, report.Discontinuities)
				default:
					require.Positive(t, report.Discontinuities, "nothing was lost: the fault is no test of the strategy")
				}
			})
		}
	}
	b := smallBrokers("kafka", "relay-restart")
	require.ErrorContains(t, b.Validate(), "parameter fault: relay-restart is not allowed: there are no relays")
	b = smallBrokers("ring", "none")
	b.Relays = 2
	require.ErrorContains(t, b.Validate(), "parameter relays: 2 is not allowed with hop2 ring, where rooms belong to edges; want 0")
	require.ErrorContains(t, smallBrokers("ring", "leader-move").Validate(), "fault: leader-move is not allowed with hop2 ring")
}

// Goal: an edge that keeps quiet about the gaps it is told of is caught, with every strategy that has any.
func TestConformanceMutant(t *testing.T) {
	for _, strategy := range hop2.Names() {
		if hop2.PromisesOf(strategy).Resume {
			continue
		}
		t.Run(strategy, func(t *testing.T) {
			b := smallBrokers(strategy, "broker-partition")
			m := b.Mutants()[0]
			require.NoError(t, b.Mutate(m.Name))
			report, _ := scenarios.Execute(t, b, m.Name, sim.Config{Seed: 5})
			require.Equal(t, model.Illegal, report.Outcome())
			for _, v := range report.Verdicts {
				if v.Property == m.Catcher {
					require.Equal(t, model.Illegal, v.Outcome, "%v", v)
				}
			}
		})
	}
}

// Goal: the comparison of all strategies side by side is whole, its table says what is so, there is a figure of it, and
// it reproduces itself.
// Method: every broker restarts, in the catalogue's comparison, whose latencies are judged, too; nothing fails, in a
// smaller one.
func TestBrokersCompared(t *testing.T) {
	for _, fault := range []string{"broker-restart", "none"} {
		if testing.Short() && fault != "none" {
			continue
		}
		b, cfg := scenarios.NewBrokers(), sim.Config{Seed: 5}
		if fault == "none" {
			b, cfg.Repeat = smallBrokers(scenarios.AllStrategies, fault), repeat(true)
			b.Edges = 1
		}
		report, res := scenarios.Execute(t, b, "", cfg)
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		require.Len(t, report.Tables, 1)
		table := report.Tables[0]
		require.Len(t, table.Rows, len(chatStrategies()))
		gaps := 0
		for i, row := range table.Rows {
			require.Len(t, row, len(table.Head))
			require.Equal(t, chatStrategies()[i], row[0])
			latency, err := time.ParseDuration(strings.ReplaceAll(row[1], " ", ""))
			require.NoError(t, err)
			// A message goes from the publisher to the broker and from there to the edge; pull waits for its poll.
			require.GreaterOrEqual(t, latency, 2*b.Latency, row)
			require.Equal(t, row[0] != "pull", latency < 10*time.Millisecond, row)
			n, err := strconv.Atoi(row[3])
			require.NoError(t, err)
			gaps += n
			require.Equal(t, fault == "broker-restart" && !hop2.PromisesOf(row[0]).Durable, n > 0, row)
			each, err := strconv.ParseFloat(row[6], 64)
			require.NoError(t, err)
			require.Greater(t, each, 2*float64(b.Body), "%v: a message comes to the broker and leaves it", row)
			if fault == "broker-restart" {
				back, err := time.ParseDuration(strings.ReplaceAll(row[7], " ", ""))
				require.NoError(t, err)
				require.Positive(t, back)
				require.Less(t, back, 5*time.Second, row)
			}
		}
		require.Equal(t, report.Discontinuities, gaps)
		latency := slices.IndexFunc(report.Verdicts, func(v model.Verdict) bool { return v.Property == "AddedLatency" })
		require.Equal(t, fault == "broker-restart", latency >= 0, "little is published in the smaller one")
		figures := b.Figures(res.History)
		require.Len(t, figures, 1)
		require.Regexp(t, `^6 of 7 strategies deliver 99 of 100 messages within \d`, figures[0].Figure.Title())
	}
	require.Empty(t, scenarios.NewBrokers().Tables(&model.History{}))
	require.NotEmpty(t, scenarios.NewBrokers().Figures(&model.History{})[0].Figure.Problem())
}

// Goal: a hop that adds too much is noticed; it is not judged where hosts are far from each other on purpose.
func TestAddedLatency(t *testing.T) {
	b := scenarios.NewBrokers()
	b.Hop2, b.Fault, b.Edges, b.Rooms = "nats", "none", 1, 2
	report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	v := b.AddedLatency().Check(&model.History{})
	require.Equal(t, model.Unknown, v.Outcome)
	require.Contains(t, v.Detail, "too little to judge: 0 messages by nats")
	b.Latency = 2 * time.Millisecond
	require.Len(t, b.Properties(), len(scenarios.NewBrokers().Properties())-1)
}

// Goal: polling takes no longer than its interval explains when more is published between two polls than a page holds.
func TestAddedLatencyOfFullPages(t *testing.T) {
	b := scenarios.NewBrokers()
	b.Hop2, b.Fault, b.Edges, b.Rooms, b.Publishers, b.Rate = "pull", "none", 1, 1, 1, 300
	report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.Greater(t, report.Published, 4000)
	require.Less(t, report.LatencyMS["pull"].Max, 1002.0)
}

// Goal: of polling, what its interval explains is accepted, and nothing else.
// Method: made-up latencies, of one message every 10 ms.
func TestAddedLatencyOfPolling(t *testing.T) {
	b := scenarios.NewBrokers()
	b.Hop2, b.Fault = "pull", "none"
	const poll = time.Second
	for name, c := range map[string]struct {
		latency func(published time.Duration) time.Duration
		want    string // of the verdict; none if it is accepted
	}{
		"a second's":     {func(at time.Duration) time.Duration { return time.Millisecond + poll - at%poll }, ""},
		"two seconds'":   {func(at time.Duration) time.Duration { return 2*poll - at%(2*poll) }, "an interval of 1s explains 1ms to 1.001s, and at most 1ms more"},
		"at once":        {func(time.Duration) time.Duration { return 0 }, "pull took 0s to 0s"},
		"all the same":   {func(time.Duration) time.Duration { return poll / 2 }, "pull's latencies are 0.50 from the distribution"},
		"seldom at once": {func(at time.Duration) time.Duration { return time.Millisecond + (poll-at%poll)/10 }, "pull's latencies are 0.9"},
	} {
		t.Run(name, func(t *testing.T) {
			var events []model.Event
			for at := time.Second; at < 4*time.Second; at += 10 * time.Millisecond {
				e := model.Event{Time: at, Kind: model.PublishCall, Node: "publisher-1", Room: "pull.1", ID: at.String()}
				events = append(events, e)
				e.Time, e.Kind, e.Node, e.Transport = at+c.latency(at), model.Deliver, "edge-1", "pull"
				events = append(events, e)
			}
			slices.SortStableFunc(events, func(a, b model.Event) int { return cmp.Compare(a.Time, b.Time) })
			for i := range events {
				events[i].Step = uint64(i + 1)
			}
			v := b.AddedLatency().Check(&model.History{Events: events})
			if c.want == "" {
				require.Equal(t, model.Ok, v.Outcome, "%s", v.Detail)
				return
			}
			require.Equal(t, model.Illegal, v.Outcome)
			require.Contains(t, v.Detail, c.want)
		})
	}
}

// Goal: rooms are spread over shards, and one that dies takes its own rooms only.
// Method: three hosts of Redis, the first of which restarts: what comes late, or with a gap, comes from it alone.
func TestShards(t *testing.T) {
	if testing.Short() {
		t.Skip("a second")
	}
	for _, strategy := range []string{"redis-streams", "redis-pubsub"} {
		b := smallBrokers(strategy, "broker-restart")
		b.Rooms, b.Edges = 6, 1
		require.NoError(t, scenarios.Set(b, "shards", "3"))
		report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5, Repeat: repeat(true)})
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		first := hop2Node(strategy) + "-1"
		delivered, hit, shard := map[string]int{}, map[string]bool{}, map[string]string{} // by shard, by shard, by room
		for _, e := range res.History.Events {
			switch e.Kind {
			case model.Deliver:
				delivered[e.Peer]++
				shard[e.Room] = e.Peer
			case model.Discontinuity:
				hit[e.Peer] = true
			}
		}
		for _, l := range model.Latencies(res.History) {
			if l.Value() > 100*time.Millisecond {
				hit[shard[l.Room]] = true
			}
		}
		require.Len(t, delivered, 3, "%v", delivered)
		require.Equal(t, map[string]bool{first: true}, hit)
		require.Equal(t, strategy == "redis-pubsub", report.Discontinuities > 0)
	}
}

// Goal: of several brokers of Kafka, one that dies, or whose partitions others come to lead, loses nothing; and only
// the rooms that it led wait until others lead them.
// Method: three brokers; every fault, twice each.
func TestKafkaBrokers(t *testing.T) {
	for _, fault := range []string{"broker-restart", "broker-partition", "leader-move", "rolling-restart", "scale-out", "scale-in"} {
		if testing.Short() && fault != "leader-move" {
			continue
		}
		t.Run(fault, func(t *testing.T) {
			b := smallBrokers("kafka", fault)
			b.Rooms = 3
			require.NoError(t, scenarios.Set(b, "brokers", "3"))
			require.NoError(t, b.Validate())
			report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5, Repeat: repeat(true)})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Zero(t, report.Discontinuities)
			require.Equal(t, b.Edges*report.Published, report.Delivered-joined(fault, b.Edges, res.History), "some publishers never heard of their messages")
			late := map[string]time.Duration{}
			for _, l := range model.Latencies(res.History) {
				late[l.Room] = max(late[l.Room], l.Value())
			}
			waited, moved := 0, 0
			for _, d := range late {
				if d > time.Second {
					waited++
				}
				if d > 20*time.Millisecond { // nothing else takes as long
					moved++
				}
			}
			switch fault {
			case "broker-restart", "broker-partition":
				require.Equal(t, 1, waited, "%v", late)
			case "leader-move":
				require.Zero(t, waited, "%v", late)
				require.Positive(t, moved, "nobody noticed: %v", late)
			case "scale-out":
				require.Zero(t, moved, "%v", late)
			}
		})
	}
	b := smallBrokers("kafka", "leader-move")
	require.ErrorContains(t, b.Validate(), "fault: leader-move is not allowed with hop2 kafka and 1 brokers: want kafka and several")
	b = smallBrokers("kafka", "scale-in")
	b.Edges = 1
	require.ErrorContains(t, b.Validate(), "fault: scale-in is not allowed with 1 edge: want 2 or more")
}

// Goal: edges that read from Kafka as one consumer group get every message, one of them, once, whichever edges come,
// go or die, and whatever becomes of brokers.
// Method: every fault, lasting longer than a member may be silent, with one broker and with three.
func TestKafkaGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds")
	}
	for _, brokers := range []string{"1", "3"} {
		for _, fault := range []string{"broker-restart", "broker-partition", "edge-crash", "rolling-restart", "scale-out", "scale-in", "slow-edge"} {
			if brokers == "3" && fault != "broker-restart" && fault != "broker-partition" {
				continue
			}
			t.Run(fault+"/"+brokers, func(t *testing.T) {
				b := smallBrokers("kafka", fault)
				b.Rooms = 6
				require.NoError(t, scenarios.Set(b, "group", "shared"))
				require.NoError(t, scenarios.Set(b, "brokers", brokers))
				report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5, Repeat: repeat(brokers == "1")})
				require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
				require.Zero(t, report.Discontinuities)
				require.Equal(t, report.Published, report.Delivered)
				moves := 0
				for _, e := range res.History.Events {
					if e.Kind == model.Connected {
						moves++
					}
				}
				if fault != "slow-edge" {
					require.Greater(t, moves, b.Rooms, "no room has moved")
				}
			})
		}
	}
}

// joined is how many messages an edge got that came later.
func joined(fault string, edges int, h *model.History) (n int) {
	for _, e := range h.Events {
		if e.Kind == model.Deliver && fault == "scale-out" && e.Node == fmt.Sprintf("edge-%d", edges+1) {
			n++
		}
	}
	return n
}

// hop2Node is what the host of a strategy's source is called.
func hop2Node(strategy string) string {
	if strategy == "redis-streams" {
		return "redis"
	}
	return strategy
}

// Goal: an unknown strategy is refused by name, with those that there are.
func TestUnknownStrategy(t *testing.T) {
	err := scenarios.Set(scenarios.NewChat(), "hop2", "carrier-pigeon")
	require.ErrorContains(t, err, fmt.Sprintf("parameter hop2: %q is not allowed: want one of jetstream", "carrier-pigeon"))
	b := scenarios.NewBrokers()
	b.Outage = time.Minute
	require.ErrorContains(t, b.Validate(), "parameter outage: 1m0s is not allowed: want at most half the duration, 10s")
}
