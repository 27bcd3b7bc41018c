package properties

import "github.com/twohop/twohop/model"

// InOrder: every client sees the messages of a room in the order of the room's log.
//
// Formally: for any two Deliver events d1, d2 of one client, room and epoch, each the first of its
// position, d1.Step < d2.Step implies d1.Seq < d2.Seq, and if a Deliver of another epoch comes between
// them, d2 is illegal: a client that left an epoch is through with it. Where events name no epochs, one
// begins when a Discontinuity sends the client back in the log, and what is before is not compared with
// what is after.
//
// It does not cover gaps ([NoLoss]) or repetitions ([NoDuplicate]), which of two epochs is the older,
// nor whether the log's own order is that of the publishers, which is a question of [Linearizable].
// With no delivery there is nothing to check, and the verdict is Unknown.
func InOrder() model.Property { return property{"InOrder", checkInOrder} }

// progress is what one subscription has got.
type progress struct {
	position position
	got      epochSpans
	last     model.Cursor // of the latest first delivery; zero before any
	left     map[string]bool
}

func checkInOrder(h *model.History) model.Verdict {
	subs := map[subscription]*progress{}
	deliveries := 0
	for i := range h.Events {
		e := &h.Events[i]
		if !observes(e) {
			continue
		}
		sub := subscription{e.Node, e.Room}
		p := subs[sub]
		if p == nil {
			p = &progress{got: epochSpans{}, left: map[string]bool{}}
			subs[sub] = p
		}
		if p.position.move(e) {
			clear(p.got)
			p.last = model.Cursor{}
		}
		if e.Kind != model.Deliver {
			continue
		}
		deliveries++
		if v := p.take(sub, e); v.Outcome == model.Illegal {
			return v
		}
	}
	if deliveries == 0 {
		return unknown("nothing to check: nothing was delivered")
	}
	return ok("%d deliveries, each client's in the order of the log", deliveries)
}

func (p *progress) take(sub subscription, e *model.Event) model.Verdict {
	at := e.Cursor()
	if p.got[at.Epoch].contains(at.Seq) {
		return model.Verdict{}
	}
	switch {
	case p.last.IsZero():
	case at.Epoch != p.last.Epoch:
		p.left[p.last.Epoch] = true
	case at.Seq < p.last.Seq:
		return illegal(e.Step, "%v saw %s after %s", sub, at.In(e.Room), p.last.In(e.Room))
	}
	if p.left[at.Epoch] {
		return illegal(e.Step, "%v saw %s after %s: it had left that epoch", sub, at.In(e.Room), p.last.In(e.Room))
	}
	p.got.add(at.Epoch, at.Seq, at.Seq)
	p.last = at
	return model.Verdict{}
}
