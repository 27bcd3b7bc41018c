package hop2

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
)

// redisSubscription is one reader of a stream. It has no goroutine: Next does the work.
type redisSubscription struct {
	r      *Redis
	room   string
	start  Start
	inbox  inbox[liveItem]
	closed chan struct{}
	once   sync.Once

	// The reader's.
	merge    merge
	reading  *call     // the read of the log under way; nil if there is none
	check    time.Time // when to read the log next, if nothing happens before
	failures int       // reads that failed in a row
}

func (s *redisSubscription) live() *inbox[liveItem] { return &s.inbox }

// Start is what was agreed.
func (s *redisSubscription) Start() Start { return s.start }

// Unsubscribe ends the subscription.
func (s *redisSubscription) Unsubscribe() {
	s.once.Do(func() {
		close(s.closed)
		s.r.leave(s.room, s)
	})
}

// begin agrees on the position, with one look at the log.
func (s *redisSubscription) begin(ctx context.Context, from model.Cursor) error {
	var p page
	err := s.r.insist(ctx, func() error {
		s.inbox.trust()
		fields, err := s.r.do(ctx, s.r.readCall(s.room, from, model.Cursor{}))
		if err == nil {
			p, err = decodePage(s.room, fields)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.start.Cursor, s.start.Gap = agree(from, p)
	s.merge = merge{at: s.start.Cursor, limit: s.r.cfg.Inbox}
	s.merge.ask()
	s.merge.page(p)
	s.check = time.Now().Add(s.r.cfg.CheckEvery)
	return nil
}

// Next blocks until there is a batch.
func (s *redisSubscription) Next(ctx context.Context) (Batch, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		if err := subscriptionEnded(ctx, s.closed, s.r.ctx.Done()); err != nil {
			return Batch{}, err
		}
		s.collect()
		if b, ok := s.merge.pop(); ok {
			if s.failures == 0 { // else it says when to try again
				s.check = time.Now().Add(s.r.cfg.CheckEvery)
			}
			return b, nil
		}
		s.readIfDue()

		var answered chan answer
		var timer <-chan time.Time
		if s.reading != nil {
			answered = s.reading.answer
		} else {
			t.Reset(time.Until(s.check))
			timer = t.C
		}
		select {
		case a := <-answered:
			if err := s.takeAnswer(a); err != nil {
				return Batch{}, err
			}
		case <-timer:
		case <-s.inbox.wake:
		case <-s.closed:
		case <-s.r.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// collect takes what came live.
func (s *redisSubscription) collect() {
	items, doubt := s.inbox.take()
	for _, item := range items {
		if item.message != nil { // a count says nothing that the log does not
			s.merge.live(item.at.Epoch, *item.message)
		}
	}
	if doubt {
		s.merge.suspect()
	}
}

// readIfDue begins to read the log if there is reason to: at once on a sign of a loss, unless the last
// read failed, and after a silence.
func (s *redisSubscription) readIfDue() {
	now := time.Now()
	if s.reading != nil || now.Before(s.check) && (s.failures > 0 || !s.merge.wants()) {
		return
	}
	var known model.Cursor
	if !s.merge.wants() { // a look at where the log ends will most likely do
		known = s.merge.at
	}
	s.reading = s.r.readCall(s.room, s.merge.ask(), known)
	s.r.calls.put(s.reading)
}

// takeAnswer takes the log's page. It fails if trying again would not cure it.
func (s *redisSubscription) takeAnswer(a answer) error {
	s.reading = nil
	p, err := page{}, a.err
	if err == nil {
		p, err = decodePage(s.room, a.fields)
	}
	if err == nil {
		s.failures = 0
		s.merge.page(p)
		s.check = time.Now().Add(s.r.cfg.CheckEvery)
		return nil
	}
	s.merge.failed()
	if permanent(err) {
		return fmt.Errorf("hop2 redis-streams: read room %s: %w", s.room, err)
	}
	s.failures++
	s.check = time.Now().Add(s.r.cfg.backoff(s.failures))
	return nil
}
