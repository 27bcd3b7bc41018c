package properties

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
)

// NoLoss: every client gets every message that it is owed, by the end of the run.
//
// Formally: let top be the highest Seq of the room in any PublishOK or Deliver, by whoever. As a log
// has no gaps, it holds the positions 1 to top. For a client, let start be the Seq of its first
// Connected. Let p be its position when it was told of a Discontinuity (the highest Seq it got, or was
// told of, or started from): the discontinuity forgives the positions after p and up to its Seq. Then
// every position after start, up to top, and not forgiven has a Deliver event of that client.
//
// A Connected that puts the client ahead of its position forgives nothing, unless a Discontinuity is
// the next thing that happens to the client in that room: the client would have skipped messages
// without knowing. The loss is then certain at that Connected's step, and otherwise at the run's end,
// by which every message must have arrived; so a run has to end quiet, with its clients connected.
//
// A history that was cut short is Illegal if a loss is certain, and otherwise Unknown: what is missing
// might still have come. Unknown too is one with nothing to check, not a single pair of a client and a
// message that it is owed, or with a room in which a client was sent back, which only a new epoch
// explains.
//
// It does not cover messages whose publish failed and that nobody saw, messages that were forgiven
// though they could have been delivered, or whether what arrived was the right message
// ([Linearizable]).
func NoLoss() model.Property { return property{"NoLoss", checkNoLoss} }

// due is what one subscription is owed and has got.
type due struct {
	subscription
	connected bool
	start     uint64
	position  position
	got       spans
	forgiven  spans
	jump      jump // one yet to be announced, if its step is not 0
	silent    []jump
}

// jump is a connection that put a client ahead of its position: it skipped what is in span.
type jump struct {
	step uint64
	span
}

// loss is a message that a client did not get.
type loss struct {
	sub    subscription
	seq    uint64
	count  uint64 // of messages in this gap
	jumped bool   // into the gap, at step; else it was missing at the end
	step   uint64 // when it was certain; 0 if it is not
}

func checkNoLoss(h *model.History) model.Verdict {
	top := map[string]uint64{}
	subs := map[subscription]*due{}
	unclear := map[string]*model.Event{} // rooms with a new epoch, and who was sent back
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind == model.PublishOK || e.Kind == model.Deliver {
			top[e.Room] = max(top[e.Room], e.Seq)
		}
		if !observes(e) && e.Kind != model.Disconnected {
			continue
		}
		sub := subscription{e.Node, e.Room}
		if subs[sub] == nil {
			subs[sub] = &due{subscription: sub}
		}
		if back := subs[sub].observe(e); back && unclear[e.Room] == nil {
			unclear[e.Room] = e
		}
	}
	return judgeLosses(h, sortedDues(subs), top, unclear)
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
	switch e.Kind {
	case model.Connected:
		if !d.connected {
			d.connected, d.start = true, e.Seq
		} else if e.Seq > before.seq {
			d.jump = jump{e.Step, span{before.seq + 1, e.Seq}}
		}
	case model.Deliver:
		d.got.add(e.Seq, e.Seq)
	case model.Discontinuity:
		d.announce(before, e)
	}
	return back
}

// announce forgives what a discontinuity covers. What a jump skipped beyond it stays silent.
func (d *due) announce(before position, e *model.Event) {
	if before.known && e.Seq > before.seq {
		d.forgiven.add(before.seq+1, e.Seq)
	}
	if d.jump.step != 0 && d.jump.hi > e.Seq {
		d.jump.lo = max(d.jump.lo, saturatingAdd(e.Seq, 1))
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
	d.position.seq = max(d.position.seq, d.jump.hi)
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

// judgeLosses finds the loss that was certain first; among those at the run's end, the first by room,
// client and position.
func judgeLosses(h *model.History, dues []*due, top map[string]uint64, unclear map[string]*model.Event) model.Verdict {
	complete := h.Complete()
	var worst, open *loss
	var pairs, missing uint64
	clients := 0
	for _, d := range dues {
		if unclear[d.room] != nil || !d.connected || d.start >= top[d.room] {
			continue
		}
		clients++
		if complete {
			d.settle()
		}
		owed := d.forgiven.minus(d.start+1, top[d.room])
		pairs = saturatingAdd(pairs, owed.size())
		for _, l := range d.losses(owed) {
			missing = saturatingAdd(missing, l.count)
			if l.step == 0 && complete {
				l.step = h.Events[len(h.Events)-1].Step
			}
			switch {
			case l.step == 0 && open == nil:
				open = &l
			case l.step != 0 && (worst == nil || l.step < worst.step):
				worst = &l
			}
		}
	}
	switch {
	case worst != nil:
		return illegal(worst.step, "%s; missing in all: %d of %d (client, message) pairs", worst.reason(h, top), missing, pairs)
	case len(unclear) > 0:
		return unclearVerdict(unclear)
	case open != nil:
		return unknown("the history ends before the run did, and %v has not got %s#%d yet; missing in all: %d of %d (client, message) pairs",
			open.sub, open.sub.room, open.seq, missing, pairs)
	case pairs == 0:
		return unknown("nothing to check: no client was owed a message")
	case !complete:
		return unknown("nothing is missing so far among %d (client, message) pairs, but the history ends before the run did", pairs)
	}
	return ok("%d (client, message) pairs of %d subscriptions, all delivered", pairs, clients)
}

// losses gives the gaps in what the client got of what it is owed, split where a jump made them certain.
func (d *due) losses(owed spans) []loss {
	var ls []loss
	for _, o := range owed {
		for _, gap := range d.got.minus(o.lo, o.hi) {
			for _, j := range d.silent {
				if lo, hi := max(gap.lo, j.lo), min(gap.hi, j.hi); lo <= hi {
					ls = append(ls, loss{d.subscription, lo, span{lo, hi}.len(), true, j.step})
				}
			}
			for _, rest := range jumped(d.silent).minus(gap.lo, gap.hi) {
				ls = append(ls, loss{d.subscription, rest.lo, rest.len(), false, 0})
			}
		}
	}
	return ls
}

// jumped is the set of positions that some jump skipped.
func jumped(jumps []jump) spans {
	var s spans
	for _, j := range jumps {
		s.add(j.lo, j.hi)
	}
	return s
}

// reason says what was lost, and how far the client and the log had got.
func (l *loss) reason(h *model.History, top map[string]uint64) string {
	what := fmt.Sprintf("%v never saw %s#%d", l.sub, l.sub.room, l.seq)
	if id := idAt(h, l.sub.room, l.seq); id != "" {
		what += fmt.Sprintf(" (message %q)", id)
	}
	if l.jumped {
		return fmt.Sprintf("%s: it jumped over %d messages without a discontinuity", what, l.count)
	}
	return fmt.Sprintf("%s by the end of the run, with the log at %s#%d", what, l.sub.room, top[l.sub.room])
}

// idAt gives the ID of the message at a position, if somebody saw it there.
func idAt(h *model.History, room string, seq uint64) string {
	for i := range h.Events {
		e := &h.Events[i]
		if (e.Kind == model.PublishOK || e.Kind == model.Deliver) && e.Room == room && e.Seq == seq {
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
	return unknown("client %q was sent back to %s#%d at step %d: %v",
		first.Node, first.Room, first.Seq, first.Step, model.ErrNewEpoch)
}
