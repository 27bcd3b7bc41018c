package scenarios

import (
	"fmt"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/sim"
)

// Scenario is one experiment. The value holds its parameters.
type Scenario interface {
	// Name is the scenario's name on the command line, and Summary says in a line what it shows.
	Name() string
	Summary() string
	// Params are the parameters, bound to this value: setting one changes it.
	Params() []Param
	// Mutants are the deliberate bugs that it can be run with, and Mutate chooses one of them.
	Mutants() []Mutant
	Mutate(name string) error
	// Properties are those that every run must have.
	Properties() []model.Property
	// Length is how much virtual time a run is meant to take.
	Length() time.Duration
	// Validate checks the parameters together; each has been checked alone when it was set.
	Validate() error
	// Configure sets what the parameters say of the world as a whole.
	Configure(cfg *sim.Config)
	// Run builds the system in a world and lets it run.
	Run(w *sim.World) error
}

// Illustrator is a scenario with figures of its own, besides those that every history has.
type Illustrator interface {
	Scenario
	// Figures draws what a run's history shows of this experiment; none if it shows nothing of it.
	Figures(h *model.History) []plots.Named
}

// Warner is a scenario whose parameters can be allowed and still unwise.
type Warner interface {
	Scenario
	// Warnings says what is unwise about them, a sentence each.
	Warnings() []string
}

// Tabulator is a scenario with tables of its own.
type Tabulator interface {
	Scenario
	// Tables sums up what a run's history shows of this experiment; none if it shows nothing of it.
	Tables(h *model.History) []Table
}

// Table is a table for people: a title, a head, and rows as long as that.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
}

// Composite is a scenario with parts: further scenarios, which run after it, each in a world of its own
// with the same seed. What they find is a part of what it finds.
type Composite interface {
	Scenario
	Parts() []Scenario
}

// Inexact is a scenario whose runs, with some parameters, are not byte-exact: pion, for one, draws from
// generators that it seeds when the process starts. Repetitions of those are compared by what came of them.
type Inexact interface {
	Scenario
	// Outcome gives what repetitions must agree on; nil if they must have the same trace hash, as any other
	// scenario's, with the present parameters.
	Outcome() func(*model.History) []string
}

// Mutant is a deliberate bug with the property that must catch it.
type Mutant struct {
	Name, Summary string
	// Catcher is the name of the property that finds it.
	Catcher string
}

// registry is the catalogue, in the order in which it is listed.
var registry = []func() Scenario{
	func() Scenario { return NewChat() },
	func() Scenario { return NewFidelity() },
	func() Scenario { return NewTransports() },
	func() Scenario { return NewCallbackGap() },
	func() Scenario { return NewPollInterval() },
	func() Scenario { return NewProxies() },
	func() Scenario { return NewP2P() },
	func() Scenario { return NewBrokers() },
	func() Scenario { return NewBrokerLoad() },
	func() Scenario { return NewScaling() },
	func() Scenario { return NewCelebrity() },
	func() Scenario { return NewBookings() },
	func() Scenario { return NewOrder() },
	func() Scenario { return NewFailover() },
	func() Scenario { return NewPresence() },
}

// Names lists the scenarios.
func Names() []string {
	var names []string
	for _, s := range All() {
		names = append(names, s.Name())
	}
	return names
}

// All gives every scenario with its default parameters.
func All() []Scenario {
	all := make([]Scenario, len(registry))
	for i, make := range registry {
		all[i] = make()
	}
	return all
}

// New gives a scenario with its default parameters. The error of an unknown name offers the nearest.
func New(name string) (Scenario, error) {
	for _, s := range All() {
		if s.Name() == name {
			return s, nil
		}
	}
	return nil, unknownName("scenario", name, Names())
}

// Set sets a parameter of a scenario from text.
func Set(s Scenario, name, value string) error {
	var names []string
	for _, p := range s.Params() {
		if p.Name == name {
			if err := p.Value.Set(value); err != nil {
				return fmt.Errorf("parameter %s: %q is not allowed: %w", name, value, err)
			}
			return nil
		}
		names = append(names, p.Name)
	}
	return unknownName("parameter of "+s.Name(), name, names)
}

// plain is embedded by a scenario whose parameters go together whatever they are, and say nothing of the world as a
// whole.
type plain struct{}

// Validate implements [Scenario].
func (plain) Validate() error { return nil }

// Configure implements [Scenario].
func (plain) Configure(*sim.Config) {}

// mutate chooses a mutant, if it is one of those that a scenario has.
func mutate[M ~string](s Scenario, name string, chosen *M) error {
	var names []string
	for _, m := range s.Mutants() {
		if m.Name == name {
			*chosen = M(name)
			return nil
		}
		names = append(names, m.Name)
	}
	return unknownName("mutant of "+s.Name(), name, names)
}

// unknownName is the error of a name that is none, with the nearest that are.
func unknownName(what, name string, known []string) error {
	if near := nearest(name, known); len(near) > 0 {
		return fmt.Errorf("unknown %s: %q; did you mean %s?", what, name, strings.Join(near, " or "))
	}
	if len(known) == 0 {
		return fmt.Errorf("unknown %s: %q; there are none", what, name)
	}
	return fmt.Errorf("unknown %s: %q; there are %s", what, name, strings.Join(known, ", "))
}
