package netsim

import "slices"

// pause is what a host that stands still has not sent and not taken yet.
type pause struct {
	by      *fault
	out, in []*packet // in order
	hit     func()
}

// Pause makes hosts stand still, as a virtual machine does that is not scheduled, or a process in a
// long garbage collection, seen from outside: nothing leaves them and nothing that arrives is taken,
// until [Undo]. Then all of it happens at once, in order. Their programs and timers do not notice: what
// they do meanwhile is held back. So a paused host's TCP sends again, when it goes on, whatever timed out.
func Pause(hosts string) Fault {
	f := &fault{kind: "pause", args: []string{hosts}}
	f.apply = func(n *Network, bite func()) error {
		found, err := n.Match(hosts)
		if err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, h := range found {
			h.pauses = append(h.pauses, &pause{by: f, hit: bite})
		}
		return nil
	}
	return f
}

// holdsOut takes a packet that a host would send, if the host is paused.
func (h *Host) holdsOut(c *Conn, p *packet) bool {
	if len(h.pauses) == 0 {
		return false
	}
	p.sender = c
	h.pauses[0].out = append(h.pauses[0].out, p)
	h.pauses[0].hit()
	return true
}

// holdsIn takes a packet that has arrived at a host, if the host is paused.
func (h *Host) holdsIn(p *packet) bool {
	if len(h.pauses) == 0 {
		return false
	}
	h.pauses[0].in = append(h.pauses[0].in, p)
	h.pauses[0].hit()
	return true
}

// unpause ends the first pause that end ends, on all hosts that it holds, and reports whether there was
// one.
func (n *Network) unpause(end *fault) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	var by *fault
	for _, h := range n.hosts {
		i := slices.IndexFunc(h.pauses, func(p *pause) bool { return end.Ends(p.by) && (by == nil || p.by == by) })
		if i < 0 {
			continue
		}
		held := h.pauses[i]
		by = held.by
		h.pauses = slices.Delete(h.pauses, i, i+1)
		if len(h.pauses) > 0 { // another one goes on
			next := h.pauses[0]
			next.in, next.out = append(held.in, next.in...), append(held.out, next.out...)
			continue
		}
		h.goOn(held)
	}
	return by != nil
}

// goOn sends what a pause has held back, and takes what has arrived, all in this instant.
func (h *Host) goOn(held *pause) {
	n := h.net
	for _, p := range held.in {
		n.plan(event{at: n.clock, kind: eventArrive, pkt: p})
	}
	for _, p := range held.out {
		c := p.sender
		p.sender = nil
		n.send(h, c, p)
	}
}

// dropHeld is what a crash does to a paused host: what it held is gone, and it stands still no more.
func (h *Host) dropHeld() {
	for _, held := range h.pauses {
		for _, p := range append(held.in, held.out...) {
			p.sender = nil
			h.net.lost(p)
		}
	}
	h.pauses = nil
}
