package properties

import "github.com/twohop/twohop/model"

// InOrder: every client sees the messages of a room in the order of the room's log.
//
// Formally: for any two Deliver events d1, d2 of one client and room, each the first of its position,
// d1.Step < d2.Step implies d1.Seq < d2.Seq; where the client was sent back in the log by a
// Discontinuity, which begins a new epoch, what is before is not compared with what is after.
//
// It does not cover gaps ([NoLoss]) or repetitions ([NoDuplicate]), nor whether the log's own order is
// that of the publishers, which is a question of [Linearizable]. With no delivery there is nothing to
// check, and the verdict is Unknown.
func InOrder() model.Property { return property{"InOrder", checkInOrder} }

func checkInOrder(h *model.History) model.Verdict {
	type progress struct {
		position position
		got      spans  // in the present epoch
		last     uint64 // the highest of got
	}
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
			p = &progress{}
			subs[sub] = p
		}
		if p.position.move(e) {
			p.got, p.last = nil, 0
		}
		if e.Kind != model.Deliver {
			continue
		}
		deliveries++
		if p.got.contains(e.Seq) {
			continue
		}
		if e.Seq < p.last {
			return illegal(e.Step, "%v saw %s#%d after %s#%d", sub, e.Room, e.Seq, e.Room, p.last)
		}
		p.got.add(e.Seq, e.Seq)
		p.last = e.Seq
	}
	if deliveries == 0 {
		return unknown("nothing to check: nothing was delivered")
	}
	return ok("%d deliveries, each client's in the order of the log", deliveries)
}
