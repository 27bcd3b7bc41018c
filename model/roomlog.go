package model

import (
	"fmt"
	"math"
)

// life is the log of one epoch.
type life struct {
	epoch string
	began uint64 // step at which it was first named: it began before
	// newest is the step at which the last of its known messages had its publish called; 0 if none is
	// known. The log was appended to after that.
	newest uint64

	seqs  map[string]uint64 // by ID, the positions that are known
	free  int               // called messages that no position is known for here: any of them may fill a hole
	holes int               // positions up to len(log) whose message is not known
	log   []slot            // position p is log[p-1]
}

// slot is one position of the log. It is there from the step on at which it is known to be filled.
type slot struct {
	id    string // "" while the position is a hole: filled by a message not known
	since uint64 // step by which it was filled; never decreases from one position to the next
	// slack is how many more messages were called before since, and have no position known, than there
	// are holes up to here. By Hall's theorem for nested intervals, the holes can be filled by messages
	// called in time exactly as long as no slot's slack is negative.
	slack int
}

func (l *life) len() uint64 { return uint64(len(l.log)) }

func (l *life) at(seq uint64) (id string, known bool) {
	if seq < 1 || seq > l.len() {
		return "", false
	}
	id = l.log[seq-1].id
	return id, id != ""
}

// life gives the log of an epoch. One that is new is not the room's until it is put in lives, so that a
// rejected event leaves no trace.
func (r *Room) life(epoch string) *life {
	if l := r.lives[epoch]; l != nil {
		return l
	}
	return &life{epoch: epoch, began: r.step, seqs: map[string]uint64{}, free: len(r.calls)}
}

// learn takes an observation: e says that its message is at its position, now. verb says how, for the
// reason of a rejection.
func (r *Room) learn(e Event, verb string) error {
	l, called, at := r.life(e.Epoch), r.calls[e.ID], e.Cursor()
	before := l.seqs[e.ID]
	if before == e.Seq && before != 0 {
		return nil
	}
	why := ""
	switch known, taken := l.at(e.Seq); {
	case e.Seq == 0 || e.ID == "":
		why = ", but positions count from 1 and every message has an ID"
	case called == 0:
		why = ", which nobody has called publish for"
	case before != 0:
		why = ", but that message is at " + r.in(l, before)
	case taken:
		why = fmt.Sprintf(", but message %q is there", known)
	case e.Seq <= l.len() && called > l.log[e.Seq-1].since:
		why = fmt.Sprintf(", but that position was filled by step %d and the message's publish was not called before step %d",
			l.log[e.Seq-1].since, called)
	default:
		if why = r.checkNewest(l, called); why == "" {
			why = r.place(l, e.Seq, e.ID, called)
		}
	}
	if why != "" {
		return fmt.Errorf("%s %s as message %q%s", verb, at.In(r.name), e.ID, why)
	}
	l.newest = max(l.newest, called)
	r.lives[l.epoch] = l
	return nil
}

// checkNewest says why a message whose publish was called at a step cannot be in a log: another was
// begun by then, and was itself appended to after this one was begun, so that neither is the newest.
func (r *Room) checkNewest(l *life, called uint64) (why string) {
	var other *life
	for _, o := range r.lives {
		if o != l && max(l.newest, called) > o.began && o.newest > l.began && (other == nil || o.began < other.began) {
			other = o
		}
	}
	if other == nil {
		return ""
	}
	return fmt.Sprintf(", but then epochs %q and %q were appended to in turns: the one was there by step %d and has a message whose "+
		"publish was called at step %d, the other by step %d and at step %d",
		l.epoch, other.epoch, l.began, max(l.newest, called), other.began, other.newest)
}

// place records a position learnt, and otherwise says why not: too few messages would remain for the
// holes.
func (r *Room) place(l *life, seq uint64, id string, called uint64) (why string) {
	top := l.len()
	if short := r.shortfall(l, seq-1, l.free-1); short != "" { // of the free messages, one is this one
		return ", but " + short
	}
	if p := l.tight(min(seq, top+1), called); p > 0 {
		return fmt.Sprintf(", but then too few messages had been called by step %d to fill the log up to %s",
			l.log[p-1].since, r.in(l, p))
	}
	l.lower(min(seq, top+1), called)
	l.free--
	l.seqs[id] = seq
	if seq <= top {
		l.holes--
		l.log[seq-1].id = id
		return ""
	}
	l.grow(seq-1, r.step)
	l.log = append(l.log, slot{id: id, since: r.step, slack: l.free - l.holes})
	return ""
}

// extend takes an observation that the log has at least as many messages as e's position, now.
func (r *Room) extend(e Event, verb string) error {
	l := r.life(e.Epoch)
	if short := r.shortfall(l, e.Seq, l.free); short != "" {
		return fmt.Errorf("client %q %s %s, but %s", e.Node, verb, r.in(l, e.Seq), short)
	}
	l.grow(e.Seq, r.step)
	r.lives[l.epoch] = l
	return nil
}

// shortfall says why a log cannot reach position seq with free messages to fill its holes; "" if it
// can. As it bounds seq by the number of publishes, an absurd position costs no memory.
func (r *Room) shortfall(l *life, seq uint64, free int) string {
	if more := seq - l.len(); seq > l.len() && (more > math.MaxInt32 || int(more) > free-l.holes) {
		return fmt.Sprintf("that takes %d messages more than %s, and publish has been called for %d that could be there",
			more, r.in(l, l.len()), max(free-l.holes, 0))
	}
	return ""
}

// grow makes holes up to position seq, which is seen to be filled at a step.
func (l *life) grow(seq, step uint64) {
	for l.len() < seq {
		l.holes++
		l.log = append(l.log, slot{since: step, slack: l.free - l.holes})
	}
}

// tight finds a position below seq that needs the message called at step called to fill a hole up to
// it, and so would be left without if the message were at seq; 0 if there is none. At seq and above,
// the message leaves with the hole that it fills, so that nothing changes.
func (l *life) tight(seq, called uint64) uint64 {
	for p := seq - 1; p > 0 && l.log[p-1].since > called; p-- {
		if l.log[p-1].slack <= 0 {
			return p
		}
	}
	return 0
}

// lower takes a message out of the slack of the positions below seq that it could have helped to fill.
func (l *life) lower(seq, called uint64) {
	for p := seq - 1; p > 0 && l.log[p-1].since > called; p-- {
		l.log[p-1].slack--
	}
}

// in names a position for people.
func (r *Room) in(l *life, seq uint64) string {
	return Cursor{Epoch: l.epoch, Seq: seq}.In(r.name)
}
