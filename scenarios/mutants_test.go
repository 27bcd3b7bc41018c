package scenarios_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Goal: the catalogue is whole: every property catches a mutant, and every mutant of a scenario is there.
func TestMutantCatalogue(t *testing.T) {
	cases, err := scenarios.FindMutants(nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 25)
	var names, mutants, catchers []string
	for _, m := range cases {
		require.NotContains(t, names, m.Name(), "a name stands for one")
		names, mutants, catchers = append(names, m.Name()), append(mutants, m.Mutant), append(catchers, m.Catcher)
		_, err := m.Setting.Capsule(m.Mutant, 1)
		require.NoError(t, err, m.Name())
		require.NotContains(t, m.String(), ": . ", "%s has no summary", m.Name())
		require.NotEmpty(t, m.Story, m.Name())
	}
	for _, e := range properties.Catalogue() {
		require.Contains(t, catchers, e.Name, "the property %s catches no mutant: it may be one that cannot fail", e.Name)
	}
	for _, s := range scenarios.All() {
		for _, m := range s.Mutants() {
			require.Contains(t, mutants, m.Name, "the mutant %s of %s is not in the catalogue", m.Name, s.Name())
		}
	}
}

// doseSeeds is within how many seeds the tests have a mutant caught.
const doseSeeds = 12

// Goal: every mutant is caught by its property, and the same run without it has every property.
func TestMutantsAreCaught(t *testing.T) {
	for i, m := range scenarios.MutantCases() {
		if testing.Short() && i > 2 || !slices.Contains([]string{"chat", "bookings", "order"}, m.Setting.Scenario) {
			continue // the other scenarios' tests have their mutants
		}
		t.Run(m.Name(), func(t *testing.T) {
			for seed := firstSeeds[m.Name()] + 1; seed <= firstSeeds[m.Name()]+doseSeeds; seed++ {
				report := runIn(t, m.Setting, m.Mutant, seed)
				if !m.Caught(report) {
					continue
				}
				plain := runIn(t, m.Setting, "", seed)
				require.Empty(t, scenarios.Violated(plain), "seed %d without the mutant", seed)
				require.Empty(t, plain.Error)
				return
			}
			t.Errorf("%s is not violated within %d seeds", m.Catcher, doseSeeds)
		})
	}
}

// firstSeeds are the seeds before those that catch a mutant that most seeds do not.
var firstSeeds = map[string]uint64{
	"chat/no-dial-timeout": 12, "chat/forgetful-broker": 3, "chat/snapshot-last": 1, "chat/snapshot-first": 4, "chat/ack-before-fsync": 1,
	"bookings/stale-reads": 25, "bookings/ack-before-fsync": 4, "bookings/retry-blindly": 12, "bookings/check-then-act": 8, "bookings/blind-bid": 32,
}

func runIn(t *testing.T, s *scenarios.Setting, mutant string, seed uint64) *scenarios.Report {
	t.Helper()
	c, err := s.Capsule(mutant, seed)
	require.NoError(t, err)
	report, _, err := c.Run(t, sim.Config{DropTrace: true})
	require.NoError(t, err)
	return report
}

// Goal: a run of the catalogue is a function of its seed, mutant or not.
func TestMutantsReproduce(t *testing.T) {
	for _, name := range []string{"bookings/check-then-act", "order/wall-clock", "chat/trim-conflated", "chat/sequence-race"} {
		if testing.Short() {
			break
		}
		t.Run(name, func(t *testing.T) {
			cases, err := scenarios.FindMutants([]string{name})
			require.NoError(t, err)
			for _, mutant := range []string{"", cases[0].Mutant} {
				c, err := cases[0].Setting.Capsule(mutant, 3)
				require.NoError(t, err)
				report, _, err := c.Run(t, sim.Config{Repeat: 2})
				require.NoError(t, err)
				require.Empty(t, report.Error)
				require.NotEqual(t, mutant == "" && report.Outcome() == model.Illegal, true)
			}
		})
	}
}

func TestFindMutants(t *testing.T) {
	cases, err := scenarios.FindMutants([]string{"no-resume"})
	require.NoError(t, err)
	require.Len(t, cases, 3, "one of each scenario that has it")
	cases, err = scenarios.FindMutants([]string{"chat/no-resume", "wall-clock"})
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.Equal(t, "chat/no-resume: a client reconnects without its cursor. "+
		"A client library that reconnects by subscribing anew, without the last event ID that it has", cases[0].String())
	_, err = scenarios.FindMutants([]string{"wal-clock"})
	require.EqualError(t, err, `unknown mutant: "wal-clock"; did you mean wall-clock?`)
}

// Goal: a run can be judged by any property, and what names it says so.
func TestCapsuleChecks(t *testing.T) {
	c := &scenarios.Capsule{Version: scenarios.CapsuleVersion, Scenario: "bookings", Seed: 1, Check: []string{"Staleness(5s)"}}
	require.Equal(t, "run bookings --seed 1 --check 'Staleness(5s)'", c.Command())
	report, _, err := c.Run(t, sim.Config{DropTrace: true})
	require.NoError(t, err)
	last := report.Verdicts[len(report.Verdicts)-1]
	require.Equal(t, "Staleness", last.Property)
	require.True(t, properties.Vacuous(last), "nothing is delivered there")
	c.Check = []string{"Staleness"}
	_, _, err = c.Run(t, sim.Config{})
	require.ErrorContains(t, err, "property Staleness takes 1 arguments, not 0")
}
