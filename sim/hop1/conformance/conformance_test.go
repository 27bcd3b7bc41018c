package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
)

// Goal: every transport holds what hop 1 promises, whatever the network does.
// Method: every check on every network, once; each is judged by all properties and by its own rule, and
// each network must be seen to have done what it is for.
func TestConformance(t *testing.T) {
	for _, transport := range hop1.Transports() {
		for i, n := range networks {
			if testing.Short() && i%3 != 0 {
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
					o := carryOut(t, 1, p, n.bites...)
					require.True(t, o.res.Ok(), "%s", o.res.Banner(nil, "go test ./sim/hop1/conformance -run '"+t.Name()+"'"))
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
				o := carryOut(t, 1, p)
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
