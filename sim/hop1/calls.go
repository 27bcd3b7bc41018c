package hop1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/coder/websocket"

	"github.com/twohop/twohop/model"
)

// The client's side of duplex.go.

// calls are the publishes under way over one connection. The zero value has none.
type calls struct {
	mu      sync.Mutex // never held while waiting
	ended   error      // why there will be no more answers
	waiting map[string][]*call
}

// call is one publish that waits for its answer.
type call struct {
	acked  func(model.Cursor) // called by whoever reads the connection, before anything else that it reads
	answer chan frame         // has room for it
}

// errLost: the connection ended before the answer came. The message may or may not be in the log.
var errLost = errors.New("the connection ended before the answer")

// begin registers a publish.
func (c *calls) begin(id string, acked func(model.Cursor)) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return nil, c.ended
	}
	if c.waiting == nil {
		c.waiting = map[string][]*call{}
	}
	cl := &call{acked, make(chan frame, 1)}
	c.waiting[id] = append(c.waiting[id], cl)
	return cl, nil
}

// answer hands an ack or nack to all who wait for it, and tells whether f is one. The answer to a publish
// that was given up is dropped.
func (c *calls) answer(f frame) bool {
	if f.Type != frameAck && f.Type != frameNack {
		return false
	}
	c.mu.Lock()
	waiting := c.waiting[f.ID]
	delete(c.waiting, f.ID)
	c.mu.Unlock()
	for _, cl := range waiting {
		if f.Type == frameAck {
			cl.acked(f.Cursor)
		}
		cl.answer <- f
	}
	return true
}

// end fails all publishes under way, and those to come.
func (c *calls) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = why
	for _, waiting := range c.waiting {
		for _, cl := range waiting {
			close(cl.answer)
		}
	}
	c.waiting = nil
}

func (c *calls) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// forget takes back a begin that nobody waits for any more. It tells whether no answer has come, and none
// will.
func (c *calls) forget(id string, cl *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiting[id], cl)
	if i < 0 {
		return false
	}
	if c.waiting[id] = slices.Delete(c.waiting[id], i, i+1); len(c.waiting[id]) == 0 {
		delete(c.waiting, id)
	}
	return true
}

// publish makes one attempt over the connection. ctx ends the wait for the answer; the write has the
// connection's IdleTimeout, as a write that is cut short costs the connection. acked is called with what is
// returned, if that is no error, by the goroutine that reads the connection: one packet may bring the ack and
// messages, and what they record is to be in their order.
func (s *wsStream) publish(ctx context.Context, req PublishRequest, acked func(model.Cursor)) (model.Cursor, error) {
	b, err := json.Marshal(wirePublish{framePublish, req})
	if err != nil {
		return model.Cursor{}, err
	}
	cl, err := s.calls.begin(req.ID, acked)
	if err != nil {
		return model.Cursor{}, err
	}
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.idle)
	err = s.out.during(func() error { return s.conn.Write(writing, websocket.MessageText, b) })
	cancel()
	if err != nil && s.calls.forget(req.ID, cl) {
		return model.Cursor{}, fmt.Errorf("%w: %w", errLost, err)
	}
	select {
	case f, ok := <-cl.answer:
		return s.answered(f, ok)
	case <-ctx.Done():
	}
	if s.calls.forget(req.ID, cl) {
		return model.Cursor{}, ctx.Err()
	}
	f, ok := <-cl.answer // it came at the last moment
	return s.answered(f, ok)
}

func (s *wsStream) answered(f frame, ok bool) (model.Cursor, error) {
	switch {
	case !ok:
		return model.Cursor{}, s.calls.why()
	case f.Type == frameNack:
		return model.Cursor{}, &statusError{code: f.Status, body: f.Reason, retry: f.Retry}
	}
	return f.Cursor, nil
}

// line is the client's present connection, as publishers see it. The zero value is none.
type line struct {
	mu    sync.Mutex
	on    *wsStream // nil if there is none that can publish
	never bool      // a server said that clients may not
}

// connect makes a stream the line, if publishing over it is possible.
func (l *line) connect(st stream) {
	ws, ok := st.(*wsStream)
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok && !l.never {
		l.on = ws
	}
}

// disconnect ends the line, for a reason. A server that does not know publishing, or no message of this
// size, would not be another's for another attempt.
func (l *line) disconnect(err error) {
	l.mu.Lock()
	ws := l.on
	l.on = nil
	why := fmt.Errorf("%w: %w", errLost, err)
	var g *goodbye
	if errors.As(err, &g) {
		switch g.reason {
		case reasonSpoke:
			l.never = true
		case reasonTooBig:
			why = &statusError{code: http.StatusRequestEntityTooLarge, body: g.reason}
		case reasonGarbage:
			why = &statusError{code: http.StatusBadRequest, body: g.reason}
		}
	}
	l.mu.Unlock()
	if ws != nil {
		ws.calls.end(why)
	}
}

func (l *line) get() *wsStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.on
}
