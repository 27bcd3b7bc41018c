package hop2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// RingConfig configures [NewRing]. Of Config, Addr is needed, the address of a source as package source
// serves it; History, Remember and Namespace are the source's own business and not looked at.
type RingConfig struct {
	Config
	// Name is the edge's, by which rooms are assigned to it. It must be unique, and is needed.
	Name string
	// Life tells the lives of an edge of that name apart: it must never have been used before. "" means a
	// name drawn from Rand.
	Life string
	// URL is where clients reach the edge, such as "http://edge-1". "" means "http://" and Name.
	URL string
	// Coordinators are the addresses of the coordination service's nodes. They are needed.
	Coordinators []string
	// TTL is how long the edge is believed to live after its last sign of life. An edge that cannot reach
	// the coordination service for as long takes itself for dead, and ends its subscriptions. 0 means 3 s.
	TTL time.Duration
	// MovePace is the time from one room that is moved elsewhere to the next. 0 means 100 ms.
	MovePace time.Duration
}

func (c *RingConfig) validate() error {
	if err := c.Config.validate(); err != nil {
		return err
	}
	if _, err := model.NewTransition(model.Placement{Kind: model.Modulo, Members: []string{c.Name}}); err != nil {
		return fmt.Errorf("hop2: Name: %w", err)
	}
	if len(c.Coordinators) == 0 {
		return fieldError("Coordinators", "none", "the coordination service's nodes")
	}
	if c.URL == "" {
		c.URL = "http://" + c.Name
	}
	if c.Life == "" {
		c.Life = fmt.Sprintf("%016x", c.Rand.Uint64())
	}
	return cmp.Or(checkTime("TTL", &c.TTL, 3*time.Second), checkTime("MovePace", &c.MovePace, 100*time.Millisecond))
}

// Ring is the strategy in which a room belongs to one edge. A source keeps the rooms' logs, and delivers each
// message to the room's owner alone, as the assignment says that a coordination service keeps
// ([model.Transition]). An edge refuses to subscribe to rooms of others; [Ring.Redirect] sends their clients
// there.
//
// When the assignment changes, the edge waits until the source delivers to old and new owners, then ends its
// subscriptions to the rooms that it loses, one every MovePace, and says so.
//
// Subscriptions are fed by the source's stream, and read the log whenever that may have had a hole: at the
// beginning, after every reconnection, at a jump in the numbers, and after CheckEvery of silence.
type Ring struct {
	streamed
	cfg RingConfig

	// The lock guards these; view changes as live does.
	view   ringView
	latest ringView // what was heard last, though it may not count
	since  uint64   // the revision from which on a view counts
	stats  RingStats
}

// RingStats counts what a [Ring] has done.
type RingStats struct {
	// Streams is how many times the source's stream was opened, Delivered how many messages came on it.
	Streams, Delivered int
	// Strays is how many of these were for rooms that nobody here subscribes to.
	Strays int
	// Moved is how many rooms were ended because they belong to another edge, Fenced how often all were
	// because the coordination service was out of reach.
	Moved, Fenced int
	// Redirects is how many clients were sent to another edge.
	Redirects int
}

// MovedError says that a room belongs to another edge. It is an [ErrClosed].
type MovedError struct {
	Room, Owner string
}

func (e *MovedError) Error() string { return fmt.Sprintf("room %s belongs to %s", e.Room, e.Owner) }

// Unwrap makes it an ErrClosed.
func (e *MovedError) Unwrap() error { return ErrClosed }

// NewRing makes an edge's end of the ring. It does not wait for anybody.
func NewRing(cfg RingConfig) (*Ring, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Ring{cfg: cfg}
	if err := r.begin(RingName, cfg.Config, "/deliver?edge="+url.QueryEscape(cfg.Name)); err != nil {
		return nil, err
	}
	var clients [3]*coord.Client
	var err error
	for i, purpose := range []string{"watch", "lease", "move"} {
		clients[i], err = coord.NewClient(coord.ClientConfig{
			Name: cfg.Name + "/" + cfg.Life + "/" + purpose, Nodes: cfg.Coordinators, Dial: cfg.Dial, Timeout: cfg.Timeout,
			Pause: 2*cfg.RetryMin + r.apart(i),
		})
		if err != nil {
			return nil, errors.Join(err, r.log.Close())
		}
	}
	for i, task := range []func(*coord.Client){r.watch, r.stayAlive, r.move} {
		r.tasks.Go(func() {
			_ = r.log.pause(r.ctx, r.apart(i)) // it is the end
			task(clients[i])
			clients[i].Close()
		})
	}
	r.tasks.Go(func() { r.listen(r.apart(len(clients))) })
	return r, nil
}

// Close ends everything that was started. It does not wait for rooms to be moved; see [Ring.Leave].
func (r *Ring) Close() error { return r.close() }

// Stats gives a copy of the counters.
func (r *Ring) Stats() RingStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	stats.Streams, stats.Delivered, stats.Strays = r.streams, r.delivered, r.strays
	return stats
}

// Publish appends m to its room's log, which any edge may.
func (r *Ring) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	return r.log.Publish(ctx, m)
}

// Subscribe gives a room's log from a cursor. For a room of another edge it fails with a *MovedError.
func (r *Ring) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	return r.subscribe(ctx, room, from, r.awaitLive)
}

// awaitLive waits until the source sends the room's messages to this edge.
func (r *Ring) awaitLive(ctx context.Context, room string) error {
	var owner string
	var assigned, known, live bool
	err := r.wait(ctx, func() bool {
		assigned, live = r.view.assignment != nil, r.live
		owner, known = r.view.home(room)
		return known && live
	})
	switch {
	case errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%w (assignment known: %t, source reached: %t)", err, assigned, live)
	case err == nil && owner != r.cfg.Name:
		return &MovedError{room, owner}
	}
	return err
}

// Await waits until a room belongs to this edge, and the source sends its messages here. It fails when ctx or the
// strategy ends.
func (r *Ring) Await(ctx context.Context, room string) error {
	for {
		r.mu.Lock()
		changed := r.changed // from before the answer, so that no change after it is missed
		r.mu.Unlock()
		err := r.awaitLive(ctx, room)
		if _, moved := errors.AsType[*MovedError](err); !moved {
			return err
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
