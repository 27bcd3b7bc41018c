package edge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// upstreamPause is how long a room waits before it subscribes again, after hop 2 failed in a way that
// it does not itself try to get over.
const upstreamPause = time.Second

// room is what the clients of one room share. One goroutine, serve, feeds it.
type room struct {
	srv  *Server
	name string
	ctx  context.Context // ends when the room closes
	stop context.CancelFunc

	blind bool // hop 2 has been asked for a message that it does not keep; for serve only

	// The server's lock guards these.
	places int         // clients, those that are being let in included
	linger *time.Timer // closes the room; nil if somebody is in it

	mu     sync.Mutex    // never held while waiting
	ready  chan struct{} // closed when there is a stretch, or failed is set
	now    *stretch      // what is being fed; nil before the first
	failed error         // why there will be none
	past   []*stretch    // those before now that still keep messages, or may have to, oldest first
	subs   map[*subscription]struct{}
	high   uint64        // greatest lag of any subscription so far
	held   uint64        // most messages that were kept for any of them
	turns  time.Duration // of the latest client
}

func newRoom(s *Server, name string) *room {
	rm := &room{srv: s, name: name, ready: make(chan struct{}), subs: map[*subscription]struct{}{}}
	rm.ctx, rm.stop = context.WithCancel(s.alive)
	return rm
}

// turn is a nanosecond more for each client that comes.
func (rm *room) turn() time.Duration {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.turns++
	return rm.turns
}

// stopLinger says that somebody is in the room, or that it closes otherwise. The server's lock is held.
func (rm *room) stopLinger() {
	if rm.linger != nil {
		rm.linger.Stop()
		rm.linger = nil
	}
}

// serve keeps the room's upstream subscription until the room closes.
func (rm *room) serve() {
	defer rm.srv.forget(rm)
	var err error
	for rm.ctx.Err() == nil && !errors.Is(err, hop2.ErrClosed) {
		if err != nil && pause(rm.ctx, upstreamPause) != nil {
			break
		}
		err = rm.follow()
	}
	rm.close(err)
}

// follow subscribes where the room stands, and feeds the room until the subscription fails.
func (rm *room) follow() error {
	at, had := rm.bookmark()
	up, err := rm.srv.cfg.Strategy.Subscribe(rm.ctx, rm.name, at)
	if err != nil {
		return err
	}
	rm.srv.countUpstream(1)
	defer rm.srv.countUpstream(-1)
	defer up.Unsubscribe()
	start := up.Start()
	if had != "" && start.Anchor != "" && had != start.Anchor && start.Gap == "" {
		start.Gap = fmt.Sprintf("another log: message %d is %.40q, and was %.40q", at.Seq, start.Anchor, had)
	}
	if start.Cursor != at || start.Gap != "" {
		rm.restart(start.Cursor, rm.lookUp(start.Cursor), start.Gap)
	}
	upstream := instants{up: up, interval: rm.srv.cfg.Aggregate, most: max(rm.srv.cfg.QueueLimit/2, 1)}
	for {
		b, err := upstream.next(rm.ctx)
		if err != nil {
			return err
		}
		if b.Gap != nil {
			rm.restart(b.Gap.To, rm.lookUp(b.Gap.To), b.Gap.Why)
			continue
		}
		rm.srv.observe(model.Receive, rm.name, b.Cursor.Epoch, "", b.Messages)
		if rm.srv.cfg.Mutant == WaitForSlowest {
			if err := rm.awaitSlowest(rm.ctx, len(b.Messages)); err != nil {
				return err
			}
		}
		rm.take(b.Messages)
	}
}

// take takes messages, which continue the present stretch.
func (rm *room) take(msgs []model.Message) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.now.append(msgs)
	rm.trimPast()
}

// bookmark is where the room stands, and the ID of the message there, if it is known; zero before it has begun.
func (rm *room) bookmark() (at model.Cursor, id string) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	if rm.now == nil {
		return at, ""
	}
	at = rm.now.position()
	if id = rm.now.anchor(at.Seq); id == rm.now.stamp {
		id = ""
	}
	return at, id
}

// lookUp reads the message at a position from hop 2, so that clients which are put there learn its ID. It
// gives nil if hop 2 keeps none there, after which it does not ask again, or does not answer in half of what clients wait for.
func (rm *room) lookUp(at model.Cursor) *model.Message {
	if at.Seq == 0 || rm.blind {
		return nil
	}
	ctx, cancel := context.WithTimeout(rm.ctx, rm.srv.cfg.OpenTimeout/2)
	defer cancel()
	up, err := rm.srv.upstream(ctx, rm.name, beforeAnchor(at))
	if err != nil {
		return nil
	}
	defer up.end()
	if up.Start().Cursor != beforeAnchor(at) {
		rm.blind = true
		return nil
	}
	b, err := up.Next(ctx)
	if err != nil || len(b.Messages) == 0 || b.Messages[0].Seq != at.Seq {
		return nil
	}
	return &b.Messages[0]
}

// restart begins a new stretch after a message, which is nil if it is not known. Clients of the stretch before
// read it to its end, and are then told of the gap.
func (rm *room) restart(at model.Cursor, first *model.Message, why string) {
	stamp := "?" + rm.srv.cfg.Name + "@" + strconv.FormatInt(time.Now().UnixNano(), 36)
	rm.mu.Lock()
	defer rm.mu.Unlock()
	before := rm.now
	keep := rm.srv.bound()
	if rm.srv.cfg.Mutant == Unbounded {
		keep = math.MaxInt
	}
	rm.now = newStretch(at, first, stamp, keep)
	rm.now.why = why
	if key := rm.srv.cfg.Key; key != nil {
		rm.now.digest = newDigest(at.Seq, key, rm.srv.cfg.KeyLimit)
	}
	if before == nil {
		close(rm.ready)
	} else {
		before.end(rm.now)
		rm.past = append(rm.past, before)
		rm.trimPast()
	}
}

// close ends the room's stretch, or the wait for one.
func (rm *room) close(err error) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	if rm.now != nil {
		rm.now.end(nil)
		return
	}
	rm.failed = fmt.Errorf("%w: %w", hop1.ErrClosed, errors.Join(err, rm.ctx.Err()))
	close(rm.ready)
}

// await waits until the room has a stretch.
func (rm *room) await(ctx context.Context) error {
	select {
	case <-rm.ready:
		rm.mu.Lock()
		defer rm.mu.Unlock()
		return rm.failed
	case <-ctx.Done():
		return fmt.Errorf("hop 2 gives no word of room %s: %w", rm.name, ctx.Err())
	}
}

// greatest is how far any of the room's clients is, or was, behind, and how many messages are, or were, kept
// for it.
func (rm *room) greatest() (lag, held int) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	for sub := range rm.subs {
		rm.lag(sub)
	}
	return int(rm.high), int(rm.held)
}

// lag is how far a client is behind. The room's lock is held.
func (rm *room) lag(sub *subscription) uint64 {
	lag := sub.on.lag(sub.at)
	rm.high, rm.held = max(rm.high, lag), max(rm.held, sub.on.held(sub.at))
	return lag
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
