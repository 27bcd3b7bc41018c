package hop2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
)

// pullSubscription is one reader. It has no goroutine: Next does the work.
type pullSubscription struct {
	p      *Pull
	room   string
	start  Start
	closed chan struct{}
	once   sync.Once

	// The reader's.
	merge    merge
	reading  *pending  // the read under way; nil if there is none
	due      time.Time // when to read next, unless there is more to be had at once
	failures int       // reads that failed in a row
}

// Start is what was agreed.
func (s *pullSubscription) Start() Start { return s.start }

// Unsubscribe ends the subscription.
func (s *pullSubscription) Unsubscribe() { s.once.Do(func() { close(s.closed) }) }

// begin agrees on the position.
func (s *pullSubscription) begin(from model.Cursor, p page) {
	s.start.Cursor, s.start.Gap = agree(from, p)
	s.merge = merge{at: s.start.Cursor}
	s.merge.ask()
	s.merge.page(p)
	s.due = time.Now().Add(s.p.cfg.Interval)
}

// Next blocks until there is a batch.
func (s *pullSubscription) Next(ctx context.Context) (Batch, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		if err := subscriptionEnded(ctx, s.closed, s.p.ctx.Done()); err != nil {
			return Batch{}, err
		}
		if b, ok := s.merge.pop(); ok {
			return b, nil
		}
		s.readIfDue()
		var answered chan result
		var timer <-chan time.Time
		if s.reading != nil {
			answered = s.reading.answer
		} else {
			t.Reset(time.Until(s.due))
			timer = t.C
		}
		select {
		case r := <-answered:
			if err := s.take(r); err != nil {
				return Batch{}, err
			}
		case <-timer:
		case <-s.closed:
		case <-s.p.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// readIfDue begins to read if it is time to, or if the last page was full.
func (s *pullSubscription) readIfDue() {
	now := time.Now()
	if s.reading != nil || now.Before(s.due) && (s.failures > 0 || !s.merge.wants()) {
		return
	}
	// The next poll is an interval after this one was due, not after it is answered, so that the load
	// does not depend on how fast the store is; what a slow reader missed is not made up for. To read on after a
	// full page is no poll, and puts none off.
	if !now.Before(s.due) {
		if s.due = s.due.Add(s.p.cfg.Interval); !s.due.After(now) {
			s.due = now.Add(s.p.cfg.Interval)
		}
	}
	s.reading = newPending(s.p.readOp(s.room, s.merge.ask()))
	s.p.ops.put(s.reading)
}

// take takes a page. It fails if trying again would not help.
func (s *pullSubscription) take(r result) error {
	s.reading = nil
	if r.err == nil {
		s.failures = 0
		s.merge.page(pageOf(s.room, r.Page))
		return nil
	}
	s.merge.failed()
	if errors.Is(r.err, errReply) {
		return fmt.Errorf("hop2 pull: read room %s: %w", s.room, r.err)
	}
	s.failures++
	s.due = time.Now().Add(s.p.cfg.backoff(s.failures))
	return nil
}
