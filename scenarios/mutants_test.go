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
			if at := slices.Index(names, s.Name()+"/"+m.Name); at >= 0 {
				require.Equal(t, catchers[at], m.Catcher, "what %s of %s is listed to be caught by, and is", m.Name, s.Name())
			}
		}
	}
}

// mostSeeds is how many seeds are tried of a mutant, from the first that is known to catch it. One is enough until
// something in the system moves, and with it the luck of every seed.
const mostSeeds = 60

// Goal: every mutant is caught by its property, and the same run without it has every property.
// Method: each begins at a seed known to catch it. All of them take 12 s of processor time; "twohop mutants" runs more
// seeds.
func TestMutantsAreCaught(t *testing.T) {
	type run struct {
		*scenarios.Setting
		seed uint64
	}
	plain := map[run]bool{} // those that were found to be well
	for i, m := range scenarios.MutantCases() {
		if testing.Short() && i > 2 {
			break
		}
		t.Run(m.Name(), func(t *testing.T) {
			first := max(1, firstSeeds[m.Name()])
			seed := first
			for ; !m.Caught(runIn(t, m.Setting, m.Mutant, seed)); seed++ {
				require.Less(t, seed, first+mostSeeds-1, "%s is not violated", m.Catcher)
			}
			if is := (run{m.Setting, seed}); !plain[is] {
				without := runIn(t, m.Setting, "", seed)
				require.Empty(t, scenarios.Violated(without), "seed %d without the mutant", seed)
				require.Empty(t, without.Error)
				plain[is] = true
			}
		})
	}
}

// firstSeeds are the first seeds that catch a mutant which the first few do not.
var firstSeeds = map[string]uint64{
	"chat/no-dial-timeout": 14, "chat/snapshot-first": 5, "bookings/stale-reads": 26, "bookings/ack-before-fsync": 5,
	"bookings/retry-blindly": 13, "bookings/check-then-act": 9, "bookings/blind-bid": 33,
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
