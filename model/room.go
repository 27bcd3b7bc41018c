package model

import (
	"errors"
	"fmt"
)

// ErrNewEpoch is what [Room.Step] wraps when a client was told to go back in the log: the log lost its
// history and began a new epoch. A history does not say which epoch a position counts in, so what
// follows in that room can be neither accepted nor rejected.
var ErrNewEpoch = errors.New("the room's log began a new epoch, and a history does not tell positions of two epochs apart")

// Room is the executable specification of one room: its log, and every client's position in it. The
// events of a history go in one by one, and each is accepted or rejected with the reason.
//
// The rules for the log:
//
//   - A position holds one message and a message (an ID) one position, once and for all, in the eyes of
//     publishers and clients alike.
//   - Positions are contiguous from 1: when one is seen, all before it are filled already, each by a
//     message whose publish had been called by then. So nobody sees a message before some publisher
//     called publish for it, and a publish that was called after another had returned comes after it.
//   - A publish that failed, or has not returned, may have filled a position or may yet do so.
//
// The rules for a client:
//
//   - Its first Connected sets its position. A later one leaves it where it is, if Resumed always, and
//     otherwise unless a Discontinuity follows as the client's next event of this room.
//   - Deliver moves it by exactly one. Discontinuity moves it ahead, to where it says.
//
// Whether the client is connected at the moment is not part of the specification: positions are.
//
// The log's rules are those of linearizability for a log that can only be appended to, checked as the
// events come and without a search (see slack); package properties has Porcupine check the same.
type Room struct {
	name    string
	step    uint64
	calls   map[string]*message
	free    int    // called messages that no position is known for: any of them may fill a hole
	holes   int    // positions up to len(log) whose message is not known
	log     []slot // position p is log[p-1]
	clients map[string]*client
}

// message is a publish, by ID.
type message struct {
	called uint64 // step of the first call
	seq    uint64 // position; 0 while not known
}

// slot is one position of the log. It is there from the step on at which it is known to be filled.
type slot struct {
	id    string // "" while the position is a hole: filled by a message not known
	since uint64 // step by which it was filled; never decreases from one position to the next
	// slack is how many more messages were called before since, and have no position known, than there
	// are holes up to here. By Hall's theorem for nested intervals, the holes can be filled by messages
	// called in time exactly as long as no slot's slack is negative.
	slack int
}

// client is one client's position in the room.
type client struct {
	seq    uint64
	jumped uint64 // step of a connection elsewhere that is yet to be announced; 0 means none
	to     uint64 // where that connection was
}

// NewRoom gives a room in which nothing has happened.
func NewRoom(name string) *Room {
	return &Room{name: name, calls: map[string]*message{}, clients: map[string]*client{}}
}

// Len is the highest position known to be filled; 0 means that none is.
func (r *Room) Len() uint64 { return uint64(len(r.log)) }

// At gives the ID of the message at a position, and whether it is known. Positions count from 1.
func (r *Room) At(seq uint64) (id string, known bool) {
	if seq < 1 || seq > r.Len() {
		return "", false
	}
	id = r.log[seq-1].id
	return id, id != ""
}

// Position gives the position of a client, and whether it has one.
func (r *Room) Position(node string) (seq uint64, ok bool) {
	c, ok := r.clients[node]
	if !ok {
		return 0, false
	}
	return c.seq, true
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
	if r.calls[e.ID] == nil { // publishing the same ID again appends nothing
		r.calls[e.ID] = &message{called: e.Step}
		r.free++
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
	c := r.clients[e.Node]
	if c == nil && e.Resumed {
		return fmt.Errorf("client %q resumed at %s, but has never been connected", e.Node, r.at(e.Seq))
	}
	if c != nil && e.Resumed && e.Seq != c.seq {
		return fmt.Errorf("client %q resumed at %s, but had got to %s", e.Node, r.at(e.Seq), r.at(c.seq))
	}
	if err := r.extend(e, "connected at"); err != nil {
		return err
	}
	if c == nil {
		r.clients[e.Node] = &client{seq: e.Seq}
	} else if e.Seq != c.seq {
		c.jumped, c.to = e.Step, e.Seq
	}
	return nil
}

func (r *Room) deliver(e Event) error {
	if err := r.checkAnnounced(e.Node); err != nil {
		return err
	}
	c := r.clients[e.Node]
	switch {
	case c == nil:
		return fmt.Errorf("client %q saw %s, but has never been connected", e.Node, r.at(e.Seq))
	case e.Seq <= c.seq:
		return fmt.Errorf("client %q saw %s, but had got to %s", e.Node, r.at(e.Seq), r.at(c.seq))
	case e.Seq != c.seq+1:
		return fmt.Errorf("client %q saw %s, but had got to %s only", e.Node, r.at(e.Seq), r.at(c.seq))
	}
	if err := r.learn(e, "saw"); err != nil {
		return fmt.Errorf("client %q %w", e.Node, err)
	}
	c.seq = e.Seq
	return nil
}

func (r *Room) discontinuity(e Event) error {
	c := r.clients[e.Node]
	switch {
	case c == nil:
		return fmt.Errorf("client %q was told of a discontinuity, but has never been connected", e.Node)
	case e.Seq < c.seq:
		return fmt.Errorf("client %q was sent back from %s to %s: %w", e.Node, r.at(c.seq), r.at(e.Seq), ErrNewEpoch)
	case c.jumped > 0 && e.Seq < c.to:
		return fmt.Errorf("client %q was told of a discontinuity up to %s, but had connected at %s", e.Node, r.at(e.Seq), r.at(c.to))
	}
	if err := r.extend(e, "was told of a discontinuity up to"); err != nil {
		return err
	}
	c.seq, c.jumped = e.Seq, 0
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
		node, r.at(c.seq), r.at(c.to), c.jumped)
}

func (r *Room) checkCalled(id, what string) error {
	if r.calls[id] == nil {
		return fmt.Errorf("%s for message %q, which nobody has called publish for", what, id)
	}
	return nil
}

func (r *Room) at(seq uint64) string { return fmt.Sprintf("%s#%d", r.name, seq) }
