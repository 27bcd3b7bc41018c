package hop2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// RelayConfig configures [NewRelay]. Only Upstream is needed.
type RelayConfig struct {
	// Upstream is where the relay gets its messages from: any strategy, a [Relayed] of another relay included.
	// The relay does not close it.
	Upstream Strategy
	// History is how many of a room's latest messages are kept, for all who read it. 0 means 1000.
	History int
	// Queue is how many messages wait for a stream, at most; one more, and it is cut. 0 means 4096.
	Queue int
	// Heartbeat is how often a stream gives a sign of life; it must be less than the Timeout of those who read
	// it. 0 means 500 ms.
	Heartbeat time.Duration
	// Linger is how long a room is kept open after its last reader left. 0 means 5 s.
	Linger time.Duration
	// Timeout is how long a request may wait for Upstream, and a stream for its reader to take anything. It
	// should be less than the Timeout of those who ask. 0 means 1 s.
	Timeout time.Duration
	// Mutant is a deliberate bug: none, or OwnNumbers.
	Mutant Mutant
}

func (c *RelayConfig) validate() error {
	if c.Upstream == nil {
		return fieldError("Upstream", nil, "a Strategy")
	}
	if c.Mutant != "" && c.Mutant != OwnNumbers {
		return fieldError("Mutant", fmt.Sprintf("%.40q", string(c.Mutant)), fmt.Sprintf("none or %q", OwnNumbers))
	}
	return cmp.Or(
		checkCount("History", &c.History, 1000), checkCount("Queue", &c.Queue, 4096),
		checkTime("Heartbeat", &c.Heartbeat, 500*time.Millisecond), checkTime("Linger", &c.Linger, 5*time.Second),
		checkTime("Timeout", &c.Timeout, time.Second),
	)
}

// Relay stands between a region's edges and what they would otherwise all subscribe to: it subscribes once to
// each room that any of them reads, keeps the room's latest messages, and sends each message on once to each
// edge ([Relayed]) or further relay. What it has forgotten, or has yet to hear of, it asks its upstream for.
//
// It keeps nothing that matters: one that restarts has its rooms' histories from upstream.
type Relay struct {
	cfg RelayConfig

	ctx    context.Context // ends when the relay is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup // rooms

	mu      sync.Mutex // never held while waiting; taken before a room's, if both are
	rooms   map[string]*relayRoom
	streams map[string]*relayStream
	stats   RelayStats
}

// RelayStats is what a [Relay] has and has done.
type RelayStats struct {
	// Rooms is how many rooms are open, those that linger included, and Streams how many streams are.
	Rooms, Streams int
	// Subscribed is how often a room was subscribed to upstream, Reads how many pages of a log were asked for,
	// and Fetched how often upstream had to be asked for them.
	Subscribed, Reads, Fetched int
	// Published is how many messages were handed on upstream, and Sent how many copies were sent on streams.
	Published, Sent int
	// Cut is how many streams were cut because their reader did not keep up.
	Cut int
}

// NewRelay makes a relay. The error names the field that is wrong.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r := &Relay{cfg: cfg, rooms: map[string]*relayRoom{}, streams: map[string]*relayStream{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close ends the relay's streams and rooms, and waits for the rooms. It is idempotent.
func (r *Relay) Close() error {
	r.cancel()
	r.mu.Lock()
	for _, rm := range r.rooms {
		rm.stopLinger()
	}
	r.mu.Unlock()
	r.tasks.Wait()
	return nil
}

// Stats gives a snapshot.
func (r *Relay) Stats() RelayStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.stats
	st.Rooms, st.Streams = len(r.rooms), len(r.streams)
	return st
}

func (r *Relay) count(f func(*RelayStats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
}

// Handler serves
//
//	POST /batch                 operations on logs, as [wire.Handler] says
//	GET  /deliver?stream=NAME   a stream: lines of JSON, each a [wire.Delivery]
//
// A stream begins with a sign of life. From a [wire.Read] with its name on, and until a [wire.Leave], a room's
// messages come on it. A new stream of a name ends the one before, and has no rooms. What upstream does not
// answer in time is answered with 503; asking again is safe.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /batch", wire.Handler(r.do))
	mux.HandleFunc("GET /deliver", r.serveStream)
	return mux
}

// do does operations: those of one room in order, those of several rooms beside each other.
func (r *Relay) do(ctx context.Context, ops []wire.Op) ([]wire.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	results := make([]wire.Result, len(ops))
	errs := make([]error, len(ops))
	byRoom := map[string][]int{}
	for i := range ops {
		if err := ops[i].Check(); err != nil {
			results[i].Error = err.Error()
			continue
		}
		room := roomOf(&ops[i])
		byRoom[room] = append(byRoom[room], i)
	}
	var rooms sync.WaitGroup
	for _, which := range byRoom {
		rooms.Go(func() {
			for n, i := range which {
				if n > 0 && ops[i].Read != nil {
					errs[i] = settled(ctx)
				}
				if errs[i] == nil {
					results[i], errs[i] = r.doOne(ctx, &ops[i])
				}
				if errs[i] != nil {
					return // what follows would be out of order
				}
			}
		})
	}
	rooms.Wait()
	return results, errors.Join(errs...)
}

func roomOf(op *wire.Op) string {
	switch {
	case op.Append != nil:
		return op.Append.Room
	case op.Leave != nil:
		return op.Leave.Room
	}
	return op.Read.Room
}

// doOne does an operation that has been checked. What is wrong with it is its result; an error says that it
// could not be done now.
func (r *Relay) doOne(ctx context.Context, op *wire.Op) (wire.Result, error) {
	switch {
	case op.Append != nil:
		r.count(func(s *RelayStats) { s.Published++ })
		at, err := r.cfg.Upstream.Publish(ctx, op.Append.Message())
		if errors.Is(err, ErrInvalid) {
			return wire.Result{Error: err.Error()}, nil
		}
		return wire.Result{Cursor: at.String()}, err
	case op.Leave != nil:
		r.unfollow(op.Leave)
		return wire.Result{}, nil
	default:
		r.count(func(s *RelayStats) { s.Reads++ })
		p, err := r.read(ctx, op.Read)
		return wire.Result{Page: p}, err
	}
}

// relayPause is how long a read that had to wait for its room, for upstream, or for what was to be done before it, waits
// on before it looks at the room. What it waited for may come together with further messages, even in one packet, and
// whether the room's goroutine has them by then would be the scheduler's choice. It is no multiple and no difference of
// the other delays here, so that nothing else is due when it is over.
const relayPause = 7 * time.Microsecond

// settled waits for relayPause. It fails with ctx's error.
func settled(ctx context.Context) error {
	t := time.NewTimer(relayPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read gives a page of a room's log, and has what comes after it sent on the reader's stream.
func (r *Relay) read(ctx context.Context, op *wire.Read) (*wire.Page, error) {
	from, err := model.ParseCursor(op.From)
	if err != nil {
		return nil, err
	}
	rm, err := r.enter(op.Room, from)
	if err != nil {
		return nil, err
	}
	defer r.leave(rm)
	r.follow(rm, op.Stream)
	for {
		p, changed := rm.look(from, op.Limit)
		if p == nil && rm.begun() {
			if p, err = r.fetch(ctx, rm, from, op.Limit); err != nil {
				return nil, err
			}
		}
		if p != nil {
			return p, nil
		}
		select {
		case <-changed:
			if err = settled(ctx); err == nil {
				continue
			}
		case <-rm.ctx.Done():
			err = fmt.Errorf("%w: the room has closed", ErrClosed)
		case <-ctx.Done():
			err = ctx.Err()
		}
		return nil, fmt.Errorf("relay: room %s has not come as far as %v: %w", op.Room, from, err)
	}
}

// fetch asks upstream for a page that begins before what the room keeps, or, if the cursor is ahead of the
// room or of another epoch, whether the room is only behind; then it gives none, and the room must come
// further first.
func (r *Relay) fetch(ctx context.Context, rm *relayRoom, from model.Cursor, limit int) (*wire.Page, error) {
	r.count(func(s *RelayStats) { s.Fetched++ })
	sub, err := r.cfg.Upstream.Subscribe(ctx, rm.name, from)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	if err := settled(ctx); err != nil {
		return nil, err
	}
	start := sub.Start()
	p, at := rm.settle(from, start, limit)
	if p == nil || at.Seq+1 >= p.First {
		if p != nil && p.Anchor == "" && at.Seq+1 == p.First {
			p.Anchor = start.Anchor
		}
		return p, nil
	}
	// What upstream keeps goes further back than what the room does.
	p.First, p.Records, p.Anchor = at.Seq+1, nil, start.Anchor
	for at.Seq < p.Last && len(p.Records) < limit {
		b, err := sub.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b.Gap != nil {
			return nil, fmt.Errorf("relay: the log of room %s moved while it was read: %s", rm.name, b.Gap.Why)
		}
		for i := range b.Messages[:min(len(b.Messages), limit-len(p.Records))] {
			p.Records = append(p.Records, recordOf(&b.Messages[i]))
		}
		at = b.Cursor
	}
	p.Last = max(p.Last, p.First-1+uint64(len(p.Records)))
	return p, nil
}

// recordOf is a message as package wire has it.
func recordOf(m *model.Message) wire.Record {
	return wire.Record{Seq: m.Seq, ID: m.ID, Publisher: m.Publisher, Body: m.Body}
}
