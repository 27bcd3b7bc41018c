package hop2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
)

// streamedSubscription is one reader. It has no goroutine: Next does the work.
type streamedSubscription struct {
	on     *streamed
	room   string
	start  Start
	wake   chan struct{} // has an element if the inbox changed since the reader last looked
	closed chan struct{}
	once   sync.Once
	why    error // set before closed is closed

	// The reader's.
	merge    merge
	reading  *pending  // the read of the log under way; nil if there is none
	check    time.Time // when to read the log next, if nothing happens before
	failures int       // reads that failed in a row

	mu    sync.Mutex
	inbox []liveItem
	doubt bool // live messages may have been lost
}

// Start is what was agreed.
func (s *streamedSubscription) Start() Start { return s.start }

// Unsubscribe ends the subscription.
func (s *streamedSubscription) Unsubscribe() {
	s.end(ErrClosed)
	s.on.leave(s)
}

// end ends the subscription for a reason, unless it has ended. It does not block.
func (s *streamedSubscription) end(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.closed)
	})
}

// begin agrees on the position, with one look at the log.
func (s *streamedSubscription) begin(ctx context.Context, from model.Cursor) error {
	reply, err := s.on.log.insist(ctx, s.on.readOp(s.room, from))
	if err != nil {
		return err
	}
	p := pageOf(s.room, reply.Page)
	s.start.Cursor, s.start.Gap = agree(from, p)
	s.merge = merge{at: s.start.Cursor, limit: s.on.conf.Inbox}
	s.merge.ask()
	s.merge.page(p)
	s.check = time.Now().Add(s.on.conf.CheckEvery)
	return nil
}

// Next blocks until there is a batch.
func (s *streamedSubscription) Next(ctx context.Context) (Batch, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		if err := s.ended(ctx); err != nil {
			return Batch{}, err
		}
		s.collect()
		if b, ok := s.merge.pop(); ok {
			if s.failures == 0 { // else it says when to try again
				s.check = time.Now().Add(s.on.conf.CheckEvery)
			}
			return b, nil
		}
		s.readIfDue()

		var answered chan result
		var timer <-chan time.Time
		if s.reading != nil {
			answered = s.reading.answer
		} else {
			t.Reset(time.Until(s.check))
			timer = t.C
		}
		select {
		case a := <-answered:
			if err := s.take(a); err != nil {
				return Batch{}, err
			}
		case <-timer:
		case <-s.wake:
		case <-s.closed:
		case <-s.on.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// ended gives the error that Next must fail with, if any.
func (s *streamedSubscription) ended(ctx context.Context) error {
	select {
	case <-s.closed:
		return s.why
	case <-s.on.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// collect takes what came live.
func (s *streamedSubscription) collect() {
	s.mu.Lock()
	inbox, doubt := s.inbox, s.doubt
	s.inbox, s.doubt = nil, false
	s.mu.Unlock()
	for _, item := range inbox {
		s.merge.live(item.at.Epoch, *item.message)
	}
	if doubt {
		s.merge.suspect()
	}
}

// readIfDue begins to read the log if there is reason to: at once on a sign of a loss, unless the last
// read failed, and after a silence.
func (s *streamedSubscription) readIfDue() {
	now := time.Now()
	if s.reading != nil || now.Before(s.check) && (s.failures > 0 || !s.merge.wants()) {
		return
	}
	s.reading = newPending(s.on.readOp(s.room, s.merge.ask()))
	s.on.log.ops.put(s.reading)
}

// take takes the log's page. It fails if trying again would not cure it.
func (s *streamedSubscription) take(a result) error {
	s.reading = nil
	if a.err == nil {
		s.failures = 0
		s.merge.page(pageOf(s.room, a.Page))
		s.check = time.Now().Add(s.on.conf.CheckEvery)
		return nil
	}
	s.merge.failed()
	if errors.Is(a.err, errReply) {
		return fmt.Errorf("hop2 %s: read room %s: %w", s.on.label, s.room, a.err)
	}
	s.failures++
	s.check = time.Now().Add(s.on.conf.backoff(s.failures))
	return nil
}

// push adds a live message. One too many is dropped: the log has it.
func (s *streamedSubscription) push(item liveItem) {
	s.mu.Lock()
	if len(s.inbox) < s.on.conf.Inbox {
		s.inbox = append(s.inbox, item)
	} else {
		s.doubt = true
	}
	s.mu.Unlock()
	s.poke()
}

// suspect says that live messages may have been lost.
func (s *streamedSubscription) suspect() {
	s.mu.Lock()
	s.doubt = true
	s.mu.Unlock()
	s.poke()
}

func (s *streamedSubscription) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
