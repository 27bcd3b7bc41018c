package properties

import "github.com/twohop/twohop/model"

// Refill: a position of a log that is filled again is announced. A broker that loses the end of a log within an
// epoch, as at a failover to a copy that lags, puts other messages where clients believe to be already; they will
// not get them, and are to be told.
//
// Formally, a position of a room is refilled at the first step at which a PublishOK or a Deliver names another
// message there than one did before. For each client of the room that was at it or beyond it in that epoch by
// then: the first Connected in the epoch, at it or beyond it, that follows has a Discontinuity as the client's
// next event of the room, unless one, or a Connected elsewhere, came before.
//
// It is a question of safety, and asks of clients that connect again only: what a connection that lasts brings
// is for [NoLoss]. That the log did what no log may is for [Conforms], which such a history fails. Without a
// refilled position there is nothing to check, and the verdict is Unknown.
func Refill() model.Property { return property{"Refill", checkRefill} }

// refilled is a position that has been filled twice.
type refilled struct {
	at     model.Cursor
	was    string // the message that was lost
	is     string
	behind map[string]bool // the clients that are yet to be told
}

func checkRefill(h *model.History) model.Verdict {
	type place struct {
		room string
		at   model.Cursor
	}
	ids := map[place]string{}
	places := map[subscription]*position{}
	again := map[string][]*refilled{} // by room
	due := map[subscription]*refilled{}
	count, told := 0, 0
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind == model.PublishOK || e.Kind == model.Deliver {
			p := place{e.Room, e.Cursor()}
			if was, known := ids[p]; known && was != e.ID {
				r := &refilled{at: p.at, was: was, is: e.ID, behind: map[string]bool{}}
				for sub, p := range places {
					if sub.room == e.Room && p.at.Epoch == r.at.Epoch && p.at.Seq >= r.at.Seq {
						r.behind[sub.client] = true
					}
				}
				again[e.Room] = append(again[e.Room], r)
				count++
			}
			ids[p] = e.ID
		}
		if !observes(e) && e.Kind != model.Disconnected {
			continue
		}
		sub := subscription{e.Node, e.Room}
		if r := due[sub]; r != nil {
			if e.Kind != model.Discontinuity {
				return illegal(e.Step, "%s went on from %s without a word, though message %q has taken the place of %q at %s",
					sub, places[sub].at.In(e.Room), r.is, r.was, r.at.In(e.Room))
			}
			delete(due, sub)
			told++
		}
		if e.Kind == model.Disconnected {
			continue
		}
		for _, r := range again[e.Room] {
			if r.behind[e.Node] && e.Kind != model.Deliver {
				if e.Kind == model.Connected && e.Epoch == r.at.Epoch && e.Seq >= r.at.Seq {
					due[sub] = r
				}
				r.behind[e.Node] = false
			}
		}
		if places[sub] == nil {
			places[sub] = &position{}
		}
		places[sub].move(e)
	}
	if count == 0 {
		return unknown("nothing to check: no position was filled twice")
	}
	return ok("%d positions were filled twice; %d clients were there, connected again, and were told", count, told)
}
