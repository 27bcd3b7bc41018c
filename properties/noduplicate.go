package properties

import "github.com/twohop/twohop/model"

// NoDuplicate: no client's application gets a message twice.
//
// Formally: for any two Deliver events d1, d2 of one client and room, (d1.Epoch, d1.Seq) ≠
// (d2.Epoch, d2.Seq) and d1.ID ≠ d2.ID. IDs (but the empty one) are compared across epochs too: a
// message that was published again into a log that had forgotten it is still the same to the client.
// Where events name no epochs, positions are compared since the client was last sent back in the log by
// a Discontinuity, which begins a new one.
//
// It does not cover what reached the client and was dropped before its application saw it, nor a
// publisher's duplicate that got an ID of its own. With no delivery there is nothing to check, and the
// verdict is Unknown.
func NoDuplicate() model.Property { return property{"NoDuplicate", checkNoDuplicate} }

// receipts is what one subscription has got.
type receipts struct {
	position position
	byCursor map[model.Cursor]uint64 // position to the step of its delivery
	byID     map[string]*model.Event
}

func checkNoDuplicate(h *model.History) model.Verdict {
	subs := map[subscription]*receipts{}
	deliveries := 0
	for i := range h.Events {
		e := &h.Events[i]
		if !observes(e) {
			continue
		}
		sub := subscription{e.Node, e.Room}
		r := subs[sub]
		if r == nil {
			r = &receipts{byCursor: map[model.Cursor]uint64{}, byID: map[string]*model.Event{}}
			subs[sub] = r
		}
		if r.position.move(e) {
			clear(r.byCursor)
		}
		if e.Kind != model.Deliver {
			continue
		}
		deliveries++
		if v := r.take(sub, e); v.Outcome == model.Illegal {
			return v
		}
	}
	if deliveries == 0 {
		return unknown("nothing to check: nothing was delivered")
	}
	return ok("%d deliveries, no message twice to one client", deliveries)
}

func (r *receipts) take(sub subscription, e *model.Event) model.Verdict {
	at := e.Cursor()
	if first, again := r.byCursor[at]; again {
		return illegal(e.Step, "%v saw %s again, as %q; it had it since step %d", sub, at.In(e.Room), e.ID, first)
	}
	if first := r.byID[e.ID]; first != nil {
		return illegal(e.Step, "%v saw message %q again, as %s; it had it as %s since step %d",
			sub, e.ID, at.In(e.Room), first.Cursor().In(e.Room), first.Step)
	}
	r.byCursor[at] = e.Step
	if e.ID != "" {
		r.byID[e.ID] = e
	}
	return model.Verdict{}
}
