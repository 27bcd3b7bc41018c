package netsim

import "time"

// event is something that happens to the network at one virtual time: a packet arrives, a timer of a
// connection is due, a scheduled function runs.
type event struct {
	at   time.Duration
	step uint64 // breaks ties: events of one instant happen in the order they were planned
	kind eventKind
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
	eventReadDeadline
	eventWriteDeadline
	eventUDPDeadline
	eventFunc
)

// before is the total order of all events.
func (e *event) before(at time.Duration, step uint64) bool {
	return e.at < at || e.at == at && e.step < step
}

// queue is a priority queue of events in total order. It is a 4-ary heap: half as deep as a binary
// one, and the four children of a node lie side by side in memory.
type queue struct{ heap []event }

func (q *queue) len() int     { return len(q.heap) }
func (q *queue) peek() *event { return &q.heap[0] }

func (q *queue) push(e event) {
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
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

func (q *queue) pop() event {
	h := q.heap
	top := h[0]
	last := h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	q.heap = h
	if len(h) == 0 {
		return top
	}
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
		if !h[least].before(last.at, last.step) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return top
}
