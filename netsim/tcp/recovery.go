package tcp

import "time"

// phase is what loss recovery is in the middle of.
type phase uint8

const (
	phaseOpen     phase = iota
	phaseDisorder       // something has been SACKed, nothing held to be lost yet
	phaseRecovery       // fast recovery (RFC 6675, RFC 6582)
	phaseLoss           // after a retransmission timeout
)

// recovery is the state of loss recovery. It ends with the flight.
type recovery struct {
	phase phase
	high  uint32 // RecoveryPoint: SND.NXT when the phase began
	frto  bool   // F-RTO is deciding whether the timeout was spurious (RFC 5682)
	been  bool   // high is that of an earlier recovery, which must be passed (RFC 6582 §3.2 step 1)

	// Proportional rate reduction (RFC 9937 §6).
	before    uint32 // cwnd before the reduction: RecoverFS
	delivered int    // prr_delivered
	out       int    // prr_out
}

// reducing reports whether proportional rate reduction sets the window.
func (r *recovery) reducing() bool { return r.phase == phaseRecovery }

// undo is what is needed to take a reduction back if it turns out to be for nothing. It may outlive
// the flight: the D-SACK that tells comes a round trip after the retransmission.
type undo struct {
	armed    bool
	stamped  bool
	marker   uint32 // SND.UNA when the reduction was made
	resent   int32  // retransmissions since, less those reported as duplicates; -1 before the first
	stamp    uint32 // timestamp of the first retransmission, if stamped
	cwnd     uint32 // before
	ssthresh uint32
}

// saveWindow remembers the window for an undo.
func (c *Conn) saveWindow() {
	c.undo = undo{armed: true, marker: c.una, resent: -1, stamped: c.undo.stamped, stamp: c.undo.stamp,
		cwnd: c.cc.cwnd, ssthresh: c.currentThreshold()}
	if f := c.flight; f != nil && f.retransOut > 0 {
		c.undo.resent = int32(f.retransOut)
	} else {
		c.undo.stamped = false
	}
}

// noteRetransmit is for the undo.
func (c *Conn) noteRetransmit(now time.Duration) {
	if !c.undo.stamped {
		c.undo.stamped, c.undo.stamp = true, c.timestamp(now)
	}
	c.undo.resent = max(c.undo.resent, 0) + 1
}

// spurious reports whether all retransmissions since the reduction were needless: each has been
// reported as a duplicate (RFC 3708), or the acknowledgement answers a segment from before the first
// (RFC 3522, Eifel).
func (c *Conn) spurious(a *ackEvent) bool {
	return c.undo.armed && (c.undo.resent == 0 || c.originalArrived(a))
}

// originalArrived is the Eifel test (RFC 3522 §3.2 step 5).
func (c *Conn) originalArrived(a *ackEvent) bool {
	return a.echoes && c.undo.stamped && seqLT(a.echo, c.undo.stamp)
}

// undoReduction restores the window.
func (c *Conn) undoReduction(now time.Duration, unmark bool) {
	if f := c.flight; f != nil {
		if unmark {
			f.unmarkLost()
		}
		f.rk.advanced = true
	}
	c.cc.cwnd = max(c.cc.cwnd, c.undo.cwnd)
	c.cc.ssthresh = max(c.cc.ssthresh, c.undo.ssthresh)
	c.cc.stamp = toMillis(now)
	c.undo.armed = false
	c.info.undone++
}

// keepOpen leaves recovery: to Open, or to Disorder while there still is a gap.
func (c *Conn) keepOpen() {
	r := &c.flight.rec
	r.phase = phaseOpen
	if c.flight.leftOut() > 0 || c.flight.retransOut > 0 {
		r.phase = phaseDisorder
	}
	r.high = c.nxt
}

// enterRecovery begins fast recovery.
func (c *Conn) enterRecovery() {
	f := c.flight
	c.saveWindow()
	f.tlp.out = false
	f.rec = recovery{phase: phaseRecovery, high: c.nxt, before: c.cc.cwnd, been: true}
	c.cc.ssthresh = c.cc.reduced()
	c.cc.count = 0
	c.info.recoveries++
}

// endRecovery leaves fast recovery, once everything that was sent before it has been acknowledged.
func (c *Conn) endRecovery(now time.Duration, a *ackEvent) {
	if c.spurious(a) {
		c.undoReduction(now, false)
	} else if c.undo.armed {
		c.cc.cwnd = c.cc.ssthresh
		c.cc.stamp = toMillis(now)
	}
	if c.rack.persist > 0 {
		c.rack.persist--
	}
	c.flight.dupAcks = 0
	c.keepOpen()
}

// reduceWindow sets the window by proportional rate reduction (RFC 9937 §6.2): it comes down to
// ssthresh by the end of recovery, and never stalls the sender meanwhile.
func (c *Conn) reduceWindow(delivered, lost int, advanced bool) {
	r := &c.flight.rec
	if delivered <= 0 || r.before == 0 {
		return
	}
	r.delivered += delivered
	room := int(c.cc.ssthresh) - c.flight.inFlight()
	var quota int
	if room < 0 {
		quota = (int(c.cc.ssthresh)*r.delivered+int(r.before)-1)/int(r.before) - r.out
	} else {
		quota = max(r.delivered-r.out, delivered)
		if advanced && lost == 0 {
			quota++ // SafeACK: what was sent again gets through
		}
		quota = min(quota, room)
	}
	if r.out == 0 {
		quota = max(quota, 1) // the fast retransmit itself
	}
	c.cc.cwnd = uint32(max(c.flight.inFlight()+max(quota, 0), 1))
}

// recover decides what an acknowledgement that is out of the ordinary means (RFC 5681, 6582, 6675,
// 8985). It reports whether F-RTO wants new data sent before anything is sent again.
func (c *Conn) recover(now time.Duration, a *ackEvent) (newFirst bool) {
	r := &c.flight.rec
	if r.phase == phaseRecovery && seqGEQ(c.una, r.high) {
		c.endRecovery(now, a)
	}
	switch r.phase {
	case phaseRecovery:
		if a.advanced && c.undoPartly(now, a) {
			return false
		}
		if c.undoByDSACK(now) {
			c.keepOpen()
		}
		c.identifyLoss(now, a)
		if r.phase == phaseRecovery {
			return false
		}
	case phaseLoss:
		newFirst = c.afterTimeout(now, a)
		c.identifyLoss(now, a)
		if r.phase == phaseLoss && !a.lostRetrans {
			return newFirst
		}
	default:
		c.undoByDSACK(now)
		c.identifyLoss(now, a)
	}
	if c.flight.lostOut == 0 {
		c.keepOpen()
		return newFirst
	}
	c.enterRecovery()
	return false
}

// undoPartly takes the reduction back if what fills the first gap is not a retransmission but the
// original, which was only late. It reports whether it was the original.
func (c *Conn) undoPartly(now time.Duration, a *ackEvent) bool {
	if !c.undo.armed || !c.originalArrived(a) {
		return false
	}
	c.noteReordering(a.una, c.highestSacked())
	if c.flight.retransOut == 0 { // or else wait for what the copies bring
		c.undoReduction(now, true)
		c.keepOpen()
	}
	return true
}

// undoByDSACK takes a reduction back if all retransmissions since turned out to be duplicates, and
// reports whether they did.
func (c *Conn) undoByDSACK(now time.Duration) bool {
	if !c.undo.armed || c.undo.resent != 0 {
		return false
	}
	c.rack.persist = min(c.rack.persist+1, rackPersist)
	c.undoReduction(now, false)
	return true
}

// identifyLoss marks what is held to be lost: by RACK, or without SACK by counting duplicate
// acknowledgements (RFC 6582).
func (c *Conn) identifyLoss(now time.Duration, a *ackEvent) {
	f := c.flight
	if f.packetsOut == 0 {
		return
	}
	if c.flags&useSACK != 0 {
		before := f.retransOut
		if c.rackMarkLost(now) {
			a.setTimer = false
		}
		a.lostRetrans = before > f.retransOut
		return
	}
	partial := f.rec.phase == phaseRecovery && a.advanced
	fast := f.rec.phase < phaseRecovery && f.dupAcks >= dupThresh && !(f.rec.been && seqLEQ(c.una, f.rec.high))
	if head := f.at(f.first); (partial || fast) && head.bits&lost == 0 {
		c.markLost(f.first)
	}
}

// retransmitLost sends again what is held to be lost, as far as the window allows.
func (c *Conn) retransmitLost(now time.Duration, out Output) {
	f := c.flight
	if f == nil || f.lostOut == 0 {
		return
	}
	rearm := false
	for i := f.hint; i != f.limit && f.retransOut < f.lostOut; i++ {
		s := f.at(i)
		if s.bits&(lost|retrans|merged) != lost {
			continue
		}
		if f.inFlight() >= int(c.cc.cwnd) || !c.retransmitOne(now, out, i) {
			break
		}
		f.hint = i + 1
		if i == f.first && c.rtx.kind != timerReorder {
			rearm = true
		}
	}
	if rearm {
		c.setRetransmit(now, timerRTO, c.rto())
	}
}

// retransmitOne sends segment i again as part of recovery.
func (c *Conn) retransmitOne(now time.Duration, out Output, i uint32) bool {
	f := c.flight
	if !c.retransmit(now, out, i) {
		return false
	}
	s := f.at(i)
	if s.bits&retrans == 0 {
		s.bits |= retrans
		f.retransOut++
	}
	f.rec.out++
	c.noteRetransmit(now)
	return true
}
