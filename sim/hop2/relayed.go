package hop2

import (
	"context"
	"errors"
	"fmt"

	"github.com/twohop/twohop/model"
)

// Relayed is the strategy of those who get their messages from a [Relay], whatever that gets them by: edges of
// a region, or further relays. It promises what the relay's own strategy does. The relay may restart.
type Relayed struct {
	streamed
}

// RelayedStats counts what a [Relayed] has done.
type RelayedStats struct {
	// Streams is how many times the relay's stream was opened, Delivered how many messages came on it, and
	// Strays how many of these were for rooms that nobody here subscribes to any more.
	Streams, Delivered, Strays int
}

// NewRelayed makes one of the relay at cfg.Addr. It does not wait for it. History, Remember and Namespace are
// the business of who keeps the log, and not looked at.
func NewRelayed(cfg Config) (*Relayed, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Relayed{}
	r.name = fmt.Sprintf("%016x", cfg.Rand.Uint64()) // another in every life: what was sent to the last one is not for this
	if err := r.begin("relay", cfg, "/deliver?stream="+r.name); err != nil {
		return nil, err
	}
	r.tasks.Go(func() { r.listen(listenApart) })
	return r, nil
}

// Close ends everything that was started.
func (r *Relayed) Close() error { return r.close() }

// Stats gives a copy of the counters.
func (r *Relayed) Stats() RelayedStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RelayedStats{Streams: r.streams, Delivered: r.delivered, Strays: r.strays}
}

// Publish appends m to its room's log, by way of the relay.
func (r *Relayed) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	return r.log.Publish(ctx, m)
}

// Subscribe gives a room's log from a cursor.
func (r *Relayed) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	return r.subscribe(ctx, room, from, r.awaitStream)
}

// awaitStream waits until the relay's stream is open.
func (r *Relayed) awaitStream(ctx context.Context, _ string) error {
	err := r.wait(ctx, func() bool { return r.live })
	if errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w (the relay's stream is not open)", err)
	}
	return err
}
