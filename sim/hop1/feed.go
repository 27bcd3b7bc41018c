package hop1

import (
	"context"
	"errors"
	"time"

	"github.com/twohop/twohop/model"
)

// What a [Subscription] may answer, besides a context's error. They may be wrapped. Whatever else
// it answers is treated as ErrClosed.
var (
	// ErrSlowConsumer: the subscriber's bounded queue overflowed. Its connection is closed, and the
	// client resumes from its cursor when it has caught its breath.
	ErrSlowConsumer = errors.New("slow consumer: the subscription's queue overflowed")
	// ErrDraining: the server is going away. The client is told goodbye and reconnects elsewhere.
	// [Feed.Open] may return it too.
	ErrDraining = errors.New("draining: the server is going away")
	// ErrClosed: the subscription is closed, or its source is.
	ErrClosed = errors.New("subscription closed")
	// ErrRejected: the message can never be published. Only [ServerConfig]'s Publish returns it.
	ErrRejected = errors.New("message rejected")
	// ErrNoRoom: there is no such room and there will be none. Only [Feed.Open] returns it.
	ErrNoRoom = errors.New("no such room")
)

// Feed is what a transport serves from: the endpoint server's view of its rooms. It is safe for
// concurrent use.
type Feed interface {
	// Open subscribes one client to a room from a cursor; the zero cursor means the live end. It
	// fails with ErrDraining, ErrNoRoom, the context's error or another error, which the client sees
	// as a temporary failure. The subscription outlives ctx: Close ends it.
	Open(ctx context.Context, room string, from model.Cursor) (Subscription, error)
}

// Subscription is one client's view of one room. One goroutine calls Start and Next; Close may be
// called from any.
type Subscription interface {
	// Start is what was agreed, once, before the first Next.
	Start() Start
	// Next blocks until there is a batch, and returns what is there. It continues where the one before
	// ended, or says that it does not. It fails with ErrSlowConsumer, ErrDraining or ErrClosed, after
	// which it returns nothing more; or with the context's error, which loses nothing. With a context that
	// has ended already it waits for nothing, but still returns what is there, as polling needs it. A tick ends
	// the wait, too, with an empty batch, for transports that must write in silence; nil never ticks.
	Next(ctx context.Context, tick <-chan time.Time) (Batch, error)
	// Close frees everything and ends a blocked Next with ErrClosed. It is idempotent.
	Close()
}

// Start is the position that a subscription starts from.
type Start struct {
	// Cursor is the agreed position: the client is owed everything after it. Its epoch is never empty.
	Cursor model.Cursor
	// Resumed: the client's own cursor was honoured. Then Cursor is that cursor, and, unless its Seq
	// is 0 or the start is Anchorless, the first message replayed is the one AT the cursor: the anchor,
	// whose ID proves that both ends mean the same log.
	Resumed bool
	// Anchorless: the anchor is no longer kept, but the epoch is the cursor's, and all that follows the
	// cursor is kept. It goes with Resumed only.
	Anchorless bool
	// Anchor is the ID of the message at Cursor, wherever that is. The client brings it when it comes back,
	// and a feed that has another one there, or none, is known not to have the client's log, or not to
	// know. Where the feed does not know the ID it may give any other text of up to [model.MaxNameLen]
	// bytes, by which it knows its own view of the log again. "" says that there is nothing to compare, so
	// that a client that comes back to this position is told of a gap, unless its Seq is 0.
	Anchor string
	// Gap, unless empty, says why the client's cursor could not be honoured. What lay between it and
	// Cursor is lost to the client.
	Gap string
}

// Batch is what a subscription delivers: either messages or a gap; neither at a tick.
type Batch struct {
	// Messages are in order of Seq without a hole. They may be shared with other subscriptions: they are
	// not to be changed.
	Messages []model.Message
	// Gap, unless nil, says that messages are out of reach.
	Gap *Gap
}

// isEmpty reports whether a tick has ended the wait for the batch.
func (b *Batch) isEmpty() bool { return b.Gap == nil && len(b.Messages) == 0 }

// Gap is an announced hole: what lay between the position reached and To is lost to the client, which
// is owed everything after To.
type Gap struct {
	// To is the new position. Its epoch, never empty, may be another.
	To model.Cursor
	// Anchor is the ID of the message at To, or what stands for it; see [Start].
	Anchor string
	// Why is told to the client.
	Why string
}
