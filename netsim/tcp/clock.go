package tcp

import "time"

// peerClock is what is known of the peer's timestamps (RFC 7323 §4.3 and §5).
type peerClock struct {
	recent uint32 // TS.Recent
	at     uint32 // when it was taken, in seconds since the run began
}

// timestampLife is how long TS.Recent is good for, in seconds: 24 days (RFC 7323 §5.5).
const timestampLife = 24 * 24 * 60 * 60

// timestamp is this end's timestamp clock: milliseconds, from an offset of its own.
func (c *Conn) timestamp(now time.Duration) uint32 {
	return uint32(now/time.Millisecond) + mix(^c.iss)
}

// stale reports whether a segment is an old duplicate by its timestamp: PAWS (RFC 7323 §5.3 R1).
func (c *Conn) stale(now time.Duration, seg *Segment) bool {
	return c.flags&useTS != 0 && seg.HasTS && seqLT(seg.TSVal, c.seen.recent) &&
		uint32(now/time.Second)-c.seen.at < timestampLife
}

// noteTimestamp takes the timestamp that is to be echoed: that of the segment which contains the
// last sequence number acknowledged (RFC 7323 §4.3 step 2).
func (c *Conn) noteTimestamp(now time.Duration, seg *Segment) {
	if c.flags&useTS != 0 && seg.HasTS && seqLEQ(seg.Seq, c.win.acked) {
		c.seen = peerClock{recent: seg.TSVal, at: uint32(now / time.Second)}
	}
}
