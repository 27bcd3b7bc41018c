package model

import (
	"errors"
	"fmt"
)

// ErrNewEpoch is what [Room.Step] wraps when a client was told to go back in a log whose events name no
// epoch: the log lost its history and began a new epoch. As positions of the two cannot be told apart,
// what follows in that room can be neither accepted nor rejected.
var ErrNewEpoch = errors.New("the room's log began a new epoch, and its events do not name epochs")

// Room is the executable specification of one room: the lives of its log, one after the other, each
// with its epoch, and every client's position. The events of a history go in one by one, and each is
// accepted or rejected with the reason.
//
// The rules for the log of each epoch:
//
//   - A position holds one message and a message (an ID) one position, once and for all, in the eyes of
//     publishers and clients alike.
//   - Positions are contiguous from 1: when one is seen, all before it are filled already, each by a
//     message whose publish had been called by then. So nobody sees a message before some publisher
//     called publish for it, and a publish that was called after another had returned comes after it.
//   - A publish that failed, or has not returned, may have filled a position or may yet do so. So may
//     one that landed in another epoch: a publisher tries until it is answered, and a log that lost its
//     history has forgotten the message.
//
// The rule for the epochs: only the newest life of a log is appended to. Once an event names an epoch,
// no message whose publish is called later lands in an older one.
//
// The rules for a client:
//
//   - Its first Connected sets its position. A later one leaves it where it is, if Resumed always, and
//     otherwise unless a Discontinuity follows as the client's next event of this room.
//   - Deliver moves it by exactly one, in its epoch. Discontinuity moves it ahead in its epoch, or to
//     any position of another; to an epoch that it left it never returns.
//
// Whether the client is connected at the moment is not part of the specification: positions are.
//
// The log's rules are those of linearizability for a log that can only be appended to, checked as the
// events come and without a search (see slack); package properties has Porcupine check the same. What
// is let pass: two epochs that only messages which nobody saw prove to have been appended to in turns.
type Room struct {
	name    string
	step    uint64
	calls   map[string]uint64 // by ID, the step of the first call of publish
	lives   map[string]*life  // by epoch
	clients map[string]*client
}

// client is one client's position in the room.
type client struct {
	at     Cursor
	jumped uint64 // step of a connection elsewhere that is yet to be announced; 0 means none
	to     Cursor // where that connection was
	left   map[string]bool
}

// NewRoom gives a room in which nothing has happened.
func NewRoom(name string) *Room {
	return &Room{name: name, calls: map[string]uint64{}, lives: map[string]*life{}, clients: map[string]*client{}}
}

// Len is the highest position known to be filled in the log of an epoch; 0 means that none is.
func (r *Room) Len(epoch string) uint64 {
	l := r.lives[epoch]
	if l == nil {
		return 0
	}
	return l.len()
}

// At gives the ID of the message at a position, and whether it is known.
func (r *Room) At(c Cursor) (id string, known bool) {
	l := r.lives[c.Epoch]
	if l == nil {
		return "", false
	}
	return l.at(c.Seq)
}

// Position gives the position of a client, and whether it has one.
func (r *Room) Position(node string) (at Cursor, ok bool) {
	c, ok := r.clients[node]
	if !ok {
		return Cursor{}, false
	}
	return c.at, true
}

// Step takes the room's next event. The error says what is wrong with it, and leaves the room as it
// was but for the step, so that what follows can be judged too. Events of other rooms are errors,
// faults are accepted, and [RunEnd] is rejected if a client's jump was not announced by then.
func (r *Room) Step(e Event) error {
	if e.Step <= r.step {
		return fmt.Errorf("step %d after step %d", e.Step, r.step)
	}
	r.step = e.Step
	switch e.Kind {
	case FaultBegin, FaultEnd:
		return nil
	case RunEnd:
		return r.end()
	}
	if e.Room != r.name {
		return fmt.Errorf("%s of room %q in the log of room %q", e.Kind, e.Room, r.name)
	}
	switch e.Kind {
	case PublishCall:
		return r.publish(e)
	case PublishOK:
		return r.published(e)
	case PublishUnknown:
		return r.checkCalled(e.ID, "a publish ended")
	case Connected:
		return r.connected(e)
	case Disconnected:
		return r.checkAnnounced(e.Node)
	case Deliver:
		return r.deliver(e)
	case Discontinuity:
		return r.discontinuity(e)
	}
	return fmt.Errorf("Kind is %q, which is none of the kinds of events", e.Kind)
}

func (r *Room) publish(e Event) error {
	if e.ID == "" {
		return errors.New("publish of a message without an ID")
	}
	if r.calls[e.ID] == 0 { // publishing the same ID again appends nothing
		r.calls[e.ID] = e.Step
		for _, l := range r.lives {
			l.free++
		}
	}
	return nil
}

func (r *Room) published(e Event) error {
	if err := r.learn(e, "was told"); err != nil {
		return fmt.Errorf("publisher %q %w", e.Node, err)
	}
	return nil
}

func (r *Room) connected(e Event) error {
	if err := r.checkAnnounced(e.Node); err != nil {
		return err
	}
	c, at := r.clients[e.Node], e.Cursor()
	if c == nil && e.Resumed {
		return fmt.Errorf("client %q resumed at %s, but has never been connected", e.Node, at.In(r.name))
	}
	if c != nil && e.Resumed && at != c.at {
		return fmt.Errorf("client %q resumed at %s, but had got to %s", e.Node, at.In(r.name), c.at.In(r.name))
	}
	if err := r.extend(e, "connected at"); err != nil {
		return err
	}
	if c == nil {
		r.clients[e.Node] = &client{at: at, left: map[string]bool{}}
	} else if at != c.at {
		c.jumped, c.to = e.Step, at
	}
	return nil
}

func (r *Room) deliver(e Event) error {
	if err := r.checkAnnounced(e.Node); err != nil {
		return err
	}
	c, at := r.clients[e.Node], e.Cursor()
	switch {
	case c == nil:
		return fmt.Errorf("client %q saw %s, but has never been connected", e.Node, at.In(r.name))
	case at.Epoch != c.at.Epoch:
		return fmt.Errorf("client %q saw %s, but had got to %s and been told of no discontinuity", e.Node, at.In(r.name), c.at.In(r.name))
	case at.Seq <= c.at.Seq:
		return fmt.Errorf("client %q saw %s, but had got to %s", e.Node, at.In(r.name), c.at.In(r.name))
	case at.Seq != c.at.Seq+1:
		return fmt.Errorf("client %q saw %s, but had got to %s only", e.Node, at.In(r.name), c.at.In(r.name))
	}
	if err := r.learn(e, "saw"); err != nil {
		return fmt.Errorf("client %q %w", e.Node, err)
	}
	c.at = at
	return nil
}

func (r *Room) discontinuity(e Event) error {
	c, at := r.clients[e.Node], e.Cursor()
	if c == nil {
		return fmt.Errorf("client %q was told of a discontinuity, but has never been connected", e.Node)
	}
	stays := at.Epoch == c.at.Epoch
	switch {
	case stays && at.Seq < c.at.Seq && at.Epoch == "":
		return fmt.Errorf("client %q was sent back from %s to %s: %w", e.Node, c.at.In(r.name), at.In(r.name), ErrNewEpoch)
	case stays && at.Seq < c.at.Seq:
		return fmt.Errorf("client %q was sent back from %s to %s, but a log that lost messages begins a new epoch",
			e.Node, c.at.In(r.name), at.In(r.name))
	case c.left[at.Epoch]:
		return fmt.Errorf("client %q was sent to %s, but had left that epoch", e.Node, at.In(r.name))
	case c.jumped > 0 && (at.Epoch == c.to.Epoch && at.Seq < c.to.Seq || at.Epoch != c.to.Epoch && stays):
		return fmt.Errorf("client %q was told of a discontinuity up to %s, but had connected at %s",
			e.Node, at.In(r.name), c.to.In(r.name))
	}
	if err := r.extend(e, "was told of a discontinuity up to"); err != nil {
		return err
	}
	if !stays {
		c.left[c.at.Epoch] = true
	}
	c.at, c.jumped = at, 0
	return nil
}

// end rejects a run in which a jump was never announced.
func (r *Room) end() error {
	var first *client
	var name string
	for n, c := range r.clients {
		if c.jumped > 0 && (first == nil || c.jumped < first.jumped) {
			first, name = c, n
		}
	}
	if first == nil {
		return nil
	}
	return r.checkAnnounced(name)
}

// checkAnnounced rejects whatever a client does instead of announcing its jump.
func (r *Room) checkAnnounced(node string) error {
	c := r.clients[node]
	if c == nil || c.jumped == 0 {
		return nil
	}
	return fmt.Errorf("client %q jumped from %s to %s at step %d without a discontinuity",
		node, c.at.In(r.name), c.to.In(r.name), c.jumped)
}

func (r *Room) checkCalled(id, what string) error {
	if r.calls[id] == 0 {
		return fmt.Errorf("%s for message %q, which nobody has called publish for", what, id)
	}
	return nil
}
