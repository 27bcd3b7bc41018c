package tcp

import "time"

// timerKind says what the retransmission timer stands for: of these four, only one is ever pending.
type timerKind uint8

const (
	timerNone    timerKind = iota
	timerRTO               // retransmission timeout (RFC 6298)
	timerProbe             // tail loss probe (RFC 8985 §7)
	timerReorder           // end of RACK's reordering window (RFC 8985 §6.3)
	timerPersist           // zero-window probe (RFC 9293 §3.8.6.1)
)

// retransmitTimer is the sender's timer.
type retransmitTimer struct {
	at      time.Duration // when kind is not timerNone
	kind    timerKind
	backoff uint8 // the timeout is doubled this often
	retries uint8 // timeouts, or zero-window probes, in a row without an answer
	// since is when something was last acknowledged, or when what is to be acknowledged began to wait.
	since millis
}

// idleTimer is the timer for what happens when nothing does: keep-alive, TIME-WAIT, and the end of
// FIN-WAIT-2.
type idleTimer struct {
	at      time.Duration // 0 is off
	heard   millis        // when the last segment came from the peer
	dropped millis        // when a segment out of window was last answered; 0 is never
}

// Deadline is when Timer is to be called: the earliest of all timers. ok is false when there is none.
func (c *Conn) Deadline() (at time.Duration, ok bool) {
	earliest := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if c.rtx.kind != timerNone {
		earliest(c.rtx.at)
	}
	if c.ack.at != 0 {
		earliest(c.ack.at)
	}
	if c.idle.at != 0 {
		earliest(c.idle.at)
	}
	return at, ok
}

// MayGiveUp reports whether Timer, when it is due next, may give up the peer, and so end what users wait for.
func (c *Conn) MayGiveUp() bool {
	at, ok := c.Deadline()
	retransmits := c.rtx.kind == timerRTO || c.rtx.kind == timerPersist
	return ok && (retransmits && c.rtx.at == at || c.probes > 0 && c.idle.at == at)
}

// Timer does what is due at now, which may be nothing.
func (c *Conn) Timer(now time.Duration, out Output) {
	if c.ack.at != 0 && c.ack.at <= now {
		c.delayedAckTimer(now, out)
	}
	if c.rtx.kind != timerNone && c.rtx.at <= now {
		c.retransmitTimer(now, out)
	}
	if c.idle.at != 0 && c.idle.at <= now {
		c.idleTimer(now, out)
	}
}

func (c *Conn) retransmitTimer(now time.Duration, out Output) {
	kind := c.rtx.kind
	if kind == timerRTO || kind == timerPersist || c.flight == nil {
		c.rtx.kind = timerNone // the others matter to rearm
	}
	switch {
	case c.state == SynSent || c.state == SynReceived:
		c.handshakeTimer(now, out)
	case kind == timerPersist:
		c.persistTimer(now, out)
	case c.flight == nil:
		return
	case kind == timerRTO:
		c.timeout(now, out)
	case kind == timerProbe:
		c.sendTailProbe(now, out)
	case kind == timerReorder:
		c.reorderTimer(now, out)
	}
}

// setRetransmit starts the retransmission timer, which is then due after d.
func (c *Conn) setRetransmit(now time.Duration, kind timerKind, d time.Duration) {
	d = min(d, c.s.cfg.MaxRTO)
	if limit := c.userTimeout(); limit > 0 && (kind == timerRTO || kind == timerPersist) {
		d = min(d, max(limit-c.stuckFor(now), 0))
	}
	c.rtx.kind = kind
	c.rtx.at = c.alarm(now, d)
}

// rearm starts the retransmission timer anew. If it replaces one of RACK's, which were set in place of
// it, it stays due a timeout after the first segment was last sent (RFC 8985 §8).
func (c *Conn) rearm(now time.Duration) {
	if c.flight == nil {
		c.rtx.kind = timerNone
		return
	}
	d := c.rto()
	if c.rtx.kind == timerProbe || c.rtx.kind == timerReorder {
		d = max(c.untilTimeout(now), time.Microsecond)
	}
	c.setRetransmit(now, timerRTO, d)
}

// untilTimeout is how long it is until a timeout has passed since the first segment was last sent.
func (c *Conn) untilTimeout(now time.Duration) time.Duration {
	return c.flight.at(c.flight.first).at + c.rto() - now
}

// fallbackRTO is the timeout after a handshake that gave no sample (RFC 6298 §5.7).
const fallbackRTO = 3 * time.Second

// rto is the current retransmission timeout, backoff included.
func (c *Conn) rto() time.Duration {
	initial := c.s.cfg.InitialRTO
	if c.synchronized() {
		initial = max(initial, fallbackRTO)
	}
	rto := c.rtt.rto(initial)
	for range c.rtx.backoff {
		if rto >= c.s.cfg.MaxRTO {
			break
		}
		rto *= 2
	}
	return min(rto, c.s.cfg.MaxRTO)
}

// alarm is when a timer set for d from now fires: on a tick, and by the rules of Linux's timer wheel.
// Timers further away are kept in coarser slots, each level eight times coarser than the one before,
// and always fire one slot late rather than early.
func (c *Conn) alarm(now, d time.Duration) time.Duration {
	tick := c.s.cfg.Tick
	if tick <= 0 {
		return now + max(d, time.Nanosecond)
	}
	// Kernels do not tick in step with each other, nor with their users.
	phase := time.Duration(mix(c.iss)) % tick
	current := int64((now + phase) / tick)
	wait := int64((max(d, 0) + tick - 1) / tick)
	slot := int64(1)
	for level, start := 0, int64(63); level < 8 && wait >= start; level++ {
		slot *= 8
		start *= 8
	}
	fires := (current + wait + slot) / slot * slot
	return time.Duration(fires)*tick - phase
}

// mix scatters a number over 32 bits, so that what is derived from an initial sequence number looks
// unrelated to it.
func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}
