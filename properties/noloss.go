package properties

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
)

// NoLoss: every client gets every message that it is owed, or is told that it will not.
//
// Formally, for each room: let top(E) be the highest Seq of epoch E in any PublishOK or Deliver, by
// whoever. As a log has no gaps, epoch E holds the positions 1 to top(E). An epoch F comes after E if a
// message seen in F had its publish called after an event first named E (only the newest life of a log
// is appended to), or if a Discontinuity moved a client from E to F, or by way of other epochs.
//
// A client whose first Connected was at position s of epoch E is owed the positions of E after s, and
// all positions of the epochs after E. A Discontinuity that moves it from position p of epoch F to
// position q of epoch G forgives what lies between: if F = G, the positions after p and up to q; else
// those of F after p, those of G up to q, and all epochs that come after F but not after G. (Its position
// is the highest Seq that it got, was told of, or started from.) Every position that is owed and not
// forgiven has a Deliver event of that client.
//
// So a log that loses its history loses messages, acknowledged ones too, to every client that was owed
// them and was not told: one that stays behind in the old epoch, unaware, has lost the whole new one.
// Only to those who were told, or who came later, is nothing owed. Where events name no epochs there is
// one, and what a client is owed after it was sent back cannot be said.
//
// A Connected that puts the client elsewhere than at or before its position forgives nothing, unless a
// Discontinuity is the next thing that happens to the client in that room: the client would have
// skipped messages without knowing. So does a Deliver of another epoch. The loss is then certain at
// that step, and otherwise at the run's end, by which every message must have arrived; so a run has to
// end quiet, with its clients connected.
//
// A history that was cut short is Illegal if a loss is certain, and otherwise Unknown: what is missing
// might still have come. Unknown too is one with nothing to check, not a single pair of a client and a
// message that it is owed, or with a room in which a client was sent back and no epoch has a name.
//
// It does not cover messages whose publish failed and that nobody saw, messages that were forgiven
// though they could have been delivered, epochs of which the history does not show that they came after
// another, or whether what arrived was the right message ([Linearizable]).
func NoLoss() model.Property { return property{"NoLoss", checkNoLoss} }

// due is what one subscription is owed and has got.
type due struct {
	subscription
	connected bool
	start     model.Cursor
	position  position
	got       epochSpans
	told      []leap
	jump      jump // one yet to be announced, if its step is not 0
	silent    []jump
}

// jump is a leap that nobody told the client of.
type jump struct {
	step uint64
	leap
}

// loss is a run of messages that a client did not get.
type loss struct {
	due   *due
	at    model.Cursor // the first of them
	count uint64
	by    *jump  // over them; nil if they were missing at the end
	step  uint64 // when it was certain; 0 if it is not
}

func checkNoLoss(h *model.History) model.Verdict {
	subs := map[subscription]*due{}
	unclear := map[string]*model.Event{} // rooms with a new epoch that has no name, and who was sent back
	for i := range h.Events {
		e := &h.Events[i]
		if !observes(e) && e.Kind != model.Disconnected {
			continue
		}
		sub := subscription{e.Node, e.Room}
		if subs[sub] == nil {
			subs[sub] = &due{subscription: sub, got: epochSpans{}}
		}
		if back := subs[sub].observe(e); back && unclear[e.Room] == nil {
			unclear[e.Room] = e
		}
	}
	return judgeLosses(h, sortedDues(subs), unclear)
}

// observe takes what happened to the client. It reports whether the client was sent back.
func (d *due) observe(e *model.Event) (back bool) {
	if e.Kind != model.Discontinuity {
		d.settle()
	}
	before := d.position
	if observes(e) {
		back = d.position.move(e)
	}
	at := e.Cursor()
	elsewhere := before.known && at.Epoch != before.at.Epoch
	switch e.Kind {
	case model.Connected:
		if !d.connected {
			d.connected, d.start = true, at
		} else if elsewhere || at.Seq > before.at.Seq {
			d.jump = jump{e.Step, leap{before.at, at}}
		}
	case model.Deliver:
		d.got.add(at.Epoch, at.Seq, at.Seq)
		if elsewhere {
			d.silent = append(d.silent, jump{e.Step, leap{before.at, model.Cursor{Epoch: at.Epoch, Seq: max(at.Seq, 1) - 1}}})
		}
	case model.Discontinuity:
		if before.known {
			d.told = append(d.told, leap{before.at, at})
		}
		d.announced(at)
	}
	return back
}

// announced takes that the client was told of a discontinuity up to a position. What a jump skipped
// beyond it stays silent.
func (d *due) announced(at model.Cursor) {
	j := d.jump
	if j.step == 0 {
		return
	}
	if at.Epoch == j.to.Epoch && at.Seq < j.to.Seq || at.Epoch == j.from.Epoch && at.Epoch != j.to.Epoch {
		d.jump.from = at
		d.settle()
	}
	d.jump = jump{}
}

// settle makes a jump that was not announced a silent one. The client goes on from where it jumped to.
func (d *due) settle() {
	if d.jump.step == 0 {
		return
	}
	d.silent = append(d.silent, d.jump)
	d.position.at = d.jump.to
	d.jump = jump{}
}

func sortedDues(subs map[subscription]*due) []*due {
	dues := make([]*due, 0, len(subs))
	for _, d := range subs {
		dues = append(dues, d)
	}
	slices.SortFunc(dues, func(a, b *due) int {
		return cmp.Or(cmp.Compare(a.room, b.room), cmp.Compare(a.client, b.client))
	})
	return dues
}

// tally sums up what the subscriptions are owed and did not get.
type tally struct {
	worst, open    *loss // the loss that was certain first, and the first one that is not certain
	pairs, missing uint64
	clients        int
}

// judgeLosses finds the loss that was certain first; among those at the run's end, the first by room,
// client and position.
func judgeLosses(h *model.History, dues []*due, unclear map[string]*model.Event) model.Verdict {
	rooms := livesOf(h.Events)
	t := tally{}
	for _, d := range dues {
		if unclear[d.room] == nil && d.connected {
			t.add(h, d, rooms[d.room])
		}
	}
	switch {
	case t.worst != nil:
		d, at := t.worst.due, t.worst.at
		return d.about(illegal(t.worst.step, "%s; missing in all: %d of %d (client, message) pairs", t.worst.reason(h, rooms[d.room]), t.missing, t.pairs),
			at, idAt(h, d.room, at))
	case len(unclear) > 0:
		return unclearVerdict(unclear)
	case t.open != nil:
		return unknown("the history ends before the run did, and %v has not got %s yet; missing in all: %d of %d (client, message) pairs",
			t.open.due, t.open.at.In(t.open.due.room), t.missing, t.pairs)
	case t.pairs == 0:
		return unknown("nothing to check: no client was owed a message")
	case !h.Complete():
		return unknown("nothing is missing so far among %d (client, message) pairs, but the history ends before the run did", t.pairs)
	}
	return ok("%d (client, message) pairs of %d subscriptions, all delivered", t.pairs, t.clients)
}

// add counts one subscription.
func (t *tally) add(h *model.History, d *due, r *lives) {
	if h.Complete() {
		d.settle()
	}
	forgiven := epochSpans{}
	for _, l := range d.told {
		l.cover(r, forgiven)
	}
	counted := false
	for _, epoch := range r.order() {
		lo := uint64(1)
		switch {
		case epoch == d.start.Epoch:
			lo = saturatingAdd(d.start.Seq, 1)
		case !r.after(d.start.Epoch)[epoch]:
			continue
		}
		top := r.epochs[epoch].top
		if lo > top || epoch == d.start.Epoch && d.start.Seq >= top {
			continue
		}
		counted = true
		owed := forgiven[epoch].minus(lo, top)
		t.pairs = saturatingAdd(t.pairs, owed.size())
		for _, l := range d.losses(r, epoch, owed) {
			t.lose(h, &l)
		}
	}
	if counted {
		t.clients++
	}
}

func (t *tally) lose(h *model.History, l *loss) {
	t.missing = saturatingAdd(t.missing, l.count)
	if l.step == 0 && h.Complete() {
		l.step = h.Events[len(h.Events)-1].Step
	}
	switch {
	case l.step == 0 && t.open == nil:
		t.open = l
	case l.step != 0 && (t.worst == nil || l.step < t.worst.step):
		t.worst = l
	}
}

// losses gives the gaps in what the client got of what it is owed of an epoch, split where a jump made
// them certain.
func (d *due) losses(r *lives, epoch string, owed spans) []loss {
	var ls []loss
	var missing, skipped spans
	for _, o := range owed {
		missing = append(missing, d.got[epoch].minus(o.lo, o.hi)...)
	}
	if len(missing) == 0 {
		return nil
	}
	for i := range d.silent {
		over := epochSpans{}
		d.silent[i].cover(r, over)
		for _, gap := range missing {
			for _, s := range over[epoch] {
				for _, part := range skipped.minus(max(gap.lo, s.lo), min(gap.hi, s.hi)) {
					ls = append(ls, loss{d, model.Cursor{Epoch: epoch, Seq: part.lo}, part.len(), &d.silent[i], d.silent[i].step})
					skipped.add(part.lo, part.hi)
				}
			}
		}
	}
	for _, gap := range missing {
		for _, rest := range skipped.minus(gap.lo, gap.hi) {
			ls = append(ls, loss{d, model.Cursor{Epoch: epoch, Seq: rest.lo}, rest.len(), nil, 0})
		}
	}
	return ls
}

// reason says what was lost, and how far the client and the log had got.
func (l *loss) reason(h *model.History, r *lives) string {
	d := l.due
	what := fmt.Sprintf("%v never saw %s", d, l.at.In(d.room))
	if id := idAt(h, d.room, l.at); id != "" {
		what += fmt.Sprintf(" (message %q)", id)
	}
	switch {
	case l.by == nil:
		what += fmt.Sprintf(" by the end of the run, with the log at %s", model.Cursor{Epoch: l.at.Epoch, Seq: r.epochs[l.at.Epoch].top}.In(d.room))
		if at := d.position.at; at.Epoch != l.at.Epoch {
			what += fmt.Sprintf(" and the client at %s", at.In(d.room))
		}
	case l.by.from.Epoch == l.by.to.Epoch:
		what += fmt.Sprintf(": it jumped over %d messages without a discontinuity", l.count)
	default:
		what += fmt.Sprintf(": it went from %s to %s without a discontinuity", l.by.from.In(d.room), l.by.to.In(d.room))
	}
	return what
}

// idAt gives the ID of the message at a position, if somebody saw it there.
func idAt(h *model.History, room string, at model.Cursor) string {
	for i := range h.Events {
		e := &h.Events[i]
		if (e.Kind == model.PublishOK || e.Kind == model.Deliver) && e.Room == room && e.Cursor() == at {
			return e.ID
		}
	}
	return ""
}

func unclearVerdict(unclear map[string]*model.Event) model.Verdict {
	var first *model.Event
	for _, e := range unclear {
		if first == nil || e.Step < first.Step {
			first = e
		}
	}
	return unknown("client %q was sent back to %s at step %d: %v", first.Node, first.Cursor().In(first.Room), first.Step, model.ErrNewEpoch)
}
