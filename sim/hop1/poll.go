package hop1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/twohop/twohop/model"
)

// The polling transports ask again and again, each time with the cursor, so that whatever becomes of
// an answer, the next one goes on after what was taken of it. What they call a connection is a series
// of exchanges none of which failed; who answers may change from one to the next.

// Polling is how often the poll transport asks.
//
// Intervals are drawn evenly from [0.9, 1.1] times Interval, so that clients which began together drift
// apart; unless they are Steady.
type Polling struct {
	// Interval is the time from one request to the next, 1 ms to an hour. A request that takes longer
	// is followed by the next at once. 0 means 1 s.
	Interval time.Duration
	// Steady makes every interval Interval.
	Steady bool
	// Reconnect takes a new connection for each request. Otherwise they share one, as long as it and
	// the pool of the client's HTTP keep it open (http.Transport's IdleConnTimeout, http.Server's).
	Reconnect bool
}

// maxWait bounds intervals and holds.
const maxWait = time.Hour

func (p *Polling) validate() error {
	if p.Interval == 0 {
		p.Interval = time.Second
	}
	if p.Interval < time.Millisecond || p.Interval > maxWait {
		return fieldError("Poll.Interval", p.Interval, fmt.Sprintf("0 (meaning 1s), or 1ms to %v", maxWait))
	}
	return nil
}

// draw gives the next interval.
func (p Polling) draw(rng *rand.Rand) time.Duration {
	if p.Steady {
		return p.Interval
	}
	spread := p.Interval / 10
	return p.Interval - spread + time.Duration(rng.Int64N(int64(2*spread)+1))
}

// servePoll answers at once.
func (s *server) servePoll(w http.ResponseWriter, r *http.Request, sub *opened) {
	s.answer(w, r, sub, 0)
}

func dialPoll(ctx context.Context, cfg *ClientConfig, from claim) (stream, error) {
	return dialPolling(ctx, &pollStream{
		cfg: cfg, path: "poll", at: from.Bookmark,
		pace: func(bool) time.Duration { return cfg.Poll.draw(cfg.Rand) },
	})
}

// pollStream is the client's side of the polling transports: one exchange after the other, joined so
// that the session sees one stream.
//
// Invariant: at is where the session is, if it has taken all frames that next gave.
type pollStream struct {
	cfg  *ClientConfig
	path string
	hold time.Duration // asked for, from the second request on
	// pace gives the least time from the latest request to the next. news says whether the latest
	// brought any.
	pace func(news bool) time.Duration

	at     model.Bookmark // what the next request carries
	tag    string         // the entity tag of what the client has; "" before the first answer
	server string         // who answered last
	asked  time.Time      // when the latest request was made
	news   bool           // it brought some

	// Of the exchange that is being read, if any.
	open  *exchange
	first bool // it is the stream's first
	want  want
}

// want is what an answer must go on with.
type want int

const (
	anything  want = iota
	aHello         // it begins with one
	aGap           // hello had no position: the discontinuity with the reason
	theAnchor      // a message at the position asked for
)

// dialPolling makes the first exchange, in which the server holds nothing: it agrees on the position.
func dialPolling(ctx context.Context, s *pollStream) (stream, error) {
	s.first = true
	if err := s.exchange(ctx, request{url: s.url(0)}); err != nil {
		return nil, err
	}
	return s, nil
}

// exchange makes a request.
func (s *pollStream) exchange(ctx context.Context, rq request) error {
	rq.close = s.path == "poll" && s.cfg.Poll.Reconnect
	s.asked, s.news = time.Now(), false
	x, err := ask(ctx, s.cfg, rq)
	if err != nil {
		return err
	}
	if x.empty {
		s.tag = x.tag
		x.end()
		return nil
	}
	s.open, s.want = x, aHello
	return nil
}

func (s *pollStream) next(ctx context.Context) (frame, error) {
	for {
		if s.open == nil {
			if err := s.again(ctx); err != nil {
				return frame{}, err
			}
			continue
		}
		f, err := s.open.next(ctx)
		if errors.Is(err, io.EOF) {
			if err := s.complete(); err != nil {
				return frame{}, err
			}
			continue
		}
		if err != nil {
			return frame{}, err
		}
		pass, err := s.take(&f)
		if pass || err != nil {
			return f, err
		}
	}
}

// again makes the next request, when it is due.
func (s *pollStream) again(ctx context.Context) error {
	if wait := time.Until(s.asked.Add(s.pace(s.news))); wait > 0 {
		if err := s.cfg.Wait(ctx, wait); err != nil {
			return err
		}
	}
	return s.exchange(ctx, request{url: s.url(s.hold), tag: s.tag, hold: s.hold, silence: s.cfg.IdleTimeout})
}

// url gives the URL of the next request, which is to be held for no longer than hold.
func (s *pollStream) url(hold time.Duration) string {
	u := s.cfg.roomURL(s.path, s.cfg.Mutant.claim(s.at))
	if s.hold == 0 {
		return u
	}
	separator := "?"
	if !s.at.Cursor.IsZero() {
		separator = "&"
	}
	return u + separator + "hold=" + strconv.FormatInt(hold.Milliseconds(), 10)
}

// complete takes the end of an answer.
func (s *pollStream) complete() error {
	if s.want == aHello || s.want == aGap {
		return errors.New("protocol: the answer ended before it gave a position")
	}
	s.tag = s.open.tag
	s.open.end()
	s.open, s.first = nil, false
	return nil
}

// take takes a frame. It tells whether the session is to see it: hellos after the first are none of its
// business, as long as the server goes on where it was asked to.
func (s *pollStream) take(f *frame) (pass bool, err error) {
	want := s.want
	s.want = anything
	switch {
	case f.Type == frameGoodbye:
		return true, nil
	case want == aHello && f.Type != frameHello:
		return false, fmt.Errorf("protocol: an answer that begins with %s; want hello", f.Type)
	case want == aHello:
		return s.first, s.hello(f)
	case want == aGap && f.Type != frameDiscontinuity:
		return false, fmt.Errorf("protocol: %s where a discontinuity must follow a hello without a cursor", f.Type)
	case f.Type == frameDiscontinuity:
		s.at, s.news = s.cfg.Mutant.put(f), true
	case f.Type == frameMessage && want == theAnchor && f.Cursor != s.at.Cursor:
		return false, fmt.Errorf("protocol: resumed at %s without its anchor: the first message is %s", s.at.Cursor, f.Cursor)
	case f.Type == frameMessage && f.Cursor.Epoch == s.at.Cursor.Epoch && f.Cursor.Seq >= s.at.Cursor.Seq:
		s.news = s.news || f.Cursor != s.at.Cursor
		s.at = bookmark(f.Cursor, f.Message.ID)
	}
	f.Server = s.server
	return true, nil
}

// hello takes the beginning of an answer.
func (s *pollStream) hello(f *frame) error {
	s.server = f.Server
	switch {
	case f.Cursor.IsZero():
		s.want = aGap
	case s.first:
		if f.Cursor != s.at.Cursor {
			s.at = s.cfg.Mutant.put(f)
		}
		s.news = true
	case !f.Resumed || f.Cursor != s.at.Cursor:
		return fmt.Errorf("protocol: the server started at %s, not at %s", f.Cursor, s.at.Cursor)
	case s.at.Cursor.Seq > 0 && !f.Anchorless:
		s.want = theAnchor
	}
	return nil
}

func (s *pollStream) close() {
	if s.open != nil {
		s.open.end()
	}
}
