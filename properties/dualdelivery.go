package properties

import (
	"cmp"
	"slices"

	"github.com/twohop/twohop/model"
)

// DualDelivery: while a room moves from one edge to another, its messages go to both.
//
// Formally: a move of a room is from an Announce to the next Commit, or to the end of the run. Every
// Commit ends a move that was announced with the same two owners. A message whose first Copy to either
// owner is in a move has, somewhere in the run, a Copy to each of them. A copy that was sent and did
// not arrive counts, as to an edge that has crashed: there, the move has to begin again. An Announce in
// a move abandons it for another.
//
// It does not cover whether clients get the messages ([NoLoss]), whether they were moved before the
// Commit, or when the second copy was sent. A history that was cut short is Illegal if a room moved
// without announcement, and otherwise Unknown. So is one in which no room moves, or no message goes to
// one that does.
func DualDelivery() model.Property { return property{"DualDelivery", checkDualDelivery} }

// move is a room's move.
type move struct {
	from, to  string
	announced uint64
}

// pending is a message that was sent in a move, and whom it has been sent to.
type pending struct {
	id       string
	move     *move
	step     uint64
	old, new bool
}

func checkDualDelivery(h *model.History) model.Verdict {
	moves := map[string]*move{} // by room, those under way
	sent := map[messageKey]*pending{}
	before := map[messageKey]bool{} // sent first when its room did not move
	moved := 0
	for i := range h.Events {
		e := &h.Events[i]
		switch e.Kind {
		case model.Announce:
			moved++
			moves[e.Room] = &move{e.Peer, e.Object, e.Step}
		case model.Commit:
			m := moves[e.Room]
			if m == nil {
				return illegal(e.Step, "room %q moved from %q to %q without having been announced to", e.Room, e.Peer, e.Object)
			}
			if m.from != e.Peer || m.to != e.Object {
				return illegal(e.Step, "room %q moved from %q to %q, but from %q to %q was announced at step %d",
					e.Room, e.Peer, e.Object, m.from, m.to, m.announced)
			}
			delete(moves, e.Room)
		case model.Copy:
			k := messageKey{e.Room, e.ID}
			p, m := sent[k], moves[e.Room]
			if p == nil && m != nil && !before[k] && (e.Peer == m.from || e.Peer == m.to) {
				p = &pending{id: e.ID, move: m, step: e.Step}
				sent[k] = p
			}
			if p == nil {
				before[k] = before[k] || m == nil
				continue
			}
			p.old = p.old || e.Peer == p.move.from
			p.new = p.new || e.Peer == p.move.to
		}
	}
	switch {
	case moved == 0:
		return unknown("nothing to check: no room moved")
	case len(sent) == 0:
		return unknown("nothing to check: no message was sent while a room moved")
	}
	return judgeDual(h, sent, moved)
}

// judgeDual finds the first message that went to one owner only.
func judgeDual(h *model.History, sent map[messageKey]*pending, moved int) model.Verdict {
	var single []*pending
	for _, p := range sent {
		if !p.old || !p.new {
			single = append(single, p)
		}
	}
	if len(single) == 0 {
		return ok("%d messages, sent while %d rooms moved, went to both owners", len(sent), moved)
	}
	p := slices.MinFunc(single, func(a, b *pending) int { return cmp.Compare(a.step, b.step) })
	got, lacks := p.move.from, p.move.to
	if p.new {
		got, lacks = lacks, got
	}
	if !h.Complete() {
		return unknown("message %q, sent at step %d while its room moved, has gone to %q and not yet to %q", p.id, p.step, got, lacks)
	}
	return illegal(p.step, "message %q, sent while its room moved from %q to %q (announced at step %d), went to %q and never to %q; so did %d of %d",
		p.id, p.move.from, p.move.to, p.move.announced, got, lacks, len(single), len(sent))
}
