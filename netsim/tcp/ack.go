package tcp

import "time"

// acknowledger decides when to acknowledge: at once, or a little later in the hope of more to
// acknowledge or of data to carry it (RFC 9293 §3.8.6.3). It follows Linux, whose rules decide how
// fast a connection starts and how soon a sender learns of a loss.
type acknowledger struct {
	at       time.Duration // when a delayed acknowledgement is due; 0 is never
	ato      millis        // the present delay; 0 before the first data
	lastData millis        // when data last came in order
	dup      Block         // D-SACK to be sent; empty for none

	segment uint16 // estimate of the peer's segment size
	last    uint16 // length of the last segment that the estimate was not sure of
	quick   uint8  // so many acknowledgements are yet to be sent at once
	holes   uint8  // sent at once since the present gap appeared
	held    uint8  // held back since then
	bits    ackBits
}

type ackBits uint8

const (
	ackOwed        ackBits = 1 << iota // something is to be acknowledged
	ackNow                             // and at once
	ackPushed                          // a segment that is short, or has PSH, is among it
	ackPushedTwice                     // two
	ackCompressed                      // at is the end of a SACK that is held back
	interactive                        // data goes both ways, so that waiting for data to carry pays (pingpong)
)

const (
	defaultMSS   = 536 // RFC 9293 §3.7.1
	quickAcks    = 16  // most acknowledgements at once in a row
	immediate    = 3   // duplicate acknowledgements per gap that are never held back
	mostHeld     = 44  // SACKs that are compressed into one (Linux's tcp_comp_sack_nr)
	compression  = time.Millisecond
	challengeGap = 500 * time.Millisecond // between answers to segments out of window (tcp_invalid_ratelimit)
)

// init sets the estimate of the segment size, before there is any.
func (a *acknowledger) init(mss int, window uint32) {
	a.segment = uint16(max(min(mss, defaultMSS, int(window/2)), minSegment))
}

// owe notes that something is to be acknowledged.
func (a *acknowledger) owe() { a.bits |= ackOwed }

// measure takes the length of a segment with data into account.
func (a *acknowledger) measure(seg *Segment, mss int) {
	n := len(seg.Payload)
	push := seg.Flags&PSH != 0
	if n >= int(a.segment) {
		a.segment = uint16(min(n, mss))
		if push {
			a.bits |= ackPushed
		}
		return
	}
	// Two segments of a length that are not the ends of messages: that is what the peer sends.
	if n >= defaultMSS || n >= minSegment && !push && seg.Flags&FIN == 0 {
		if n == int(a.last) {
			a.segment = uint16(n)
			return
		}
		a.last = uint16(n)
	}
	if a.bits&ackPushed != 0 {
		a.bits |= ackPushedTwice
	}
	a.bits |= ackPushed
}

// hurry has the next acknowledgements sent at once.
func (c *Conn) hurry() {
	n := c.offered() / (2 * uint32(c.ack.segment))
	c.ack.quick = max(c.ack.quick, uint8(min(max(n, 2), quickAcks)))
}

// quickMode is for what shows that the peer waits for acknowledgements: losses, duplicates.
func (c *Conn) quickMode() {
	c.hurry()
	c.ack.bits &^= interactive
	c.ack.ato = toMillis(c.s.cfg.DelayedAckMin)
}

// dataReceived adapts the delay to the pace at which data comes in order.
func (c *Conn) dataReceived(now time.Duration, seg *Segment) {
	a := &c.ack
	a.owe()
	a.measure(seg, c.s.cfg.MSS)
	c.measureReceiverRTT(now, seg)
	least, rto := toMillis(c.s.cfg.DelayedAckMin), toMillis(c.rto())
	gap := toMillis(now) - a.lastData
	switch {
	case a.ato == 0:
		c.hurry()
		a.ato = least
	case gap <= least/2:
		a.ato = a.ato/2 + least/2
	case gap < a.ato:
		a.ato = min(a.ato/2+gap, rto)
	case gap > rto:
		c.hurry() // the peer has started anew, with a small window
	}
	a.lastData = toMillis(now)
	c.growWindow(len(seg.Payload))
}

// dataSent notes a segment with data: soon after data came, it is an answer.
func (c *Conn) dataSent(now time.Duration) {
	if toMillis(now)-c.ack.lastData < c.ack.ato {
		c.ack.bits |= interactive
	}
	c.lastSend = now
}

// checkAck sends the acknowledgement that is owed, or starts the timer for it.
func (c *Conn) checkAck(now time.Duration, out Output) {
	a := &c.ack
	if a.bits&ackOwed == 0 {
		return
	}
	enough := c.rcvNxt()-c.win.acked > uint32(a.segment) && (c.rcv.len == 0 || c.selectWindow() >= c.win.wnd)
	if enough || a.quick > 0 && a.bits&interactive == 0 || a.bits&ackNow != 0 {
		c.sendAck(now, out)
		return
	}
	if c.rcv.gaps == nil {
		c.delayAck(now, out)
		return
	}
	c.compressAck(now, out)
}

// compressAck sends the first acknowledgements for a gap at once and holds the others back for a
// moment: many segments may arrive at once (Linux's SACK compression).
func (c *Conn) compressAck(now time.Duration, out Output) {
	a := &c.ack
	if c.flags&useSACK == 0 || a.held >= mostHeld {
		c.sendAck(now, out)
		return
	}
	if a.holes < immediate {
		a.holes++
		c.sendAck(now, out)
		return
	}
	a.held++
	if a.bits&ackCompressed != 0 {
		return
	}
	rtt := fromMicros(c.win.rtt / 8)
	if srtt := c.rtt.smoothed(); srtt > 0 && (rtt == 0 || srtt < rtt) {
		rtt = srtt
	}
	a.bits |= ackCompressed
	a.at = now + max(min(compression, rtt/20), time.Nanosecond)
}

// delayAck starts the timer of a delayed acknowledgement.
func (c *Conn) delayAck(now time.Duration, out Output) {
	a, cfg := &c.ack, &c.s.cfg
	delay := a.ato.since(0)
	if delay > cfg.DelayedAckMin {
		most := longestAck
		if a.bits&(interactive|ackPushed) != 0 {
			most = cfg.DelayedAckMax
		}
		if srtt := c.rtt.smoothed(); srtt > 0 {
			most = min(most, max(srtt, cfg.DelayedAckMin))
		}
		delay = min(delay, most)
	}
	delay = min(delay, cfg.DelayedAckMax)
	if a.at != 0 && a.at <= now+delay/4 {
		c.sendAck(now, out)
		return
	}
	if at := c.alarm(now, delay); a.at == 0 || at < a.at {
		a.at = at
	}
}

// delayedAckTimer sends the acknowledgement that has been delayed.
func (c *Conn) delayedAckTimer(now time.Duration, out Output) {
	a := &c.ack
	compressed := a.bits&ackCompressed != 0
	a.at = 0
	a.bits &^= ackCompressed
	if a.bits&ackOwed == 0 {
		return
	}
	if !compressed {
		if a.bits&interactive != 0 {
			a.bits &^= interactive // no data came to carry it
			a.ato = toMillis(c.s.cfg.DelayedAckMin)
		} else {
			a.ato = min(2*a.ato, toMillis(c.rto()))
		}
	}
	c.sendAck(now, out)
}

// acknowledged notes that a segment goes out, and with it the acknowledgement.
func (c *Conn) acknowledged() {
	a := &c.ack
	if a.bits&ackOwed != 0 && a.quick > 0 {
		a.quick--
		if a.quick == 0 {
			a.ato = toMillis(c.s.cfg.DelayedAckMin)
		}
	}
	a.bits &= interactive
	a.held = 0
	a.at = 0
}

// readMatters reports whether Flush would have something to do for what has been read.
func (c *Conn) readMatters() bool {
	return c.ack.bits&ackOwed != 0 || 2*c.offered() <= c.win.buffer ||
		c.rcv.nxt-uint32(c.rcv.len)-c.win.begin > c.win.taken
}

// afterRead is what reading calls for: an acknowledgement, if the reader has drained what was pushed
// to it and the peer may wait for that; or news of the window, if it has doubled (RFC 9293
// §3.8.6.2.2 asks for news of a smaller gain; this is Linux's rule).
func (c *Conn) afterRead(now time.Duration, out Output) {
	c.rightSize(now)
	a := &c.ack
	if a.bits&ackOwed != 0 {
		drained := c.rcv.held() == 0 &&
			(a.bits&ackPushedTwice != 0 || a.bits&(ackPushed|interactive) == ackPushed)
		if drained || c.rcvNxt()-c.win.acked > uint32(a.segment) {
			c.sendAck(now, out)
			return
		}
	}
	if left := c.offered(); c.flags&finReceived == 0 && 2*left <= c.win.buffer {
		if wnd := c.selectWindow(); wnd > 0 && wnd >= 2*left {
			c.sendAck(now, out)
		}
	}
}
