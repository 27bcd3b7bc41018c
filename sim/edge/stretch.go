package edge

import "github.com/twohop/twohop/model"

// stretch is an unbroken piece of a room's log, of which it keeps the latest messages. All clients of
// the room read the same stretch; a gap begins a new one. The room's lock guards it.
//
// Invariant: the messages kept are those of epoch from first to last, without a hole.
type stretch struct {
	epoch string
	last  uint64          // Seq of the newest message that was in the log
	msgs  []model.Message // the latest of them
	keep  int             // how many to keep at most

	changed chan struct{} // closed, and replaced, at every change
	ended   bool          // nothing will be appended any more
}

func newStretch(at model.Cursor, keep int) *stretch {
	return &stretch{epoch: at.Epoch, last: at.Seq, keep: keep, changed: make(chan struct{})}
}

// position is the end of the stretch.
func (s *stretch) position() model.Cursor { return model.Cursor{Epoch: s.epoch, Seq: s.last} }

// append adds messages, which continue the stretch, and wakes those who wait.
func (s *stretch) append(msgs []model.Message) {
	s.msgs = append(s.msgs, msgs...)
	s.last = msgs[len(msgs)-1].Seq
	if drop := len(s.msgs) - s.keep; drop > 0 {
		// Readers may hold views of the same array, so nothing of it is overwritten. When it is full,
		// append copies what is kept to a new one.
		s.msgs = s.msgs[drop:]
	}
	s.wake()
}

// end says that nothing will be appended any more.
func (s *stretch) end() {
	s.ended = true
	s.wake()
}

func (s *stretch) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// lag is how many messages of the stretch come after seq, which may be ahead of it.
func (s *stretch) lag(seq uint64) uint64 {
	if seq >= s.last {
		return 0
	}
	return s.last - seq
}

// since gives the messages after seq; false if they are not all kept. The slice is shared and not to be
// changed.
func (s *stretch) since(seq uint64) ([]model.Message, bool) {
	n := s.lag(seq)
	if n > uint64(len(s.msgs)) {
		return nil, false
	}
	end := len(s.msgs)
	return s.msgs[end-int(n) : end : end], true
}
