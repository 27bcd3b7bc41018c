package hop1

import (
	"errors"
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
)

// session is what a client remembers from one connection to the next, and the rules by which it
// takes frames: order, holes, duplicates, resuming. It is pure: a frame in, events out.
//
// Invariant: every message up to and including cursor was delivered, or preceded the session's first
// position, or was announced as lost.
type session struct {
	room   string
	mutant Mutant

	cursor model.Cursor
	lastID string // the ID of the message at cursor, or what stands for it; "" while not known

	// Of the present connection.
	asked  model.Cursor // what the client sent
	phase  phase
	anchor bool // the next message must be the one at asked
}

// phase is how far a connection's opening has come.
type phase int

const (
	wantHello         phase = iota
	wantDiscontinuity       // hello had no position: it must follow, with the reason
	streaming
)

// goodbye is the error with which a session ends a connection that the server said it would close.
type goodbye struct {
	reason string
	retry  time.Duration
}

func (g *goodbye) Error() string { return "goodbye from the server: " + g.reason }

// begin starts a connection, and gives the claim to send.
func (s *session) begin() claim {
	s.phase, s.anchor = wantHello, false
	s.asked = s.cursor
	if s.mutant == NoResume {
		s.asked = model.Cursor{}
		return claim{}
	}
	return s.mutant.claim(bookmark(s.cursor, s.lastID))
}

// take takes one frame and gives what the client saw by it (Connected, Discontinuity, Deliver), or an
// error: then the connection must be dropped, and as the next one resumes from the cursor, nothing is
// lost.
func (s *session) take(f frame) ([]model.Event, error) {
	if f.Type == frameGoodbye {
		return nil, &goodbye{reason: f.Reason, retry: f.Retry}
	}
	switch s.phase {
	case wantHello:
		if f.Type != frameHello {
			return nil, fmt.Errorf("protocol: %s before hello", f.Type)
		}
		return s.hello(f), nil
	case wantDiscontinuity:
		if f.Type != frameDiscontinuity {
			return nil, fmt.Errorf("protocol: %s where a discontinuity must follow a hello without a cursor", f.Type)
		}
		if s.mutant == EndlessRecovery {
			return nil, fmt.Errorf("not recovered: %s", f.Reason)
		}
		return s.connectElsewhere(f, f.Reason), nil
	}
	switch f.Type {
	case frameMessage:
		return s.message(f)
	case frameDiscontinuity:
		return s.jump(s.mutant.put(&f), f.Reason), nil
	case frameHello:
		return nil, errors.New("protocol: a second hello")
	}
	return nil, fmt.Errorf("protocol: %s for what was not asked over this connection", f.Type)
}

func (s *session) hello(f frame) []model.Event {
	switch {
	case f.Cursor.IsZero():
		s.phase = wantDiscontinuity
		return nil
	case s.asked.IsZero():
		s.phase = streaming
		s.cursor, s.lastID = f.Cursor, s.mutant.put(&f).Anchor
		return []model.Event{event(model.Connected, f.Cursor)}
	case f.Resumed && f.Cursor == s.asked:
		s.phase, s.anchor = streaming, s.asked.Seq > 0 && !f.Anchorless
		connected := event(model.Connected, f.Cursor)
		connected.Resumed = true
		return []model.Event{connected}
	default:
		return s.connectElsewhere(f, fmt.Sprintf("server started at %s, not at %s", f.Cursor, s.asked))
	}
}

// connectElsewhere completes an opening that did not honour the client's cursor.
func (s *session) connectElsewhere(f frame, why string) []model.Event {
	s.phase = streaming
	connected := event(model.Connected, f.Cursor)
	return append([]model.Event{connected}, s.jump(s.mutant.put(&f), why)...)
}

// jump moves the client to a position that does not follow from its last.
func (s *session) jump(to model.Bookmark, why string) []model.Event {
	told := event(model.Discontinuity, to.Cursor)
	told.Note = fmt.Sprintf("from %s to %s: %s", s.cursor, to.Cursor, why)
	s.cursor, s.lastID, s.anchor = to.Cursor, to.Anchor, false
	if s.mutant == HushGaps {
		return nil
	}
	return []model.Event{told}
}

func (s *session) message(f frame) ([]model.Event, error) {
	m, last := f.Message, s.cursor.Seq
	if s.mutant == Trusting {
		return s.trust(f), nil
	}
	if m.Room != s.room {
		return nil, fmt.Errorf("protocol: message of room %.40q in a stream of %q", m.Room, s.room)
	}
	if f.Cursor.Epoch != s.cursor.Epoch {
		return nil, fmt.Errorf("protocol: message of epoch %q in epoch %q, without a discontinuity", f.Cursor.Epoch, s.cursor.Epoch)
	}
	if s.anchor && m.Seq > last {
		return nil, fmt.Errorf("protocol: resumed at %s without its anchor: the first message is %d", s.asked, m.Seq)
	}
	deliver := event(model.Deliver, f.Cursor)
	deliver.ID = m.ID
	switch {
	case m.Seq <= last:
		return s.duplicate(m, deliver), nil
	case m.Seq > last+1:
		return nil, fmt.Errorf("hole: message %d after %d", m.Seq, last)
	default:
		s.cursor.Seq, s.lastID = m.Seq, m.ID
		return []model.Event{deliver}, nil
	}
}

// duplicate drops a message that the client is past, after a look at its ID if it is the one at the
// cursor: another ID there means that the server's log is not the one the client has been reading.
func (s *session) duplicate(m *model.Message, deliver model.Event) []model.Event {
	var events []model.Event
	if m.Seq == s.cursor.Seq {
		known := s.lastID
		if known != "" && known != m.ID {
			events = append(events, s.jump(model.Bookmark{Cursor: s.cursor, Anchor: m.ID}, fmt.Sprintf("the log differs: message %d is %q here and was %q", m.Seq, m.ID, known))...)
		}
		s.lastID, s.anchor = m.ID, false
	}
	if s.mutant == NoDedupe {
		events = append(events, deliver)
	}
	return events
}

// event is something that the client saw at a position.
func event(kind model.Kind, at model.Cursor) model.Event {
	return model.Event{Kind: kind, Epoch: at.Epoch, Seq: at.Seq}
}
