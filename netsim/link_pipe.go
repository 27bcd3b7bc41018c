package netsim

import (
	"math/rand/v2"
	"time"
)

// pipe is one direction between two hosts: its link and the state that passing packets leave behind.
// It belongs to the loop.
type pipe struct {
	link    Link
	epoch   uint64 // of Network.rules when link and block were looked up
	block   *block // the partition that cuts this direction, if any
	worse   []*impairment
	luck    *rand.PCG
	queue   dropTail
	channel channel       // the state of link.Burst
	arrival time.Duration // of the last packet in order: later ones do not overtake it
	urgent  lane          // of the arrivals for which virtual time stops
	patient lane          // of the others
}

// fate is what becomes of a packet that enters a pipe.
type fate uint8

const (
	fateArrives   fate = iota
	fateLost           // by Link.Loss or Link.Burst
	fateCut            // by a partition
	fateQueueFull      // dropped at the tail of a queue
	fateTooBig         // larger than Link.MTU
)

// passage is a packet's way through a pipe.
type passage struct {
	fate fate
	// arrivals is when the packet leaves the other end: the first copies of them count, which are 1, or
	// 2 if it was duplicated, and 0 unless fate is fateArrives. The second may be the earlier one.
	arrivals [2]time.Duration
	copies   int
}

// carry decides what becomes of a packet of size bytes that enters at now. A packet that splits is
// one that stands for several, as a network card makes them out of one large segment (GSO), for which
// the MTU does not matter.
func (p *pipe) carry(now time.Duration, size int, splits bool) passage {
	l := &p.link
	if p.block != nil {
		return passage{fate: fateCut}
	}
	if size > l.mtu() && !splits {
		return passage{fate: fateTooBig}
	}
	sent := now
	if l.Rate > 0 {
		var taken bool
		if sent, taken = p.queue.take(now, size, l.Rate, l.Queue, l.QueuePackets); !taken {
			return passage{fate: fateQueueFull}
		}
	}
	if p.loses(sent) || p.impaired(func(i *impairment) float64 { return i.loss }) {
		return passage{fate: fateLost}
	}
	way := passage{copies: 1}
	way.arrivals[0] = p.arrives(sent)
	if p.happens(l.Duplicate) || p.impaired(func(i *impairment) float64 { return i.duplicate }) {
		way.copies = 2
		way.arrivals[1] = p.arrives(sent)
	}
	return way
}

// loses draws whether a packet is lost that is sent at a given time.
func (p *pipe) loses(sent time.Duration) bool {
	lost := p.happens(p.link.Loss)
	if b := &p.link.Burst; *b != (GilbertElliott{}) {
		lost = p.channel.loses(b, sent, p.luck) || lost
	}
	return lost
}

// impaired draws whether what happens to a packet with some probability happens by an impairment.
func (p *pipe) impaired(probability func(*impairment) float64) bool {
	for _, i := range p.worse {
		if p.happens(probability(i)) {
			i.hit()
			return true
		}
	}
	return false
}

// arrives draws when a packet (or a copy of it) that was sent completely at a given time arrives.
func (p *pipe) arrives(sent time.Duration) time.Duration {
	l := &p.link
	at := sent + l.Latency
	if l.Jitter > 0 {
		at += time.Duration((2*uniform(p.luck) - 1) * float64(l.Jitter))
	}
	if l.Variation.shape != shapeConstant {
		at += l.Variation.quantile(uniform(p.luck), l.room())
	} else {
		at += l.Variation.scale
	}
	at = max(at, sent+leastLatency)
	for _, i := range p.worse {
		if i.delay > 0 {
			at += i.delay
			i.hit()
		}
	}
	if p.happens(l.Reorder) {
		return at + time.Duration((1-uniform(p.luck))*float64(l.ReorderBy))
	}
	at = max(at, p.arrival)
	p.arrival = at
	return at
}

// happens draws whether something of a given probability happens. What cannot happen draws nothing.
func (p *pipe) happens(probability float64) bool {
	return probability > 0 && uniform(p.luck) < probability
}

// uniform draws from [0, 1).
func uniform(luck *rand.PCG) float64 { return float64(luck.Uint64()>>11) / (1 << 53) }
