package netsim

import (
	"sync"
	"time"
)

// side is the waiting of one direction of a connection or socket, with its deadline. It is guarded by
// net.mu.
type side struct {
	cond     sync.Cond
	waiting  int
	deadline time.Duration // since the network began; 0 means none, expired that it had passed when set
	planned  time.Duration // when the loop will look at the deadline; 0 means it will not
}

const expired = time.Duration(-1)

// pastDeadline reports whether the deadline has passed.
func (s *side) pastDeadline(n *Network) bool {
	return s.deadline != 0 && (s.deadline == expired || n.Now() >= s.deadline)
}

// set sets the deadline; the zero time means none. Those who wait look at it, and wait again.
func (s *side) set(n *Network, t time.Time) {
	switch {
	case t.IsZero():
		s.deadline = 0
	case !t.After(time.Now()):
		s.deadline = expired
	default:
		s.deadline = t.Sub(n.begin)
	}
	if s.waiting > 0 {
		s.cond.Broadcast()
	}
}

// wait waits for a wake-up. If needsPlan says so, the loop must be told before.
func (s *side) wait() {
	s.waiting++
	s.cond.Wait()
	s.waiting--
}

// needsPlan reports whether the loop does not know of a deadline that somebody is about to wait for.
func (s *side) needsPlan() bool {
	return s.deadline > 0 && (s.planned == 0 || s.planned > s.deadline)
}

// plan has the loop look at the deadline when it is due, if somebody waits for it. The event says
// whose it is.
func (s *side) plan(n *Network, e event) {
	if s.waiting > 0 && s.needsPlan() {
		s.planned = s.deadline
		e.at = s.deadline
		n.plan(e)
	}
}

// due wakes those who have waited until the deadline, or plans it again if it has moved since.
func (s *side) due(n *Network, e event) {
	if s.heeds(e.at) {
		s.planned = 0
		s.wake(n)
		return
	}
	s.putOff(n, e)
}

// heeds reports whether the look that is planned for a time will find somebody who has waited until the deadline, if
// nothing happens before.
func (s *side) heeds(at time.Duration) bool {
	return at == s.planned && s.waiting > 0 && s.deadline != 0 && s.deadline <= at // including expired
}

// putOff takes a look that need not be taken out of the plan, and plans a later one if the deadline has moved.
func (s *side) putOff(n *Network, e event) {
	if e.at != s.planned {
		return // an earlier look has taken over
	}
	s.planned = 0
	if s.deadline != 0 {
		s.plan(n, e)
	}
}

// wake is the loop's: those who wait can go on.
func (s *side) wake(n *Network) {
	s.cond.Broadcast()
	n.woke = true
}
