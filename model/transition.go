package model

import (
	"errors"
	"fmt"
	"slices"
)

// Transition is the state of an assignment that may be in the middle of a change, and the four-step dance by
// which it changes without a loss: announce the old and the new assignment; move clients slowly; deliver to
// both meanwhile; commit. It is a value, which a coordination service keeps, and can be sent as JSON.
//
//	stable ──Announce──▶ moving ──Commit, when all of the old owners have moved──▶ stable
//	                     │    ▲
//	                     └────┘ Move, or Revert, which swaps old and new
//
// Invariants: Version grows with every change. New is nil if and only if nothing moves, and then Moved is
// empty. Moved is sorted, and of Old's members.
type Transition struct {
	// Version counts the changes, from 1.
	Version uint64 `json:"version"`
	// Old is the assignment in force, and New, unless nil, the one that is to come.
	Old Placement  `json:"old"`
	New *Placement `json:"new,omitempty"`
	// Moved lists the members of Old that serve nobody any more whom New gives to another.
	Moved []string `json:"moved,omitempty"`
}

// Why a step of the dance is refused. They are wrapped.
var (
	ErrMoving   = errors.New("a change is under way")
	ErrStable   = errors.New("no change is under way")
	ErrNotMoved = errors.New("not all have moved their clients")
)

// NewTransition is the first assignment.
func NewTransition(p Placement) (Transition, error) {
	err := p.Validate()
	return Transition{Version: 1, Old: p}, err
}

// Validate checks what came from elsewhere, and fills in the placements' defaults.
func (t *Transition) Validate() error {
	if t.Version == 0 {
		return errors.New("transition: Version is 0; it counts from 1")
	}
	if err := t.Old.Validate(); err != nil {
		return fmt.Errorf("transition: Old: %w", err)
	}
	if t.New == nil {
		if len(t.Moved) > 0 {
			return errors.New("transition: Moved names members, but there is no New")
		}
		return nil
	}
	if err := t.New.Validate(); err != nil {
		return fmt.Errorf("transition: New: %w", err)
	}
	for i, m := range t.Moved {
		if !slices.Contains(t.Old.Members, m) {
			return fmt.Errorf("transition: Moved: %q is no member of Old", m)
		}
		if i > 0 && m <= t.Moved[i-1] {
			return errors.New("transition: Moved is not sorted, or has a member twice")
		}
	}
	return nil
}

// Moving reports whether a change is under way.
func (t Transition) Moving() bool { return t.New != nil }

// Announce begins a change: from now on both assignments are delivered to.
func (t Transition) Announce(p Placement) (Transition, error) {
	if t.Moving() {
		return t, fmt.Errorf("announce: %w", ErrMoving)
	}
	if err := p.Validate(); err != nil {
		return t, fmt.Errorf("announce: %w", err)
	}
	return Transition{Version: t.Version + 1, Old: t.Old, New: &p}, nil
}

// Move says that a member of Old has moved its clients, or is dead and has none. Again it changes nothing.
func (t Transition) Move(member string) (Transition, error) {
	if !t.Moving() {
		return t, fmt.Errorf("move %s: %w", member, ErrStable)
	}
	i, found := slices.BinarySearch(t.Moved, member)
	if found {
		return t, nil
	}
	if !slices.Contains(t.Old.Members, member) {
		return t, fmt.Errorf("move: %q is not one of %q", member, t.Old.Members)
	}
	t.Version++
	t.Moved = slices.Insert(slices.Clone(t.Moved), i, member)
	return t, nil
}

// Waiting lists the members of Old that have not moved their clients yet.
func (t Transition) Waiting() []string {
	if !t.Moving() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.Old.Members), func(m string) bool { return slices.Contains(t.Moved, m) })
}

// Commit ends a change: New is in force. It is refused while a member has clients that New gives to another.
func (t Transition) Commit() (Transition, error) {
	if !t.Moving() {
		return t, fmt.Errorf("commit: %w", ErrStable)
	}
	if waiting := t.Waiting(); len(waiting) > 0 {
		return t, fmt.Errorf("commit: %w: %q", ErrNotMoved, waiting)
	}
	return Transition{Version: t.Version + 1, Old: *t.New}, nil
}

// Revert turns a change round: the new assignment is left for the old one, by the same dance, so that the
// clients that have moved move back.
func (t Transition) Revert() (Transition, error) {
	if !t.Moving() {
		return t, fmt.Errorf("revert: %w", ErrStable)
	}
	old := t.Old
	return Transition{Version: t.Version + 1, Old: *t.New, New: &old}, nil
}

// Assignment is a transition made ready to be asked. It is immutable.
type Assignment struct {
	transition Transition
	old, now   *Ring // now is old if nothing moves
}

// NewAssignment checks a transition and makes it ready.
func NewAssignment(t Transition) (*Assignment, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	a := &Assignment{transition: t}
	var err error
	if a.old, err = NewRing(t.Old); err != nil {
		return nil, err
	}
	a.now = a.old
	if t.New != nil {
		a.now, err = NewRing(*t.New)
	}
	return a, err
}

// Transition is what the assignment was made of.
func (a *Assignment) Transition() Transition { return a.transition }

// Home is where a client of a key is to connect: its owner to be, as soon as that is announced.
func (a *Assignment) Home(key string) string { return a.now.Owner(key) }

// Deliver lists who gets a key's messages: its owner and, during a change, its owner to be, if that is
// another. The owner comes first.
func (a *Assignment) Deliver(key string) []string {
	old, now := a.old.Owner(key), a.now.Owner(key)
	if old == now {
		return []string{old}
	}
	return []string{old, now}
}

// Delivers reports whether a member is one of [Assignment.Deliver].
func (a *Assignment) Delivers(key, member string) bool {
	return a.old.Owner(key) == member || a.now.Owner(key) == member
}
