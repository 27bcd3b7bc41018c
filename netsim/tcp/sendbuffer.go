package tcp

// sendBuffer holds the bytes from SND.UNA on: those in flight and those not yet sent.
type sendBuffer struct {
	queue
	base uint32 // sequence number of the first byte held, or of the next to be written
}

// cursor remembers the chunk from which was last read, and the sequence number of its first byte, so
// that reading in order does not start at the head every time. nil stands for the head.
type cursor struct {
	chunk *chunk
	seq   uint32
}

// passed is to be called before bytes up to the sequence number una are dropped.
func (k *cursor) passed(una uint32) {
	if seqLT(k.seq, una) {
		k.chunk = nil // the head will be as good
	}
}

// end is the sequence number after the last byte held.
func (b *sendBuffer) end() uint32 { return b.base + uint32(b.len) }

// ack drops the bytes before the sequence number una, which lies between base and end.
func (b *sendBuffer) ack(pool *Pool, una uint32) {
	b.discard(pool, int(una-b.base))
	b.base = una
}

// bytes returns the n bytes from seq on, all of which must be held. The result is good until the
// next call on the buffer or on another buffer of the pool.
func (b *sendBuffer) bytes(pool *Pool, cur *cursor, seq uint32, n int) []byte {
	if n == 0 {
		return nil
	}
	c, at := b.head, b.base
	if cur.chunk != nil && seqLEQ(cur.seq, seq) {
		c, at = cur.chunk, cur.seq
	}
	for seq-at >= uint32(c.end-c.off) {
		at += uint32(c.end - c.off)
		c = c.next
	}
	cur.chunk, cur.seq = c, at
	off := c.off + int(seq-at)
	if off+n <= c.end {
		return c.buf[off : off+n]
	}
	p := pool.room(n)
	k := copy(p, c.buf[off:c.end])
	for k < n {
		c = c.next
		k += copy(p[k:], c.buf[c.off:c.end])
	}
	return p
}
