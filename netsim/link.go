package netsim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Link says how packets travel in one direction between two hosts. The zero value is a link without
// delay, loss or limit; packets of one direction never overtake each other.
type Link struct {
	// Latency is the mean one-way delay, at least 0. No packet takes less than a microsecond, whatever
	// the link: nothing is instant, and virtual time has to move.
	Latency time.Duration
	// Jitter spreads the delay uniformly over [Latency-Jitter, Latency+Jitter]. It is at least 0 and at
	// most Latency.
	Jitter time.Duration
	// Loss is the probability in [0, 1] that a packet is lost, each independently (Bernoulli).
	Loss float64
	// Rate is the capacity in bits per second; 0 means unlimited.
	Rate int64
	// Queue is how many bytes may wait for a limited Rate before packets are dropped at the tail; 0
	// means 100 ms of Rate.
	Queue int
}

// validate names the field that is out of range.
func (l Link) validate() error {
	switch {
	case l.Latency < 0:
		return fmt.Errorf("link: Latency is %v; it must not be negative", l.Latency)
	case l.Jitter < 0 || l.Jitter > l.Latency:
		return fmt.Errorf("link: Jitter is %v; it must lie between 0 and the Latency of %v", l.Jitter, l.Latency)
	case !(l.Loss >= 0 && l.Loss <= 1): // also catches NaN
		return fmt.Errorf("link: Loss is %v; it is a probability in [0, 1]", l.Loss)
	case l.Rate < 0:
		return fmt.Errorf("link: Rate is %d bit/s; it must not be negative (0 means unlimited)", l.Rate)
	case l.Queue < 0:
		return fmt.Errorf("link: Queue is %d bytes; it must not be negative (0 means 100 ms of Rate)", l.Queue)
	}
	return nil
}

// defaultQueueTime is how long a full queue takes to drain if Link.Queue is not set. A tenth of a
// second is the rule of thumb that buffers hold one intercontinental round trip (RFC 3439 §2).
const defaultQueueTime = 100 * time.Millisecond

// leastLatency is the least delay any packet has.
const leastLatency = time.Microsecond

// minLatency is the least delay a packet can have on this link.
func (l *Link) minLatency() time.Duration { return max(l.Latency-l.Jitter, leastLatency) }

// pipe is one direction between two hosts: its link and the state that passing packets leave behind.
// It belongs to the loop.
type pipe struct {
	link    Link
	epoch   uint64 // of Network.rules when link and block were looked up
	block   *block // the partition that cuts this direction, if any
	luck    *rand.PCG
	busy    time.Duration // until when the link is transmitting what it has taken
	arrival time.Duration // of the last packet: later ones do not overtake it
}

// fate is what becomes of a packet that enters a pipe.
type fate uint8

const (
	fateArrives fate = iota
	fateLost
	fateCut
	fateQueueFull
)

// admit decides when a packet of size bytes that enters at now leaves the other end, or why it does
// not.
func (p *pipe) admit(now time.Duration, size int) (time.Duration, fate) {
	if p.block != nil {
		return 0, fateCut
	}
	l := &p.link
	if l.Loss > 0 && p.float() < l.Loss {
		return 0, fateLost
	}
	at := now
	if l.Rate > 0 {
		start := max(now, p.busy)
		if start-now > p.queueTime() {
			return 0, fateQueueFull
		}
		p.busy = start + transmitTime(size, l.Rate)
		at = p.busy
	}
	at += l.Latency
	if l.Jitter > 0 {
		at += time.Duration((2*p.float() - 1) * float64(l.Jitter))
	}
	at = max(at, now+leastLatency, p.arrival)
	p.arrival = at
	return at, fateArrives
}

func (p *pipe) queueTime() time.Duration {
	if p.link.Queue == 0 {
		return defaultQueueTime
	}
	return transmitTime(p.link.Queue, p.link.Rate)
}

// float draws from [0, 1).
func (p *pipe) float() float64 { return float64(p.luck.Uint64()>>11) / (1 << 53) }

func transmitTime(bytes int, bitsPerSecond int64) time.Duration {
	return time.Duration(float64(bytes) * 8 / float64(bitsPerSecond) * float64(time.Second))
}
