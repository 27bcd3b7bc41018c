package properties

import (
	"slices"

	"github.com/twohop/twohop/model"
)

// Refill: a position of a log that is filled again is announced. A broker that loses the end of a log within an
// epoch, as at a failover to a copy that lags, puts other messages where clients believe to be already; they will
// not get them, and are to be told.
//
// Formally, a position of a room is refilled if a PublishOK or a Deliver names another message there than one did
// before. It happened after that message was first called to be published (its PublishCall), and by the first step that
// names it there. A client of the room that was at the position or beyond it in that epoch at the call is behind; it is
// no longer after a Discontinuity, or after a Connected elsewhere or, before the step, one that did not resume. A client
// that is behind has no Deliver in the epoch of a message that was called to be published after the step: that one is
// surely in the log that the client knows nothing of.
//
// Whoever came to the position between the call and the step may have had either message, and is not judged; nor is what
// was published before the step, as an edge that has not heard of the loss yet may go on with the old log for a while. It
// is a question of safety. That the log did what no log may is for [Conforms], which such a history fails. Without a
// refilled position there is nothing to check, and the verdict is Unknown.
func Refill() model.Property { return property{"Refill", checkRefill} }

// refilled is a position that has been filled twice.
type refilled struct {
	room          string
	at            model.Cursor
	was, is       string          // the message that was lost, and the other
	called, named int             // the events between which it took its place; called is -1 if it was not published
	behind        map[string]bool // the clients that are yet to be told
}

// refills finds the positions that have been filled twice, in the order in which they show, and the events at which
// messages were first called to be published. A message that is named again is none that takes another's place: its
// delivery was under way.
func refills(h *model.History) (all []*refilled, called map[string]int) {
	type place struct {
		room string
		at   model.Cursor
	}
	called = map[string]int{}
	names := map[place][]string{}
	for i := range h.Events {
		e := &h.Events[i]
		switch e.Kind {
		case model.PublishCall:
			if _, again := called[e.ID]; !again {
				called[e.ID] = i
			}
		case model.PublishOK, model.Deliver:
			p := place{e.Room, e.Cursor()}
			had := names[p]
			if slices.Contains(had, e.ID) {
				continue
			}
			names[p] = append(had, e.ID)
			if len(had) > 0 {
				r := &refilled{room: e.Room, at: p.at, was: had[len(had)-1], is: e.ID, called: -1, named: i, behind: map[string]bool{}}
				if at, known := called[e.ID]; known {
					r.called = at
				}
				all = append(all, r)
			}
		}
	}
	return all, called
}

// leaves tells whether what a client sees, as the i-th event, leaves it behind.
func (r *refilled) leaves(e *model.Event, i int) bool {
	if e.Kind == model.Discontinuity || e.Epoch != r.at.Epoch || e.Seq < r.at.Seq {
		return false
	}
	return e.Kind != model.Connected || e.Resumed || i > r.named
}

func checkRefill(h *model.History) model.Verdict {
	all, called := refills(h)
	begun := map[int][]*refilled{} // by event
	for _, r := range all {
		begun[r.called] = append(begun[r.called], r)
	}
	places := map[subscription]*position{}
	again := map[string][]*refilled{} // by room
	told := 0
	for i := range h.Events {
		e := &h.Events[i]
		for _, r := range begun[i] {
			for sub, p := range places {
				if sub.room == r.room && p.at.Epoch == r.at.Epoch && p.at.Seq >= r.at.Seq {
					r.behind[sub.client] = true
				}
			}
			again[r.room] = append(again[r.room], r)
		}
		if !observes(e) {
			continue
		}
		sub := subscription{e.Node, e.Room}
		hears := 0
		for _, r := range again[e.Room] {
			if !r.behind[e.Node] {
				continue
			}
			if r.behind[e.Node] = r.leaves(e, i); r.behind[e.Node] {
				if published, known := called[e.ID]; e.Kind == model.Deliver && known && published > r.named {
					return illegal(e.Step, "%s went on from %s without a word, though message %q has taken the place of %q at %s",
						sub, places[sub].at.In(e.Room), r.is, r.was, r.at.In(e.Room))
				}
			} else if e.Kind == model.Discontinuity {
				hears = 1
			}
		}
		told += hears
		if places[sub] == nil {
			places[sub] = &position{}
		}
		places[sub].move(e)
	}
	if len(all) == 0 {
		return unknown("nothing to check: no position was filled twice")
	}
	return ok("%d positions were filled twice; %d clients were there, and were told", len(all), told)
}
