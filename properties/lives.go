package properties

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/twohop/twohop/model"
)

// lives is what a history says of the epochs of one room: how far each one's log got, and which came
// after which.
//
// Only the newest life of a log is appended to. So if a message of epoch F had its publish called after
// epoch E was first named, F came after E. A client that a Discontinuity moved from E to F has been
// told so. Of two epochs with neither kind of evidence, either may be the older.
type lives struct {
	epochs map[string]*life
	moved  map[[2]string]bool         // from one epoch to another, by a Discontinuity
	later  map[string]map[string]bool // what after has worked out
}

// life is one epoch of a room's log.
type life struct {
	began  uint64 // the step at which it was first named
	newest uint64 // the step at which the last of the messages seen in it had its publish called
	top    uint64 // the highest position seen to be filled
}

// livesOf reads a well-formed history, and gives the lives of each room.
func livesOf(events []model.Event) map[string]*lives {
	type message struct{ room, id string }
	rooms := map[string]*lives{}
	calls := map[message]uint64{}
	places := map[subscription]*position{}
	for i := range events {
		e := &events[i]
		if m := (message{e.Room, e.ID}); e.Kind == model.PublishCall && calls[m] == 0 {
			calls[m] = e.Step
		}
		if !observes(e) && e.Kind != model.PublishOK {
			continue
		}
		r := rooms[e.Room]
		if r == nil {
			r = &lives{epochs: map[string]*life{}, moved: map[[2]string]bool{}, later: map[string]map[string]bool{}}
			rooms[e.Room] = r
		}
		l := r.epochs[e.Epoch]
		if l == nil {
			l = &life{began: e.Step}
			r.epochs[e.Epoch] = l
		}
		if e.Kind == model.PublishOK || e.Kind == model.Deliver {
			l.top = max(l.top, e.Seq)
			l.newest = max(l.newest, calls[message{e.Room, e.ID}])
		}
		if !observes(e) {
			continue
		}
		sub := subscription{e.Node, e.Room}
		if places[sub] == nil {
			places[sub] = &position{}
		}
		p := places[sub]
		if e.Kind == model.Discontinuity && p.known && p.at.Epoch != e.Epoch {
			r.moved[[2]string{p.at.Epoch, e.Epoch}] = true
		}
		p.move(e)
	}
	return rooms
}

// order lists the epochs, in the order in which they were first named.
func (r *lives) order() []string {
	return slices.SortedFunc(maps.Keys(r.epochs), func(a, b string) int {
		return cmp.Compare(r.epochs[a].began, r.epochs[b].began)
	})
}

// follows reports whether there is evidence that epoch b came after epoch a.
func (r *lives) follows(a, b string) bool {
	return a != b && (r.epochs[b].newest > r.epochs[a].began || r.moved[[2]string{a, b}])
}

// after gives the epochs that came after one, directly or by way of others.
func (r *lives) after(epoch string) map[string]bool {
	if later := r.later[epoch]; later != nil {
		return later
	}
	later := map[string]bool{}
	for todo := []string{epoch}; len(todo) > 0; {
		e := todo[0]
		todo = todo[1:]
		for b := range r.epochs {
			if b != epoch && !later[b] && r.follows(e, b) {
				later[b] = true
				todo = append(todo, b)
			}
		}
	}
	r.later[epoch] = later
	return later
}

// inTurns gives two epochs that were both appended to after the other had begun, which the lives of one
// log never are; false if there are none.
func (r *lives) inTurns() (a, b string, found bool) {
	epochs := r.order()
	for i, a := range epochs {
		for _, b := range epochs[i+1:] {
			if r.epochs[b].newest > r.epochs[a].began && r.epochs[a].newest > r.epochs[b].began {
				return a, b, true
			}
		}
	}
	return "", "", false
}

// epochSpans is a set of positions, by epoch.
type epochSpans map[string]spans

func (s epochSpans) add(epoch string, lo, hi uint64) {
	set := s[epoch]
	set.add(lo, hi)
	s[epoch] = set
}

// leap is a client's change of position other than by deliveries.
type leap struct{ from, to model.Cursor }

// cover adds what lies between the two ends of a leap: of one epoch, the positions after from up to to;
// of two, what the old one has after from, the new one up to to, and all epochs that came after the old
// one, but not after the new one.
func (l leap) cover(r *lives, s epochSpans) {
	if l.from.Epoch == l.to.Epoch {
		s.add(l.to.Epoch, saturatingAdd(l.from.Seq, 1), l.to.Seq)
		return
	}
	for epoch := range r.epochs {
		switch {
		case epoch == l.from.Epoch:
			s.add(epoch, saturatingAdd(l.from.Seq, 1), math.MaxUint64)
		case epoch == l.to.Epoch:
			s.add(epoch, 1, l.to.Seq)
		case r.after(l.from.Epoch)[epoch] && !r.after(l.to.Epoch)[epoch]:
			s.add(epoch, 1, math.MaxUint64)
		}
	}
}
