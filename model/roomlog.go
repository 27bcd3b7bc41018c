package model

import (
	"fmt"
	"math"
)

// learn takes an observation: e says that its message is at its position, now. verb says how, for the
// reason of a rejection.
func (r *Room) learn(e Event, verb string) error {
	m := r.calls[e.ID]
	if m != nil && m.seq == e.Seq && m.seq != 0 {
		return nil
	}
	why := ""
	switch known, taken := r.At(e.Seq); {
	case e.Seq == 0 || e.ID == "":
		why = ", but positions count from 1 and every message has an ID"
	case m == nil:
		why = ", which nobody has called publish for"
	case m.seq != 0:
		why = ", but that message is at " + r.at(m.seq)
	case taken:
		why = fmt.Sprintf(", but message %q is there", known)
	case e.Seq <= r.Len() && m.called > r.log[e.Seq-1].since:
		why = fmt.Sprintf(", but that position was filled by step %d and the message's publish was not called before step %d",
			r.log[e.Seq-1].since, m.called)
	default:
		why = r.place(e.Seq, e.ID, m)
	}
	if why != "" {
		return fmt.Errorf("%s %s as message %q%s", verb, r.at(e.Seq), e.ID, why)
	}
	return nil
}

// place records a position learnt, and otherwise says why not: too few messages would remain for the
// holes.
func (r *Room) place(seq uint64, id string, m *message) (why string) {
	top := r.Len()
	if short := r.shortfall(seq-1, r.free-1); short != "" { // of the free messages, one is this one
		return ", but " + short
	}
	if p := r.tight(min(seq, top+1), m.called); p > 0 {
		return fmt.Sprintf(", but then too few messages had been called by step %d to fill the log up to %s",
			r.log[p-1].since, r.at(p))
	}
	r.lower(min(seq, top+1), m.called)
	r.free--
	m.seq = seq
	if seq <= top {
		r.holes--
		r.log[seq-1].id = id
		return ""
	}
	r.grow(seq - 1)
	r.log = append(r.log, slot{id: id, since: r.step, slack: r.free - r.holes})
	return ""
}

// extend takes an observation that the log has at least as many messages as e's position, now.
func (r *Room) extend(e Event, verb string) error {
	if short := r.shortfall(e.Seq, r.free); short != "" {
		return fmt.Errorf("client %q %s %s, but %s", e.Node, verb, r.at(e.Seq), short)
	}
	r.grow(e.Seq)
	return nil
}

// shortfall says why the log cannot reach position seq with free messages to fill its holes; "" if it
// can. As it bounds seq by the number of publishes, an absurd position costs no memory.
func (r *Room) shortfall(seq uint64, free int) string {
	if more := seq - r.Len(); seq > r.Len() && (more > math.MaxInt32 || int(more) > free-r.holes) {
		return fmt.Sprintf("that takes %d messages more than %s, and publish has been called for %d that could be there",
			more, r.at(r.Len()), max(free-r.holes, 0))
	}
	return ""
}

// grow makes holes up to position seq.
func (r *Room) grow(seq uint64) {
	for r.Len() < seq {
		r.holes++
		r.log = append(r.log, slot{since: r.step, slack: r.free - r.holes})
	}
}

// tight finds a position below seq that needs the message called at step called to fill a hole up to
// it, and so would be left without if the message were at seq; 0 if there is none. At seq and above,
// the message leaves with the hole that it fills, so that nothing changes.
func (r *Room) tight(seq, called uint64) uint64 {
	for p := seq - 1; p > 0 && r.log[p-1].since > called; p-- {
		if r.log[p-1].slack <= 0 {
			return p
		}
	}
	return 0
}

// lower takes a message out of the slack of the positions below seq that it could have helped to fill.
func (r *Room) lower(seq, called uint64) {
	for p := seq - 1; p > 0 && r.log[p-1].since > called; p-- {
		r.log[p-1].slack--
	}
}
