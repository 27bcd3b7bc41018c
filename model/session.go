package model

import "fmt"

// Sessions is the executable specification of the sessions of clients and publishers, across all rooms:
// what may happen to them when. Where their positions may be is a question of [Room].
//
// The rules for a client of a room:
//
//   - Nothing is delivered, and no discontinuity told of, but in a connection: between a Connected and
//     its Disconnected, by the transport that it was made with.
//   - A Disconnected ends a connection. There is one at a time: a Connected in a connection means that
//     the client's program was cut short, as by a crash of its host, and has started again.
//
// The rule for a publisher: each PublishOK or PublishUnknown answers a PublishCall of the same ID, and
// each PublishCall has one answer at most.
type Sessions struct {
	connections map[member]string // the transports of those that are open
	calls       map[call]int      // how many have no answer
	steps       int
}

// member is a client of a room.
type member struct{ node, room string }

// call is a publisher's call for a message.
type call struct{ node, room, id string }

// NewSessions gives the specification of a run in which nothing has happened.
func NewSessions() *Sessions {
	return &Sessions{connections: map[member]string{}, calls: map[call]int{}}
}

// Step takes the next event. The error says what is wrong with it, and leaves everything as it was.
// Events that are no client's and no publisher's are accepted.
func (s *Sessions) Step(e Event) error {
	if !e.Kind.ofRoom() {
		return nil
	}
	s.steps++
	m, c := member{e.Node, e.Room}, call{e.Node, e.Room, e.ID}
	transport, connected := s.connections[m]
	switch e.Kind {
	case PublishCall:
		s.calls[c]++
	case PublishOK, PublishUnknown:
		if s.calls[c] == 0 {
			return fmt.Errorf("publisher %q was answered for message %q, for which it has no call open", e.Node, e.ID)
		}
		s.calls[c]--
	case Connected:
		s.connections[m] = e.Transport
	case Disconnected:
		if !connected {
			return fmt.Errorf("client %q was disconnected from room %q, but was not connected", e.Node, e.Room)
		}
		delete(s.connections, m)
	case Deliver, Discontinuity:
		what := "saw " + e.Cursor().In(e.Room)
		if e.Kind == Discontinuity {
			what = "was told of a discontinuity up to " + e.Cursor().In(e.Room)
		}
		if !connected {
			return fmt.Errorf("client %q %s, but was not connected", e.Node, what)
		}
		if e.Transport != transport {
			return fmt.Errorf("client %q %s by transport %q, but was connected by %q", e.Node, what, e.Transport, transport)
		}
	}
	return nil
}

// Connected reports whether a client is connected to a room.
func (s *Sessions) Connected(node, room string) bool {
	_, connected := s.connections[member{node, room}]
	return connected
}

// ValidateSessions checks a whole history against [Sessions]. The verdict names the first step that it
// rejects, and is Unknown for a history that is not [WellFormed] or in which no client and no publisher
// does anything.
func ValidateSessions(h *History) Verdict {
	v := Verdict{Property: "Sessions", Outcome: Unknown}
	if err := WellFormed(h); err != nil {
		v.Detail = err.Error()
		return v
	}
	s := NewSessions()
	for _, e := range h.Events {
		if err := s.Step(e); err != nil {
			v.Outcome, v.Step, v.Detail = Illegal, e.Step, err.Error()
			return v
		}
	}
	if s.steps == 0 {
		v.Detail = "nothing to check: no client and no publisher did anything"
		return v
	}
	v.Outcome = Ok
	v.Detail = fmt.Sprintf("%d events follow the specification of sessions", s.steps)
	return v
}
