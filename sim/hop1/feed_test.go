package hop1

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
)

// memFeed is a Feed over logs in memory, with knobs for what goes wrong on real ones.
type memFeed struct {
	mu      sync.Mutex
	rooms   map[string]*memLog
	changed chan struct{} // closed and replaced whenever a subscription may have news
	openErr error
	asked   []model.Cursor // of every Open
	open    int            // subscriptions not yet closed
	closed  int
	broken  error // ends every subscription that was open when it was set
	life    int   // counts calls of fail
	tamper  func([]model.Message) []model.Message
	gap     *Gap // met by every subscription that is behind it
}

type memLog struct {
	epoch string
	first uint64 // the first message still held
	msgs  []model.Message

	trimmed string // the ID of the message before first, if that is remembered
}

// id is that of the message at a position; "" if it is not held.
func (l *memLog) id(seq uint64) string {
	if seq < l.first || seq-l.first >= uint64(len(l.msgs)) {
		return ""
	}
	return l.msgs[seq-l.first].ID
}

func newMemFeed() *memFeed {
	return &memFeed{rooms: map[string]*memLog{"r": {epoch: "e1", first: 1}}, changed: make(chan struct{})}
}

func (f *memFeed) touch() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// publish appends n messages, with IDs "m1", "m2" and so on by position.
func (f *memFeed) publish(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.rooms["r"]
	for range n {
		seq := l.first + uint64(len(l.msgs))
		id := fmt.Sprintf("m%d", seq)
		l.msgs = append(l.msgs, model.Message{Room: "r", Seq: seq, ID: id, Publisher: "p", Body: []byte("body of " + id)})
	}
	f.touch()
}

// fail ends the present subscriptions with err; later ones live.
func (f *memFeed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
	f.life++
	f.touch()
}

// edit changes the room's log in any way.
func (f *memFeed) edit(change func(*memLog)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.rooms["r"])
	f.touch()
}

func (f *memFeed) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// subscriptions tells how many are open, and were closed.
func (f *memFeed) subscriptions() (open, closed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open, f.closed
}

func (f *memFeed) cursors() []model.Cursor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]model.Cursor(nil), f.asked...)
}

func (f *memFeed) Open(_ context.Context, room string, from model.Cursor) (Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, from)
	l := f.rooms[room]
	if f.openErr != nil {
		return nil, f.openErr
	}
	if l == nil {
		return nil, fmt.Errorf("room %q: %w", room, ErrNoRoom)
	}
	end := l.first + uint64(len(l.msgs)) - 1
	s := &memSub{f: f, l: l, life: f.life, next: end + 1, gone: make(chan struct{})}
	s.start = Start{Cursor: model.Cursor{Epoch: l.epoch, Seq: end}, Anchor: l.id(end)}
	switch {
	case from.IsZero():
	case f.gap != nil && (f.gap.To.Epoch != from.Epoch || f.gap.To.Seq > from.Seq):
		s.start = Start{Cursor: f.gap.To, Anchor: f.gap.Anchor, Gap: f.gap.Why}
		s.next = f.gap.To.Seq + 1
	case from.Epoch != l.epoch:
		s.start.Gap = "another epoch"
	case from.Seq > end || from.Seq+1 < l.first:
		s.start.Gap = "out of history"
	case from.Seq+1 == l.first && from.Seq > 0:
		s.start = Start{Cursor: from, Resumed: true, Anchorless: true, Anchor: l.trimmed}
		s.next = from.Seq + 1
	default:
		s.start = Start{Cursor: from, Resumed: true, Anchor: l.id(from.Seq)}
		s.next = max(from.Seq, 1)
	}
	s.epoch = s.start.Cursor.Epoch
	f.open++
	return s, nil
}

type memSub struct {
	f     *memFeed
	l     *memLog
	start Start
	epoch string
	next  uint64
	life  int
	once  sync.Once
	gone  chan struct{}
}

func (s *memSub) Start() Start { return s.start }

func (s *memSub) Next(ctx context.Context, tick <-chan time.Time) (Batch, error) {
	for {
		b, changed, err := s.poll()
		if err != nil || len(b.Messages) > 0 || b.Gap != nil {
			return b, err
		}
		select {
		case <-changed:
		case <-s.gone:
			return Batch{}, ErrClosed
		case <-tick:
			return Batch{}, nil
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

func (s *memSub) poll() (Batch, <-chan struct{}, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.life != s.f.life {
		return Batch{}, nil, s.f.broken
	}
	if g := s.f.gap; g != nil && (g.To.Epoch != s.epoch || g.To.Seq >= s.next) {
		s.epoch, s.next = g.To.Epoch, g.To.Seq+1
		return Batch{Gap: g}, nil, nil
	}
	if s.epoch != s.l.epoch || s.next < s.l.first || s.next >= s.l.first+uint64(len(s.l.msgs)) {
		return Batch{}, s.f.changed, nil
	}
	msgs := append([]model.Message(nil), s.l.msgs[s.next-s.l.first:]...)
	s.next += uint64(len(msgs))
	if s.f.tamper != nil {
		msgs = s.f.tamper(msgs)
	}
	return Batch{Messages: msgs}, s.f.changed, nil
}

func (s *memSub) Close() {
	s.once.Do(func() {
		close(s.gone)
		s.f.mu.Lock()
		defer s.f.mu.Unlock()
		s.f.open--
		s.f.closed++
	})
}
