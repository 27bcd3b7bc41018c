package edge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// subscription is one client's place in a room: a position on a stretch. It is a [hop1.Subscription].
type subscription struct {
	rm     *room
	who    string // in what Observe gets
	start  hop1.Start
	closed chan struct{}
	once   sync.Once
	leave  func()        // ends the member's presence
	turn   time.Duration // see upstream

	// The room's lock guards these.
	on      *stretch
	at      uint64          // the client has, or will get from its backlog, all up to here
	backlog []model.Message // to be replayed first; not counted as its queue
	extract []model.Message // the latest of each key, to be given before the stretch goes on; see conflate
	slow    bool            // it was counted as disconnected
	told    uint64          // up to where the client has been told what the extract leaves out
}

// Open subscribes one client to a room. What the client missed is replayed from the room's cache or,
// if that does not reach back far enough, from hop 2.
func (s *Server) Open(ctx context.Context, name string, from model.Cursor) (hop1.Subscription, error) {
	if err := s.checkRoom(name); err != nil {
		return nil, fmt.Errorf("%w: %w", hop1.ErrNoRoom, err)
	}
	rm, err := s.enter(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.OpenTimeout)
	defer cancel()
	defer context.AfterFunc(s.alive, cancel)()
	member := hop1.Identity(ctx)
	sub := &subscription{rm: rm, who: s.cfg.Who(ctx), closed: make(chan struct{}), leave: func() {}, turn: rm.turn()}
	if err := sub.open(ctx, from); err != nil {
		sub.Close()
		if s.alive.Err() != nil {
			return nil, hop1.ErrDraining
		}
		return nil, fmt.Errorf("edge: open room %s: %w", name, err)
	}
	sub.leave = s.presence.enter(name, member)
	return sub, nil
}

func (sub *subscription) open(ctx context.Context, from model.Cursor) error {
	if err := sub.rm.await(ctx); err != nil {
		return err
	}
	if mutant := sub.rm.srv.cfg.Mutant; sub.join(from) && (from.IsZero() || mutant != SnapshotFirst && mutant != SnapshotLast) {
		return nil
	}
	return sub.catchUp(ctx, from)
}

// join takes a position at the end of the room's present stretch. It tells whether that, with the
// cache, is all that the client needs.
func (sub *subscription) join(from model.Cursor) bool {
	rm := sub.rm
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.subs[sub] = struct{}{}
	sub.on, sub.at = rm.now, rm.now.last
	if from.IsZero() {
		sub.start = hop1.Start{Cursor: rm.now.position(), Anchor: rm.now.anchor(rm.now.last)}
		return true
	}
	if from.Epoch != rm.now.epoch || from.Seq > rm.now.last {
		return false
	}
	sub.start = hop1.Start{Cursor: from, Resumed: true, Anchor: rm.now.anchor(from.Seq)}
	if backlog, kept := rm.now.since(beforeAnchor(from).Seq); kept {
		sub.backlog = backlog
		return true
	}
	if from.Seq != rm.now.from { // else the anchor is where the stretch begins
		return false
	}
	backlog, kept := rm.now.since(from.Seq)
	if first := rm.now.first; first != nil {
		sub.backlog = append([]model.Message{*first}, backlog...)
	} else {
		sub.backlog, sub.start.Anchorless = backlog, true
	}
	return kept
}

// beforeAnchor gives the position whose next message is the one at c, the anchor; c itself if it is
// before the first message.
func beforeAnchor(c model.Cursor) model.Cursor {
	if c.Seq > 0 {
		c.Seq--
	}
	return c
}

// errMoved fails an opening that the log did not stand still for. The client will try again.
var errMoved = errors.New("the log moved while the client caught up with it")

// catchUp reads from hop 2 what the client lacks up to its position on the stretch, and agrees on where
// it starts.
func (sub *subscription) catchUp(ctx context.Context, from model.Cursor) error {
	if from.Epoch == sub.on.epoch && from.Seq > sub.at {
		// The client was at a server that is ahead of this one, or its log is not ours. Hop 2 knows,
		// but only if asked for the cursor itself: its anchor may be a message yet to come.
		up, err := sub.upstream(ctx, from)
		if err != nil {
			return err
		}
		defer up.end()
		if got := up.Start(); got.Gap != "" {
			return sub.replay(ctx, up, hop1.Start{Cursor: got.Cursor, Anchor: sub.anchor(got.Cursor), Gap: got.Gap})
		}
	}
	up, err := sub.upstream(ctx, beforeAnchor(from))
	if err != nil {
		return err
	}
	defer up.end()
	start := hop1.Start{Cursor: from, Resumed: true}
	switch got := up.Start(); {
	case got.Gap == "":
	case got.Cursor == from: // of what was asked for, the anchor alone is gone
		start.Anchorless, start.Anchor = true, sub.anchor(from)
	case sub.rm.srv.cfg.Mutant == SkipTrimmed && got.Cursor.Epoch == from.Epoch && got.Cursor.Seq > from.Seq:
		start.Anchorless = true
	default:
		start = hop1.Start{Cursor: got.Cursor, Anchor: sub.anchor(got.Cursor), Gap: got.Gap}
	}
	return sub.replay(ctx, up, start)
}

// anchor gives the ID of the message at a position, or what stands for it, as far as the client's stretch
// knows it.
func (sub *subscription) anchor(at model.Cursor) string {
	sub.rm.mu.Lock()
	defer sub.rm.mu.Unlock()
	if at.Epoch != sub.on.epoch {
		return ""
	}
	return sub.on.anchor(at.Seq)
}

// replay makes a backlog of what a subscription gives, up to the client's position on the stretch and at
// least up to the start, which is what the client is told.
func (sub *subscription) replay(ctx context.Context, up upstream, start hop1.Start) error {
	at := up.Start().Cursor
	if at.Epoch != sub.on.epoch {
		return errMoved // hop 2 is in an epoch that the room has not heard of yet, or is past
	}
	sub.start = start
	need := max(start.Cursor.Seq, sub.at)
	var backlog []model.Message
	whole := instants{up: up, most: math.MaxInt}
	for at.Seq < need {
		b, err := whole.next(ctx)
		if err != nil {
			return err
		}
		if b.Gap != nil {
			return errMoved
		}
		sub.rm.srv.observe(model.Receive, sub.rm.name, b.Cursor.Epoch, "", b.Messages)
		backlog = append(backlog, b.Messages...)
		at = b.Cursor
	}
	if len(backlog) > 0 && backlog[0].Seq == start.Cursor.Seq {
		sub.start.Anchor = backlog[0].ID
	}
	sub.rm.mu.Lock()
	defer sub.rm.mu.Unlock()
	sub.backlog = backlog
	switch sub.rm.srv.cfg.Mutant {
	case SnapshotFirst:
		sub.on, sub.at = sub.rm.now, max(at.Seq, sub.rm.now.last)
	case SnapshotLast:
	default:
		sub.at = max(sub.at, at.Seq)
	}
	return nil
}

// upstream subscribes to hop 2, for a while, at the client's turn. Those who waited for their room, or for one packet,
// go on at one instant; and whoever comes first to a broker is served first.
func (sub *subscription) upstream(ctx context.Context, from model.Cursor) (upstream, error) {
	if err := pause(ctx, sub.turn); err != nil {
		return upstream{}, err
	}
	return sub.rm.srv.upstream(ctx, sub.rm.name, from)
}

// upstream is a temporary subscription to hop 2.
type upstream struct {
	hop2.Subscription
	srv *Server
}

func (s *Server) upstream(ctx context.Context, room string, from model.Cursor) (upstream, error) {
	up, err := s.cfg.Strategy.Subscribe(ctx, room, from)
	if err != nil {
		return upstream{}, err
	}
	s.countUpstream(1)
	return upstream{up, s}, nil
}

func (u upstream) end() {
	u.Unsubscribe()
	u.srv.countUpstream(-1)
}

// Start is what was agreed.
func (sub *subscription) Start() hop1.Start { return sub.start }

// Next gives the backlog, then what the room has that the client has not.
func (sub *subscription) Next(ctx context.Context, tick <-chan time.Time) (hop1.Batch, error) {
	srv := sub.rm.srv
	for {
		if err := sub.ended(); err != nil {
			return hop1.Batch{}, err
		}
		b, changed, err := sub.take()
		if changed == nil {
			srv.observe(model.Copy, sub.rm.name, sub.on.epoch, sub.who, b.Messages)
			return b, err
		}
		select {
		case <-changed:
		case <-sub.closed:
		case <-srv.alive.Done():
		case <-tick:
			return hop1.Batch{}, nil
		case <-ctx.Done():
			return hop1.Batch{}, ctx.Err()
		}
	}
}

func (sub *subscription) ended() error {
	select {
	case <-sub.closed:
		return hop1.ErrClosed
	default:
	}
	if sub.rm.srv.alive.Err() != nil {
		return hop1.ErrDraining
	}
	return nil
}

// take gives the batch that is there, or what to wait for.
func (sub *subscription) take() (b hop1.Batch, changed <-chan struct{}, err error) {
	rm := sub.rm
	rm.mu.Lock()
	defer rm.mu.Unlock()
	if len(sub.backlog) > 0 {
		b.Messages, sub.backlog = sub.backlog, nil
		return b, nil, nil
	}
	if len(sub.extract) > 0 {
		return sub.takeExtract(), nil, nil
	}
	if lag := rm.lag(sub); rm.srv.overflows(lag) {
		return sub.overflow(lag)
	}
	for {
		msgs, kept := sub.on.since(sub.at)
		switch {
		case !kept:
			panic(fmt.Sprintf("edge: room %s: within the limit, but not kept: %d messages behind", rm.name, sub.on.rest(sub.at)))
		case len(msgs) > 0:
			sub.at = sub.on.last
			return hop1.Batch{Messages: msgs}, nil, nil
		case !sub.on.ended:
			return b, sub.on.changed, nil
		case rm.srv.alive.Err() != nil:
			return b, nil, hop1.ErrDraining
		case sub.on.next == nil:
			return b, nil, fmt.Errorf("%w: the room has closed", hop1.ErrClosed)
		}
		if gap := sub.proceed(); gap != nil {
			return hop1.Batch{Gap: gap}, nil, nil
		}
	}
}

// proceed takes the client from the end of its stretch to the next, and gives what it missed between
// them. That is nothing if the log went on, and the client has been further than where the next stretch
// begins, at a server that was ahead of this one. If the next one begins where this one ended, the log is another
// than the one that was read. The room's lock is held.
func (sub *subscription) proceed() *hop1.Gap {
	before := sub.on
	sub.on = before.next
	to := sub.on.start()
	if to.Epoch == before.epoch && to.Seq > before.last && to.Seq <= sub.at {
		return nil
	}
	sub.at = to.Seq
	return &hop1.Gap{To: to, Anchor: sub.on.anchor(to.Seq), Why: sub.on.why}
}

// Close gives the client's place back.
func (sub *subscription) Close() {
	sub.once.Do(func() {
		close(sub.closed)
		rm := sub.rm
		rm.mu.Lock()
		if sub.on != nil { // it has joined
			rm.lag(sub)
			delete(rm.subs, sub)
		}
		rm.mu.Unlock()
		sub.leave()
		rm.srv.leave(rm)
	})
}
