package tcp

import "time"

// rackState is what RACK knows of the segments in flight (RFC 8985 §5.2).
type rackState struct {
	order    uint32        // number of the latest transmission known to have arrived: RACK.xmit_ts
	rtt      time.Duration // RACK.rtt: how long it took to be acknowledged
	advanced bool          // something new has arrived since losses were last looked for
}

// rackMemory is what RACK knows of the path: it outlives the segments.
type rackMemory struct {
	reordering uint16 // how many segments ever arrived out of order at once; at least 3
	seen       bool   // segments have arrived out of order
	steps      uint8  // RACK.reo_wnd_mult: the reordering window in quarters of the least RTT
	persist    uint8  // RACK.reo_wnd_persist: recoveries until the window shrinks again
	dsack      bool   // a D-SACK has arrived that is yet to widen the window
	round      uint32 // no further widening until this sequence number is acknowledged
	inRound    bool
}

const (
	dupThresh     = 3   // RFC 5681 §3.2; RFC 8985 §3.3.1's DupThresh
	maxReordering = 300 // Linux's tcp_max_reordering
	rackPersist   = 16  // recoveries (RFC 8985 §6.2 step 4)
	// timerSlack is what Linux adds to RACK's and the tail probe's timers (TCP_TIMEOUT_MIN_US).
	timerSlack = 2 * time.Millisecond
)

func (r *rackMemory) reset() { *r = rackMemory{reordering: dupThresh, steps: 1} }

// sentAfter reports whether s was last sent after the transmission of that number. RFC 8985 §5.2 has
// to go by time and sequence number instead (RACK_sent_after).
func (s *sent) sentAfter(order uint32) bool { return int32(s.order-order) > 0 }

// rackAdvance takes note that segment s has arrived (RFC 8985 §6.2 step 2).
func (c *Conn) rackAdvance(now time.Duration, s *sent) {
	k := &c.flight.rk
	rtt := now - s.at
	if s.bits&everRetrans != 0 && rtt < fromMicros(c.rtt.lowest.value()) {
		return // too soon for the last copy: it was an earlier one
	}
	k.advanced = true
	k.rtt = rtt
	if s.sentAfter(k.order) {
		k.order = s.order
	}
}

// noteReordering remembers that a segment at low has arrived after later ones, up to high.
func (c *Conn) noteReordering(low, high uint32) {
	if seqGEQ(low, high) {
		return
	}
	size := c.segmentSize()
	n := (high - low + size - 1) / size
	c.rack.reordering = uint16(min(max(n, uint32(c.rack.reordering)), maxReordering))
	c.rack.seen = true
}

// adaptReordering widens the reordering window after a D-SACK, at most once per round trip, and
// lets it shrink after sixteen recoveries without one (RFC 8985 §6.2 step 4).
func (r *rackMemory) adaptReordering(ack, nxt uint32) {
	if r.inRound && seqGEQ(ack, r.round) {
		r.inRound = false
	}
	if r.dsack && !r.inRound {
		r.steps += uint8(min(1, 255-int(r.steps)))
		r.persist = rackPersist
		r.round, r.inRound = nxt, true
	} else if r.persist == 0 {
		r.steps = 1
	}
	r.dsack = false
}

// reorderingWindow is how long RACK waits for segments that may only be late: RACK.reo_wnd.
func (c *Conn) reorderingWindow() time.Duration {
	f := c.flight
	if !c.rack.seen {
		if f.rec.phase >= phaseRecovery || f.sackedOut >= int(c.rack.reordering) {
			return 0
		}
	}
	quarters := c.rtt.lowest.value() / 4 * uint32(c.rack.steps)
	return min(fromMicros(quarters), c.rtt.smoothed())
}

// rackDetect marks as lost what was sent longer than a round trip and the reordering window before
// something that has arrived. It returns how long to wait for the last of the rest; 0 when for
// nothing (RFC 8985 §6.2 step 5).
func (c *Conn) rackDetect(now time.Duration) (wait time.Duration) {
	f := c.flight
	window := f.rk.rtt + c.reorderingWindow()
	for i := f.oldest; i != nowhere; {
		s := f.at(i)
		if s.order == f.rk.order || s.sentAfter(f.rk.order) {
			break
		}
		next := s.next
		if left := s.at + window - now; left <= 0 {
			c.markLost(i)
		} else {
			wait = max(wait, left)
		}
		i = next
	}
	return wait
}

// rackMarkLost looks for losses after an acknowledgement, and reports whether the reordering timer
// has been set.
func (c *Conn) rackMarkLost(now time.Duration) bool {
	k := &c.flight.rk
	if !k.advanced {
		return false
	}
	k.advanced = false
	wait := c.rackDetect(now)
	if wait == 0 {
		return false
	}
	c.setRetransmit(now, timerReorder, wait+timerSlack)
	return true
}

// reorderTimer looks for losses when the reordering window is over.
func (c *Conn) reorderTimer(now time.Duration, out Output) {
	f := c.flight
	before, lostBefore := f.inFlight(), f.lostTotal
	c.rackDetect(now)
	if f.inFlight() != before {
		if f.rec.phase != phaseRecovery {
			c.enterRecovery()
			c.reduceWindow(1, f.lostTotal-lostBefore, false)
		}
		c.retransmitLost(now, out)
	}
	if c.flight != nil && c.rtx.kind != timerRTO {
		c.rearm(now)
	}
}

// markLost marks a segment as lost and counts the loss.
func (c *Conn) markLost(i uint32) {
	c.flight.markLost(i)
	c.flight.lostTotal++
	c.info.lost++
}
