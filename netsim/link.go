package netsim

import (
	"fmt"
	"time"
)

// Link says how packets travel in one direction between two hosts. The zero value is a link without
// delay, loss or limit; packets of one direction never overtake each other.
//
// A packet waits in the queue for its turn (Queue), is put on the wire at Rate, may get lost there (Loss,
// Burst), and arrives after its delay (Latency, Jitter, Variation), once or twice (Duplicate), not before
// those ahead of it unless it is reordered (Reorder). So a lost packet has used Rate; a duplicate has
// not, as it is made under way.
//
// A link may change at any time. Packets that it has taken keep their fate, even those that still
// wait: they leave at the rates that held when they came. Later ones wait behind them and are sent
// at the new Rate. A smaller Queue takes nothing until what waits fits into it again.
//
// Links are values: they compare with ==, and print and parse ([ParseLink]).
type Link struct {
	// Latency is the one-way delay without variation, 0 to an hour. No packet takes less than a
	// microsecond, whatever the link: nothing is instant, and virtual time has to move.
	Latency time.Duration
	// Jitter spreads the delay uniformly over [Latency-Jitter, Latency+Jitter]. It is at least 0 and at
	// most Latency.
	Jitter time.Duration
	// Variation spreads the delay by any other distribution, on top of Jitter; the zero value does not.
	Variation Variation
	// Loss is the probability in [0, 1] that a packet is lost, each independently (Bernoulli).
	Loss float64
	// Burst loses packets in bursts, on top of Loss; the zero value loses none.
	Burst GilbertElliott
	// Duplicate is the probability in [0, 1] that a packet arrives twice, each copy with a delay of its
	// own.
	Duplicate float64
	// Reorder is the probability in [0, 1] that a packet leaves the order: it may overtake those before
	// it, and those behind it do not wait for it.
	Reorder float64
	// ReorderBy holds up a packet that leaves the order by a time uniform in (0, ReorderBy], so that what
	// is sent within that time may overtake it (the late-time offset of RFC 4737). It is 0
	// to an hour; with 0, order is lost only as far as Jitter and Variation do it.
	ReorderBy time.Duration
	// Rate is the capacity in bits per second, at most 10^15; 0 means unlimited.
	Rate int64
	// Queue is how many bytes may wait for a limited Rate before packets are dropped at the tail, at most
	// 1 GiB; 0 means 100 ms of Rate. The packet in transmission does not count, and a packet that finds
	// none waiting may wait even if it is larger.
	Queue int
	// QueuePackets is how many packets may wait for a limited Rate; 0 means any number.
	QueuePackets int
	// MTU is the largest IP packet that gets through, in bytes, 68 (RFC 791 §3.2) to 65535; 0 means 1500.
	// A larger one is dropped in silence, like one that must not be fragmented where ICMP is filtered.
	// So whoever sends keeps to the MTU: TCP takes 40 bytes off it for its MSS.
	MTU int
}

// The bounds of configuration. They keep sums of times within 292 years, all that a Duration holds.
const (
	maxDelay = time.Hour
	maxRate  = 1_000_000_000_000_000
	maxQueue = 1 << 30
	minMTU   = 68
	maxMTU   = 1<<16 - 1
)

const defaultMTU = 1500 // Ethernet's (RFC 894)

// defaultQueueTime is how long a full queue takes to drain if Link.Queue is not set: by the rule of thumb,
// one round trip (Villamizar and Song, High Performance TCP in ANSNET, 1994), here one of 100 ms.
const defaultQueueTime = 100 * time.Millisecond

// leastLatency is the least delay any packet has.
const leastLatency = time.Microsecond

// validate names the field that is out of range.
func (l Link) validate() error {
	switch {
	case l.Latency < 0:
		return fmt.Errorf("link: Latency is %v; it must not be negative", l.Latency)
	case l.Latency > maxDelay:
		return fmt.Errorf("link: Latency is %v; it must not be more than %v", l.Latency, maxDelay)
	case l.Jitter < 0 || l.Jitter > l.Latency:
		return fmt.Errorf("link: Jitter is %v; it must lie between 0 and the Latency of %v", l.Jitter, l.Latency)
	case l.ReorderBy < 0 || l.ReorderBy > maxDelay:
		return fmt.Errorf("link: ReorderBy is %v; it must lie between 0 and %v", l.ReorderBy, maxDelay)
	case l.ReorderBy > 0 && l.Reorder == 0:
		return fmt.Errorf("link: ReorderBy is %v but Reorder is 0; set how probable it is", l.ReorderBy)
	case l.Reorder > 0 && l.ReorderBy == 0 && l.Jitter == 0 && l.Variation.steady():
		return fmt.Errorf("link: Reorder is %v but all packets take equally long; set ReorderBy, Jitter or Variation", l.Reorder)
	case l.MTU != 0 && (l.MTU < minMTU || l.MTU > maxMTU):
		return fmt.Errorf("link: MTU is %d bytes; it must lie between %d and %d (0 means %d)", l.MTU, minMTU, maxMTU, defaultMTU)
	}
	for _, p := range []struct {
		field string
		value float64
	}{{"Loss", l.Loss}, {"Duplicate", l.Duplicate}, {"Reorder", l.Reorder}} {
		if !isProbability(p.value) {
			return fmt.Errorf("link: %s is %v; it is a probability in [0, 1]", p.field, p.value)
		}
	}
	if err := l.Variation.validate(l.room()); err != nil {
		return fmt.Errorf("link: Variation is %.80v; %w", l.Variation, err)
	}
	if err := l.Burst.validate(); err != nil {
		return fmt.Errorf("link: Burst is %v; %w", l.Burst, err)
	}
	return validateQueue("link", l.Rate, l.Queue, l.QueuePackets)
}

// validateQueue checks what a Link and a [Bottleneck] have in common.
func validateQueue(of string, rate int64, queue, packets int) error {
	switch {
	case rate < 0 || rate > maxRate:
		return fmt.Errorf("%s: Rate is %d bit/s; it must lie between 0 and 10^15 (0 means unlimited)", of, rate)
	case queue < 0 || queue > maxQueue:
		return fmt.Errorf("%s: Queue is %d bytes; it must lie between 0 and %d (0 means %v of Rate)", of, queue, maxQueue, defaultQueueTime)
	case packets < 0 || packets > maxQueue:
		return fmt.Errorf("%s: QueuePackets is %d; it must lie between 0 and %d (0 means any number)", of, packets, maxQueue)
	case queue > 0 && rate == 0:
		return fmt.Errorf("%s: Queue is %d bytes but Rate is 0, which means unlimited: nothing would ever wait", of, queue)
	case packets > 0 && rate == 0:
		return fmt.Errorf("%s: QueuePackets is %d but Rate is 0, which means unlimited: nothing would ever wait", of, packets)
	}
	return nil
}

// isProbability is false for NaN, too.
func isProbability(p float64) bool { return p >= 0 && p <= 1 }

// room is how much Variation may take off the delay.
func (l *Link) room() time.Duration { return l.Latency - l.Jitter }

// minLatency is the least delay a packet can have on this link. The loop relies on it as its lookahead,
// so that no packet may ever arrive sooner.
func (l *Link) minLatency() time.Duration {
	return max(l.room()+l.Variation.least(l.room()), leastLatency)
}

// mtu is MTU with its default.
func (l *Link) mtu() int {
	if l.MTU == 0 {
		return defaultMTU
	}
	return l.MTU
}
