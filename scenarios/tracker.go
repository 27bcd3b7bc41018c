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
	rooms  map[string]model.Cursor // the last position known to be in a room's log
	places map[string]place        // of each client that has connected
}

// place is how far a client has come in its room.
type place struct {
	room string
	at   model.Cursor
}

// observe notes what a node's publisher or client has seen, for the history and for caughtUp.
func (t *tracker) observe(n *sim.Node, e model.Event) {
	n.Record(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rooms == nil {
		t.rooms, t.places = make(map[string]model.Cursor), make(map[string]place)
	}
	switch e.Kind {
	case model.PublishOK:
		if known := t.rooms[e.Room]; e.Epoch != known.Epoch || e.Seq > known.Seq {
			t.rooms[e.Room] = e.Cursor()
		}
	case model.Connected, model.Deliver, model.Discontinuity:
		t.places[n.Name()] = place{e.Room, e.Cursor()}
	}
}

// caughtUp reports whether so many clients have connected, and each has reached the end of its room's log, as
// far as publishers know it.
func (t *tracker) caughtUp(clients int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.places {
		if end, known := t.rooms[p.room]; known && (p.at.Epoch != end.Epoch || p.at.Seq < end.Seq) {
			return false
		}
	}
	return len(t.places) == clients
}
