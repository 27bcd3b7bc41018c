package tcp

import (
	"math/bits"
	"time"
)

// cubic is CUBIC (RFC 9438) with HyStart in its first form (Ha and Rhee 2011), which is what Linux
// runs; RFC 9406's HyStart++ is not. Arithmetic is on integers, so that runs are the same on every
// processor.
type cubic struct {
	wMax    uint32 // window before the last reduction; 0 before the first
	origin  uint32 // plateau of the curve
	k       uint32 // milliseconds from the start of the epoch to the plateau
	epoch   millis // when the current curve began; 0 is not yet
	updated millis // when every was last computed
	lastWnd uint32 // and for which window
	every   uint32 // acknowledged segments for which the window grows by one
	acks    uint32 // segments acknowledged that wEst has not yet grown for
	wEst    uint32 // window that Reno would have: RFC 9438 §4.3
	minRTT  micros // 0 is not yet
	hy      hystart
}

const (
	// β = 717/1024 ≈ 0.7 (RFC 9438 §4.6). α = 3(1-β)/(1+β) ≈ 8/15 segments per window (§4.3).
	cubicBeta = 717
	// maxGrowth bounds growth to a segment for every two acknowledged, half of slow start's.
	maxGrowth = 2
)

// threshold is ssthresh after a loss, with fast convergence: a window that did not get back to where
// it was makes room for others (RFC 9438 §4.6, §4.7).
func (q *cubic) threshold(cwnd uint32) uint32 {
	q.epoch = 0
	if cwnd < q.wMax {
		q.wMax = cwnd * (1024 + cubicBeta) / 2048
	} else {
		q.wMax = cwnd
	}
	return max(cwnd*cubicBeta/1024, 2)
}

func (q *cubic) reset(now time.Duration, nxt uint32) {
	*q = cubic{}
	q.hy.restart(now, nxt)
}

// resume shifts the curve by the time that nothing was sent.
func (q *cubic) resume(now, lastSend time.Duration) {
	if q.epoch != 0 && now > lastSend {
		q.epoch = min(q.epoch+toMillis(now-lastSend), toMillis(now))
	}
}

// update returns how many acknowledged segments the window has to wait for until it may grow by one.
func (q *cubic) update(now time.Duration, cwnd, segments uint32) uint32 {
	q.acks += segments
	if q.lastWnd == cwnd && toMillis(now).since(q.updated) <= time.Second/32 {
		return q.every
	}
	if q.epoch == 0 {
		q.begin(now, cwnd, segments)
	}
	q.lastWnd, q.updated = cwnd, toMillis(now)

	target := q.curve(now)
	if target > cwnd {
		q.every = cwnd / (target - cwnd)
	} else {
		q.every = 100 * cwnd
	}
	if q.wMax == 0 && q.every > 20 {
		q.every = 20 // until the first loss nothing is known of the path: at least 5 % a round trip
	}
	q.befriendReno(cwnd)
	q.every = max(q.every, maxGrowth)
	return q.every
}

// begin starts a curve at the present window (RFC 9438 §4.2).
func (q *cubic) begin(now time.Duration, cwnd, segments uint32) {
	q.epoch = max(toMillis(now), 1)
	q.acks = segments
	q.wEst = cwnd
	if q.wMax <= cwnd {
		q.k, q.origin = 0, cwnd
		return
	}
	// K = ∛((W_max − cwnd) / C) seconds with C = 0.4.
	q.k = cubeRoot(uint64(q.wMax-cwnd) * 2_500_000_000)
	q.origin = q.wMax
}

// curve is the window that CUBIC aims at one round trip from now: C·(t−K)³ + origin.
func (q *cubic) curve(now time.Duration) uint32 {
	t := int64(toMillis(now)-q.epoch) + int64(q.minRTT)/1000
	off := t - int64(q.k)
	dist := uint64(min(max(off, -off), 1_000_000)) // a thousand seconds is beyond any window
	delta := uint32(min(dist*dist*dist/2_500_000_000, 1<<30))
	if off < 0 {
		return q.origin - min(delta, q.origin)
	}
	return q.origin + delta
}

// befriendReno makes the window grow at least as fast as Reno's would (RFC 9438 §4.3).
func (q *cubic) befriendReno(cwnd uint32) {
	perSegment := max(cwnd*15/8, 1) // cwnd/α
	q.wEst += q.acks / perSegment
	q.acks %= perSegment
	if q.wEst > cwnd {
		q.every = min(q.every, cwnd/(q.wEst-cwnd))
	}
}

// cubeRoot is ∛x, rounded down.
func cubeRoot(x uint64) uint32 {
	var root uint64
	for bit := uint64(1) << ((bits.Len64(x) + 2) / 3); bit > 0; bit >>= 1 {
		if r := root | bit; r*r*r <= x {
			root = r
		}
	}
	return uint32(root)
}

// sample takes a round-trip time into account, and reports whether slow start should end.
func (q *cubic) sample(now time.Duration, rtt micros, g *congestion, una, nxt uint32) {
	if q.epoch != 0 && toMillis(now).since(q.epoch) < time.Second {
		return // what follows a loss says little about the path
	}
	if q.minRTT == 0 || rtt < q.minRTT {
		q.minRTT = rtt
	}
	if g.slowStart() && g.cwnd >= hystartWindow && q.hy.sample(now, rtt, q.minRTT, una, nxt) {
		g.ssthresh = g.cwnd
	}
}

// hystart ends slow start before there is loss: when acknowledgements of one window come for longer
// than half a round trip, or when the round trip becomes longer.
type hystart struct {
	begun   micros // of the round; these two wrap
	lastAck micros // of a train: acknowledgements close together
	end     uint32 // the round ends when this sequence number is acknowledged
	least   micros // round-trip time of the round
	samples uint8
	found   bool
}

const (
	hystartWindow  = 16   // segments below which it does not look
	hystartGap     = 2000 // microseconds between the acknowledgements of a train
	hystartSamples = 8    // per round
)

func (h *hystart) restart(now time.Duration, nxt uint32) {
	h.begun = micros(now / time.Microsecond)
	h.lastAck = h.begun
	h.end = nxt
	h.least = 0
	h.samples = 0
}

func (h *hystart) sample(now time.Duration, rtt, minRTT micros, una, nxt uint32) bool {
	if h.found {
		return false
	}
	if seqGT(una, h.end) {
		h.restart(now, nxt)
	}
	if at := micros(now / time.Microsecond); at-h.lastAck <= hystartGap {
		h.lastAck = at
		if at-h.begun > minRTT/2 {
			h.found = true
		}
	}
	if h.least == 0 || rtt < h.least {
		h.least = rtt
	}
	if h.samples < hystartSamples {
		h.samples++
	} else if h.least > minRTT+min(max(minRTT/8, 4000), 16000) {
		h.found = true
	}
	return h.found
}
