package tcp

// Chunks come in two sizes: a connection that carries short messages takes little memory, one that
// carries bulk few chunks.
const (
	smallChunk = 512
	largeChunk = 8 << 10
)

// chunk is a piece of a [queue]. The bytes buf[off:end] are in use.
type chunk struct {
	next     *chunk
	buf      []byte
	off, end int
}

// Pool is the memory that connections share: they take buffers and bookkeeping from it when data is
// under way and give them back when none is, so that an idle connection holds nothing but itself.
//
// A Pool has a single owner: it and its connections are for one goroutine at a time. The zero value
// is ready.
type Pool struct {
	small, large *chunk // free lists
	flights      *flight
	blocks       *reassembly
	recency      uint32 // counts the changes of blocks

	// seg and scratch are the segment being sent and its payload when that lies in several chunks.
	seg     Segment
	scratch []byte
}

// NewPool returns an empty pool.
func NewPool() *Pool { return new(Pool) }

// chunk returns an empty chunk for n bytes to come, which need not all fit.
func (p *Pool) chunk(n int) *chunk {
	list, size := &p.small, smallChunk
	if n > smallChunk {
		list, size = &p.large, largeChunk
	}
	c := *list
	if c == nil {
		return &chunk{buf: make([]byte, size)}
	}
	*list = c.next
	c.next = nil
	return c
}

func (p *Pool) freeChunk(c *chunk) {
	list := &p.small
	if len(c.buf) > smallChunk {
		list = &p.large
	}
	c.off, c.end = 0, 0
	c.next = *list
	*list = c
}

func (p *Pool) flight() *flight {
	f := p.flights
	if f == nil {
		return newFlight()
	}
	p.flights = f.free
	f.free = nil
	return f
}

func (p *Pool) freeFlight(f *flight) {
	f.reset()
	f.free = p.flights
	p.flights = f
}

func (p *Pool) reassembly() *reassembly {
	r := p.blocks
	if r == nil {
		return new(reassembly)
	}
	p.blocks = r.next
	r.next = nil
	return r
}

func (p *Pool) freeReassembly(r *reassembly) {
	*r = reassembly{next: p.blocks}
	p.blocks = r
}

// room returns n bytes of scratch memory, good until the next call.
func (p *Pool) room(n int) []byte {
	if cap(p.scratch) < n {
		p.scratch = make([]byte, max(n, 2048))
	}
	return p.scratch[:n]
}
