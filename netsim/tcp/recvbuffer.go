package tcp

// recvBuffer puts the stream together: bytes in order wait in the queue for the reader, bytes beyond
// a gap in a list of blocks. Of bytes that arrive more than once, the first copy counts.
type recvBuffer struct {
	queue
	nxt    uint32 // the first byte that has not arrived: RCV.NXT, but for a FIN
	gapLen int32  // bytes in the blocks beyond it

	gaps *reassembly // blocks with a gap before each, in order of sequence
}

// reassembly is a run of bytes that waits for those before it.
type reassembly struct {
	next    *reassembly
	seq     uint32
	data    queue
	changed uint32 // when it last grew, by the pool's count: the order of SACK blocks (RFC 2018 §4)
}

func (r *reassembly) end() uint32 { return r.seq + uint32(r.data.len) }

// insert takes the payload at seq, which ends inside the receive window and is not empty. It returns
// the first range of it that had been received before, if any: what a D-SACK reports (RFC 2883 §4).
func (b *recvBuffer) insert(pool *Pool, seq uint32, p []byte) (dup Block) {
	if seqLT(seq, b.nxt) {
		old := min(b.nxt-seq, uint32(len(p)))
		dup = Block{seq, seq + old}
		seq, p = seq+old, p[old:]
		if len(p) == 0 {
			return dup
		}
	}
	end := seq + uint32(len(p))
	if seq == b.nxt && (b.gaps == nil || seqLT(end, b.gaps.seq)) {
		b.write(pool, p)
		b.nxt = end
		return dup
	}
	if d := b.insertBlock(pool, seq, p); dup == (Block{}) {
		dup = d
	}
	if first := b.gaps; first.seq == b.nxt {
		b.nxt = first.end()
		b.gapLen -= int32(first.data.len)
		b.append(&first.data)
		b.gaps = first.next
		pool.freeReassembly(first)
	}
	return dup
}

// insertBlock adds bytes beyond nxt to the blocks, merging those that come to touch.
func (b *recvBuffer) insertBlock(pool *Pool, seq uint32, p []byte) (dup Block) {
	link := &b.gaps
	for *link != nil && seqLT((*link).end(), seq) {
		link = &(*link).next
	}
	overlap := func(at uint32, n int) {
		if dup == (Block{}) && n > 0 {
			dup = Block{at, at + uint32(n)}
		}
		p = p[n:]
		b.gapLen -= int32(n)
	}
	b.gapLen += int32(len(p))

	m := *link // grows by the new bytes and all blocks that they reach
	if m != nil && seqLEQ(m.seq, seq) {
		overlap(seq, min(len(p), int(m.end()-seq)))
	} else {
		m = pool.reassembly()
		m.seq, m.next = seq, *link
		*link = m
	}
	for m.next != nil && seqLEQ(m.next.seq, m.end()+uint32(len(p))) {
		next := m.next
		fresh := int(next.seq - m.end())
		m.data.write(pool, p[:fresh])
		p = p[fresh:]
		overlap(next.seq, min(len(p), next.data.len))
		m.data.append(&next.data)
		m.next = next.next
		pool.freeReassembly(next)
	}
	m.data.write(pool, p)
	pool.recency++
	m.changed = pool.recency
	return dup
}

// blocks writes the blocks to report into dst, the most recently changed first, and returns how many
// there are.
func (b *recvBuffer) blocks(dst []Block) int {
	n := 0
	var stamps [MaxSACK]uint32
	for r := b.gaps; r != nil; r = r.next {
		i := n
		for i > 0 && int32(stamps[i-1]-r.changed) < 0 {
			i--
		}
		if i == len(dst) {
			continue
		}
		n = min(n+1, len(dst))
		copy(dst[i+1:n], dst[i:])
		copy(stamps[i+1:n], stamps[i:])
		dst[i], stamps[i] = Block{r.seq, r.end()}, r.changed
	}
	return n
}

// highest is the end of what has arrived at all.
func (b *recvBuffer) highest() uint32 {
	end := b.nxt
	for r := b.gaps; r != nil; r = r.next {
		end = r.end()
	}
	return end
}

// held is the number of bytes that take up buffer.
func (b *recvBuffer) held() int { return b.len + int(b.gapLen) }

// dropGaps forgets what waits beyond a gap.
func (b *recvBuffer) dropGaps(pool *Pool) {
	for r := b.gaps; r != nil; {
		next := r.next
		r.data.clear(pool)
		pool.freeReassembly(r)
		r = next
	}
	b.gaps, b.gapLen = nil, 0
}
