package hop2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
)

// lossyHost is a strategy without a log, as its subscriptions see it.
type lossyHost interface {
	label() string
	config() *Config
	// done is closed when the strategy is.
	done() <-chan struct{}
	leave(room string, s liveReader)
	// askCount has the end of a room announced to everybody who listens, in order with the room's
	// messages, unless it is known already. The answer, which says where it is, and which message is where the asker
	// is, may come before or after the announcement.
	askCount(room string, known model.Bookmark) <-chan answer
	insist(ctx context.Context, attempt func() error) error
}

// lossySubscription is one reader of a room without a log. It has no goroutine: Next does the work.
type lossySubscription struct {
	readerEnd
	host  lossyHost
	room  string
	start Start
	inbox inbox[liveItem]

	// The reader's.
	follow     follow
	suspicious bool           // messages may have been lost
	asking     <-chan answer  // the count is being asked for; nil if it is not
	asked      model.Bookmark // where the reader was when it asked
	torn       bool           // as merge has it, until a question has been answered
	reanswer   bool           // the one that is being asked will do
	held       []liveItem     // what has come since
	check      time.Time      // when to ask for the count next, if nothing happens before
	failures   int            // questions that failed in a row
}

func newLossy(host lossyHost, room string) *lossySubscription {
	return &lossySubscription{
		readerEnd: newReaderEnd(host.done()), host: host, room: room, inbox: newInbox[liveItem](host.config().Inbox),
	}
}

func (s *lossySubscription) live() *inbox[liveItem] { return &s.inbox }

// Start is what was agreed.
func (s *lossySubscription) Start() Start { return s.start }

// Unsubscribe ends the subscription.
func (s *lossySubscription) Unsubscribe() {
	if s.end(ErrClosed) {
		s.host.leave(s.room, s)
	}
}

// begin agrees on the position: where the stream of live messages is when the count has come over it that
// was asked for. The answer alone would not do, as it may be ahead of the stream.
func (s *lossySubscription) begin(ctx context.Context, from model.Cursor) error {
	var rest []liveItem
	err := s.host.insist(ctx, func() error {
		attempt, cancel := context.WithTimeout(ctx, s.host.config().Timeout)
		defer cancel()
		s.inbox.trust()
		end, err := s.count(attempt)
		if err == nil {
			rest, err = s.await(attempt, end)
		}
		if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the end of room %s was not announced within %v", s.room, s.host.config().Timeout)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.start = Start{Cursor: s.follow.at, Gap: agreeAtEnd(from, s.follow.at), Anchor: s.follow.id}
	for _, item := range rest {
		s.follow.take(item)
	}
	s.check = time.Now().Add(s.host.config().CheckEvery)
	return nil
}

// count asks where the room's end is.
func (s *lossySubscription) count(ctx context.Context) (end model.Bookmark, err error) {
	select {
	case a := <-s.host.askCount(s.room, model.Bookmark{}):
		if a.err == nil {
			end, _, a.err = decodeCount(a.fields)
		}
		return end, a.err
	case <-s.strategy:
		return end, ErrClosed
	case <-ctx.Done():
		return end, ctx.Err()
	}
}

// await drops what comes live until the stream has come to an end that was announced, and gives what came
// with it.
func (s *lossySubscription) await(ctx context.Context, end model.Bookmark) (rest []liveItem, err error) {
	for {
		items, _ := s.inbox.take()
		for i, item := range items {
			if item.at.Epoch != end.Cursor.Epoch || item.at.Seq < end.Cursor.Seq {
				continue
			}
			s.follow.at = item.at
			if item.message != nil { // it is beyond the end, or the last before it
				s.follow.at.Seq = max(end.Cursor.Seq, item.at.Seq-1)
			}
			if s.follow.at == end.Cursor {
				s.follow.id = end.Anchor
			}
			return items[i:], nil
		}
		select {
		case <-s.inbox.wake:
		case <-s.strategy:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Next blocks until there is a batch.
func (s *lossySubscription) Next(ctx context.Context) (Batch, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		if err := s.ended(ctx); err != nil {
			return Batch{}, err
		}
		s.collect()
		if b, ok := s.follow.pop(); ok {
			return b, nil
		}
		if now := time.Now(); s.asking == nil && (s.suspicious && s.failures == 0 || !now.Before(s.check)) {
			s.suspicious = false
			s.asked, s.reanswer = s.follow.bookmark(), s.torn
			s.asking = s.host.askCount(s.room, s.asked)
		}
		var timer <-chan time.Time
		if s.asking == nil {
			t.Reset(time.Until(s.check))
			timer = t.C
		}
		select {
		case a := <-s.asking:
			if err := s.answered(a); err != nil {
				return Batch{}, err
			}
		case <-timer:
		case <-s.inbox.wake:
		case <-s.closed:
		case <-s.strategy:
		case <-ctx.Done():
		}
	}
}

// collect takes what came live. Whatever it was, the room was not silent.
func (s *lossySubscription) collect() {
	items, after, torn, doubt := s.inbox.takeTorn()
	s.takeAll(items)
	if torn {
		s.torn, s.reanswer = true, false
	}
	s.takeAll(after)
	s.suspicious = s.suspicious || doubt
	if len(items)+len(after) > 0 && s.failures == 0 {
		s.check = time.Now().Add(s.host.config().CheckEvery)
	}
}

// takeAll takes what came live, or holds it back as long as it may be of another log. What is more than the inbox
// would hold is lost, and the next item will say so.
func (s *lossySubscription) takeAll(items []liveItem) {
	for _, item := range items {
		switch {
		case !s.torn:
			s.follow.take(item)
		case len(s.held) < s.inbox.limit:
			s.held = append(s.held, item)
		}
	}
}

// answered takes that a question for the count was answered; the count itself comes live, but not which message is
// where the reader was: if that is another than it had there, the room's log is another. It fails if
// asking again would not help.
func (s *lossySubscription) answered(a answer) error {
	s.asking = nil
	var end model.Bookmark
	anchor, err := "", a.err
	if err == nil {
		end, anchor, err = decodeCount(a.fields)
	}
	if err == nil {
		switch at := s.asked.Cursor; {
		case at.Epoch == end.Cursor.Epoch && replaced(s.asked.Anchor, anchor):
			s.follow.another(s.asked, anchor)
		case s.follow.at == end.Cursor && s.follow.id == "":
			s.follow.id = end.Anchor
		}
		if s.reanswer {
			held := s.held
			s.torn, s.reanswer, s.held = false, false, nil
			s.takeAll(held)
		}
		s.failures = 0
		s.check = time.Now().Add(s.host.config().CheckEvery)
		return nil
	}
	if permanent(err) {
		return fmt.Errorf("hop2 %s: the end of room %s: %w", s.host.label(), s.room, err)
	}
	s.suspicious = true
	s.failures++
	s.check = time.Now().Add(s.host.config().backoff(s.failures))
	return nil
}
