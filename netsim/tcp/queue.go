package tcp

// queue is a first-in, first-out queue of bytes in chunks of a [Pool]. The zero value is empty and
// holds no memory, and so does any queue that has become empty.
type queue struct {
	head, tail *chunk
	len        int
}

// write appends all of p.
func (q *queue) write(pool *Pool, p []byte) {
	q.len += len(p)
	for len(p) > 0 {
		if q.tail == nil || q.tail.end == len(q.tail.buf) {
			c := pool.chunk(len(p))
			if q.tail == nil {
				q.head = c
			} else {
				q.tail.next = c
			}
			q.tail = c
		}
		n := copy(q.tail.buf[q.tail.end:], p)
		q.tail.end += n
		p = p[n:]
	}
}

// read moves bytes from the front of the queue into p and returns how many.
func (q *queue) read(pool *Pool, p []byte) int {
	n := 0
	for n < len(p) && q.head != nil {
		k := copy(p[n:], q.head.buf[q.head.off:q.head.end])
		n += k
		q.discard(pool, k)
	}
	return n
}

// discard drops n bytes, at most len, from the front.
func (q *queue) discard(pool *Pool, n int) {
	q.len -= n
	for n > 0 {
		c := q.head
		k := min(n, c.end-c.off)
		c.off += k
		n -= k
		if c.off == c.end {
			q.head = c.next
			if q.head == nil {
				q.tail = nil
			}
			pool.freeChunk(c)
		}
	}
}

// append moves all of r to the end of q.
func (q *queue) append(r *queue) {
	if r.head == nil {
		return
	}
	if q.tail == nil {
		q.head = r.head
	} else {
		q.tail.next = r.head
	}
	q.tail = r.tail
	q.len += r.len
	*r = queue{}
}

// clear drops everything.
func (q *queue) clear(pool *Pool) { q.discard(pool, q.len) }
