package conformance

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// Goal: every transport holds what hop 1 promises, whatever the network does.
// Method: every check on every network, once; each is judged by all properties and by its own rule, and
// each network must be seen to have done what it is for.
func TestConformance(t *testing.T) {
	for _, transport := range hop1.Transports() {
		for _, n := range networks {
			if testing.Short() && !n.short {
				continue
			}
			for _, c := range checks {
				t.Run(transport+"/"+n.name+"/"+c.name, func(t *testing.T) {
					if why := traitsOf(transport).excepted(n.name, c.name); why != "" {
						t.Skip(why)
					}
					p := newPlan(transport)
					n.change(p)
					c.change(p)
					o := carryOut(t, fixed(), p, n.bites...)
					require.True(t, o.res.Ok(), "%s", o.res.Banner(nil, replay(t, o)))
					c.judge(t, o)
					if n.name == "clean" && c.clean != nil {
						c.clean(t, o)
					}
					if n.evidence != nil {
						require.Positive(t, n.evidence(o), "the network did nothing")
					}
				})
			}
		}
	}
}

// replay is the command that makes a case again.
func replay(t *testing.T, o *outcome) string {
	return fmt.Sprintf("go test ./sim/hop1/conformance -run '^%s$' -sim.seed=%d", t.Name(), o.res.Seed)
}

// Goal: an exception excepts something: a misspelt one would be none, and one of a transport that is gone
// would go unnoticed.
func TestTraitsNameWhatExists(t *testing.T) {
	known := map[string]bool{"live": true}
	for _, n := range networks {
		known[n.name] = true
		for _, c := range checks {
			known[c.name], known[n.name+"/"+c.name] = true, true
		}
	}
	for transport, tr := range declared {
		require.Contains(t, hop1.Transports(), transport)
		for name, why := range tr.except {
			require.True(t, known[name], "%s: %s", transport, name)
			require.NotEmpty(t, why)
		}
	}
}

// Goal: the suite can fail: a client without resume and one without dedupe are caught, over every
// transport, by the property that is for it.
func TestMutantsAreCaught(t *testing.T) {
	for _, transport := range hop1.Transports() {
		for mutant, catcher := range map[hop1.Mutant]string{hop1.NoResume: "NoLoss", hop1.NoDedupe: "NoDuplicate"} {
			t.Run(transport+"/"+string(mutant), func(t *testing.T) {
				p := newPlan(transport)
				networks[0].change(p)
				resume.change(p)
				p.mutant = mutant
				o := carryOut(t, fixed(), p)
				require.NoError(t, o.res.Err)
				outcomes := map[string]model.Outcome{}
				for _, v := range o.res.Verdicts {
					outcomes[v.Property] = v.Outcome
				}
				require.Equal(t, model.Illegal, outcomes[catcher])
				require.Equal(t, model.Illegal, outcomes["Conforms"])
			})
		}
	}
}

// Goal: a run reproduces itself, with faults and reconnections; an inexact transport's at least in what
// clients get.
func TestReproduces(t *testing.T) {
	for _, transport := range hop1.Transports() {
		t.Run(transport, func(t *testing.T) {
			cfg := fixed()
			cfg.Repeat = 5
			if testing.Short() {
				cfg.Repeat = 3
			}
			if why := traitsOf(transport).inexact; why != "" {
				t.Logf("outcomes are compared: %s", why)
				cfg.Outcome = deliveries
			}
			p := newPlan(transport)
			networks[1].change(p)
			p.posts = p.posts[:16]
			p.add(3*time.Second, sim.Crash("edge-1"))
			p.add(5*time.Second, sim.Stop("edge-2"))
			p.add(5*time.Second, sim.Restart("edge-1"))
			p.add(7*time.Second, sim.Restart("edge-2"))
			o := carryOut(t, cfg, p, "crash", "stop")
			require.True(t, o.res.Ok(), "%s", o.res.Banner(nil, replay(t, o)))
		})
	}
}

// deliveries lists what each client got, and how many gaps it was told of. In which order the log has what was
// published in one outage is the network's luck, which is another in each run of an inexact transport.
func deliveries(h *model.History) []string {
	got, gaps := map[string][]string{}, map[string]int{}
	for _, e := range h.Events {
		switch e.Kind {
		case model.Deliver:
			got[e.Node] = append(got[e.Node], e.ID)
		case model.Discontinuity:
			gaps[e.Node]++
		}
	}
	var lines []string
	for _, client := range slices.Sorted(maps.Keys(got)) {
		slices.Sort(got[client])
		lines = append(lines, fmt.Sprintf("%s got %v, after %d gaps", client, got[client], gaps[client]))
	}
	return lines
}
