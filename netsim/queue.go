package netsim

import "time"

// event is something that happens to the network at one virtual time: a packet arrives, a timer of a
// connection is due, a scheduled function runs.
type event struct {
	at   time.Duration
	step uint64 // breaks ties: events of one instant happen in the order they were planned
	kind eventKind
	// lane, if not nil, is a sequence of events of which only the first is in the heap.
	lane *lane
	// what it happens to, by kind
	pkt  *packet
	conn *Conn
	udp  *UDPConn
	fn   func()
}

type eventKind uint8

const (
	eventArrive eventKind = iota
	eventDownlink
	eventRetry
	eventTimer
	eventFinish
	eventReadDeadline
	eventWriteDeadline
	eventUDPDeadline
	eventFunc
	eventBox // what a middlebox does at a time; unlike a function it wakes nobody, and holds the lock
)

// waits is the side whose deadline the event is; nil for other events.
func (e *event) waits() *side {
	switch e.kind {
	case eventReadDeadline:
		return &e.conn.readSide
	case eventWriteDeadline:
		return &e.conn.writeSide
	case eventUDPDeadline:
		return &e.udp.readSide
	}
	return nil
}

// before is the total order of all events.
func (e *event) before(at time.Duration, step uint64) bool {
	return e.at < at || e.at == at && e.step < step
}

// queue is a priority queue of events in total order. It is a 4-ary heap: half as deep as a binary
// one, and the four children of a node lie side by side in memory. Of events that are planned in order
// anyway, as the arrivals over one link are, only the first is in the heap; see lane.
type queue struct {
	heap []event
	size int // events, those in lanes included
}

// lane is a sequence of events that are planned in order: the first, and those behind it.
type lane struct {
	active bool          // the first is in the heap
	last   time.Duration // the time of the last
	behind ring[event]
}

func (q *queue) len() int     { return q.size }
func (q *queue) peek() *event { return &q.heap[0] }

// each calls f for every event.
func (q *queue) each(f func(*event)) {
	for i := range q.heap {
		e := &q.heap[i]
		f(e)
		if l := e.lane; l != nil {
			for k := range l.behind.count {
				f(l.behind.at(k))
			}
		}
	}
}

func (q *queue) push(e event) {
	q.size++
	if l := e.lane; l != nil {
		switch {
		case !l.active:
			l.active, l.last = true, e.at
		case e.at >= l.last:
			l.last = e.at
			l.behind.push(e)
			return
		default:
			e.lane = nil // out of order: by itself
		}
	}
	q.heap = append(q.heap, e)
	q.up(len(q.heap) - 1)
}

func (q *queue) pop() event {
	q.size--
	top := q.heap[0]
	if l := top.lane; l != nil {
		if l.behind.count > 0 {
			q.down(l.behind.pop())
			return top
		}
		l.active = false
	}
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	if last > 0 {
		q.down(e)
	}
	return top
}

// up moves the event at i to its place among its ancestors.
func (q *queue) up(i int) {
	h := q.heap
	e := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent].before(e.at, e.step) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// down puts an event in the place of the first, or further down.
func (q *queue) down(e event) {
	h := q.heap
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < len(h) && c < child+4; c++ {
			if h[c].before(h[least].at, h[least].step) {
				least = c
			}
		}
		if !h[least].before(e.at, e.step) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}
