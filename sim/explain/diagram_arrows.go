package explain

import (
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
)

// arrows draws the ways of messages between the rows.
func (b *builder) arrows(d *Diagram, journeys []*Journey) {
	for i, it := range b.items {
		e := it.event
		if e == nil {
			b.packetArrow(d, i, it)
			continue
		}
		t := toneQuiet
		for n, j := range journeys {
			if is(e, j.About) {
				t = []tone{toneLoud, tonePlain}[min(n, 1)]
				break
			}
		}
		switch e.Kind {
		case model.PublishCall:
			if j := b.next(i, model.Append, e); j >= 0 {
				d.arrow(i, e.Node, j, b.items[j].host, arrow{tone: t})
			}
		case model.PublishOK, model.PublishUnknown:
			if j := b.previous(i, model.Append, e); j >= 0 && e.Kind == model.PublishOK {
				d.arrow(j, b.items[j].host, i, e.Node, arrow{tone: toneQuiet})
			}
		case model.Append:
			d.arrow(i, e.Node, i, e.Peer, arrow{tone: t})
		case model.Receive:
			from := i
			if j := b.previous(i, model.Append, e); j >= 0 {
				from = j
			}
			d.arrow(from, e.Peer, i, e.Node, arrow{tone: t})
		case model.Copy:
			if j := b.delivery(i); j >= 0 {
				d.arrow(i, e.Node, j, e.Peer, arrow{tone: t})
			} else {
				d.arrow(i, e.Node, i, e.Peer, arrow{tone: t, lost: true})
			}
		case model.Deliver:
			if b.copyOf(i) < 0 { // nobody noted that it was sent
				if j := b.previous(i, model.PublishCall, e); e.Peer == "" && j >= 0 {
					d.arrow(j, b.items[j].host, i, e.Node, arrow{tone: t})
				} else {
					d.arrow(i, e.Peer, i, e.Node, arrow{tone: t})
				}
			}
		case model.Connected, model.Discontinuity:
			d.arrow(i, e.Peer, i, e.Node, arrow{tone: tonePlain, dashed: true})
		}
	}
}

// deadEnd draws the way that a message should have gone on.
func (b *builder) deadEnd(d *Diagram, dead deadEnd) {
	for i, it := range b.items {
		if dead.at == nil || it.event != dead.at {
			continue
		}
		from, to := it.host, dead.toward
		if (it.event.Kind == model.Append || it.event.Kind == model.Receive && to == it.host) && it.event.Peer != "" {
			from = it.event.Peer
		}
		if lane := d.lane[from]; to == "" && lane+1 < len(d.Lanes) {
			to = d.Lanes[lane+1]
		}
		d.arrow(i, from, i, to, arrow{tone: toneLoud, lost: true})
	}
}

// arrow adds an arrow, if both ends have a lane.
func (d *Diagram) arrow(fromRow int, from string, toRow int, to string, a arrow) {
	fromLane, ok := d.lane[from]
	toLane, ok2 := d.lane[to]
	if !ok || !ok2 || fromLane == toLane {
		return
	}
	a.fromRow, a.fromLane, a.toRow, a.toLane = fromRow, fromLane, toRow, toLane
	d.arrows = append(d.arrows, a)
}

func same(a, b *model.Event) bool {
	return is(a, model.Subject{Room: b.Room, Epoch: b.Epoch, Seq: b.Seq, ID: b.ID})
}

// next finds the next row of a kind that is about the same message; -1 if there is none.
func (b *builder) next(i int, kind model.Kind, e *model.Event) int {
	for j := i + 1; j < len(b.items); j++ {
		if o := b.items[j].event; o != nil && o.Kind == kind && same(o, e) {
			return j
		}
	}
	return -1
}

// previous finds the last row of a kind before this one that is about the same message.
func (b *builder) previous(i int, kind model.Kind, e *model.Event) int {
	for j := i - 1; j >= 0; j-- {
		if o := b.items[j].event; o != nil && o.Kind == kind && same(o, e) {
			return j
		}
	}
	return -1
}

// delivery finds where the copy of row i was delivered: at the next delivery of it to its client, unless another
// copy was sent before that.
func (b *builder) delivery(i int) int {
	e := b.items[i].event
	for j := i + 1; j < len(b.items); j++ {
		o := b.items[j].event
		if o == nil || !same(o, e) {
			continue
		}
		switch {
		case o.Kind == model.Deliver && o.Node == e.Peer:
			return j
		case o.Kind == model.Copy && o.Peer == e.Peer:
			return -1
		}
	}
	return -1
}

// copyOf finds the copy that was delivered in row i.
func (b *builder) copyOf(i int) int {
	e := b.items[i].event
	for j := i - 1; j >= 0; j-- {
		if o := b.items[j].event; o != nil && o.Kind == model.Copy && o.Peer == e.Node && same(o, e) && b.delivery(j) == i {
			return j
		}
	}
	return -1
}

// The most packets, and hosts, of a diagram of packets.
const (
	mostPackets = 28
	mostHosts   = 10
)

// packets adds the last steps before the violation: packets that carry something, and what nodes recorded.
func (b *builder) packets() {
	hosts := map[string]bool{}
	if e := b.c.Event; e != nil {
		hosts[e.Node] = true
	}
	room := func(names ...string) bool {
		n := len(hosts)
		for _, name := range names {
			if name != "" && !hosts[name] {
				n++
			}
		}
		return n <= mostHosts
	}
	for i := b.c.Step; i > 0 && len(b.items) < mostPackets; i-- {
		s, ok := b.c.run.step(i)
		if !ok {
			return
		}
		if e := b.c.run.at(i); e != nil {
			if room(e.Node) && e.Kind != model.RunEnd {
				hosts[e.Node] = true
				b.event(e, recorded(&s), stopTone(e))
			}
			continue
		}
		it := item{row: row{step: s.Step, time: s.Time}, host: s.Host, peer: s.Peer, lost: slices.Contains(lossKinds, s.Kind), late: late(s.Kind)}
		arrived := s.Kind == "arrive" || s.Kind == "forward"
		if s.Len == 0 && !it.lost || !arrived && !it.lost || !room(s.Host, s.Peer) {
			continue
		}
		hosts[s.Host], hosts[s.Peer] = true, true
		it.text = fmt.Sprintf("%s gets %d B from %s", s.Host, s.Len, s.Peer)
		if it.lost {
			what := "a packet without data"
			if s.Len > 0 {
				what = fmt.Sprintf("a packet of %d B", s.Len)
			}
			it.text, it.tone = fmt.Sprintf("%s between %s and %s: %s", what, s.Host, s.Peer, s.Kind), toneFault
		} else {
			it.from = b.sent(&s)
		}
		b.items = append(b.items, it)
	}
}

// late reports whether a packet that is lost in this way has made its way, so that its step is that of the host
// that it was for.
func late(kind string) bool { return kind == "undeliverable" || kind == "drop" }

func recorded(s *Step) string {
	switch model.Kind(s.Kind) {
	case model.FaultBegin:
		return "fault " + s.Note + " begins"
	case model.FaultEnd:
		return "fault " + s.Note + " ends"
	}
	text := s.Kind
	if s.Host != "" {
		text = s.Host + ": " + text
	}
	return text + by(" ", s.Note)
}

// sentWithin is how many steps before its arrival a packet is looked for.
const sentWithin = 2000

// sent finds when a packet that has arrived was sent: the last time, before, that as much was sent that way. nil
// if it is not found.
func (b *builder) sent(arrival *Step) *Step {
	for i := arrival.Step - 1; i > 0 && arrival.Step-i < sentWithin; i-- {
		s, ok := b.c.run.step(i)
		if !ok {
			return nil
		}
		if s.Kind == "send" && s.Host == arrival.Peer && s.Peer == arrival.Host && s.Len == arrival.Len && s.Time < arrival.Time {
			return &s
		}
	}
	return nil
}

// packetArrow draws a packet. It was sent at the last row by then.
func (b *builder) packetArrow(d *Diagram, i int, it item) {
	if it.lost {
		from, to := it.host, it.peer
		if it.late {
			from, to = to, from
		}
		d.arrow(i, from, i, to, arrow{tone: toneFault, lost: true})
		return
	}
	if it.peer == "" {
		return
	}
	from := i
	if it.from != nil {
		for from > 0 && b.items[from].step > it.from.Step {
			from--
		}
	}
	d.arrow(from, it.peer, i, it.host, arrow{tone: tonePlain})
}
