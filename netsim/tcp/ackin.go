package tcp

import "time"

// ackEvent is what an acknowledgement has brought.
type ackEvent struct {
	una           uint32 // SND.UNA before
	advanced      bool   // SND.UNA has moved
	notDup        bool   // it carries data, changes the window or acknowledges: no duplicate
	duplicate     bool
	dataSacked    bool // something new was SACKed
	originalAcked bool // acknowledged or SACKed: sent once, and before the present recovery began
	resentAcked   bool // acknowledged: something that was sent more than once
	dsack         bool
	dsackProbe    bool   // the D-SACK is for the tail probe
	lostRetrans   bool   // a retransmission is held to be lost
	setTimer      bool   // the retransmission timer is to be set
	echoes        bool   // there is a timestamp, and
	echo          uint32 // this is TSEcr
	delivered     int    // segments that newly turned out to have arrived
	lowest        uint32
	reordered     bool          // lowest is where something arrived that was sent before what had arrived
	first, last   time.Duration // transmission times of those newly acknowledged that were sent once
	timed         bool          // first and last are set
	sackAt        time.Duration // same, of the first newly SACKed
	sackTimed     bool
}

// processAck handles the acknowledgement, the window and the SACK option of an acceptable segment
// (RFC 9293 §3.10.7.4, fifth check). It reports whether the rest of the segment is to be processed.
func (c *Conn) processAck(now time.Duration, seg *Segment, out Output) bool {
	a := ackEvent{una: c.una, echo: seg.TSEcr, echoes: c.flags&useTS != 0 && seg.HasTS}
	switch {
	case seqGT(seg.Ack, c.nxt):
		c.challenge(now, out, seg)
		return false
	case seqLT(seg.Ack, c.una):
		if c.una-seg.Ack > c.maxWnd {
			c.challenge(now, out, seg) // RFC 5961 §5.2
			return false
		}
		if c.flight != nil && seg.NumSACK > 0 && c.flags&useSACK != 0 {
			c.processSACK(now, seg, &a)
			c.concludeAck(now, seg, out, &a)
		}
		return true
	}
	a.advanced = seqGT(seg.Ack, c.una)
	a.notDup = a.advanced || len(seg.Payload) > 0 || seg.Flags&FIN != 0
	if c.updateWindow(seg) {
		a.notDup = true
	}
	if a.advanced {
		c.rtx.retries = 0
		c.rtx.since = toMillis(now)
	}
	if c.flight == nil {
		if seg.NumSACK > 0 && c.flags&useSACK != 0 && c.processDSACK(seg, &a) {
			c.undoByDSACK(now)
		}
		c.windowOpened(now)
		return true
	}
	if seg.NumSACK > 0 && c.flags&useSACK != 0 {
		c.processSACK(now, seg, &a)
	}
	if a.advanced {
		c.advance(now, seg.Ack, &a)
	}
	c.sampleRTT(now, seg, &a)
	c.concludeAck(now, seg, out, &a)
	return true
}

// updateWindow takes the peer's window from a segment, unless it is older than the last that was
// taken (RFC 9293 §3.10.7.4). It reports whether the window has changed.
func (c *Conn) updateWindow(seg *Segment) bool {
	wnd := uint32(seg.Window) << c.sndShift
	newer := seqGT(seg.Ack, c.una) || seqGT(seg.Seq, c.wl1) || seg.Seq == c.wl1 && (wnd > c.wnd || wnd == 0)
	if !newer {
		return false
	}
	changed := wnd != c.wnd
	c.wl1 = seg.Seq
	c.wnd = wnd
	c.maxWnd = max(c.maxWnd, wnd)
	return changed
}

// advance moves SND.UNA and drops what is acknowledged.
func (c *Conn) advance(now time.Duration, ack uint32, a *ackEvent) {
	f := c.flight
	fack := c.highestSacked()
	acked := 0
	for f.first != f.limit {
		i := f.first
		s := f.at(i)
		if seqGT(s.end, ack) {
			break
		}
		acked++
		switch {
		case s.bits&everRetrans != 0:
			a.resentAcked = true
		case s.bits&sacked == 0:
			c.originalDelivered(s, a, fack)
			if !a.timed {
				a.first, a.timed = s.at, true
			}
			a.last = s.at
		}
		if s.bits&sacked == 0 {
			a.delivered++
			// The timestamp may tell that an earlier copy has arrived than the last. (That of an
			// acknowledgement which only SACKs tells nothing, for it echoes an older segment.)
			if s.bits&everRetrans == 0 || !a.echoes || seqGEQ(a.echo, c.timestamp(s.at)) {
				c.rackAdvance(now, s)
			}
		}
		f.pop()
	}
	if f.first != f.limit {
		head := f.at(f.first)
		head.seq = seqMax(head.seq, ack) // segments merged into one may be acknowledged apart
	}
	end := ack
	if c.flags&finSent != 0 && ack == c.nxt {
		end-- // the FIN takes no buffer
	}
	end = seqMin(end, c.snd.end())
	f.cur.passed(end)
	c.snd.ack(c.pool, end)
	c.una = ack
	if seqLT(f.fack, ack) {
		f.fack = ack
	}
	a.setTimer = acked > 0
	if c.flags&useSACK == 0 {
		c.removeDupAcks(acked, a)
	} else if a.reordered {
		c.noteReordering(a.lowest, fack)
	}
}

// originalDelivered takes note that a segment has arrived which was sent only once.
func (c *Conn) originalDelivered(s *sent, a *ackEvent, fack uint32) {
	if seqLT(s.seq, fack) && (!a.reordered || seqLT(s.seq, a.lowest)) {
		a.lowest, a.reordered = s.seq, true
	}
	if seqLEQ(s.end, c.flight.rec.high) {
		a.originalAcked = true
	}
}

// sampleRTT measures a round trip: by what was sent only once (Karn's algorithm, RFC 6298 §3), or
// else by the timestamp (RFC 7323 §4.1).
func (c *Conn) sampleRTT(now time.Duration, seg *Segment, a *ackEvent) {
	f := c.flight
	var rtt time.Duration
	switch {
	case a.timed && !a.resentAcked:
		rtt = now - a.first
	case a.sackTimed:
		rtt = now - a.sackAt
	case a.advanced && c.flags&useTS != 0 && seg.HasTS && seg.TSEcr != 0:
		rtt = max(time.Duration(int32(c.timestamp(now)-seg.TSEcr))*time.Millisecond, time.Millisecond)
		if rtt > c.s.cfg.MaxRTO {
			return
		}
	default:
		return
	}
	if a.sackTimed && f.first != f.limit && a.sackAt < f.at(f.first).at {
		// Only if what was SACKed is older than the first segment's last transmission, or else SACKs
		// could put the timeout off for ever.
		a.setTimer = true
	}
	c.rtt.sample(now, rtt, c.s.cfg.MinRTO, c.una, c.nxt)
	c.rtx.backoff = 0 // RFC 6298 §5.7: only a fresh sample ends the backoff
	if c.cc.algo == CUBIC {
		sample := rtt
		if a.timed && !a.resentAcked {
			sample = now - a.last
		}
		c.cc.cubic.sample(now, toMicros(sample), &c.cc, c.una, c.nxt)
	}
}

// concludeAck draws the consequences: recovery, congestion window, timer, retransmissions.
func (c *Conn) concludeAck(now time.Duration, seg *Segment, out Output, a *ackEvent) {
	f := c.flight
	lostBefore := f.lostTotal
	c.rack.adaptReordering(seg.Ack, c.nxt)
	if f.tlp.out {
		c.tailProbeAcked(a, seg.Ack)
	}
	a.duplicate = !a.advanced && !a.notDup && !a.dataSacked
	if a.duplicate && c.flags&useSACK == 0 {
		c.addDupAck(a)
	}
	newFirst := false
	if !a.notDup || a.dataSacked || a.dsack || f.rec.phase != phaseOpen {
		newFirst = c.recover(now, a)
	}
	if f.first == f.limit {
		c.dropFlight()
		c.rtx.kind = timerNone
		c.cc.acked(now, uint32(a.delivered))
		return
	}
	if a.setTimer && !c.armTailProbe(now, true) {
		c.rearm(now)
	}
	if f.rec.reducing() {
		c.reduceWindow(a.delivered, f.lostTotal-lostBefore, a.advanced)
	} else if a.advanced || a.dataSacked && c.rack.reordering > dupThresh {
		c.cc.acked(now, uint32(a.delivered))
	}
	if newFirst {
		c.writeNew(now, out, false)
		if seqGT(c.nxt, f.rec.high) {
			return
		}
		f.rec.frto = false
	}
	if f.rec.phase >= phaseRecovery {
		c.retransmitLost(now, out)
	}
}

// addDupAck takes a duplicate acknowledgement for a segment that has arrived, on a connection without
// SACK (RFC 5681 §3.2).
func (c *Conn) addDupAck(a *ackEvent) {
	f := c.flight
	if f.dupAcks+max(f.lostOut, 1) < f.packetsOut {
		f.dupAcks++
		a.delivered++
	}
}

// removeDupAcks takes segments that are now acknowledged off those that duplicate acknowledgements
// had announced.
func (c *Conn) removeDupAcks(acked int, a *ackEvent) {
	f := c.flight
	if acked > 0 {
		a.delivered = max(acked-f.dupAcks, 1)
		f.dupAcks = max(f.dupAcks-(acked-1), 0)
	}
	f.limitDupAcks()
}
