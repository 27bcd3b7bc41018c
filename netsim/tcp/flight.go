package tcp

import "time"

// sent is a segment in flight: what the scoreboard knows of it.
type sent struct {
	seq, end uint32 // end counts a FIN
	// prev and next are the neighbours in the list of segments by time of transmission (see flight).
	// next of a segment that has been SACKed is where the search for unSACKed ones may go on.
	prev, next uint32
	bits       sentBits
	order      uint32        // of its last transmission among all of the flight
	at         time.Duration // last transmission
}

type sentBits uint8

const (
	sacked      sentBits = 1 << iota // selectively acknowledged
	lost                             // held to be lost
	retrans                          // sent again, and that copy not held to be lost
	everRetrans                      // has been sent more than once
	listed                           // in the list by time
	merged                           // became part of the segment before it when that was sent again
	carriesFIN                       // has the FIN
	carriesPush                      // had PSH set
)

// flight is the sender's scoreboard. A connection has one only while something is unacknowledged.
//
// Segments are in a ring in order of sequence and are named by an index that never changes while they
// are in flight: they are those from first up to, not including, limit. Those neither SACKed nor held
// to be lost are also in a list in order of (last) transmission, which makes RACK's search short.
type flight struct {
	ring         []sent // length is a power of two
	first, limit uint32
	oldest, last uint32 // ends of the list by time; nowhere when empty
	// transmissions counts them: what was sent in one instant was sent in this order.
	transmissions uint32

	// Numbers of segments. sackedOut and lostOut have none in common.
	packetsOut, sackedOut, lostOut, retransOut int
	// dupAcks is the number of segments that duplicate acknowledgements say have arrived; it takes the
	// place of sackedOut on connections without SACK.
	dupAcks int

	fack      uint32 // end of the highest segment SACKed, or SND.UNA if that is higher
	lostTotal int    // how often a segment was held to be lost

	// hint is at or before the first segment that is lost and not yet sent again.
	hint uint32

	cur cursor // in the send buffer
	rec recovery
	tlp tailProbe
	rk  rackState

	free *flight // next in the pool
}

const nowhere = ^uint32(0)

func newFlight() *flight {
	f := &flight{ring: make([]sent, 8)}
	f.reset()
	return f
}

func (f *flight) reset() {
	*f = flight{ring: f.ring, oldest: nowhere, last: nowhere}
}

func (f *flight) at(i uint32) *sent { return &f.ring[i&uint32(len(f.ring)-1)] }

// add puts a segment at the end.
func (f *flight) add(s sent) {
	if f.limit-f.first == uint32(len(f.ring)) {
		f.grow()
	}
	i := f.limit
	f.limit++
	*f.at(i) = s
	f.packetsOut++
	f.list(i)
}

func (f *flight) grow() {
	old := *f
	f.ring = make([]sent, 2*len(old.ring))
	for i := f.first; i != f.limit; i++ {
		*f.at(i) = *old.at(i)
	}
}

// list puts segment i, which is being sent, at the end of the list by time.
func (f *flight) list(i uint32) {
	f.unlist(i)
	s := f.at(i)
	f.transmissions++
	s.order = f.transmissions
	s.bits |= listed
	s.prev, s.next = f.last, nowhere
	if f.last == nowhere {
		f.oldest = i
	} else {
		f.at(f.last).next = i
	}
	f.last = i
}

// unlist takes segment i out of the list by time.
func (f *flight) unlist(i uint32) {
	s := f.at(i)
	if s.bits&listed == 0 {
		return
	}
	s.bits &^= listed
	if s.prev == nowhere {
		f.oldest = s.next
	} else {
		f.at(s.prev).next = s.next
	}
	if s.next == nowhere {
		f.last = s.prev
	} else {
		f.at(s.next).prev = s.prev
	}
}

// forget takes a segment out of all counts, for it is acknowledged or part of another.
func (f *flight) forget(i uint32) {
	s := f.at(i)
	f.packetsOut--
	if s.bits&sacked != 0 {
		f.sackedOut--
	}
	if s.bits&lost != 0 {
		f.lostOut--
	}
	if s.bits&retrans != 0 {
		f.retransOut--
	}
	f.unlist(i)
}

// pop drops the first segment and those merged into it.
func (f *flight) pop() {
	f.forget(f.first)
	for f.first++; f.first != f.limit && f.at(f.first).bits&merged != 0; f.first++ {
	}
	if int32(f.hint-f.first) < 0 {
		f.hint = f.first
	}
}

// merge makes segment j, the next after i that is not merged already, part of i.
func (f *flight) merge(i, j uint32) {
	f.forget(j)
	a, b := f.at(i), f.at(j)
	a.end = b.end
	a.bits |= b.bits & (everRetrans | carriesFIN | carriesPush)
	b.bits = merged
	b.seq = b.end
	f.limitDupAcks()
}

// limitDupAcks bounds the number of segments that have arrived, nobody knows which: the first has not,
// nor have those that are lost.
func (f *flight) limitDupAcks() {
	f.dupAcks = max(min(f.dupAcks, f.packetsOut-max(f.lostOut, 1)), 0)
}

// markSacked notes that segment i has been selectively acknowledged.
func (f *flight) markSacked(i uint32) {
	s := f.at(i)
	f.unlist(i)
	if s.bits&lost != 0 {
		f.lostOut--
	}
	if s.bits&retrans != 0 {
		f.retransOut--
	}
	f.sackedOut++
	s.bits = s.bits&^(lost|retrans) | sacked
	s.next = i + 1
}

// markLost notes that segment i, and any copy of it, is held to be lost.
func (f *flight) markLost(i uint32) {
	s := f.at(i)
	f.unlist(i)
	if s.bits&retrans != 0 {
		f.retransOut--
		s.bits &^= retrans
	}
	if s.bits&lost == 0 {
		f.lostOut++
		s.bits |= lost
		f.limitDupAcks()
	}
	if int32(i-f.hint) < 0 {
		f.hint = i
	}
}

// unmarkLost takes back all marks of loss: they were a mistake.
func (f *flight) unmarkLost() {
	for i := f.first; i != f.limit; i++ {
		if s := f.at(i); s.bits&lost != 0 {
			s.bits &^= lost
			f.relist(i)
		}
	}
	f.lostOut = 0
}

// relist puts segment i back into the list by time, at its place.
func (f *flight) relist(i uint32) {
	s := f.at(i)
	if s.bits&(listed|sacked|merged) != 0 {
		return
	}
	after := f.last
	for after != nowhere && f.at(after).sentAfter(s.order) {
		after = f.at(after).prev
	}
	s.bits |= listed
	s.prev = after
	if after == nowhere {
		s.next = f.oldest
		f.oldest = i
	} else {
		s.next = f.at(after).next
		f.at(after).next = i
	}
	if s.next == nowhere {
		f.last = i
	} else {
		f.at(s.next).prev = i
	}
}

// inFlight is the estimate of segments in the network: RFC 6675's pipe.
func (f *flight) inFlight() int {
	return f.packetsOut - f.leftOut() + f.retransOut
}

// leftOut is the number of segments known to have left the network.
func (f *flight) leftOut() int { return f.sackedOut + f.dupAcks + f.lostOut }

// find returns the index of the first segment that begins at seq or later.
func (f *flight) find(seq uint32) uint32 {
	lo, n := f.first, f.limit-f.first
	for n > 0 {
		half := n / 2
		if seqLT(f.at(lo+half).seq, seq) {
			lo += half + 1
			n -= half + 1
		} else {
			n = half
		}
	}
	return lo
}

// tail returns the index of the last segment that is not merged into another.
func (f *flight) tail() uint32 {
	i := f.limit - 1
	for f.at(i).bits&merged != 0 {
		i--
	}
	return i
}
