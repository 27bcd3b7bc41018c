package tcp

// sendBuffer holds the bytes from SND.UNA on: those in flight and those not yet sent.
type sendBuffer struct {
	queue
	base uint32 // sequence number of the first byte held, or of the next to be written

	// cur is the chunk from which was last read and curSeq the sequence number of its first byte, so
	// that reading in order does not start at the head every time. nil means the head.
	cur    *chunk
	curSeq uint32
}

// end is the sequence number after the last byte held.
func (b *sendBuffer) end() uint32 { return b.base + uint32(b.len) }

// ack drops the bytes before the sequence number una, which lies between base and end.
func (b *sendBuffer) ack(pool *Pool, una uint32) {
	n := una - b.base
	if n == 0 {
		return
	}
	// If the cursor's chunk is touched, the head is as good a place.
	if b.cur != nil && (seqLT(b.curSeq, una) || b.head == b.cur) {
		b.cur = nil
	}
	b.discard(pool, int(n))
	b.base = una
}

// bytes returns the n bytes from seq on, all of which must be held. The result is good until the
// next call on the buffer or on another buffer of the pool.
func (b *sendBuffer) bytes(pool *Pool, seq uint32, n int) []byte {
	if n == 0 {
		return nil
	}
	c, at := b.head, b.base
	if b.cur != nil && seqLEQ(b.curSeq, seq) {
		c, at = b.cur, b.curSeq
	}
	for seq-at >= uint32(c.end-c.off) {
		at += uint32(c.end - c.off)
		c = c.next
	}
	b.cur, b.curSeq = c, at
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

// clear drops everything.
func (b *sendBuffer) clear(pool *Pool) {
	b.queue.clear(pool)
	b.cur = nil
}
