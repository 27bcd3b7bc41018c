package netsim

import (
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// send puts a packet on its way from a host: through the host's uplink, and over the link to the next
// host towards the destination. The connection, if any, is for the record.
func (n *Network) send(from *Host, c *Conn, p *packet) {
	to := n.route(from, p.dst.ip)
	size := len(p.payload)
	if to == nil || !from.up || from.box == nil && p.src.ip != from.ip {
		n.observe(Undeliverable, from, to, c, size)
		p.from, p.to = from, from
		n.lost(p)
		return
	}
	if from.holdsOut(c, p) {
		return
	}
	p.from, p.to = from, to
	n.observe(Sent, from, to, c, size)
	from.counters.sent(p)
	at, fate := from.uplinkTo(to).take(n.clock, p.wireLen())
	way := passage{fate: fate}
	pipe := from.pipeTo(to)
	if fate == fateArrives {
		way = pipe.carry(at, p.wireLen(), p.conn != nil)
	}
	n.record(p, way.fate)
	if way.fate != fateArrives {
		if way.fate == fateCut {
			pipe.block.hit()
		}
		n.observe(fateKinds[way.fate], from, to, c, size)
		n.lost(p)
		return
	}
	if way.copies == 2 {
		n.planLanding(way.arrivals[1], n.copyPacket(p))
	}
	n.planLanding(way.arrivals[0], p)
}

// fateKinds are the kinds of events that tell why a packet did not get through.
var fateKinds = [...]Kind{fateLost: Lost, fateCut: Cut, fateQueueFull: Overflowed, fateTooBig: TooBig}

// planLanding plans for a packet that leaves its link at a given time: it has arrived, or has the host's
// downlink before it.
func (n *Network) planLanding(at time.Duration, p *packet) {
	down := p.to.downlinkFrom(p.from)
	if down == nil {
		n.planArrival(at, p)
		return
	}
	n.planPatient(event{at: at, kind: eventDownlink, pkt: p}, at+down.least(p.wireLen()))
}

// land takes a packet through the downlink of the host that it has reached.
func (n *Network) land(p *packet) {
	at, fate := p.to.downlinkFrom(p.from).take(n.clock, p.wireLen())
	if fate != fateArrives {
		n.observe(fateKinds[fate], p.to, p.from, nil, len(p.payload))
		n.lost(p)
		return
	}
	n.planArrival(max(at, n.clock), p)
}

// drop is what a middlebox does with a packet that it does not let through.
func (n *Network) drop(box *Host, p *packet) {
	n.observe(Dropped, box, p.from, nil, len(p.payload))
	p.dropped = true
	n.lost(p)
}

// A stream's lost packet is sent again after retryAfter and twice the latency, as a TCP sender's
// first time-out would do (RFC 6298: SRTT plus at least 200 ms in Linux), then after twice that, and
// so on; after retryMost times the connection is given up.
const (
	retryAfter = 200 * time.Millisecond
	retryLimit = 2 * time.Minute
	retryMost  = 15
)

// lost is the end of a packet that did not get through, unless it is a stream's.
func (n *Network) lost(p *packet) {
	if p.conn == nil || p.conn.proto.State() == tcp.Closed {
		n.release(p)
		return
	}
	p.tries++
	if p.tries > retryMost {
		if s, ok := p.conn.proto.(*stream); ok {
			s.giveUp()
			p.conn.after()
		}
		n.release(p)
		return
	}
	link := &p.from.pipeTo(p.to).link
	wait := retryAfter + 2*(link.Latency+link.Variation.Mean())
	wait = min(wait<<(p.tries-1), retryLimit)
	n.plan(event{at: n.clock + wait, kind: eventRetry, pkt: p})
}

// retry sends a stream's packet again from where it was lost.
func (n *Network) retry(p *packet) {
	if p.dropped { // by the box that it had reached
		p.dropped = false
		n.arrive(p)
		return
	}
	n.send(p.from, p.conn, p)
}

// planArrival decides whether virtual time must stop for a packet's arrival.
func (n *Network) planArrival(at time.Duration, p *packet) {
	e := event{at: at, kind: eventArrive, pkt: p}
	pipe := p.from.pipeTo(p.to)
	if box := p.to.box; box != nil && box.forwards(p) {
		// Middleboxes share no state with any program: what counts is only when they send it on.
		e.lane = &pipe.patient
		if bare(p) && pipe.inOrder() && p.putOff(box.reaches(p, at)) {
			n.planPatient(e, never)
			return
		}
		n.planPatient(e, at+box.least(p, at))
		return
	}
	if bare(p) && pipe.inOrder() && p.putOff(p.to.conns[keyOf(p.src, p.dst.port)]) {
		e.lane = &pipe.patient
		n.planPatient(e, never)
		return
	}
	if p.from != p.to && p.wakesNobody() {
		e.lane = &pipe.patient
		n.planPatient(e, at+p.to.leastLatency())
		return
	}
	e.lane = &pipe.urgent
	n.plan(e)
}

// wakesNobody reports whether a packet that reaches its end will at most have TCP answer: it opens a connection, or
// is about a health check. (Programs bring the network up to the present before they listen, or cease to.)
func (p *packet) wakesNobody() bool {
	if p.proto != protoTCP {
		return false
	}
	key := keyOf(p.src, p.dst.port)
	opens := p.seg.Flags&(tcp.SYN|tcp.ACK|tcp.RST) == tcp.SYN
	return opens && p.to.conns[key] == nil || p.to.probes[key] != nil
}

// bare reports whether a packet may be nothing but an acknowledgement.
func bare(p *packet) bool { return p.proto == protoTCP && len(p.payload) == 0 }

// putOff counts a packet as an acknowledgement whose processing may be put off, if it is one for the connection,
// which may be nil.
func (p *packet) putOff(c *Conn) bool {
	if c == nil || c.critical || !c.proto.Patient(&p.seg) {
		return false
	}
	c.lateAcks++
	p.counted = c
	return true
}

// inOrder reports whether packets arrive once and in order.
func (p *pipe) inOrder() bool {
	if p.link.Reorder != 0 || p.link.Duplicate != 0 {
		return false
	}
	for _, i := range p.worse {
		if i.duplicate != 0 {
			return false
		}
	}
	return true
}

// arrive hands a packet to the host at the end of its leg.
func (n *Network) arrive(p *packet) {
	h := p.to
	if c := p.counted; c != nil {
		was := c.critical && c.lateAcks > 0
		c.lateAcks--
		c.countImpatient(was)
		p.counted = nil
	}
	if !h.up {
		n.observe(Undeliverable, h, p.from, nil, len(p.payload))
		n.lost(p)
		return
	}
	if h.holdsIn(p) {
		return
	}
	h.counters.received(p)
	if h.box != nil && h.box.forwards(p) {
		n.observe(Forwarded, h, p.from, nil, len(p.payload))
		p.hops = min(p.hops+1, 63)
		h.box.forward(p)
		return
	}
	if h.ip != p.dst.ip { // its address has changed since
		n.observe(Undeliverable, h, p.from, nil, len(p.payload))
		n.release(p)
		return
	}
	if p.proto == protoTCP {
		h.tcpInput(p)
	} else {
		h.udpInput(p)
		n.release(p)
	}
}

// tcpInput finds the connection or listener that a segment is for.
func (h *Host) tcpInput(p *packet) {
	key := keyOf(p.src, p.dst.port)
	c := h.conns[key]
	h.net.observe(Arrived, h, p.from, c, len(p.payload))
	l := h.listeners[p.dst.port]
	switch opens := p.seg.Flags&(tcp.SYN|tcp.ACK|tcp.RST) == tcp.SYN; {
	case c != nil:
		c.input(&p.seg)
	case h.probes[key] != nil:
		h.probes[key].answer(p)
	case opens && l != nil && l.full():
		h.net.drop(h, p) // the client will send its SYN again
		return
	case opens && l != nil:
		l.accept(p)
	default:
		h.refuse(p)
	}
	h.net.release(p)
}

// refuse answers a segment that belongs to no connection with a RST, unless it is one itself.
func (h *Host) refuse(p *packet) {
	if rst, ok := tcp.Reset(&p.seg); ok {
		h.net.send(h, nil, h.net.newSegment(p.dst, p.src, &rst))
	}
}

// udpInput finds the socket that a datagram, or the news that one met nobody, is for.
func (h *Host) udpInput(p *packet) {
	h.net.observe(Arrived, h, p.from, nil, len(p.payload))
	socket := h.sockets[p.dst.port]
	switch {
	case socket == nil && p.proto == protoUDP:
		h.net.send(h, nil, h.net.newPacket(p.dst, p.src, protoUnreachable, nil))
	case socket != nil && p.proto == protoUDP:
		socket.input(p)
	case socket != nil && socket.remote == p.src:
		socket.unreachable()
	}
}
