package netsim

import "time"

// dropTail is a transmitter of limited rate and the queue in front of it: first in, first out, and
// what does not fit is dropped. It needs no events of its own. As nothing overtakes and nothing leaves
// the queue but through the transmitter, a packet's whole future is known when it comes.
type dropTail struct {
	free    time.Duration // when the transmitter is done with all that was taken
	waiting []queued      // a ring of the packets whose transmission has yet to begin
	first   int           // the index of the oldest of them
	packets int           // how many they are
	bytes   int           // and of what size together
}

// queued is a packet in the queue.
type queued struct {
	starts time.Duration // when its transmission begins
	size   int           // bytes
}

// take takes a packet of size bytes that comes at now, and tells when it will have been transmitted at
// rate bits per second; or it does not, since more than limit bytes (0: as many as take
// defaultQueueTime) or packetLimit packets (0: any number) would wait. Calls come in order of time.
func (q *dropTail) take(now time.Duration, size int, rate int64, limit, packetLimit int) (done time.Duration, taken bool) {
	q.advance(now)
	starts := max(now, q.free)
	if starts > now {
		if limit == 0 {
			limit = int(rate / int64(8*time.Second/defaultQueueTime))
		}
		if q.packets > 0 && (q.bytes+size > limit || packetLimit > 0 && q.packets >= packetLimit) {
			return 0, false
		}
		q.push(queued{starts, size})
	}
	q.free = starts + transmitTime(size, rate)
	return q.free, true
}

// advance takes the packets out of the queue whose transmission has begun by now.
func (q *dropTail) advance(now time.Duration) {
	for q.packets > 0 && q.waiting[q.first].starts <= now {
		q.bytes -= q.waiting[q.first].size
		q.packets--
		q.first = (q.first + 1) & (len(q.waiting) - 1)
	}
}

// push appends to the ring, whose length is a power of two.
func (q *dropTail) push(p queued) {
	if q.packets == len(q.waiting) {
		longer := make([]queued, max(8, 2*len(q.waiting)))
		n := copy(longer, q.waiting[q.first:])
		copy(longer[n:], q.waiting[:q.first])
		q.waiting, q.first = longer, 0
	}
	q.waiting[(q.first+q.packets)&(len(q.waiting)-1)] = p
	q.packets++
	q.bytes += p.size
}

// transmitTime is how long it takes to transmit at a rate, rounded up to whole nanoseconds, so that no
// link carries more than its rate.
func transmitTime(bytes int, bitsPerSecond int64) time.Duration {
	const bitNanoseconds = 8 * int64(time.Second)
	return time.Duration((int64(bytes)*bitNanoseconds + bitsPerSecond - 1) / bitsPerSecond)
}
