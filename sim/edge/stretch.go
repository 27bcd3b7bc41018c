package edge

import "github.com/twohop/twohop/model"

// stretch is an unbroken piece of a room's log, of which it keeps the latest messages. All clients of
// the room read the same stretch; a gap ends it and begins the next. The room's lock guards it.
//
// Invariant: the messages kept are the latest of those of epoch after from and up to last, without a
// hole.
type stretch struct {
	epoch string
	from  uint64          // where it begins
	first *model.Message  // the message there; nil if it is not known
	stamp string          // stands for its ID then; see hop1.Start
	last  uint64          // Seq of the newest message that was in the log
	msgs  []model.Message // the latest of them
	keep  int             // how many to keep at most

	changed chan struct{} // closed, and replaced, at every change
	ended   bool          // nothing will be appended any more
	next    *stretch      // what goes on after a gap; nil if nothing does, or not yet
	why     string        // the gap before this stretch

	digest *digest // nil unless slow consumers are to be given the latest of each key
}

// newStretch begins one after a message, which is nil if it is not known; then a stamp, which no other stretch
// of the room has, stands for its ID.
func newStretch(at model.Cursor, first *model.Message, stamp string, keep int) *stretch {
	return &stretch{epoch: at.Epoch, from: at.Seq, last: at.Seq, first: first, stamp: stamp, keep: keep, changed: make(chan struct{})}
}

// start is where the stretch begins.
func (s *stretch) start() model.Cursor { return model.Cursor{Epoch: s.epoch, Seq: s.from} }

// position is the end of the stretch.
func (s *stretch) position() model.Cursor { return model.Cursor{Epoch: s.epoch, Seq: s.last} }

// append adds messages, which continue the stretch, and wakes those who wait.
func (s *stretch) append(msgs []model.Message) {
	if s.digest != nil {
		s.digest.add(msgs)
	}
	s.msgs = append(s.msgs, msgs...)
	s.last = msgs[len(msgs)-1].Seq
	if drop := len(s.msgs) - s.keep; drop > 0 {
		// Readers may hold views of the same array, so nothing of it is overwritten. When it is full,
		// append copies what is kept to a new one.
		s.msgs = s.msgs[drop:]
	}
	s.wake()
}

// end says that nothing will be appended any more. What goes on after a gap is next, nil if nothing does.
func (s *stretch) end(next *stretch) {
	s.ended, s.next = true, next
	s.wake()
}

func (s *stretch) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// rest is how many messages of the stretch come after seq, which may be ahead of it.
func (s *stretch) rest(seq uint64) uint64 {
	if seq >= s.last {
		return 0
	}
	return s.last - seq
}

// lag is how far behind a client at seq is: the messages to come in this stretch and those after it,
// and the gaps between, which it must be told of too.
func (s *stretch) lag(seq uint64) uint64 {
	lag := s.rest(seq)
	for n := s.next; n != nil; n = n.next {
		lag += 1 + n.rest(n.from)
	}
	return lag
}

// anchor gives the ID of the message at a position, or what stands for it; "" if neither is known.
func (s *stretch) anchor(at uint64) string {
	switch kept := uint64(len(s.msgs)); {
	case at == 0 || at < s.from || at > s.last:
		return ""
	case s.last-at < kept:
		return s.msgs[kept-1-(s.last-at)].ID
	case at > s.from:
		return ""
	case s.first != nil:
		return s.first.ID
	default:
		return s.stamp
	}
}

// since gives the messages after seq; false if they are not all kept. The slice is shared and not to be
// changed; it has no spare capacity, so that appending to it copies it.
func (s *stretch) since(seq uint64) ([]model.Message, bool) {
	n := s.rest(seq)
	if n > uint64(len(s.msgs)) {
		return nil, false
	}
	end := len(s.msgs)
	return s.msgs[end-int(n) : end : end], true
}
