package tcp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// world is a discrete-event simulation of two connection ends and the links between them.
type world struct {
	now       time.Duration
	steps     int
	events    eventHeap
	planned   []simEvent // at and step ascend: what is planned in order, as thousands of messages are, needs no heap
	ends      [2]*end
	links     [2]*link // links[i] is from ends[i]
	trace     func(string)
	limit     int // of segments, against storms
	sent      int
	unchecked bool // leave out the check of the ends' state at every step
}

// end is a connection end with its user.
type end struct {
	w    *world
	i    int
	name string
	c    *Conn
	pool *Pool

	listening bool

	// user is called whenever something may have changed, before Flush.
	user func()
	// tap, if set, sees every segment that the end sends.
	tap func(seg *Segment)
}

// link is one direction of a path.
type link struct {
	latency   time.Duration
	loss      float64
	reorder   float64 // probability of being late by up to jitter
	jitter    time.Duration
	duplicate float64
	rate      float64 // bytes/s; 0 is unlimited
	queue     time.Duration
	rng       *rand.Rand
	free      time.Duration // when the link is free
	drop      func(seg *Segment) bool
}

type simEvent struct {
	at   time.Duration
	step int
	to   int // end that gets seg; or -1 for fn
	seg  *Segment
	fn   func()
}

type eventHeap []simEvent

func (h eventHeap) Len() int { return len(h) }

func (h eventHeap) Less(i, j int) bool { return h[i].before(&h[j]) }

func (e *simEvent) before(o *simEvent) bool {
	return e.at < o.at || e.at == o.at && e.step < o.step
}

func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// newWorld makes two ends with the given settings and luck.
func newWorld(a, b *Settings, seed uint64) *world {
	w := &world{limit: 1 << 30}
	for i, s := range []*Settings{a, b} {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		pool := NewPool()
		e := &end{w: w, i: i, name: fmt.Sprintf("seed %d end %d", seed, i), pool: pool, c: New(s, pool, rng.Uint32())}
		w.ends[i] = e
		w.links[i] = &link{latency: 50 * time.Millisecond, rng: rand.New(rand.NewPCG(seed, uint64(2+i)))}
	}
	return w
}

func mustSettings(c Config) *Settings {
	s, err := c.Settings()
	if err != nil {
		panic(err)
	}
	return s
}

func (w *world) at(t time.Duration, fn func()) {
	w.steps++
	e := simEvent{at: max(t, w.now), step: w.steps, to: -1, fn: fn}
	if n := len(w.planned); n == 0 || w.planned[n-1].before(&e) {
		w.planned = append(w.planned, e)
		return
	}
	heap.Push(&w.events, e)
}

// pop takes the first event out, if it is not after at.
func (w *world) pop(at time.Duration) (e simEvent, ok bool) {
	planned := len(w.planned) > 0 && (len(w.events) == 0 || w.planned[0].before(&w.events[0]))
	switch {
	case planned && w.planned[0].at <= at:
		e, w.planned = w.planned[0], w.planned[1:]
		return e, true
	case !planned && len(w.events) > 0 && w.events[0].at <= at:
		return heap.Pop(&w.events).(simEvent), true
	}
	return simEvent{}, false
}

// Send implements Output.
func (e *end) Send(seg *Segment) {
	w := e.w
	w.sent++
	if w.sent > w.limit {
		panic(fmt.Sprintf("%s at %v: segment storm", e.name, w.now))
	}
	if e.tap != nil {
		e.tap(seg)
	}
	if w.trace != nil {
		w.trace(fmt.Sprintf("%12v %d> %v", w.now, e.i, seg))
	}
	l := w.links[e.i]
	if l.drop != nil && l.drop(seg) {
		return
	}
	n := 1
	if l.duplicate > 0 && l.rng.Float64() < l.duplicate {
		n = 2
	}
	for range n {
		if l.rng.Float64() < l.loss {
			if w.trace != nil {
				w.trace("             lost")
			}
			continue
		}
		w.carry(l, 1-e.i, seg)
	}
}

func (w *world) carry(l *link, to int, seg *Segment) {
	at := w.now + l.latency
	if l.rate > 0 {
		start := max(w.now, l.free)
		if l.queue > 0 && start-w.now > l.queue {
			return // drop-tail
		}
		l.free = start + time.Duration(float64(len(seg.Payload)+52)/l.rate*1e9)
		at = l.free + l.latency
	}
	if l.reorder > 0 && l.rng.Float64() < l.reorder {
		at += time.Duration(l.rng.Float64() * float64(l.jitter))
	}
	copied := *seg
	copied.Payload = append([]byte(nil), seg.Payload...)
	w.steps++
	heap.Push(&w.events, simEvent{at: at, step: w.steps, to: to, seg: &copied})
}

// settle lets an end's user act on what has happened, and flushes.
func (e *end) settle() {
	if e.user != nil {
		e.user()
	}
	e.c.Flush(e.w.now, e)
	e.check()
}

func (e *end) check() {
	if !e.w.unchecked {
		e.c.check(e.name, e.w.now)
	}
}

// step applies the next event or timer, and reports whether there was one before the given time.
func (w *world) step(end time.Duration) bool {
	at, who := end, -1
	for i, e := range w.ends {
		if t, ok := e.c.Deadline(); ok && t < at {
			at, who = t, i
		}
	}
	if e, ok := w.pop(at); ok {
		w.now = max(e.at, w.now)
		if e.to < 0 {
			e.fn()
			return true
		}
		w.ends[e.to].input(e.seg)
		w.ends[e.to].settle()
		return true
	}
	if who < 0 {
		w.now = end
		return false
	}
	e := w.ends[who]
	if at < w.now {
		panic(fmt.Sprintf("%s at %v: deadline %v is past", e.name, w.now, at))
	}
	w.now = at
	e.c.Timer(at, e)
	if t, ok := e.c.Deadline(); ok && t <= at {
		panic(fmt.Sprintf("%s at %v: deadline %v is past after Timer", e.name, w.now, t))
	}
	e.settle()
	return true
}

// run lets time pass.
func (w *world) run(end time.Duration) {
	for w.step(end) {
	}
}

// runUntil lets time pass until the condition holds, and reports whether it came to hold.
func (w *world) runUntil(end time.Duration, cond func() bool) bool {
	for !cond() {
		if !w.step(end) {
			return cond()
		}
	}
	return true
}

// open has the first end connect, and the second accept the SYN when it comes.
func (w *world) open() {
	w.ends[1].listening = true
	w.ends[0].c.Connect(w.now, w.ends[0])
}

// input hands a segment to the end's connection, or has it accept one.
func (e *end) input(seg *Segment) {
	if e.listening && seg.Flags&(SYN|ACK|RST) == SYN {
		e.listening = false
		e.c.Accept(e.w.now, seg, e)
		return
	}
	e.c.Input(e.w.now, seg, e)
}

// connect opens the connection and waits until both ends are established.
func (w *world) connect() bool {
	w.open()
	return w.runUntil(w.now+time.Hour, func() bool {
		return w.ends[0].c.State() >= Established && w.ends[1].c.State() >= Established
	})
}
