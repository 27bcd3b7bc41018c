package scenarios

import (
	"maps"

	"github.com/twohop/twohop/sim"
)

// Shrink looks for the smallest capsule that still violates c.Property: fewer faults that last shorter, and
// smaller parameters, which are hosts, clients, workload and time. violates runs a capsule and reports whether it
// violates that property; c itself is taken to. It is asked some dozens of times, or until done says that it is
// enough.
func (c *Capsule) Shrink(violates func(*Capsule) bool, done func() bool) *Capsule {
	s := &shrinker{best: c.clone(), violates: violates, done: done}
	for before := ""; before != s.best.Command() && !done(); {
		before = s.best.Command()
		if s.best.Faults != nil {
			s.best.Faults.Shrink(func(f sim.Schedule) bool {
				return s.try(func(c *Capsule) { c.Faults = &f })
			})
		}
		s.best.Added.Shrink(func(f sim.Schedule) bool {
			return s.try(func(c *Capsule) { c.Added = f })
		})
		s.shrinkParams()
	}
	return s.best
}

// shrinker is a search for a smaller capsule.
type shrinker struct {
	best     *Capsule // the smallest so far that violates the property
	violates func(*Capsule) bool
	done     func() bool
}

// try changes the best capsule, and keeps the change if the property is still violated.
func (s *shrinker) try(change func(*Capsule)) bool {
	if s.done() {
		return false
	}
	smaller := s.best.clone()
	change(smaller)
	if _, err := smaller.Build(); err != nil {
		return false // the parameters do not go together
	}
	if !s.violates(smaller) {
		return false
	}
	s.best = smaller
	return true
}

// shrinkParams makes each parameter as small as it can.
func (s *shrinker) shrinkParams() {
	built, err := s.best.Build()
	if err != nil {
		return // it has been built before, or it would not be the best
	}
	for _, p := range built.Params() {
		for progress := true; progress; {
			progress = false
			for _, text := range p.Value.Smaller() {
				if s.try(func(c *Capsule) { c.Params[p.Name] = text }) {
					progress = p.Value.Set(text) == nil
					break
				}
			}
		}
	}
}

func (c *Capsule) clone() *Capsule {
	n := *c
	n.Params = maps.Clone(c.Params)
	if n.Params == nil {
		n.Params = map[string]string{}
	}
	return &n
}
