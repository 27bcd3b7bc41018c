package edge

import "slices"

// A client has no queue of its own: what it has not got is kept by its room, once for all. How many messages
// that are is counted here, not concluded from the limits.

// Held tells the most messages that were ever kept for a client which had not got them, and how many may be
// kept: as many as [Config]'s History, or one more than its QueueLimit if that is larger.
func (s *Server) Held() (most, bound int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	most = s.held
	for _, rm := range s.rooms {
		_, held := rm.greatest()
		most = max(most, held)
	}
	return most, s.bound()
}

// bound is how many messages a stretch keeps: one more than a client may be behind, as the one that it has is its
// anchor.
func (s *Server) bound() int { return max(s.cfg.History, s.cfg.QueueLimit+1) }

// trimPast has the stretches before the present one keep no more than all may together. What is given up is only
// for clients that are too far behind: each gap on their way counts as a message. The room's lock is held.
func (rm *room) trimPast() {
	left := rm.now.keep - rm.now.length()
	for i := len(rm.past) - 1; i >= 0; i-- {
		s := rm.past[i]
		left--
		s.trim(max(left, 0))
		if left -= s.length(); left > 0 {
			continue
		}
		for _, older := range rm.past[:i] {
			older.trim(0)
		}
		rm.past = slices.Delete(rm.past, 0, i)
		return
	}
}

// length is how many messages the stretch had, kept or not.
func (s *stretch) length() int { return int(s.last - s.from) }

// trim gives up all messages but the latest.
func (s *stretch) trim(keep int) {
	if drop := len(s.msgs) - keep; drop > 0 {
		s.msgs = s.msgs[drop:]
	}
}

// held is how many messages are kept that come after seq, in this stretch and those after it.
func (s *stretch) held(seq uint64) uint64 {
	held := min(s.rest(seq), uint64(len(s.msgs)))
	for n := s.next; n != nil; n = n.next {
		held += uint64(len(n.msgs))
	}
	return held
}

// overflows tells whether a client is too far behind.
func (s *Server) overflows(lag uint64) bool {
	return lag > uint64(s.cfg.QueueLimit) && s.cfg.Mutant != Unbounded
}
