package hop2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// ControlMutant is a deliberate bug of a [Controller]; the zero value is none.
type ControlMutant string

// EarlyCommit: the ring is updated before clients have moved.
const EarlyCommit ControlMutant = "early-commit"

// Controller assigns rooms to the edges that live and do not want to leave, and has clients moved by the
// four-step dance ([model.Transition]) when these change. All its state is in the coordination service: when
// it dies in the middle of a change, the next one goes on with that. Several may run at the same time.
type Controller struct {
	// Coord is its client of the coordination service. It is needed.
	Coord *coord.Client
	// Placement is the rule; its Members are not looked at.
	Placement model.Placement
	// Settle is how long the edges must have been the same before a change begins, so that edges that come
	// together make one change. 0 means none.
	Settle time.Duration
	// Observe, unless nil, is told of every step that the controller takes.
	Observe func(step string, t model.Transition)
	// Mutant is a deliberate bug.
	Mutant ControlMutant
}

// Run controls until ctx ends, and returns ctx's error, or why it cannot.
func (c *Controller) Run(ctx context.Context) error {
	if c.Coord == nil {
		return errors.New("hop2: controller: Coord: nil; want a client")
	}
	for after := uint64(0); ; {
		items, revision, err := c.Coord.Watch(ctx, ringPrefix, after)
		if err != nil {
			return err
		}
		after = revision
		v, err := readView(items)
		if err != nil {
			return err
		}
		if err := c.step(ctx, &v); err != nil {
			return err
		}
	}
}

// wanted are the members that there should be; none if nobody could be one.
func wanted(v *ringView) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(v.edges)), func(m string) bool { return v.leaving[m] })
}

// step takes the next step of the dance, if there is one to take. It writes only over what it has seen.
func (c *Controller) step(ctx context.Context, v *ringView) error {
	next, step, err := c.next(v)
	if err != nil || step == "" {
		return err
	}
	if c.Settle > 0 && (step == "announce" || step == "begin") {
		if same, err := c.settled(ctx, v); err != nil || !same {
			return err
		}
	}
	_, done, err := c.Coord.CompareAndSwap(ctx, RingAssignment, v.version, encodeTransition(next))
	if err == nil && done && c.Observe != nil {
		c.Observe(step, next)
	}
	return err // if somebody was faster, the watch will tell
}

// settled waits, and tells whether the edges are still the same.
func (c *Controller) settled(ctx context.Context, v *ringView) (bool, error) {
	t := time.NewTimer(c.Settle)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	items, _, err := c.Coord.List(ctx, ringPrefix)
	if err != nil {
		return false, err
	}
	now, err := readView(items)
	if err != nil {
		return false, err
	}
	return now.version == v.version && slices.Equal(wanted(&now), wanted(v)), nil
}

// next decides on the next step; "" if there is none. It is pure.
func (c *Controller) next(v *ringView) (t model.Transition, step string, err error) {
	members := wanted(v)
	if v.assignment == nil {
		if len(members) == 0 {
			return t, "", nil
		}
		p, err := c.Placement.With(members...)
		if err != nil {
			return t, "", err
		}
		t, err = model.NewTransition(p)
		return t, "begin", err
	}
	t = v.assignment.Transition()
	if t.Moving() {
		return c.proceed(v, t)
	}
	if len(members) == 0 || slices.Equal(members, t.Old.Members) {
		return t, "", nil
	}
	p, err := c.Placement.With(members...)
	if err != nil {
		return t, "", err
	}
	t, err = t.Announce(p)
	return t, "announce", err
}

// proceed goes on with a change that is under way: it speaks for the dead, and commits when all have moved.
func (c *Controller) proceed(v *ringView, t model.Transition) (model.Transition, string, error) {
	for _, m := range t.Waiting() {
		if _, lives := v.edges[m]; !lives || c.Mutant == EarlyCommit {
			t, err := t.Move(m)
			return t, "move " + m, err
		}
	}
	if len(t.Waiting()) > 0 {
		return t, "", nil
	}
	next, err := t.Commit()
	if err != nil {
		return t, "", fmt.Errorf("hop2: controller: %w", err)
	}
	return next, "commit", nil
}
