package tcp

import "time"

// tailProbe is an outstanding tail loss probe (RFC 8985 §7).
type tailProbe struct {
	out    bool
	resent bool   // TLP.is_retrans: it was no new data
	high   uint32 // TLP.end_seq: SND.NXT when it was sent
}

// armTailProbe starts the probe timer, if there may be a tail to lose, and reports whether it did. The
// probe comes two round trips after the last transmission, or acknowledgement, with an allowance for
// a delayed acknowledgement when a single segment is out (RFC 8985 §7.2). After an acknowledgement
// the retransmission timeout, which the probe must precede, is counted from now.
func (c *Conn) armTailProbe(now time.Duration, acked bool) bool {
	f := c.flight
	if f == nil || f.packetsOut == 0 || c.flags&useSACK == 0 || f.rec.phase != phaseOpen {
		return false
	}
	d := c.s.cfg.InitialRTO
	if c.rtt.srtt != 0 {
		d = 2 * c.rtt.smoothed()
		if f.packetsOut == 1 {
			d += c.s.cfg.MinRTO
		} else {
			d += timerSlack
		}
	}
	limit := c.rto()
	if !acked {
		limit = c.untilTimeout(now)
	}
	if limit > 0 {
		d = min(d, limit)
	}
	c.setRetransmit(now, timerProbe, d)
	return true
}

// sendTailProbe sends one segment to provoke an acknowledgement: new data if there is, or else the
// last segment once more (RFC 8985 §7.3).
func (c *Conn) sendTailProbe(now time.Duration, out Output) {
	f := c.flight
	if f.tlp.out {
		c.rearm(now)
		return
	}
	resent := false
	if !c.unsent() || c.writeNew(now, out, true) == 0 {
		tail := f.tail()
		if f.at(tail).bits&sacked != 0 || !c.retransmit(now, out, tail) {
			c.rearm(now)
			return
		}
		resent = true
	}
	c.info.tailProbes++
	f.tlp = tailProbe{out: true, resent: resent, high: c.nxt}
	c.rtx.kind = timerNone // so that the timeout counts from now
	c.rearm(now)
}

// tailProbeAcked decides what an acknowledgement says about the probe (RFC 8985 §7.4).
func (c *Conn) tailProbeAcked(a *ackEvent, ack uint32) {
	f := c.flight
	if seqLT(ack, f.tlp.high) {
		return
	}
	switch {
	case !f.tlp.resent: // new data, acknowledged
	case a.dsackProbe: // both copies have arrived: nothing was lost
	case seqGT(ack, f.tlp.high):
		// The probe has mended a loss, which must not go without a reduction (§7.4.2).
		c.cc.ssthresh = c.cc.reduced()
		c.cc.cwnd = c.cc.ssthresh
		c.cc.count = 0
		c.keepOpen()
	case a.advanced || a.notDup || a.dataSacked:
		return
	}
	f.tlp.out = false
}
