package hop2

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// natsSession is one connection's life.
type natsSession struct {
	l       *natsLink
	conn    *nats.Conn
	came    chan *nats.Msg
	closed  chan struct{}
	subs    map[string]*nats.Subscription
	heard   bool
	calls   uint64
	pending map[string]*sentCall // by the subject that it is answered on
	queue   []*sentCall          // the pending ones and some that are not, in order of sending
}

type sentCall struct {
	*natsCall
	inbox string
	until time.Time
	over  bool
}

// cameLimit is how many messages wait for the link's goroutine, which does nothing but hand them on.
const cameLimit = 1 << 14

// close ends the connection and fails what has not been answered.
func (s *natsSession) close(err error) {
	s.conn.Close()
	<-s.closed
	for _, c := range s.queue {
		if !c.over {
			c.fail(err)
		}
	}
}

// serve hands on what comes, and sends what is put, until the connection is lost. What is due at one
// instant is done in a fixed order.
func (s *natsSession) serve() error {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		for more := true; more; {
			select {
			case m := <-s.came:
				s.take(m)
			default:
				more = false
			}
		}
		if err := s.follow(s.l.subjects.grab()); err != nil {
			return err
		}
		for _, c := range s.l.calls.grab() {
			s.send(c)
		}
		t.Reset(time.Until(s.next()))
		select {
		case m := <-s.came:
			s.take(m)
		case <-s.l.subjects.wake:
		case <-s.l.calls.wake:
		case <-t.C:
		case <-s.closed:
			if err := s.conn.LastError(); err != nil {
				return err
			}
			return errors.New("the server closed the connection")
		case <-s.l.ctx.Done():
			return ErrClosed
		}
	}
}

// next fails the calls whose time is over, and gives when to look again.
func (s *natsSession) next() time.Time {
	now := time.Now()
	next := now.Add(time.Hour)
	for len(s.queue) > 0 {
		c := s.queue[0]
		if !c.over && now.Before(c.until) {
			next = c.until
			break
		}
		if !c.over {
			s.settle(c, natsAnswer{err: fmt.Errorf("no answer on %s within %v", c.subject, s.l.cfg.Timeout)})
		}
		s.queue = s.queue[1:]
	}
	for _, due := range []func() (time.Time, bool){s.l.subjects.due, s.l.calls.due} {
		if at, ok := due(); ok && at.Before(next) {
			next = at
		}
	}
	return next
}

func (s *natsSession) settle(c *sentCall, a natsAnswer) {
	c.over = true
	delete(s.pending, c.inbox)
	c.answer(a)
}

// follow brings the subscriptions to subjects that changed in step with what is wanted.
func (s *natsSession) follow(changed []string) error {
	slices.Sort(changed)
	for _, subject := range slices.Compact(changed) {
		s.l.mu.Lock()
		wanted := s.l.readers[subject] != nil
		s.l.mu.Unlock()
		sub := s.subs[subject]
		switch {
		case wanted && sub == nil:
			sub, err := s.conn.ChanSubscribe(subject, s.came)
			if err != nil {
				return fmt.Errorf("subscribe to %s: %w", subject, err)
			}
			s.subs[subject] = sub
		case !wanted && sub != nil:
			delete(s.subs, subject)
			if err := sub.Unsubscribe(); err != nil {
				return fmt.Errorf("unsubscribe from %s: %w", subject, err)
			}
		}
	}
	return nil
}

// send makes a call.
func (s *natsSession) send(c *natsCall) {
	m := &nats.Msg{Subject: c.subject, Header: c.header, Data: c.data}
	if c.answer == nil {
		_ = s.conn.PublishMsg(m) // nobody wants to know
		return
	}
	s.calls++
	m.Reply = fmt.Sprintf("%s.r.%012d", s.l.name, s.calls)
	if err := s.conn.PublishMsg(m); err != nil {
		c.fail(fmt.Errorf("publish to %s: %w", c.subject, err))
		return
	}
	sent := &sentCall{natsCall: c, inbox: m.Reply, until: time.Now().Add(s.l.cfg.Timeout)}
	s.pending[m.Reply] = sent
	s.queue = append(s.queue, sent)
}

// take hands a message on.
func (s *natsSession) take(m *nats.Msg) {
	s.heard = true
	if c := s.pending[m.Subject]; c != nil {
		a := natsAnswer{data: m.Data}
		if len(m.Data) == 0 && m.Header.Get("Status") == noResponders {
			a.err = fmt.Errorf("%w %s", errNoResponders, c.subject)
		}
		s.settle(c, a)
		return
	}
	s.l.mu.Lock()
	readers := slices.Collect(maps.Keys(s.l.readers[m.Sub.Subject]))
	s.l.mu.Unlock()
	for _, r := range readers {
		r.message(m, func(subject string, data []byte) {
			_ = s.conn.Publish(subject, data) // it fails with the connection, which is noticed otherwise
		})
	}
}

// noResponders is the status of a server's answer for nobody (NATS's ADR-4).
const noResponders = "503"
