package tcp

import "time"

// Input handles a segment that has arrived (RFC 9293 §3.10.7). It transmits what the segment calls
// for, and what it makes possible.
func (c *Conn) Input(now time.Duration, seg *Segment, out Output) {
	switch c.state {
	case Closed:
		if rst, ok := Reset(seg); ok && c.pool != nil {
			c.sendReset(out, &rst)
		}
		return
	case SynSent:
		c.info.segmentsIn++
		c.inputSynSent(now, seg, out)
		return
	case TimeWait:
		c.info.segmentsIn++
		c.inputTimeWait(now, seg, out)
		return
	}
	c.info.segmentsIn++
	if c.state == SynReceived && seg.Flags&SYN != 0 && seg.Seq+1 == c.rcv.nxt {
		c.inputSynReceived(now, seg, out)
		return
	}
	if !c.acceptable(now, seg, out) || seg.Flags&ACK == 0 {
		return
	}
	c.heard(now)
	if c.state == SynReceived && !c.completeHandshake(now, seg, out) {
		return
	}
	c.noteTimestamp(now, seg)
	if !c.processAck(now, seg, out) {
		return
	}
	c.finAcked(now)
	if c.state == Closed || c.processText(now, seg, out) {
		return
	}
	c.sendData(now, out)
	if seg.Len() > 0 { // what only acknowledges calls for no answer, and makes one that is owed no more urgent
		c.checkAck(now, out)
	}
}

// heard notes a sign of life.
func (c *Conn) heard(now time.Duration) {
	c.idle.heard = toMillis(now)
	c.probes = 0
}

// acceptable makes the checks that come before the acknowledgement: timestamp, sequence number, RST
// and SYN (RFC 7323 §5.3, RFC 9293 §3.10.7.4 first to fourth, RFC 5961 §3 and §4).
func (c *Conn) acceptable(now time.Duration, seg *Segment, out Output) bool {
	rst := seg.Flags&RST != 0
	if !rst && c.stale(now, seg) {
		if seg.Len() > 0 { // an acknowledgement that has been overtaken is not worth an answer
			c.challenge(now, out, seg)
		}
		return false
	}
	nxt := c.rcvNxt()
	if seqLT(seg.Seq+seg.Len(), c.win.acked) || seqGT(seg.Seq, nxt+c.offered()) {
		if !rst {
			c.noteDuplicate(seg)
			c.challenge(now, out, seg)
		}
		return false
	}
	if rst {
		if seg.Seq != nxt {
			c.challenge(now, out, seg) // RFC 5961 §3.2
			return false
		}
		c.resetByPeer()
		return false
	}
	if seg.Flags&SYN != 0 {
		c.challenge(now, out, seg) // RFC 5961 §4.2
		return false
	}
	return true
}

// resetByPeer ends the connection after a RST.
func (c *Conn) resetByPeer() {
	switch c.state {
	case CloseWait:
		c.finish(brokenPipe)
	case SynReceived:
		c.finish(refused)
	default:
		c.finish(reset)
	}
}

// challenge answers a segment that cannot be right with an acknowledgement, so that a peer that
// means it can think again: at most every half second if the segment is empty, lest two ends answer
// each other for ever.
func (c *Conn) challenge(now time.Duration, out Output, seg *Segment) {
	if len(seg.Payload) == 0 || seg.Flags&SYN != 0 {
		at := max(toMillis(now), 1)
		if c.idle.dropped != 0 && at.since(c.idle.dropped) < challengeGap {
			return
		}
		c.idle.dropped = at
	}
	c.sendAck(now, out)
}

// noteDuplicate prepares the D-SACK for a segment that had arrived before: an acknowledgement of ours
// was lost, so the next ones are not delayed.
func (c *Conn) noteDuplicate(seg *Segment) {
	if len(seg.Payload) == 0 || seqGEQ(seg.Seq, c.rcv.nxt) {
		return
	}
	c.quickMode()
	c.ack.dup = Block{seg.Seq, seqMin(seg.Seq+uint32(len(seg.Payload)), c.rcv.nxt)}
}

// inputSynReceived handles the peer's SYN, when we have it already: it comes again, or, if both ends
// have opened at once, with the acknowledgement of ours.
func (c *Conn) inputSynReceived(now time.Duration, seg *Segment, out Output) {
	if seg.Flags&(ACK|RST) != ACK || seg.Ack != c.nxt {
		if seg.Flags&(ACK|RST) == 0 {
			c.noteTimestamp(now, seg)
			c.sendSYN(now, out, SYN|ACK)
		}
		return
	}
	c.wnd = uint32(seg.Window)
	c.maxWnd = c.wnd
	c.establish(now, seg)
	c.noteTimestamp(now, seg)
	c.sendAck(now, out)
	c.sendData(now, out)
}

// completeHandshake handles the acknowledgement of our SYN-ACK. It reports whether the rest of the
// segment is to be processed.
func (c *Conn) completeHandshake(now time.Duration, seg *Segment, out Output) bool {
	if seqLEQ(seg.Ack, c.iss) || seqGT(seg.Ack, c.nxt) {
		if rst, ok := Reset(seg); ok {
			c.sendReset(out, &rst)
		}
		return false
	}
	c.establish(now, seg)
	c.wnd = uint32(seg.Window) << c.sndShift
	c.maxWnd = max(c.maxWnd, c.wnd)
	c.wl1 = seg.Seq
	return true
}

// processText takes the payload and the FIN (RFC 9293 §3.10.7.4, seventh and eighth). It reports
// whether the connection has been reset for it.
func (c *Conn) processText(now time.Duration, seg *Segment, out Output) (dead bool) {
	seq, p := seg.Seq, seg.Payload
	end := seq + uint32(len(p))
	fin := seg.Flags&FIN != 0
	if len(p) == 0 && !fin {
		return false
	}
	if c.flags&finReceived != 0 {
		c.noteDuplicate(seg) // nothing comes after a FIN
		c.ack.owe()
		c.ack.bits |= ackNow
		return false
	}
	if c.flags&orphan != 0 && seqGT(end, c.rcv.nxt) {
		c.reset(now, out, reset) // nobody will read it (RFC 9293 §3.6.1)
		return true
	}
	if limit := c.rcv.nxt + c.offered(); seqGT(end, limit) {
		fin = false
		if seqGEQ(seq, limit) { // the window is closed
			c.quickMode()
			c.ack.owe()
			c.ack.bits |= ackNow
			return false
		}
		p = p[:limit-seq]
		end = limit
	}
	if fin && c.flags&finSeen == 0 && seqGEQ(end, c.rcv.highest()) {
		c.flags |= finSeen
		c.finSeq = end
	}
	if c.flags&finSeen != 0 && seqGT(end, c.finSeq) {
		if seqGEQ(seq, c.finSeq) {
			return false
		}
		p = p[:c.finSeq-seq] // nothing comes after a FIN
	}
	c.takePayload(now, seg, seq, p)
	if c.flags&finSeen != 0 && c.rcv.nxt == c.finSeq {
		c.takeFIN(now, out)
	}
	return false
}

// takePayload puts payload into the receive buffer.
func (c *Conn) takePayload(now time.Duration, seg *Segment, seq uint32, p []byte) {
	if len(p) == 0 {
		return
	}
	c.rightSize(now)
	before, gap := c.rcv.nxt, c.rcv.gaps != nil
	dup := c.rcv.insert(c.pool, seq, p)
	if dup != (Block{}) {
		c.ack.dup = dup
	}
	c.info.bytesIn += uint64(c.rcv.nxt - before)
	switch {
	case c.rcv.nxt != before:
		c.ack.holes = 0
		c.dataReceived(now, seg)
		if gap && c.rcv.gaps == nil {
			c.ack.bits |= ackNow // RFC 5681 §4.2: at once when the gap is filled
		}
	case seqLEQ(seq+uint32(len(p)), before):
		c.quickMode() // it has arrived before
		c.ack.owe()
		c.ack.bits |= ackNow
	default:
		c.ack.owe() // beyond a gap
		c.growWindow(len(p))
	}
}

// windowOpened handles an acknowledgement while nothing is in flight: what waits may go if the window
// allows it, or is probed for again.
func (c *Conn) windowOpened(now time.Duration) {
	if c.rtx.kind != timerPersist {
		return
	}
	c.rtx.retries = 0
	if _, _, fits := c.next(); fits {
		c.rtx.kind = timerNone
		c.rtx.backoff = 0
		return
	}
	c.setRetransmit(now, timerPersist, c.rto())
}
