package model

import (
	"cmp"
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
	// MaxStates ends the search when it has found so many; 0 means 20 million, which take some 4 GB of
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
//
//   - completeness: whenever nothing is left to happen but another fault or another publish, every
//     client has got every message that was published since it came, or been told that it will not.
//
//   - progress: from every state there is a way, without any help of faults and publishes, to one where
//     nothing else is left to happen. A recovery that goes round in circles has none.
//
// A way is not a promise that it is taken: that takes a client who tries often enough. The error names the
// field that is wrong.
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
	quiet  []uint32 // states where nothing that must happen can
	must   []edge   // what must happen, sooner or later
	result Exploration
}

// edge is a transition between two states.
type edge struct{ from, to uint32 }

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
			x.result.Violation = x.counterexample(uint32(i))
			return x.result
		}
		if len(x.states) > most {
			x.result.States = len(x.states)
			return x.result
		}
	}
	x.result.States = len(x.states)
	if i, stuck := x.restless(); stuck {
		x.result.Violation = x.circle(i)
		return x.result
	}
	x.result.Complete = true
	return x.result
}

// restless finds the first state from which no way leads to a quiet one.
func (x *search[S]) restless() (i uint32, found bool) {
	// The edges by where they lead to: those to state i are before[first[i]:first[i+1]].
	first := make([]uint32, len(x.states)+2)
	for _, e := range x.must {
		first[e.to+2]++
	}
	for i := 2; i < len(first); i++ {
		first[i] += first[i-1]
	}
	before := make([]uint32, len(x.must))
	for _, e := range x.must {
		before[first[e.to+1]] = e.from
		first[e.to+1]++
	}
	rests := make([]bool, len(x.states))
	todo := x.quiet
	for _, i := range todo {
		rests[i] = true
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, from := range before[first[i]:first[i+1]] {
			if !rests[from] {
				rests[from] = true
				todo = append(todo, from)
			}
		}
	}
	at := slices.Index(rests, false)
	return uint32(max(at, 0)), at >= 0
}

// add adds a state, unless it is known, and gives its index.
func (x *search[S]) add(s S, parent uint32) uint32 {
	slot := x.find(s)
	if known := x.slots[slot]; known != 0 {
		return known - 1
	}
	x.states = append(x.states, s)
	x.parent = append(x.parent, parent)
	x.slots[slot] = uint32(len(x.states))
	if 2*len(x.states) >= len(x.slots) {
		x.slots = make([]uint32, 4*len(x.slots))
		for i := range x.states {
			x.slots[x.find(x.states[i])] = uint32(i + 1)
		}
	}
	return uint32(len(x.states) - 1)
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

// expand judges a state, says what is wrong with it, and finds those that follow.
func (x *search[S]) expand(i uint32) (why string) {
	s := x.states[i]
	if why := x.p.broken(s); why != "" {
		return why
	}
	quiet := true
	x.p.moves(s, func(m move, to S) {
		x.result.Transitions++
		next := x.add(x.p.canonical(to), i)
		if !m.mayNot {
			quiet = false
			x.must = append(x.must, edge{i, next})
		}
	})
	if quiet {
		x.quiet = append(x.quiet, i)
		return x.p.unfinished(s)
	}
	return ""
}

// retrace goes the way to a state again from the beginning, as the names in a canonical state are not those
// that were there. It gives the state with the names that are, and the story.
func (x *search[S]) retrace(i uint32) (s S, story []string) {
	var path []S
	for ; i != 0; i = x.parent[i] {
		path = append(path, x.states[i])
	}
	s = x.p.initial()
	for _, want := range slices.Backward(path) {
		found := false
		x.p.moves(s, func(m move, to S) {
			if !found && x.p.canonical(to) == want {
				found = true
				story = append(story, x.p.tell(m, s, to))
				s = to
			}
		})
		if !found {
			panic("model: a state of the search cannot be reached again: canonical is not a symmetry")
		}
	}
	return s, story
}

// counterexample tells how the search came to a state that must not be.
func (x *search[S]) counterexample(i uint32) *Counterexample {
	s, story := x.retrace(i)
	return &Counterexample{Story: story, Reason: cmp.Or(x.p.broken(s), x.p.unfinished(s))}
}

// circle tells how the search came to a state from which no way leads to a quiet one, and how it goes on
// until it comes to a state for the second time.
func (x *search[S]) circle(i uint32) *Counterexample {
	s, story := x.retrace(i)
	first := len(story) + 1
	for seen := map[S]bool{}; !seen[s]; {
		seen[s] = true
		found := false
		x.p.moves(s, func(m move, to S) {
			if !found && !m.mayNot {
				found = true
				story = append(story, x.p.tell(m, s, to))
				s = to
			}
		})
	}
	return &Counterexample{Story: story, Reason: fmt.Sprintf("from step %d on it goes round in circles, and without a fault or a publish there is no way out", first)}
}
