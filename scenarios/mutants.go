package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
)

// Setting is where mutants live: a scenario with parameters, faults and properties. Without a mutant it must have
// every property, whatever the seed.
type Setting struct {
	// Name tells it from others.
	Name string
	// Scenario is the name of the scenario, and Params are its parameters that are not the defaults.
	Scenario string
	Params   map[string]string
	// Faults is what befalls a run, as [ChooseFaults] takes it, such as "heavy": then each seed has faults of its
	// own. "" means the scenario's own faults.
	Faults string
	// Schedule, unless empty, are the faults of every run instead.
	Schedule string
	// Check are the properties besides the scenario's own, as [properties.Find] reads them.
	Check []string
}

// Capsule is a run in this setting, with a mutant or, if it is "", without.
func (s *Setting) Capsule(mutant string, seed uint64) (*Capsule, error) {
	c, err := s.capsule(mutant, seed)
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", s.Name, err)
	}
	return c, nil
}

func (s *Setting) capsule(mutant string, seed uint64) (*Capsule, error) {
	plain := Capsule{Scenario: s.Scenario, Mutant: mutant, Params: s.Params}
	built, err := plain.Build()
	if err != nil {
		return nil, err
	}
	if s.Faults != "" {
		err = ChooseFaults(built, s.Faults, seed)
	}
	var added sim.Schedule
	if s.Schedule != "" && err == nil {
		if added, err = sim.ParseSchedule(s.Schedule); err == nil {
			err = ChooseFaults(built, "none", seed)
		}
	}
	if err != nil {
		return nil, err
	}
	c, err := NewCapsule(built, mutant, seed, added)
	if err != nil {
		return nil, err
	}
	c.Check = s.Check
	return c, nil
}

// MutantCase is an entry of the catalogue of mutants: a realistic bug, where it shows, and what must catch it.
type MutantCase struct {
	// Mutant is its name among the scenario's, and Setting where it is run.
	Mutant  string
	Setting *Setting
	// Story says in a line which kind of bug it is, of those that users of well-known libraries met.
	Story string
	// Catcher is the name of the property that must catch it.
	Catcher string
}

// Name is the case's name: the scenario's and the mutant's.
func (m *MutantCase) Name() string { return m.Setting.Scenario + "/" + m.Mutant }

// Caught reports whether a run's report has the case's property violated.
func (m *MutantCase) Caught(r *Report) bool { return slices.Contains(Violated(r), m.Catcher) }

// Violated gives the names of the properties that a run violates, its parts' included.
func Violated(r *Report) (names []string) {
	for _, v := range r.Verdicts {
		if v.Outcome == model.Illegal {
			names = append(names, v.Property)
		}
	}
	for _, p := range r.Parts {
		names = append(names, Violated(p)...)
	}
	return names
}

// FindMutants gives the cases of the catalogue by names: a case's, or that of a mutant of any scenario. Without any
// names it gives all.
func FindMutants(names []string) ([]MutantCase, error) {
	all := MutantCases()
	if len(names) == 0 {
		return all, nil
	}
	chosen := make([]bool, len(all))
	var known []string
	for i := range all {
		known = append(known, all[i].Name(), all[i].Mutant)
	}
	for _, name := range names {
		found := false
		for i := range all {
			if name == all[i].Name() || name == all[i].Mutant {
				chosen[i], found = true, true
			}
		}
		if !found {
			slices.Sort(known)
			return nil, unknownName("mutant", name, slices.Compact(known))
		}
	}
	var cases []MutantCase
	for i, yes := range chosen {
		if yes {
			cases = append(cases, all[i])
		}
	}
	return cases, nil
}

// Settings gives the settings of some cases, each once, in order.
func Settings(cases []MutantCase) (settings []*Setting) {
	for i := range cases {
		if !slices.Contains(settings, cases[i].Setting) {
			settings = append(settings, cases[i].Setting)
		}
	}
	return settings
}

// summary is what the scenario says of a case's mutant.
func (m *MutantCase) summary() string {
	s, err := New(m.Setting.Scenario)
	if err != nil {
		return ""
	}
	for _, mutant := range s.Mutants() {
		if mutant.Name == m.Mutant {
			return mutant.Summary
		}
	}
	return ""
}

// String is the case in a sentence: what is broken, and which bug that is like.
func (m *MutantCase) String() string {
	return fmt.Sprintf("%s: %s. %s", m.Name(), m.summary(), strings.TrimSuffix(m.Story, "."))
}
