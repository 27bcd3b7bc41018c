package netsim

import "time"

// dropTail is a transmitter of limited rate and the queue in front of it: first in, first out, and
// what does not fit is dropped. It needs no events of its own. As nothing overtakes and nothing leaves
// the queue but through the transmitter, a packet's whole future is known when it comes.
type dropTail struct {
	free    time.Duration // when the transmitter is done with all that was taken
	waiting ring[queued]  // the packets whose transmission has yet to begin
	bytes   int           // their size together
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
		packets := q.waiting.count
		if packets > 0 && (q.bytes+size > limit || packetLimit > 0 && packets >= packetLimit) {
			return 0, false
		}
		q.waiting.push(queued{starts, size})
		q.bytes += size
	}
	q.free = starts + transmitTime(size, rate)
	return q.free, true
}

// advance takes the packets out of the queue whose transmission has begun by now.
func (q *dropTail) advance(now time.Duration) {
	for q.waiting.count > 0 && q.waiting.at(0).starts <= now {
		q.bytes -= q.waiting.pop().size
	}
}

// transmitTime is how long it takes to transmit at a rate, rounded up to whole nanoseconds, so that no
// link carries more than its rate.
func transmitTime(bytes int, bitsPerSecond int64) time.Duration {
	const bitNanoseconds = 8 * int64(time.Second)
	return time.Duration((int64(bytes)*bitNanoseconds + bitsPerSecond - 1) / bitsPerSecond)
}
