package hop2

import (
	"context"
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
)

// roomLog is where a logReader has its room's log from. A is what comes of one read.
type roomLog[A any] struct {
	// label is the strategy's name, and conf its configuration.
	label string
	conf  *Config
	done  <-chan struct{} // closed when the strategy is
	// every is how long after it last heard of the log a reader reads it. If steady, reads are as far apart
	// instead, whatever comes of them.
	every  time.Duration
	steady bool
	// together, unless zero, has the readers of all rooms read at common times, half of every apart and counted from
	// it, so that a batch of requests has several; a silence is then believed for more than half of every.
	together time.Time
	// read begins to read after from; the answer may be no more than where the log ends, if that is at known, with the
	// same message there.
	read func(room string, from model.Cursor, known model.Bookmark) <-chan A
	// decode gives the page that came of it. If the error is permanent, reading again would not cure it.
	decode func(room string, a A) (page, error)
}

// next is when a reader that has heard of its log now reads it, if nothing happens before.
func (l *roomLog[A]) next(now time.Time) time.Time {
	if l.together.IsZero() {
		return now.Add(l.every)
	}
	return l.together.Add((now.Sub(l.together) + l.every).Truncate(l.every / 2))
}

// logReader is one reader of a room that has a log, and that messages may come live of besides. It has no
// goroutine: Next does the work.
type logReader[A any] struct {
	readerEnd
	log   *roomLog[A]
	room  string
	start Start
	inbox inbox[liveItem]
	leave func() // what else is done when it is given up

	// The reader's.
	merge    merge
	reading  <-chan A  // the answer to the read of the log under way; nil if there is none
	due      time.Time // when to read the log next, if nothing happens before
	failures int       // reads that failed in a row
}

func newLogReader[A any](log *roomLog[A], room string) *logReader[A] {
	return &logReader[A]{
		readerEnd: newReaderEnd(log.done), log: log, room: room, inbox: newInbox[liveItem](log.conf.Inbox), leave: func() {},
	}
}

func (s *logReader[A]) live() *inbox[liveItem] { return &s.inbox }

// Start is what was agreed.
func (s *logReader[A]) Start() Start { return s.start }

// Unsubscribe ends the subscription.
func (s *logReader[A]) Unsubscribe() {
	s.end(ErrClosed)
	s.leave()
}

// begin agrees on the position, given a first look at the log.
func (s *logReader[A]) begin(from model.Cursor, p page) {
	s.start.Cursor, s.start.Gap = agree(from, p)
	s.start.Anchor = p.anchor
	s.merge = merge{progress: progress{at: s.start.Cursor, id: p.anchor}, limit: s.log.conf.Inbox}
	s.merge.ask()
	s.merge.page(p)
	s.due = s.log.next(time.Now())
}

// Next blocks until there is a batch.
func (s *logReader[A]) Next(ctx context.Context) (Batch, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		if err := s.ended(ctx); err != nil {
			return Batch{}, err
		}
		s.collect()
		if b, ok := s.merge.pop(); ok {
			s.heard()
			return b, nil
		}
		s.readIfDue()
		var timer <-chan time.Time
		if s.reading == nil {
			t.Reset(time.Until(s.due))
			timer = t.C
		}
		select {
		case a := <-s.reading:
			if err := s.take(a); err != nil {
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

// collect takes what came live.
func (s *logReader[A]) collect() {
	take := func(items []liveItem) {
		for _, item := range items {
			if item.message != nil { // a count says nothing that the log does not
				s.merge.live(item.at.Epoch, *item.message)
			}
		}
	}
	items, after, torn, doubt := s.inbox.takeTorn()
	take(items)
	if torn {
		s.merge.tear()
	}
	take(after)
	if doubt {
		s.merge.suspect()
	}
}

// heard says that the log was heard of. After a failure it is read when it is time to try again, all the same.
func (s *logReader[A]) heard() {
	if !s.log.steady && s.failures == 0 {
		s.due = s.log.next(time.Now())
	}
}

// readIfDue begins to read the log if there is reason to: at once if it may have more, unless the last read
// failed, and when it is time to.
func (s *logReader[A]) readIfDue() {
	now := time.Now()
	if s.reading != nil || now.Before(s.due) && (s.failures > 0 || !s.merge.wants()) {
		return
	}
	if s.log.steady && !now.Before(s.due) {
		// The next is an interval after this one was due, not after it is answered, so that the load does not
		// depend on how fast the log is; what a slow reader missed is not made up for. To read on after
		// a full page puts none off.
		if s.due = s.due.Add(s.log.every); !s.due.After(now) {
			s.due = now.Add(s.log.every)
		}
	}
	var known model.Bookmark
	if !s.merge.wants() { // a look at where the log ends will most likely do
		known = s.merge.bookmark()
	}
	s.reading = s.log.read(s.room, s.merge.ask(), known)
}

// take takes what came of a read. It fails if trying again would not cure it.
func (s *logReader[A]) take(a A) error {
	s.reading = nil
	p, err := s.log.decode(s.room, a)
	if err == nil {
		s.failures = 0
		s.merge.page(p)
		s.heard()
		return nil
	}
	s.merge.failed()
	if permanent(err) {
		return fmt.Errorf("hop2 %s: read room %s: %w", s.log.label, s.room, err)
	}
	s.failures++
	s.due = time.Now().Add(s.log.conf.backoff(s.failures))
	return nil
}
