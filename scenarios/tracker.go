package scenarios

import (
	"sync"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
)

// tracker records what publishers and clients see, and knows how far that is. Its zero value is ready; nodes
// use it concurrently.
type tracker struct {
	mu     sync.Mutex
	rooms  map[string]model.Cursor // the last position known to be in a room's log, in its newest epoch
	places map[reader]model.Cursor // where each client that has connected has got to
	away   map[reader]bool         // those who have lost their connection since
}

// reader is one client's subscription to a room.
type reader struct{ client, room string }

// observe notes what a node's publisher or client has seen, for the history and for caughtUp.
func (t *tracker) observe(n *sim.Node, e model.Event) {
	e.Node = n.Name()
	n.Record(e)
	t.note(e)
}

// note takes an event that stands in the history.
func (t *tracker) note(e model.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rooms == nil {
		t.rooms, t.places = make(map[string]model.Cursor), make(map[reader]model.Cursor)
		t.away = make(map[reader]bool)
	}
	switch e.Kind {
	case model.PublishOK:
		if known := t.rooms[e.Room]; e.Epoch != known.Epoch || e.Seq > known.Seq {
			t.rooms[e.Room] = e.Cursor()
		}
	case model.Disconnected:
		t.away[reader{e.Node, e.Room}] = true
	case model.Connected, model.Deliver, model.Discontinuity:
		delete(t.away, reader{e.Node, e.Room})
		t.places[reader{e.Node, e.Room}] = e.Cursor()
		known, any := t.rooms[e.Room]
		if e.Kind == model.Deliver && (!any || e.Epoch == known.Epoch && e.Seq > known.Seq) {
			t.rooms[e.Room] = e.Cursor() // its publisher does not know yet, or has given up
		}
	}
}

// place is where a client has got to in a room; zero if it has never been there.
func (t *tracker) place(r reader) model.Cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.places[r]
}

// allConnected reports whether no client has lost its connection and not made another.
func (t *tracker) allConnected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.away) == 0
}

// caughtUp reports whether so many subscriptions there have been, and each has reached the end of its room's log,
// as far as publishers know it.
func (t *tracker) caughtUp(subscriptions int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r, at := range t.places {
		if end, known := t.rooms[r.room]; known && (at.Epoch != end.Epoch || at.Seq < end.Seq) {
			return false
		}
	}
	return len(t.places) == subscriptions
}
