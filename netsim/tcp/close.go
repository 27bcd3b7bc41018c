package tcp

import "time"

// CloseWrite closes this side: a FIN follows what has been written. Call Flush afterwards.
func (c *Conn) CloseWrite() {
	if c.flags&finQueued != 0 {
		return
	}
	switch c.state {
	case Closed:
		return
	case SynSent:
		c.finish(noFailure)
		return
	case Established:
		c.state = FinWait1
	case CloseWait:
		c.state = LastAck
	}
	c.flags |= finQueued | wroteSinceFlush
}

// Close closes both directions, as close(2) does. What has been written is still sent, and then a
// FIN; but if something has arrived that nobody has read, or data arrives later, the peer gets a RST,
// for it must learn that its data is lost (RFC 9293 §3.6.1). Call Flush afterwards.
func (c *Conn) Close() {
	unread := c.rcv.held() > 0
	c.flags |= orphan | wroteSinceFlush
	c.rcv.dropGaps(c.pool)
	c.rcv.clear(c.pool)
	if c.state == SynReceived || c.synchronized() && unread && c.state != TimeWait {
		c.flags |= wantReset
		return
	}
	c.CloseWrite()
}

// Abort ends the connection at once, with a RST to the peer if there is one.
func (c *Conn) Abort(now time.Duration, out Output) {
	if c.state == Closed {
		return
	}
	c.flags |= orphan
	c.reset(now, out, aborted)
}

// reset ends the connection and tells the peer with a RST.
func (c *Conn) reset(now time.Duration, out Output, why failure) {
	if c.synchronized() && c.state != TimeWait || c.state == SynReceived {
		c.transmit(now, out, c.nxt, RST, nil)
	}
	c.finish(why)
}

// finAcked moves on when our FIN has been acknowledged.
func (c *Conn) finAcked(now time.Duration) {
	if c.flags&finSent == 0 || c.una != c.nxt {
		return
	}
	switch c.state {
	case FinWait1:
		c.state = FinWait2
		c.waitOrphaned(now)
	case Closing:
		c.enterTimeWait(now)
	case LastAck:
		c.finish(noFailure)
	}
}

// waitOrphaned limits how long an end that nobody holds waits for the peer to close.
func (c *Conn) waitOrphaned(now time.Duration) {
	if c.state == FinWait2 && c.flags&(orphan|lingers) == orphan {
		c.flags |= lingers
		c.idle.at = c.alarm(now, c.s.cfg.TimeWait)
	}
}

// takeFIN moves on when everything up to the peer's FIN has arrived.
func (c *Conn) takeFIN(now time.Duration, out Output) {
	c.flags |= finReceived
	c.rcv.dropGaps(c.pool)
	c.ack.owe()
	switch c.state {
	case Established:
		c.state = CloseWait
		c.ack.bits |= interactive // our own FIN may soon carry the acknowledgement
	case FinWait1:
		c.state = Closing
		c.sendAck(now, out)
	case FinWait2:
		c.sendAck(now, out)
		c.enterTimeWait(now)
	}
}

// enterTimeWait keeps the connection's end for long enough that old segments have left the network
// and the peer has its acknowledgement (RFC 9293 §3.6.1).
func (c *Conn) enterTimeWait(now time.Duration) {
	c.state = TimeWait
	c.dropSend()
	c.rtx = retransmitTimer{}
	c.ack.at = 0
	c.idle.at = c.alarm(now, c.s.cfg.TimeWait)
}

// inputTimeWait handles a segment in TIME-WAIT: a FIN that comes again is acknowledged again.
func (c *Conn) inputTimeWait(now time.Duration, seg *Segment, out Output) {
	switch {
	case seg.Flags&RST != 0:
		if seg.Seq == c.rcvNxt() {
			c.finish(noFailure)
		}
	case seg.Flags&(SYN|FIN) != 0 || len(seg.Payload) > 0 || seg.Seq != c.rcvNxt():
		if seg.Flags&FIN != 0 && seg.Seq+seg.Len() == c.rcvNxt() {
			c.idle.at = c.alarm(now, c.s.cfg.TimeWait)
		}
		c.challenge(now, out, seg)
	}
}

// Reusable reports whether a SYN for a connection in TIME-WAIT may open a new one in its place: it is
// certainly not an old duplicate (RFC 9293 §3.6.1, RFC 6191 §2).
func (c *Conn) Reusable(syn *Segment) bool {
	if c.state != TimeWait || syn.Flags&(SYN|ACK|RST) != SYN {
		return false
	}
	return seqGT(syn.Seq, c.rcvNxt()) || syn.HasTS && c.flags&useTS != 0 && seqGT(syn.TSVal, c.seen.recent)
}
