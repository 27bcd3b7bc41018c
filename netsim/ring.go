package netsim

// ring is a first-in-first-out queue in a slice that is used again. Its zero value is empty.
type ring[T any] struct {
	buf   []T // its length is a power of two, or 0
	first int
	count int
}

// at gives the i-th element, counting from the oldest.
func (r *ring[T]) at(i int) *T { return &r.buf[(r.first+i)&(len(r.buf)-1)] }

func (r *ring[T]) push(v T) {
	if r.count == len(r.buf) {
		longer := make([]T, max(4, 2*len(r.buf)))
		n := copy(longer, r.buf[r.first:])
		copy(longer[n:], r.buf[:r.first])
		r.buf, r.first = longer, 0
	}
	r.count++
	*r.at(r.count - 1) = v
}

// pop takes the oldest element; there must be one.
func (r *ring[T]) pop() T {
	var zero T
	p := r.at(0)
	v := *p
	*p = zero
	r.first = (r.first + 1) & (len(r.buf) - 1)
	r.count--
	return v
}
