package tcp

import "time"

// armPersist starts the persist timer if data waits for the window alone (RFC 9293 §3.8.6.1).
func (c *Conn) armPersist(now time.Duration) {
	if c.flight == nil && c.unsent() && c.rtx.kind == timerNone {
		c.rtx.retries = 0
		c.rtx.since = toMillis(now)
		c.setRetransmit(now, timerPersist, c.rto())
	}
}

// persistTimer probes a window that is closed, or too small for a segment, with what fits into it.
func (c *Conn) persistTimer(now time.Duration, out Output) {
	if c.flight != nil || !c.unsent() {
		return
	}
	if c.gaveUp(now, int(c.rtx.retries) >= c.s.cfg.Retries2) {
		c.finish(timedOut)
		return
	}
	c.info.windowProbes++
	if room := int32(c.una + c.wnd - c.nxt); room > 0 {
		n, fin, _ := c.next()
		fits := min(n, uint32(room))
		c.rtx = retransmitTimer{since: c.rtx.since}
		c.sendNew(now, out, fits, fin && fits < uint32(room))
		return
	}
	c.sendProbe(now, out)
	c.rtx.retries = addSmall(c.rtx.retries, 1)
	c.rtx.backoff = addSmall(c.rtx.backoff, 1)
	c.setRetransmit(now, timerPersist, c.rto())
}

// sendProbe sends an empty segment below the peer's window, which it must answer (RFC 9293 §3.8.4).
func (c *Conn) sendProbe(now time.Duration, out Output) {
	c.transmit(now, out, c.una-1, ACK, nil)
}
