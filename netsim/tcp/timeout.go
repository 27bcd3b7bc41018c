package tcp

import "time"

// orphanRetries is after how many timeouts a connection is given up that no user holds any more
// (Linux's tcp_orphan_retries).
const orphanRetries = 8

// timeout is what happens when the retransmission timer expires (RFC 6298 §5.4 to 5.6, RFC 5681
// §3.1): everything held to be lost waits for the first segment, which is sent again.
func (c *Conn) timeout(now time.Duration, out Output) {
	f := c.flight
	if c.gaveUp(now, c.rtx.retries > 0 && c.stuckFor(now) >= c.s.retries2) {
		c.finish(timedOut)
		return
	}
	c.enterLoss(now)
	c.rtx.retries = addSmall(c.rtx.retries, 1)
	c.retransmitOne(now, out, f.first)
	c.info.timeouts++
	c.rtx.backoff = addSmall(c.rtx.backoff, 1)
	c.setRetransmit(now, timerRTO, c.rto())
}

// gaveUp reports whether the peer is to be given up: for want of a user, by the user's timeout, or
// else because retries are exhausted.
func (c *Conn) gaveUp(now time.Duration, exhausted bool) bool {
	if c.flags&orphan != 0 && c.rtx.retries >= orphanRetries {
		return true
	}
	if limit := c.userTimeout(); limit > 0 {
		return c.stuckFor(now) >= limit
	}
	return exhausted
}

// stuckFor is for how long nothing has been acknowledged that should be.
func (c *Conn) stuckFor(now time.Duration) time.Duration {
	return toMillis(now).since(c.rtx.since)
}

func (c *Conn) userTimeout() time.Duration { return c.s.cfg.UserTimeout }

// addSmall adds without wrapping.
func addSmall(a, b uint8) uint8 { return uint8(min(int(a)+int(b), 255)) }

// enterLoss marks as lost what was sent a round trip ago or earlier and not SACKed, and closes the
// congestion window.
func (c *Conn) enterLoss(now time.Duration) {
	f := c.flight
	r := &f.rec
	fresh := r.phase < phaseRecovery
	if f.at(f.first).bits&sacked != 0 {
		c.renege()
	}
	for i := f.first; i != f.limit; i++ {
		s := f.at(i)
		if s.bits&(sacked|merged) != 0 || s.bits&(lost|retrans) == lost {
			continue
		}
		if i == f.first || f.rk.rtt <= now-s.at {
			c.markLost(i)
		}
	}
	f.dupAcks = 0
	if fresh || seqLEQ(r.high, c.una) || r.phase == phaseLoss && c.rtx.retries == 0 {
		c.saveWindow()
		c.cc.ssthresh = c.cc.reduced()
	}
	c.cc.cwnd = uint32(f.inFlight()) + 1
	c.cc.count = 0
	c.cc.stamp = toMillis(now)
	if f.sackedOut >= dupThresh && fresh {
		c.rack.reordering = dupThresh // what was SACKed was no reordering
	}
	r.phase, r.high, r.been = phaseLoss, c.nxt, true
	r.frto = fresh || c.rtx.retries > 0
	f.tlp.out = false
	c.cc.timedOut(now, c.nxt)
}

// renege forgets all SACKs: the first segment has been SACKed, but is not acknowledged although
// nothing is missing before it, so the peer has dropped it (RFC 2018 §8).
func (c *Conn) renege() {
	f := c.flight
	for i := f.first; i != f.limit; i++ {
		if s := f.at(i); s.bits&sacked != 0 {
			s.bits &^= sacked
			f.sackedOut--
			f.relist(i)
		}
	}
	f.fack = c.una
}

// afterTimeout handles acknowledgements after a timeout. It tells from them whether that was
// spurious, by F-RTO (RFC 5682 §3.1), by timestamps or by D-SACK. It reports whether F-RTO wants new
// data sent before anything is sent again.
func (c *Conn) afterTimeout(now time.Duration, a *ackEvent) (newFirst bool) {
	r := &c.flight.rec
	recovered := seqGEQ(c.una, r.high)
	if a.advanced && c.spurious(a) {
		c.undoLoss(now)
		return false
	}
	if r.frto {
		switch {
		case a.originalAcked:
			// Step 3.b: what was sent once only has arrived.
			c.undoLoss(now)
			return false
		case seqGT(c.nxt, r.high):
			if a.dataSacked || a.duplicate {
				r.frto = false // step 3.a: the loss was real
			}
		case a.advanced && !recovered:
			// Step 2.b: see what new data brings.
			r.high = c.nxt
			if c.unsent() && seqGT(c.una+c.wnd, c.nxt) {
				return true
			}
			r.frto = false
		}
	}
	if recovered {
		if c.spurious(a) {
			c.undoReduction(now, false)
		}
		c.keepOpen()
	}
	return false
}

// undoLoss ends a recovery for which there was no cause.
func (c *Conn) undoLoss(now time.Duration) {
	c.undoReduction(now, true)
	c.rtx.retries = 0
	c.keepOpen()
}
