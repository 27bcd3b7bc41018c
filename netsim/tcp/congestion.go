package tcp

import "time"

// congestion is the congestion window and how it grows. Unlike the RFCs, it counts segments, not
// bytes, as Linux does.
type congestion struct {
	cwnd     uint32
	ssthresh uint32
	count    uint32 // acknowledged segments that cwnd has not yet grown for

	// Whether the window is made use of (RFC 7661 in Linux's form): it grows only if it is.
	limited bool   // cwnd kept us from sending, in the round that usage ends
	maxOut  uint32 // most segments in flight in that round
	usage   uint32 // SND.NXT when maxOut was noted
	used    uint32 // most segments in flight since stamp
	stamp   millis // when the window was last full, or reduced for not being so
	algo    Congestion
	cubic   cubic
}

// maxWindow bounds cwnd, in segments: it is beyond what any buffer can hold.
const maxWindow = 1 << 20

// unlimited is ssthresh before the first loss.
const unlimited = 1<<31 - 1

func (g *congestion) init(cfg *Config) {
	*g = congestion{cwnd: uint32(cfg.InitialWindow), ssthresh: unlimited, algo: cfg.Congestion}
}

func (g *congestion) slowStart() bool { return g.cwnd < g.ssthresh }

// full reports whether the window is what limits the sender; in slow start half of it is enough,
// for it is about to double.
func (g *congestion) full() bool {
	return g.limited || g.slowStart() && g.cwnd < 2*g.maxOut
}

// acked lets the window grow for segments that have been delivered.
func (g *congestion) acked(now time.Duration, segments uint32) {
	if !g.full() || g.cwnd >= maxWindow {
		return
	}
	if g.slowStart() {
		// RFC 5681 §3.1, with every segment counted (RFC 3465 without a limit).
		grown := min(g.cwnd+segments, g.ssthresh, maxWindow)
		segments -= grown - g.cwnd
		g.cwnd = grown
		if segments == 0 || g.cwnd >= maxWindow {
			return
		}
	}
	if g.algo == Reno {
		g.grow(g.cwnd, segments)
		return
	}
	g.grow(g.cubic.update(now, g.cwnd, segments), segments)
}

// grow adds one to the window for every so many segments acknowledged.
func (g *congestion) grow(every, segments uint32) {
	if g.count >= every {
		g.count = 0
		g.cwnd++
	}
	g.count += segments
	if g.count >= every {
		g.cwnd = min(g.cwnd+g.count/every, maxWindow)
		g.count %= every
	}
}

// reduced is the threshold after a loss.
func (g *congestion) reduced() uint32 {
	if g.algo == Reno {
		return renoThreshold(g.cwnd)
	}
	return g.cubic.threshold(g.cwnd)
}

// timedOut forgets what the algorithm has learnt about the path, at a retransmission timeout.
func (g *congestion) timedOut(now time.Duration, nxt uint32) {
	if g.algo == CUBIC {
		g.cubic.reset(now, nxt)
	}
}

// resume is called when data is sent after nothing was in flight: such a pause does not count as
// time in which CUBIC's window grows (RFC 9438 §5.8).
func (g *congestion) resume(now, lastSend time.Duration) {
	if g.algo == CUBIC {
		g.cubic.resume(now, lastSend)
	}
}

// validateWindow notes how far the congestion window is used, and brings down one that has not been
// for a whole timeout (RFC 7661 §4.4 in the form of RFC 2861).
func (c *Conn) validateWindow(now time.Duration, limited bool) {
	g := &c.cc
	out := uint32(c.flight.packetsOut)
	if seqGEQ(c.una, g.usage) || limited || !g.limited && out > g.maxOut {
		g.limited, g.maxOut, g.usage = limited, out, c.nxt
	}
	if g.full() {
		g.used, g.stamp = 0, toMillis(now)
		return
	}
	g.used = max(g.used, out)
	if c.s.cfg.KeepIdleWindow || toMillis(now).since(g.stamp) < c.rto() {
		return
	}
	if c.flight.rec.phase == phaseOpen {
		if used := max(g.used, uint32(c.s.cfg.InitialWindow)); used < g.cwnd {
			g.ssthresh = c.currentThreshold()
			g.cwnd = (g.cwnd + used) / 2
		}
		g.used = 0
	}
	g.stamp = toMillis(now)
}

// currentThreshold is the threshold that remembers three quarters of a window which is about to be
// given up without a loss (RFC 2861 §3.1).
func (c *Conn) currentThreshold() uint32 {
	if c.flight != nil && c.flight.rec.reducing() {
		return c.cc.ssthresh
	}
	return max(c.cc.ssthresh, c.cc.cwnd/2+c.cc.cwnd/4)
}
