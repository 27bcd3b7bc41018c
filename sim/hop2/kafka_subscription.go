package hop2

import (
	"context"
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
)

// Subscribe gives a room's log from a cursor.
func (k *Kafka) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 kafka: subscribe: %w", err)
	}
	s := k.reader(room)
	if err := s.agreeOn(ctx, model.Bookmark{Cursor: from}); err != nil {
		return nil, fmt.Errorf("hop2 kafka: subscribe to room %s: %w", room, err)
	}
	return s, nil
}

// reader makes a reader of a room, which must agree on a position.
func (k *Kafka) reader(room string) *kafkaSubscription {
	return &kafkaSubscription{readerEnd: newReaderEnd(k.ctx.Done()), k: k, rm: k.room(room)}
}

// upToDate brings the replica up to date.
func (s *kafkaSubscription) upToDate(ctx context.Context) error {
	return s.k.do(ctx, s.rm, &kafkaCall{room: s.rm.name, answer: make(chan error, 1)})
}

// agreeOn agrees on the position to read from.
func (s *kafkaSubscription) agreeOn(ctx context.Context, from model.Bookmark) error {
	return s.k.insist(ctx, func() error {
		if err := s.upToDate(ctx); err != nil {
			return err
		}
		s.rm.mu.Lock()
		defer s.rm.mu.Unlock()
		at, why := agree(from.Cursor, s.rm.log.page())
		anchor := s.rm.log.anchor(at.Seq)
		if why == "" && replaced(from.Anchor, anchor) {
			why = whyAnother(from, anchor)
		}
		s.start, s.at = Start{Cursor: at, Gap: why, Anchor: anchor}, model.Bookmark{Cursor: at, Anchor: anchor}
		return nil
	})
}

// kafkaSubscription is one reader of a room's replica, which is its inbox: a reader that is slower than
// [Config].History messages has lost some. It has no goroutine: Next does the work.
type kafkaSubscription struct {
	readerEnd
	k     *Kafka
	rm    *kafkaRoom
	start Start

	// The reader's.
	at       model.Bookmark
	loading  chan error // the answer to the call to load the replica; nil if there is none
	retry    time.Time  // when to call again, if it failed
	failures int        // in a row
}

// Start is what was agreed.
func (s *kafkaSubscription) Start() Start { return s.start }

// Unsubscribe ends the subscription. The replica stays.
func (s *kafkaSubscription) Unsubscribe() { s.end(ErrClosed) }

// Next blocks until there is a batch.
func (s *kafkaSubscription) Next(ctx context.Context) (Batch, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		if err := s.ended(ctx); err != nil {
			return Batch{}, err
		}
		b, loaded, changed := s.take()
		if b != nil {
			return *b, nil
		}
		var timer <-chan time.Time
		if now := time.Now(); !loaded && s.loading == nil {
			if now.Before(s.retry) {
				t.Reset(s.retry.Sub(now))
				timer = t.C
			} else {
				c := &kafkaCall{room: s.rm.name, answer: make(chan error, 1)}
				s.loading = c.answer
				s.k.put(c)
			}
		}
		select {
		case err := <-s.loading:
			s.loading = nil
			switch {
			case err == nil:
				s.failures = 0
			case kafkaPermanent(err):
				return Batch{}, fmt.Errorf("hop2 kafka: read room %s: %w", s.rm.name, err)
			default:
				s.failures++
				s.retry = time.Now().Add(s.k.cfg.backoff(s.failures))
			}
		case <-timer:
		case <-changed:
		case <-s.closed:
		case <-s.strategy:
		case <-ctx.Done():
		}
	}
}

// take gives the batch that the replica has; nil if it has none, or is not loaded.
func (s *kafkaSubscription) take() (b *Batch, loaded bool, changed chan struct{}) {
	rm := s.rm
	rm.mu.Lock()
	defer rm.mu.Unlock()
	if !rm.loaded {
		return nil, false, rm.changed
	}
	p := rm.log.page()
	to, why := agree(s.at.Cursor, p)
	anchor := rm.log.anchor(to.Seq)
	if why == "" && replaced(s.at.Anchor, anchor) {
		why = whyAnother(s.at, anchor)
	}
	switch {
	case why != "":
		b = &Batch{Gap: &Gap{From: s.at.Cursor, To: to, Anchor: anchor, Why: why}, Cursor: to}
	case to.Seq < p.last:
		messages := rm.log.after(to.Seq)
		b = &Batch{Messages: messages[:len(messages):len(messages)], Cursor: model.Cursor{Epoch: p.epoch, Seq: p.last}}
	default:
		return nil, true, rm.changed
	}
	s.at = model.Bookmark{Cursor: b.Cursor, Anchor: rm.log.anchor(b.Cursor.Seq)}
	return b, true, rm.changed
}
