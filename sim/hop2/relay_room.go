package hop2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// relayRoom is a room that a relay has open: its one subscription upstream, and what is kept of it. One
// goroutine, serve, feeds it.
type relayRoom struct {
	relay *Relay
	name  string
	ctx   context.Context // ends when the room closes
	stop  context.CancelFunc
	own   bool // the mutant OwnNumbers has it

	// The relay's lock guards these.
	holds  int         // requests under way, and streams that the room's messages go to
	linger *time.Timer // closes the room; nil if somebody holds it

	// Invariant: msgs are those of epoch after first-1 and up to last, without a hole.
	mu          sync.Mutex // never held while waiting
	epoch       string     // "" before the room has begun
	first, last uint64
	before      string // the ID of the message before first; "" if it is not known
	msgs        []model.Message
	followers   map[*relayStream]struct{}
	changed     chan struct{} // closed, and replaced, at every change
}

// enter holds a room, which it opens if need be, for a reader at a position. leave must follow.
func (r *Relay) enter(name string, from model.Cursor) (*relayRoom, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return nil, fmt.Errorf("relay: %w", ErrClosed)
	}
	rm := r.rooms[name]
	if rm == nil {
		rm = &relayRoom{relay: r, name: name, followers: map[*relayStream]struct{}{}, changed: make(chan struct{})}
		rm.ctx, rm.stop = context.WithCancel(r.ctx)
		rm.adopt(from)
		r.rooms[name] = rm
		r.tasks.Go(rm.serve)
	}
	rm.holds++
	rm.stopLinger()
	return rm, nil
}

// leave ends a hold. The last one has the room linger.
func (r *Relay) leave(rm *relayRoom) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked(rm)
}

func (r *Relay) leaveLocked(rm *relayRoom) {
	rm.holds--
	if rm.holds == 0 && r.ctx.Err() == nil && r.rooms[rm.name] == rm {
		rm.linger = time.AfterFunc(r.cfg.Linger, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if rm.holds == 0 {
				r.forgetLocked(rm)
			}
		})
	}
}

// stopLinger says that somebody holds the room, or that it closes otherwise. The relay's lock is held.
func (rm *relayRoom) stopLinger() {
	if rm.linger != nil {
		rm.linger.Stop()
		rm.linger = nil
	}
}

// forgetLocked closes a room for good: whoever comes next opens another. The relay's lock is held.
func (r *Relay) forgetLocked(rm *relayRoom) {
	rm.stop()
	if r.rooms[rm.name] == rm {
		delete(r.rooms, rm.name)
	}
}

// serve keeps the room's subscription until the room closes.
func (rm *relayRoom) serve() {
	r := rm.relay
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.forgetLocked(rm)
	}()
	for rm.ctx.Err() == nil {
		err := rm.feed()
		if errors.Is(err, ErrClosed) {
			return
		}
		// It has failed in a way that the strategy does not itself try to get over.
		t := time.NewTimer(r.cfg.Timeout)
		select {
		case <-t.C:
		case <-rm.ctx.Done():
		}
		t.Stop()
	}
}

// feed subscribes where the room stands, and takes what comes until the subscription fails.
func (rm *relayRoom) feed() error {
	at, id := rm.bookmark()
	if rm.own {
		at = model.Cursor{}
	}
	up, err := rm.relay.cfg.Upstream.Subscribe(rm.ctx, rm.name, at)
	if err != nil {
		return err
	}
	defer up.Unsubscribe()
	rm.relay.count(func(s *RelayStats) { s.Subscribed++ })
	if start := up.Start(); !rm.own && (start.Cursor != at || replaced(id, start.Anchor)) {
		rm.restart(start.Cursor, start.Anchor)
	}
	for {
		b, err := up.Next(rm.ctx)
		if err != nil {
			return err
		}
		if b.Gap != nil {
			rm.restart(b.Gap.To, b.Gap.Anchor)
			continue
		}
		rm.append(rm.renumber(b.Messages))
	}
}

// position is where the room stands; zero before it has begun.
func (rm *relayRoom) position() model.Cursor {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	return model.Cursor{Epoch: rm.epoch, Seq: rm.last}
}

// bookmark is where the room stands, and the ID of the message there, if it is known.
func (rm *relayRoom) bookmark() (model.Cursor, string) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	return model.Cursor{Epoch: rm.epoch, Seq: rm.last}, rm.anchor(rm.last)
}

// anchor gives the ID of the message at a position from the one before first to the last, if it is known. The lock is
// held.
func (rm *relayRoom) anchor(at uint64) string {
	if len(rm.msgs) == 0 || at < rm.first {
		return rm.before
	}
	return rm.msgs[at-rm.first].ID
}

func (rm *relayRoom) begun() bool { return !rm.position().IsZero() }

// restart forgets what is kept: the room goes on after another message, or after what has come to be at the same
// position. Readers are told to look, as they would not find out by the numbers of what comes next.
func (rm *relayRoom) restart(at model.Cursor, id string) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	begun := rm.epoch != ""
	rm.epoch, rm.first, rm.last, rm.before, rm.msgs = at.Epoch, at.Seq+1, at.Seq, id, nil
	if begun {
		rm.send(newLookLine(rm.name, rm.epoch))
	}
	rm.wake()
}

// append keeps messages, which continue the room, and sends them on.
func (rm *relayRoom) append(msgs []model.Message) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.msgs = append(rm.msgs, msgs...)
	if drop := len(rm.msgs) - rm.relay.cfg.History; drop > 0 {
		rm.before = rm.msgs[drop-1].ID
		rm.msgs = rm.msgs[drop:] // when the array is full, append copies what is kept to a new one
	}
	rm.last = msgs[len(msgs)-1].Seq
	rm.first = rm.last + 1 - uint64(len(rm.msgs))
	for i := range msgs {
		rm.send(newRelayLine(rm.name, rm.epoch, &msgs[i]))
	}
	rm.wake()
}

// send sends a line to those who follow the room. The lock is held.
func (rm *relayRoom) send(line *relayLine) {
	for st := range rm.followers { // in any order: each has a queue of its own
		st.put(line)
	}
}

// wake wakes those who wait for a change. The lock is held.
func (rm *relayRoom) wake() {
	close(rm.changed)
	rm.changed = make(chan struct{})
}

// look gives a page, if what is kept answers for the cursor; otherwise nil, and what to wait for.
func (rm *relayRoom) look(from model.Cursor, limit int) (*wire.Page, <-chan struct{}) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	kept := from.IsZero() || from.Epoch == rm.epoch && from.Seq+1 >= rm.first && from.Seq <= rm.last
	if rm.epoch == "" || !kept {
		return nil, rm.changed
	}
	return rm.page(from, limit), rm.changed
}

// settle tells what a cursor that the room does not keep comes to, given what upstream says to it: nil if the
// room is behind, and must come further before it can answer; otherwise the page that the room has, and where
// upstream would begin.
func (rm *relayRoom) settle(from model.Cursor, start Start, limit int) (*wire.Page, model.Cursor) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	at := start.Cursor
	switch ahead := from.Epoch == rm.epoch && from.Seq > rm.last; {
	case at.Epoch != rm.epoch, start.Gap == "" && at.Seq > rm.last:
		return nil, at
	case ahead && at.Seq >= from.Seq: // upstream does not keep the cursor's position, but was there
		return nil, at
	}
	return rm.page(from, limit), at
}

// page gives what is kept after a cursor, or from the oldest on if that is elsewhere. The lock is held.
func (rm *relayRoom) page(from model.Cursor, limit int) *wire.Page {
	p := &wire.Page{Epoch: rm.epoch, First: rm.first, Last: rm.last}
	if from.IsZero() {
		p.Anchor = rm.anchor(rm.last)
		return p
	}
	next := rm.first
	if from.Epoch == rm.epoch && from.Seq >= rm.first {
		next = min(from.Seq, rm.last) + 1
	}
	p.Anchor = rm.anchor(next - 1)
	msgs := rm.msgs[next-rm.first:]
	for i := range msgs[:min(len(msgs), limit)] {
		p.Records = append(p.Records, recordOf(&msgs[i]))
	}
	return p
}
