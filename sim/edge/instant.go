package edge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twohop/twohop/sim/hop2"
)

// gatherFor is how long a room waits after a message for others of the same instant. Clients that are woken
// by the first may run before or after the next one is there, and so be sent one or two messages at a time:
// in virtual time, where all of that is one instant, it would differ from run to run. Beside a network's
// latency it is nothing. What hop 2 sends is apart by whole microseconds, as a rule: this ends between two.
const gatherFor = 1500 * time.Nanosecond

// instants reads a subscription to hop 2 so that messages which come together are one batch, and those that come
// in an interval from the first on, if there is one: see [Config].Aggregate.
type instants struct {
	up       hop2.Subscription
	interval time.Duration // 0 for none
	most     int           // messages in a batch from which on nothing is added to it

	// What ended the gathering of a batch, for the next call.
	held    bool
	heldFor hop2.Batch
	err     error
}

// next blocks until there is a batch. It is as the subscription's Next otherwise.
func (r *instants) next(ctx context.Context) (hop2.Batch, error) {
	if r.held {
		r.held = false
		return r.heldFor, r.err
	}
	b, err := r.up.Next(ctx)
	if err != nil || b.Gap != nil {
		return b, err
	}
	quiet, cancel := context.WithTimeout(ctx, max(gatherFor, r.interval))
	defer cancel()
	for len(b.Messages) < r.most {
		more, err := r.up.Next(quiet)
		switch {
		case err == nil && more.Gap == nil:
			// The batch may be shared with other subscriptions: it is copied, not changed.
			b.Messages = append(slices.Clip(b.Messages), more.Messages...)
			b.Cursor = more.Cursor
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return b, nil
		default:
			r.held, r.heldFor, r.err = true, more, err
			return b, nil
		}
	}
	_ = pause(ctx, gatherFor) // so that clients can take this batch before the next one, which may be there already
	return b, nil
}
