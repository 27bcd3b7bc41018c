package model

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// ExploreConfig says which protocol to explore, how large, and what to leave out of it.
type ExploreConfig struct {
	// Protocol is "scaling", the four-step dance by which a room moves from one edge to another, or
	// "resume", by which a client goes on after its connection broke.
	Protocol string
	// Clients, 1 to 3; 0 means 2. The edges are always two.
	Clients int
	// Messages is how many are published, 1 to 4; 0 means 3.
	Messages int
	// Faults is how many befall the system at most, 1 to 3; 0 means 1, and Calm none at all.
	Faults int
	Calm   bool
	// Mutant is the part of the protocol that is broken, one of [ExploreMutants]; "" for none.
	Mutant string
	// MaxStates ends the search when it has found so many; 0 means 20 million, which take some 2 GB of
	// memory.
	MaxStates int
}

// Exploration is what an exhaustive search came to.
type Exploration struct {
	// States counts the states that were reached, those that differ only in the clients' names as one.
	// Transitions counts the steps between them.
	States, Transitions int
	// Depth is how many steps away from the beginning the last of them is.
	Depth int
	// Complete says that there are no others. It is false after a violation or when MaxStates was hit.
	Complete bool
	// Violation is the shortest way to a state that must not be; nil if none was found.
	Violation *Counterexample
}

// Counterexample tells how a protocol breaks its promise.
type Counterexample struct {
	// Story has a sentence for each step from the beginning.
	Story []string
	// Reason is what is wrong after the last of them.
	Reason string
}

// String is the story with its steps numbered, and the reason.
func (c *Counterexample) String() string {
	var b strings.Builder
	for i, s := range c.Story {
		fmt.Fprintf(&b, "%2d. %s\n", i+1, s)
	}
	fmt.Fprintf(&b, "so: %s\n", c.Reason)
	return b.String()
}

// explorable is a protocol that can be explored.
type explorable struct {
	name, summary string
	mutants       []ExploreMutant
	explore       func(ExploreConfig) Exploration
}

// ExploreMutant is a part of a protocol that can be left out or broken.
type ExploreMutant struct {
	Protocol, Name, Summary string
}

var explorables = []explorable{
	{"scaling", "the four-step dance by which a room moves to another edge", scalingMutants,
		func(c ExploreConfig) Exploration { return explore(newScaling(c), c.MaxStates) }},
	{"resume", "how a client goes on after its connection broke", resumeMutants,
		func(c ExploreConfig) Exploration { return explore(newResume(c), c.MaxStates) }},
}

// ExploreProtocols lists the protocols that [Explore] knows.
func ExploreProtocols() []string {
	var names []string
	for _, e := range explorables {
		names = append(names, e.name)
	}
	return names
}

// ExploreMutants lists what can be broken in a protocol; none for a protocol that is not known.
func ExploreMutants(protocol string) []ExploreMutant {
	for _, e := range explorables {
		if e.name == protocol {
			return slices.Clone(e.mutants)
		}
	}
	return nil
}

// Explore goes through every state that a protocol can get into, by any interleaving of its parts'
// steps and of the faults, breadth first. It stops at the first state that breaks the protocol's promise:
//
//   - safety: no client gets a message twice, or is moved past one without being told;
//   - completeness: whenever nothing is left to happen but another fault or another publish, every
//     client has got every message that was published since it came, or been told that it will not.
//
// The promise is not that the protocol comes to such an end: a loop that never ends would go unnoticed.
// The error names the field that is wrong.
func Explore(cfg ExploreConfig) (Exploration, error) {
	for _, e := range explorables {
		if e.name != cfg.Protocol {
			continue
		}
		if err := cfg.validate(e.mutants); err != nil {
			return Exploration{}, err
		}
		return e.explore(cfg), nil
	}
	return Exploration{}, fmt.Errorf("explore: Protocol: %.40q; want %s", cfg.Protocol, strings.Join(ExploreProtocols(), " or "))
}

const (
	maxClients  = 3
	maxMessages = 4
)

// validate checks the configuration and fills in defaults.
func (c *ExploreConfig) validate(mutants []ExploreMutant) error {
	for _, f := range []struct {
		name             string
		value            *int
		byDefault, limit int
	}{
		{"Clients", &c.Clients, 2, maxClients},
		{"Messages", &c.Messages, 3, maxMessages},
		{"Faults", &c.Faults, 1, 3},
		{"MaxStates", &c.MaxStates, 20e6, 1 << 30},
	} {
		if *f.value < 0 || *f.value > f.limit {
			return fmt.Errorf("explore: %s: %d; want 1 to %d, or 0 for %d", f.name, *f.value, f.limit, f.byDefault)
		}
		if *f.value == 0 {
			*f.value = f.byDefault
		}
	}
	if c.Calm {
		c.Faults = 0
	}
	names := []string{`""`}
	for _, m := range mutants {
		names = append(names, m.Name)
		if m.Name == c.Mutant {
			return nil
		}
	}
	if c.Mutant != "" {
		return fmt.Errorf("explore: Mutant: %.40q; want %s", c.Mutant, strings.Join(names, ", "))
	}
	return nil
}

// protocol is what explore needs of one. Its states are values.
type protocol[S comparable] interface {
	initial() S
	// moves calls emit for everything that can happen in a state.
	moves(s S, emit func(move, S))
	// canonical gives the same state for states that differ in names only.
	canonical(s S) S
	// broken says why a state must not be; "" if it may.
	broken(s S) string
	// unfinished says what is missing in a state; "" if nothing is.
	unfinished(s S) string
	// tell tells a move that led from one state to another.
	tell(m move, from, to S) string
}

// move is something that happens: which verb, and of whom.
type move struct {
	verb, who, where, n uint8
	// mayNot is set for what need not happen, however long one waits: a fault, or another message.
	mayNot bool
}

// search is a breadth-first search.
type search[S comparable] struct {
	p      protocol[S]
	states []S
	parent []uint32 // of each state, by index; its own for the first
	// slots is a hash table with open addressing of the states' indices plus 1, at most half full. A map
	// would hold every state a second time.
	slots  []uint32
	seed   maphash.Seed
	result Exploration
}

func newSearch[S comparable](p protocol[S]) *search[S] {
	x := &search[S]{p: p, slots: make([]uint32, 1<<12), seed: maphash.MakeSeed()}
	x.add(p.canonical(p.initial()), 0)
	return x
}

func explore[S comparable](p protocol[S], most int) Exploration {
	x := newSearch(p)
	level := 1 // where the next depth begins
	for i := 0; i < len(x.states); i++ {
		if i == level {
			level = len(x.states)
			x.result.Depth++
		}
		if why := x.expand(uint32(i)); why != "" {
			x.result.States = len(x.states)
			x.result.Violation = x.counterexample(uint32(i), why)
			return x.result
		}
		if len(x.states) > most {
			x.result.States = len(x.states)
			return x.result
		}
	}
	x.result.States, x.result.Complete = len(x.states), true
	return x.result
}

// add adds a state, unless it is known.
func (x *search[S]) add(s S, parent uint32) {
	slot := x.find(s)
	if x.slots[slot] != 0 {
		return
	}
	x.states = append(x.states, s)
	x.parent = append(x.parent, parent)
	x.slots[slot] = uint32(len(x.states))
	if 2*len(x.states) < len(x.slots) {
		return
	}
	x.slots = make([]uint32, 4*len(x.slots))
	for i := range x.states {
		x.slots[x.find(x.states[i])] = uint32(i + 1)
	}
}

// find gives the slot that a state has, or would have.
func (x *search[S]) find(s S) int {
	mask := len(x.slots) - 1
	for i := int(maphash.Comparable(x.seed, s)) & mask; ; i = (i + 1) & mask {
		if at := x.slots[i]; at == 0 || x.states[at-1] == s {
			return i
		}
	}
}

// expand judges a state and finds those that follow.
func (x *search[S]) expand(i uint32) (why string) {
	s := x.states[i]
	if why := x.p.broken(s); why != "" {
		return why
	}
	quiet := true
	x.p.moves(s, func(m move, to S) {
		quiet = quiet && m.mayNot
		x.result.Transitions++
		x.add(x.p.canonical(to), i)
	})
	if quiet {
		return x.p.unfinished(s)
	}
	return ""
}

// counterexample tells how the search came to a state. As the names in a canonical state are not those
// that were there, it goes the way again from the beginning.
func (x *search[S]) counterexample(i uint32, why string) *Counterexample {
	var path []S
	for ; i != 0; i = x.parent[i] {
		path = append(path, x.states[i])
	}
	c := &Counterexample{Reason: why}
	s := x.p.initial()
	for _, want := range slices.Backward(path) {
		found := false
		x.p.moves(s, func(m move, to S) {
			if !found && x.p.canonical(to) == want {
				found = true
				c.Story = append(c.Story, x.p.tell(m, s, to))
				s = to
			}
		})
		if !found {
			panic("model: a state of the search cannot be reached again: canonical is not a symmetry")
		}
	}
	if why := x.p.broken(s); why != "" {
		c.Reason = why
	} else if why := x.p.unfinished(s); why != "" {
		c.Reason = why
	}
	return c
}
