package scenarios_test

import (
	"fmt"
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
	for _, strategy := range hop2.Names() {
		for _, storage := range []string{"file", "memory"} {
			promises := hop2.PromisesOf(strategy)
			name := strategy
			if storage == "memory" {
				if strategy != "jetstream" {
					continue
				}
				name, promises.Durable = "jetstream-memory", false
			}
			for fault, lossless := range map[string]bool{
				"none":             true,
				"broker-restart":   promises.Durable,
				"broker-partition": promises.Resume,
				"edge-crash":       promises.Resume,
				"rolling-restart":  promises.Resume,
				"slow-edge":        promises.Resume,
			} {
				if testing.Short() && fault != "broker-restart" {
					continue
				}
				t.Run(name+"/"+fault, func(t *testing.T) {
					b := smallBrokers(strategy, fault)
					b.Storage = storage
					require.NoError(t, b.Validate())
					report, res := scenarios.Execute(t, b, "", sim.Config{Seed: 5, Repeat: 2})
					require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
					require.Positive(t, report.Delivered)
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

// Goal: an unknown strategy is refused by name, with those that there are.
func TestUnknownStrategy(t *testing.T) {
	err := scenarios.Set(scenarios.NewChat(), "hop2", "carrier-pigeon")
	require.ErrorContains(t, err, fmt.Sprintf("parameter hop2: %q is not allowed: want one of jetstream", "carrier-pigeon"))
	b := scenarios.NewBrokers()
	b.Outage = time.Minute
	require.ErrorContains(t, b.Validate(), "parameter outage: 1m0s is not allowed: want at most half the duration, 10s")
}
