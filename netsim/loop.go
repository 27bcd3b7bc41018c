package netsim

import (
	"cmp"
	"fmt"
	"slices"
	"testing/synctest"
	"time"
)

// never is later than any event.
const never = time.Duration(1<<63 - 1)

// stop is the latest virtual time at which a patient event must be applied.
type stop struct {
	by   time.Duration
	at   time.Duration // the event's own time and step, by which we know whether it has been applied
	step uint64
	conn *Conn // whose timer the event is; nil for others
}

// RunUntil lets virtual time pass until the given time since the network began. The caller's
// goroutine becomes the loop. It returns early with ErrInterrupted after [Network.Interrupt], and at once
// if a link names a host that does not exist.
//
// Each round it waits until every host is durably blocked, takes what the hosts did, in canonical
// order, and then applies exactly one event that wakes a host.
func (n *Network) RunUntil(end time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.checkNames(); err != nil {
		return err
	}
	for {
		n.settle()
		for n.applyDue() {
			if !n.due() && n.clock < end {
				break // the hosts come to rest while the loop sleeps, or kick it
			}
			n.settle()
		}
		if n.clock >= end {
			return nil
		}
		if n.interrupted.Load() {
			return ErrInterrupted
		}
		n.sleepUntil(min(end, n.nextStop()))
	}
}

// Interrupt makes RunUntil return soon. Any goroutine may call it, inside the bubble or not.
func (n *Network) Interrupt() { n.interrupted.Store(true) }

// Resume undoes Interrupt, so that RunUntil can be called again.
func (n *Network) Resume() { n.interrupted.Store(false) }

// Progress reports how far the loop has come, in virtual time and in rounds. Any goroutine may call
// it, inside the bubble or not.
func (n *Network) Progress() (now time.Duration, rounds uint64) {
	return time.Duration(n.progress.Load()), n.rounds.Load()
}

// Settle waits until all hosts are durably blocked, and takes note of what they have done. It lets no
// virtual time pass.
func (n *Network) Settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle()
}

// settle waits until all hosts are durably blocked and brings the network up to the present: first
// the events that were put off, then what the hosts have just done.
func (n *Network) settle() {
	for {
		n.mu.Unlock()
		synctest.Wait()
		n.mu.Lock()
		n.rounds.Add(1)
		n.woke = false
		n.catchUp()
		n.progress.Store(int64(n.present))
		n.collect()
		if !n.woke {
			return
		}
	}
}

// enter locks the network for a host that is about to do something, and brings it up to the present:
// what the host does now must not change what happened before.
func (n *Network) enter() {
	n.mu.Lock()
	n.catchUp()
}

// catchUp applies the events that were put off and lie in the past.
func (n *Network) catchUp() {
	now := n.Now()
	if now == n.present {
		return
	}
	n.present = now
	for n.patient.len() > 0 && n.patient.peek().at < now {
		n.applyPatient()
	}
	n.clock = now
}

// due reports whether an event of this instant is left.
func (n *Network) due() bool {
	return n.urgent.len() > 0 && n.urgent.peek().at <= n.clock ||
		n.patient.len() > 0 && n.patient.peek().at <= n.clock
}

// applyDue applies the events of this instant, up to and including the first that wakes a host. It
// reports whether one did.
func (n *Network) applyDue() bool {
	n.woke = false
	for !n.woke {
		urgent := n.urgent.len() > 0 && n.urgent.peek().at <= n.clock
		patient := n.patient.len() > 0 && n.patient.peek().at <= n.clock
		switch {
		case urgent && patient:
			if p := n.patient.peek(); n.urgent.peek().before(p.at, p.step) {
				n.applyUrgent()
			} else {
				n.applyPatient()
			}
		case urgent:
			n.applyUrgent()
		case patient:
			n.applyPatient()
		default:
			return false
		}
	}
	return true
}

func (n *Network) applyUrgent() {
	e := n.urgent.pop()
	n.clock = e.at
	n.apply(&e)
}

func (n *Network) applyPatient() {
	e := n.patient.pop()
	n.caughtUp = stop{at: e.at, step: e.step}
	n.clock = e.at
	n.apply(&e)
}

func (n *Network) apply(e *event) {
	switch e.kind {
	case eventArrive:
		n.arrive(e.pkt)
	case eventTimer:
		e.conn.timerDue(e.at)
	case eventFinish:
		e.conn.finished()
	case eventReadDeadline, eventWriteDeadline, eventUDPDeadline:
		e.waits().due(n, *e)
	case eventDownlink:
		n.land(e.pkt)
	case eventRetry:
		n.retry(e.pkt)
	case eventFunc:
		n.call(e.fn)
	case eventBox:
		e.fn()
	}
}

// call runs a function that may use the network like anybody else.
func (n *Network) call(f func()) {
	n.mu.Unlock()
	f()
	n.mu.Lock()
	n.woke = true // it may have done anything
}

// plan puts an event on the heap for which virtual time stops.
func (n *Network) plan(e event) {
	if e.at < n.present {
		panic(fmt.Sprintf("netsim: step %d: event %d for %v is planned at %v, when it has passed", n.step, e.kind, e.at, n.present))
	}
	n.step++
	e.step = n.step
	n.urgent.push(e)
}

// planPatient puts an event on the heap of those that wake no host. The loop need not stop virtual
// time for it: it is applied, with its own time as the clock, before anything later is. What it
// causes in turn must not lie in the past by then: by is the last moment at which that is certain,
// the event's time and the least delay of whatever it may send. (The same lookahead makes
// conservative parallel simulation possible: Chandy and Misra 1979.)
func (n *Network) planPatient(e event, by time.Duration) {
	n.step++
	e.step = n.step
	n.patient.push(e)
	if by != never {
		n.stops.push(stop{by: by, at: e.at, step: e.step, conn: e.conn})
	}
}

// nextStop is the virtual time at which the loop has to act again if no host acts before. It clears what will have
// no effect then out of its way.
func (n *Network) nextStop() time.Duration {
	at := never
	for n.urgent.len() > 0 {
		s, due := n.urgent.peek().waits(), n.urgent.peek().at
		if s == nil || s.heeds(due) {
			at = due
			break
		}
		s.putOff(n, n.urgent.pop())
	}
	if n.impatient > 0 && n.patient.len() > 0 {
		at = min(at, n.patient.peek().at)
	}
	for n.stops.len() > 0 {
		s := n.stops.peek()
		if s.by >= at {
			break
		}
		applied := s.at < n.caughtUp.at || s.at == n.caughtUp.at && s.step <= n.caughtUp.step
		if applied {
			n.stops.pop()
			continue
		}
		by := s.by
		if s.conn != nil {
			by = s.conn.stopAgain(*s)
		}
		if by == s.by {
			return by
		}
		again := stop{by: by, at: s.at, step: s.step, conn: s.conn}
		n.stops.pop()
		if by != never {
			n.stops.push(again)
		}
	}
	return at
}

// sleepUntil lets virtual time pass, until the given time or until a host acts.
func (n *Network) sleepUntil(at time.Duration) {
	if at <= n.clock {
		return
	}
	n.setTimer(at - n.clock)
	n.mu.Unlock()
	select {
	case <-n.timer.C:
	case <-n.kick:
		n.stopTimer()
	}
	n.mu.Lock()
}

// Schedule has the loop run f at a virtual time since the network began, or at once if that is past.
// It is for the loop's goroutine; hosts use Submit.
func (n *Network) Schedule(at time.Duration, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plan(event{at: max(at, n.clock), kind: eventFunc, fn: f})
}

// action is something that a host did and the loop has yet to take note of. Its key orders the actions
// of one instant.
type action struct {
	key  actionKey
	conn *Conn
	udp  *UDPConn
	fn   func()
	note bool // fn wakes nobody
}

// actionKey is the canonical order: host, kind, rank.
type actionKey struct {
	host uint64 // the host's index and the actionKind
	rank uint64 // orders the actions of one kind on one host
}

type actionKind uint8

const (
	actionFunc actionKind = iota
	actionDial
	actionConn
	actionUDP
)

func keyFor(h *Host, kind actionKind, rank uint64) actionKey {
	return actionKey{uint64(h.index)<<8 | uint64(kind), rank}
}

func (k actionKey) kind() actionKind { return actionKind(k.host) }

func (k actionKey) compare(other actionKey) int {
	if k.host != other.host {
		return cmp.Compare(k.host, other.host)
	}
	return cmp.Compare(k.rank, other.rank)
}

// Submit has the loop run f in this very instant, after all hosts have come to rest. What several
// goroutines submit is run in order of (host, rank), whichever came first; equal ranks of one host
// keep the order in which they came. Any goroutine of the bubble may call it.
func (n *Network) Submit(h *Host, rank uint64, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.submit(action{key: keyFor(h, actionFunc, rank), fn: f})
}

// Note is Submit for what wakes no goroutine of the bubble, as what only takes notes: the loop does not wait for
// hosts to come to rest after it.
func (n *Network) Note(h *Host, rank uint64, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.submit(action{key: keyFor(h, actionFunc, rank), fn: f, note: true})
}

func (n *Network) submit(a action) {
	n.pending = append(n.pending, a)
	if !n.kicked {
		n.kicked = true
		n.kick <- struct{}{} // never blocks: kicked is reset only after the kick was taken
	}
}

// ordered is an action's place in the canonical order.
type ordered struct {
	key   actionKey
	index int32
}

// collect takes what the hosts did since the last round, in canonical order.
func (n *Network) collect() {
	for {
		if n.kicked {
			n.kicked = false
			select {
			case <-n.kick:
			default: // sleepUntil took it
			}
		}
		taken := n.pending
		n.pending = n.spare[:0]
		n.spare = taken
		if len(taken) == 0 {
			return
		}
		n.order = n.order[:0]
		for i := range taken {
			n.order = append(n.order, ordered{taken[i].key, int32(i)})
		}
		slices.SortFunc(n.order, func(a, b ordered) int {
			if c := a.key.compare(b.key); c != 0 {
				return c
			}
			return cmp.Compare(a.index, b.index)
		})
		for _, o := range n.order {
			a := &taken[o.index]
			switch a.key.kind() {
			case actionFunc:
				woke := n.woke
				n.call(a.fn)
				n.woke = woke || !a.note
			case actionDial:
				a.conn.connect()
			case actionConn:
				a.conn.flush()
			case actionUDP:
				a.udp.flush()
			}
			*a = action{}
		}
	}
}
