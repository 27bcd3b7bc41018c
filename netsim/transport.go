package netsim

import (
	"syscall"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// This file is the loop's half of a connection: what happens between a Conn, its protocol and the
// network. All of it runs on the loop's goroutine, with net.mu held.

// connect begins the handshake of a connection that a host has dialled.
func (c *Conn) connect() {
	n, h := c.net, c.host
	if c.state != stateOpening {
		return // given up in the same instant
	}
	fail := func(err error) {
		c.err, c.state = err, stateClosed
		c.readSide.wake(c.net)
	}
	if !h.up {
		fail(ErrHostDown)
		return
	}
	hop := n.route(h, c.remote.ip)
	if hop == nil {
		fail(syscallError("connect", syscall.EHOSTUNREACH))
		return
	}
	port, ok := h.freePort(c.remote)
	if !ok {
		fail(syscallError("connect", syscall.EADDRNOTAVAIL))
		return
	}
	c.local.port = port
	c.register()
	n.observe(Dialed, h, hop, c, 0)
	h.counters.Dialed++
	c.proto.Connect(n.clock, c)
	c.after()
}

// accept begins the handshake of a connection for which a SYN has come in.
func (l *Listener) accept(p *packet) {
	l.opening++
	c := newConn(l.host)
	c.local, c.remote = p.dst, p.src
	c.listener = l
	c.register()
	c.proto.Accept(c.net.clock, &p.seg, c)
	c.after()
}

// register gives the connection its number and its place in the host's table.
func (c *Conn) register() {
	n := c.net
	n.connections++
	c.id = n.connections
	c.host.conns[keyOf(c.remote, c.local.port)] = c
	c.proto = n.newProtocol(c)
}

// input is a segment that has arrived.
func (c *Conn) input(seg *tcp.Segment) {
	c.proto.Input(c.net.clock, seg, c)
	if c.proto.Finished() && !c.ended {
		c.finish()
	}
	c.after()
}

// finish lets readers see that the other end has finished. If that has come together with data, it is an
// event of its own: a program that has two goroutines, one for the data and one that only waits for the end,
// as net/http's server, must not have them race.
func (c *Conn) finish() {
	if c.proto.Readable() > 0 {
		c.net.plan(event{at: c.net.clock, kind: eventFinish, conn: c})
		return
	}
	c.ended = true
}

// finished is finish's event.
func (c *Conn) finished() {
	if c.state == stateClosed {
		return // nobody reads any more
	}
	c.ended = true
	c.after()
}

// flush carries out what the host's program has done to the connection.
func (c *Conn) flush() {
	c.dirty = false
	if c.proto.State() == tcp.Closed {
		return
	}
	if c.aborting {
		c.proto.Abort(c.net.clock, c)
	} else {
		c.proto.Flush(c.net.clock, c)
		c.readSide.plan(c.net, event{kind: eventReadDeadline, conn: c})
		c.writeSide.plan(c.net, event{kind: eventWriteDeadline, conn: c})
	}
	c.after()
}

// Send puts a segment on the network; it is how the protocol transmits.
func (c *Conn) Send(seg *tcp.Segment) {
	p := c.net.newSegment(c.local, c.remote, seg)
	if c.net.cfg.Fidelity == Stream {
		p.conn = c
	}
	c.net.send(c.host, c, p)
}

// after draws the consequences of whatever has just been done to the protocol: it wakes who can go
// on, plans the next timer, and forgets the connection when it is over.
func (c *Conn) after() {
	state := c.proto.State()
	synchronized := state != tcp.SynSent && state != tcp.SynReceived && state != tcp.Closed
	switch {
	case c.state != stateOpening:
	case synchronized:
		c.established()
	case state == tcp.Closed:
		c.handshakeFailed()
	}
	if c.readSide.waiting > 0 && (c.proto.Readable() > 0 || c.ended || c.proto.Err() != nil) {
		c.readSide.wake(c.net)
	}
	if c.writeSide.waiting > 0 && (c.proto.Writable() > 0 || c.proto.Err() != nil) {
		c.writeSide.wake(c.net)
	}
	if state == tcp.Closed {
		c.forget()
		return
	}
	c.planTimer()
	c.setCritical(!synchronized || c.proto.MaySend() || c.writeSide.waiting > 0)
}

func (c *Conn) established() {
	c.net.observe(Established, c.host, nil, c, 0)
	c.host.counters.established(c.listener != nil)
	c.state = stateOpen
	if c.listener == nil {
		c.readSide.wake(c.net) // the dialler
		return
	}
	accepted, woke := c.listener.established(c)
	c.listener = nil
	c.net.woke = c.net.woke || woke
	if !accepted {
		c.state = stateClosed
		c.proto.Abort(c.net.clock, c)
	}
}

func (c *Conn) handshakeFailed() {
	c.state = stateClosed
	if c.listener != nil {
		c.listener.abandoned()
		c.listener = nil
		return
	}
	if errno, ok := c.proto.Err().(syscall.Errno); ok && c.err == nil {
		c.err = syscallError("connect", errno)
	}
	c.readSide.wake(c.net)
}

// forget removes a connection that is over from the host's table.
func (c *Conn) forget() {
	key := keyOf(c.remote, c.local.port)
	if c.host.conns[key] != c {
		return
	}
	delete(c.host.conns, key)
	c.setCritical(true) // what is still under way to it will be answered with a RST
	c.net.observe(Closed, c.host, nil, c, 0)
}

// vanish is what happens to the connection when its host crashes.
func (c *Conn) vanish() {
	if c.listener != nil {
		c.listener.abandoned()
		c.listener = nil
	}
	c.state, c.err = stateClosed, ErrHostDown
	if t, ok := c.proto.(*tcp.Conn); ok {
		t.Release()
	}
	c.proto = new(stream) // a closed one: nothing is left of it
	c.setCritical(true)
	c.readSide.wake(c.net)
	c.writeSide.wake(c.net)
}

// setCritical notes whether acknowledgements for this connection must be applied on time. Those
// under way that were thought patient make the whole loop impatient until they have arrived.
func (c *Conn) setCritical(critical bool) {
	was := c.critical && c.lateAcks > 0
	c.critical = critical
	c.countImpatient(was)
}

func (c *Conn) countImpatient(was bool) {
	is := c.critical && c.lateAcks > 0
	switch {
	case is && !was:
		c.net.impatient++
	case was && !is:
		c.net.impatient--
	}
}

// planTimer has the loop call timerDue when the earliest of the protocol's timers is due.
func (c *Conn) planTimer() {
	at, ok := c.proto.Deadline()
	if !ok {
		return
	}
	by := at + c.slack()
	if c.timerAt <= at { // what is planned comes first, and plans the next
		if by < c.stopBy {
			c.stopBy = by
			c.net.stops.push(stop{by: by, at: c.timerAt, step: c.timerStep, conn: c})
		}
		return
	}
	c.timerAt, c.stopBy = at, by
	c.net.planPatient(event{at: at, kind: eventTimer, conn: c}, by)
	c.timerStep = c.net.step
}

// stopAgain gives when virtual time must stop, at the latest, for a timer event of the connection for which it was
// to stop now; never if it need not. Most timers are put off, or are not needed any more, before they are due.
func (c *Conn) stopAgain(s stop) time.Duration {
	if s.at != c.timerAt {
		return never // an earlier one was planned later, and has taken over
	}
	at, ok := c.proto.Deadline()
	if !ok {
		c.stopBy = never
		return never
	}
	c.stopBy = max(s.by, at+c.slack())
	return c.stopBy
}

// slack is how much later than it is due the next timer may be applied: until what it sends has arrived, unless it
// may end the connection, for which somebody may wait.
func (c *Conn) slack() time.Duration {
	if c.proto.MayGiveUp() {
		return 0
	}
	return c.lookahead()
}

// lookahead is the least time that anything this connection sends is under way.
func (c *Conn) lookahead() time.Duration {
	hop := c.net.route(c.host, c.remote.ip)
	if hop == nil {
		return leastLatency
	}
	return c.host.pipeTo(hop).link.minLatency()
}

func (c *Conn) timerDue(at time.Duration) {
	if at != c.timerAt {
		return // an earlier one was planned later, and has taken over
	}
	c.timerAt = never
	if c.proto.State() == tcp.Closed {
		return
	}
	if due, ok := c.proto.Deadline(); ok && due <= at {
		c.proto.Timer(at, c)
	}
	c.after()
}
