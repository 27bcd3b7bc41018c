package hop2

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// The keys of the ring in the coordination service.
const (
	ringPrefix = "ring/"
	// RingAssignment has the [model.Transition], in JSON.
	RingAssignment = ringPrefix + "assignment"
	// RingSource has what the source last said to deliver by: see [RingStep].
	RingSource = ringPrefix + "source"
	// RingEdges begins the key of each edge that lives; its value is its URL.
	RingEdges = ringPrefix + "edges/"
	// RingLeaving begins the key of each edge that wants to go.
	RingLeaving = ringPrefix + "leaving/"
)

// RingStep names the step of the dance that a transition is at: the version at which it was announced, or
// committed. While edges move their clients it stays the same.
func RingStep(t model.Transition) string {
	return strconv.FormatUint(t.Version-uint64(len(t.Moved)), 10)
}

// ringView is what is known of the ring. Its zero value is that nothing is.
type ringView struct {
	assignment *model.Assignment
	// delivered: the source delivers by this assignment.
	delivered bool
	edges     map[string]string // those that live, with their URLs
	leaving   map[string]bool
	version   uint64 // of the assignment's key
	revision  uint64 // of the registry that this is a view of
	fenced    bool   // this edge must take itself for dead
}

// home is who serves a room's clients; false if that is not known. A new owner does only when the source
// delivers to it.
func (v *ringView) home(room string) (owner string, known bool) {
	switch {
	case v.assignment == nil || v.fenced:
		return "", false
	case v.assignment.Transition().Moving() && !v.delivered:
		return v.assignment.Deliver(room)[0], true
	default:
		return v.assignment.Home(room), true
	}
}

// readView makes a view of what the coordination service has.
func readView(items []coord.Item) (ringView, error) {
	v := ringView{edges: map[string]string{}, leaving: map[string]bool{}}
	source := ""
	for _, it := range items {
		switch {
		case it.Key == RingAssignment:
			a, err := decodeAssignment(it.Value)
			if err != nil {
				return ringView{}, err
			}
			v.assignment, v.version = a, it.Version
		case it.Key == RingSource:
			source = it.Value
		default:
			if name, ok := strings.CutPrefix(it.Key, RingEdges); ok {
				v.edges[name] = it.Value
			} else if name, ok := strings.CutPrefix(it.Key, RingLeaving); ok {
				v.leaving[name] = true
			}
		}
	}
	v.delivered = v.assignment != nil && source == RingStep(v.assignment.Transition())
	return v, nil
}

func decodeAssignment(text string) (*model.Assignment, error) {
	var t model.Transition
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("hop2 ring: the assignment: %w", err)
	}
	return model.NewAssignment(t)
}

func encodeTransition(t model.Transition) string {
	b, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("hop2: a transition of strings and numbers does not marshal: %v", err))
	}
	return string(b)
}

// watch keeps the view up to date, until the strategy is closed.
func (r *Ring) watch(c *coord.Client) {
	for after := uint64(0); r.ctx.Err() == nil; {
		items, revision, err := c.Watch(r.ctx, ringPrefix, after)
		if err != nil {
			_ = r.log.pause(r.ctx, r.cfg.RetryMax) // it is the end, or the service refuses to be watched
			continue
		}
		after = revision
		view, err := readView(items)
		if err != nil {
			continue // somebody wrote nonsense: what was known before is better
		}
		view.revision = revision
		r.change(func() {
			r.latest = view
			if !r.view.fenced && revision >= r.since {
				r.view = view
			}
		})
	}
}

// stayAlive renews the edge's lease, and fences the edge when that fails for too long.
func (r *Ring) stayAlive(c *coord.Client) {
	lease := r.cfg.Name + "/" + r.cfg.Life
	fence := time.AfterFunc(r.cfg.TTL, r.fence)
	defer fence.Stop()
	for r.ctx.Err() == nil {
		sent := time.Now() // the lease lasts from then on at least
		limit, cancel := context.WithTimeout(r.ctx, r.cfg.TTL)
		if err := c.Grant(limit, lease, r.cfg.TTL); err == nil {
			fence.Reset(time.Until(sent.Add(r.cfg.TTL)))
			r.register(limit, c, lease)
		}
		cancel()
		_ = r.log.pause(r.ctx, r.cfg.TTL/3) // it is the end
	}
	// The others need not wait until the lease runs out, as it does if this fails.
	limit, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.cfg.RetryMin)
	defer cancel()
	_ = c.Revoke(limit, lease)
}

// register makes the edge's key known, unless it is known to be there. What was known before then does not
// count any more: the others may have gone on without this edge.
func (r *Ring) register(ctx context.Context, c *coord.Client, lease string) {
	r.mu.Lock()
	there := !r.view.fenced && r.view.edges[r.cfg.Name] == r.cfg.URL
	r.mu.Unlock()
	if there {
		return
	}
	it, err := c.Put(ctx, RingEdges+r.cfg.Name, r.cfg.URL, lease)
	if err != nil {
		return // the next renewal tries again
	}
	r.change(func() {
		r.view, r.since = ringView{}, it.Version
		if r.latest.revision >= r.since {
			r.view = r.latest
		}
	})
}

// fence ends all subscriptions of an edge that others may take for dead.
func (r *Ring) fence() {
	r.change(func() {
		r.view = ringView{fenced: true}
		r.stats.Fenced++
		for room := range r.subs {
			r.endRoom(room, fmt.Errorf("%w: the coordination service is out of reach", ErrClosed))
		}
	})
}

// endRoom ends a room's subscriptions. The lock is held.
func (r *Ring) endRoom(room string, err error) {
	for _, s := range r.subs[room] {
		s.end(err)
	}
	delete(r.subs, room)
}

// move ends, one every MovePace, the rooms that others are to serve, and says when there are none left.
func (r *Ring) move(c *coord.Client) {
	for r.ctx.Err() == nil {
		r.mu.Lock()
		view, changed := r.view, r.changed
		room, owner, found := r.lost()
		if found {
			r.stats.Moved++
			r.endRoom(room, &MovedError{room, owner})
		}
		r.mu.Unlock()
		switch {
		case found:
			_ = r.log.pause(r.ctx, r.cfg.MovePace) // it is the end
		case r.mustSay(&view):
			if err := r.sayMoved(c, RingStep(view.assignment.Transition())); err != nil {
				_ = r.log.pause(r.ctx, r.cfg.RetryMin) // it is the end
				continue
			}
			r.await(changed)
		default:
			r.await(changed)
		}
	}
}

func (r *Ring) await(changed chan struct{}) {
	select {
	case <-changed:
	case <-r.ctx.Done():
	}
}

// lost finds the first room, in order of name, that is subscribed to here and belongs elsewhere. The lock is
// held.
func (r *Ring) lost() (room, owner string, found bool) {
	for name := range r.subs {
		if o, known := r.view.home(name); known && o != r.cfg.Name && (!found || name < room) {
			room, owner, found = name, o, true
		}
	}
	return room, owner, found
}

// mustSay tells whether the others wait to hear from this edge that it has moved its clients.
func (r *Ring) mustSay(v *ringView) bool {
	return v.assignment != nil && v.delivered && slices.Contains(v.assignment.Transition().Waiting(), r.cfg.Name)
}

// sayMoved notes in the assignment that this edge has moved its clients, in a step of the dance. If that step
// is over, it does nothing.
func (r *Ring) sayMoved(c *coord.Client, step string) error {
	for {
		it, found, err := c.Get(r.ctx, RingAssignment)
		if err != nil || !found {
			return err
		}
		a, err := decodeAssignment(it.Value)
		if err != nil {
			return err
		}
		t := a.Transition()
		if RingStep(t) != step {
			return nil
		}
		next, err := t.Move(r.cfg.Name)
		if err != nil || next.Version == t.Version {
			return err
		}
		_, done, err := c.CompareAndSwap(r.ctx, RingAssignment, it.Version, encodeTransition(next))
		if err != nil || done {
			return err
		}
	}
}
