package properties

import (
	"fmt"

	"github.com/twohop/twohop/model"
)

// subscription is one client's view of one room.
type subscription struct{ client, room string }

func (s subscription) String() string { return fmt.Sprintf("client %q", s.client) }

// observes reports whether e is what a client saw of its position in a room.
func observes(e *model.Event) bool {
	return e.Kind == model.Connected || e.Kind == model.Deliver || e.Kind == model.Discontinuity
}

// position is how far a subscription has got in its room's log. The zero value is no position.
type position struct {
	at    model.Cursor
	known bool
}

// move takes what the client saw. A Connected agrees on the position if it is the first; a later one
// does not move it, as only a Discontinuity may. It reports whether the client was sent back in a log
// whose epochs have no names, which begins a new one.
func (p *position) move(e *model.Event) (back bool) {
	switch {
	case !p.known:
		p.at = e.Cursor()
	case e.Kind == model.Deliver && (e.Epoch != p.at.Epoch || e.Seq > p.at.Seq):
		p.at = e.Cursor()
	case e.Kind == model.Discontinuity:
		back = e.Epoch == "" && p.at.Epoch == "" && e.Seq < p.at.Seq
		p.at = e.Cursor()
	}
	p.known = true
	return back
}

// about says which message, to this client, a verdict is about.
func (s subscription) about(v model.Verdict, at model.Cursor, id string) model.Verdict {
	v.About = model.Subject{Client: s.client, Room: s.room, Epoch: at.Epoch, Seq: at.Seq, ID: id}
	return v
}
