package properties

import "github.com/twohop/twohop/model"

// FIFO: every client sees the messages of one publisher in the order in which it published them.
//
// Formally: a publisher published m before n, of one room, if an event PublishOK of m, by that
// publisher, precedes its first PublishCall of n. For any such m and n, and for any client that has a
// Deliver of both, its first Deliver of m precedes its first Deliver of n. Messages are told apart by
// their IDs; those that several nodes published under one ID are left out.
//
// It does not cover publishes of one publisher that overlapped, none of which was before another; a
// publish that was given up; gaps ([NoLoss]); or the order of different publishers' messages ([Causal],
// [TotalOrder]). If no client got two messages of one publisher, there is nothing to check, and the
// verdict is Unknown.
func FIFO() model.Property { return property{"FIFO", checkFIFO} }

// messageKey names a message.
type messageKey struct{ room, id string }

func (m messageKey) String() string { return m.id }

// publication is when a message was published, and by whom.
type publication struct {
	node     string
	call, ok uint64 // steps of the first call, and of the first return; 0 for none
	several  bool   // several nodes published it
	deps     string
}

// publicationsOf gives what a history says of the publishing of each message.
func publicationsOf(h *model.History) map[messageKey]*publication {
	all := map[messageKey]*publication{}
	for i := range h.Events {
		e := &h.Events[i]
		m := messageKey{e.Room, e.ID}
		switch p := all[m]; {
		case e.Kind == model.PublishCall && p == nil:
			all[m] = &publication{node: e.Node, call: e.Step, deps: e.Deps}
		case e.Kind == model.PublishCall && p.node != e.Node:
			p.several = true
		case e.Kind == model.PublishOK && p != nil && p.node == e.Node && p.ok == 0:
			p.ok = e.Step
		}
	}
	return all
}

// newest is the message of one publisher that a subscription got, and that was published last.
type newest struct {
	id string
	p  *publication
}

func checkFIFO(h *model.History) model.Verdict {
	type stream struct {
		subscription
		publisher string
	}
	published := publicationsOf(h)
	last := map[stream]newest{}
	got := map[subscription]map[string]bool{}
	compared := 0
	for i := range h.Events {
		e := &h.Events[i]
		p := published[messageKey{e.Room, e.ID}]
		if e.Kind != model.Deliver || p == nil || p.several {
			continue
		}
		sub := subscription{e.Node, e.Room}
		if got[sub] == nil {
			got[sub] = map[string]bool{}
		}
		if got[sub][e.ID] {
			continue
		}
		got[sub][e.ID] = true
		s := stream{sub, p.node}
		n, before := last[s]
		if before {
			compared++
		}
		if before && p.ok > 0 && p.ok < n.p.call {
			return illegal(e.Step, "%v saw %q after %q, but %q had published it (step %d) before it called publish for the other (step %d)",
				sub, e.ID, n.id, p.node, p.ok, n.p.call)
		}
		if !before || p.call > n.p.call {
			last[s] = newest{e.ID, p}
		}
	}
	if compared == 0 {
		return unknown("nothing to check: no client got two messages of one publisher")
	}
	return ok("%d deliveries, each publisher's in the order in which it published", compared+len(last))
}
