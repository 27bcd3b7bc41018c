package properties

import (
	"maps"
	"slices"

	"github.com/twohop/twohop/model"
)

// LastValue: every client has, at the run's end, the latest message of every key, whatever it was told it
// would not get. It is what a system promises that conflates for slow consumers: those may miss any
// message but the last of its key. key gives a message's key by its ID.
//
// Formally, for each room: let E be its newest epoch, as [NoLoss] defines which came after which, and
// last(k) the highest Seq in E of a PublishOK or Deliver, by whoever, of an ID whose key is k. A client
// whose first Connected was at position s of E is owed every last(k) > s, and one whose first was in
// another epoch every last(k). Each that is owed has a Deliver event of that client. No Discontinuity
// forgives: it only makes the loss of what is worthless honest.
//
// It does not cover anything but the latest messages, nor messages that nobody saw. In a history that was
// cut short, with nothing owed, or with a room of which the newest epoch is not to be told, it is Unknown.
func LastValue(key func(id string) string) model.Property {
	return property{"LastValue", func(h *model.History) model.Verdict { return checkLastValue(h, key) }}
}

// values is what is known of one room's newest epoch.
type values struct {
	epoch string
	last  map[string]*model.Event // by key, a sighting of its latest message
}

func checkLastValue(h *model.History, key func(id string) string) model.Verdict {
	if !h.Complete() {
		return unknown("the history ends before the run did")
	}
	rooms := map[string]*values{}
	lives := livesOf(h.Events)
	for _, name := range slices.Sorted(maps.Keys(lives)) {
		epoch, found := lives[name].newest()
		if !found {
			return unknown("which of the epochs of room %q is the newest is not to be told", name)
		}
		rooms[name] = &values{epoch, map[string]*model.Event{}}
	}
	starts := map[subscription]model.Cursor{}
	got := map[subscription]map[uint64]bool{}
	var order []subscription
	for i := range h.Events {
		e := &h.Events[i]
		sub := subscription{e.Node, e.Room}
		if _, known := starts[sub]; e.Kind == model.Connected && !known {
			starts[sub], got[sub] = e.Cursor(), map[uint64]bool{}
			order = append(order, sub)
		}
		if e.Kind != model.PublishOK && e.Kind != model.Deliver || e.Epoch != rooms[e.Room].epoch {
			continue
		}
		last := rooms[e.Room].last
		if k := key(e.ID); last[k] == nil || e.Seq > last[k].Seq {
			last[k] = e
		}
		if e.Kind == model.Deliver && got[sub] != nil {
			got[sub][e.Seq] = true
		}
	}
	owed := 0
	for _, sub := range order {
		v, start := rooms[sub.room], starts[sub]
		for _, k := range slices.Sorted(maps.Keys(v.last)) {
			last := v.last[k]
			if start.Epoch == v.epoch && last.Seq <= start.Seq {
				continue
			}
			owed++
			if !got[sub][last.Seq] {
				return sub.about(illegal(h.Events[len(h.Events)-1].Step, "%v never saw %s, message %q, the latest of key %q",
					sub, last.Cursor().In(sub.room), last.ID, k), last.Cursor(), last.ID)
			}
		}
	}
	if owed == 0 {
		return unknown("nothing to check: no client was owed a message")
	}
	return ok("%d latest messages of their keys, all delivered", owed)
}

// newest gives the epoch that no other came after; false if there is more than one, or none.
func (r *lives) newest() (epoch string, found bool) {
	for _, e := range r.order() {
		if len(r.after(e)) > 0 {
			continue
		}
		if found {
			return "", false
		}
		epoch, found = e, true
	}
	return epoch, found
}
