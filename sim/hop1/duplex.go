package hop1

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/twohop/twohop/model"
)

// The other direction of the WebSocket transport: a client publishes over the connection that it has. It
// sends a publish frame, a [PublishRequest] with a type, and gets an ack or a nack with the same ID.

// framePublish is the only frame that a client may send.
const framePublish frameType = "publish"

// wirePublish is a publish frame's JSON form.
type wirePublish struct {
	Type frameType `json:"type"`
	PublishRequest
}

// decodePublish reads a publish frame. An unknown field is an error: ignored, a misspelt one would publish
// something else than was meant. So is a frame without an ID, which could not be answered.
func decodePublish(b []byte) (PublishRequest, error) {
	var w wirePublish
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return PublishRequest{}, fmt.Errorf("publish frame: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return PublishRequest{}, errors.New("publish frame: something follows its JSON object")
	}
	if w.Type != framePublish || w.ID == "" {
		return PublishRequest{}, fmt.Errorf("frame of type %.40q with id %.40q; want %q and an id", w.Type, w.ID, framePublish)
	}
	return w.PublishRequest, nil
}

// publishWindow is how many publishes of one connection may wait for their turn; more are refused for now.
const publishWindow = 64

// duplex is what one connection's client publishes. One goroutine listens, so that pings and pongs never
// wait for a broker; another, while there is work, publishes one message after the other, so that the log
// has them in the order in which they were sent.
type duplex struct {
	s     *server
	conn  *websocket.Conn
	out   *writing
	room  string
	limit int64 // of a frame, in bytes

	workers sync.WaitGroup // one at a time

	mu      sync.Mutex // never held while waiting
	queue   []PublishRequest
	working bool
	settled bool          // nothing more is taken
	idle    chan struct{} // nil, or closed when the last worker has ended
}

func newDuplex(s *server, conn *websocket.Conn, out *writing, room string) *duplex {
	conn.SetReadLimit(-1) // see take
	return &duplex{s: s, conn: conn, out: out, room: room, limit: int64(2*s.cfg.MaxBody + 4096)}
}

// listen reads until the connection or ctx, whose end closes it, does. The first message that is not what
// it should be ends the service; what follows is dropped.
func (d *duplex) listen(ctx context.Context, h *heard, end context.CancelCauseFunc) {
	ended := false
	for {
		kind, r, err := d.conn.Reader(ctx)
		if err != nil {
			end(fmt.Errorf("%w: %w", errGone, err))
			return
		}
		h.mark()
		r = &ending{r: h.reader(r)}
		if !ended {
			if err := d.take(ctx, kind, r); err != nil {
				end(err)
				ended = true
			}
		}
		// What is left of a message that is too big is read, too, but not kept. The goodbye bounds for how
		// long. An error comes back from the next Reader.
		_, _ = io.Copy(io.Discard, r)
	}
}

// ending is a reader that keeps to its end. The library's must not be read again after that: what it
// decompresses with is in other hands then.
type ending struct {
	r   io.Reader
	err error
}

func (e *ending) Read(p []byte) (n int, err error) {
	if e.err != nil {
		return 0, e.err
	}
	n, e.err = e.r.Read(p)
	return n, e.err
}

// take takes one message. An error is why the connection must end.
func (d *duplex) take(ctx context.Context, kind websocket.MessageType, r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, d.limit+1))
	switch {
	case err != nil:
		return nil // the next Reader says so
	case int64(len(b)) > d.limit:
		return fmt.Errorf("%w: more than %d bytes", errTooBig, d.limit)
	case kind != websocket.MessageText:
		return fmt.Errorf("%w: a binary message", errGarbage)
	}
	req, err := decodePublish(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errGarbage, err)
	}
	if !d.enqueue(ctx, req) {
		d.reply(frame{
			Type: frameNack, ID: req.ID, Status: http.StatusServiceUnavailable, Retry: d.s.cfg.RetryHint,
			Reason: fmt.Sprintf("busy: %d publishes of this connection wait already, or it is about to end", publishWindow),
		})
	}
	return nil
}

// enqueue takes a publish, if there is room, and has somebody work on it.
func (d *duplex) enqueue(ctx context.Context, req PublishRequest) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.settled || len(d.queue) == publishWindow {
		return false
	}
	d.queue = append(d.queue, req)
	if !d.working {
		d.working = true
		d.workers.Go(func() { d.work(ctx) })
	}
	return true
}

// work publishes what was taken, until nothing is left. The end of ctx ends what is under way.
func (d *duplex) work(ctx context.Context) {
	for {
		req, ok := d.dequeue()
		if !ok {
			return
		}
		d.reply(d.publish(ctx, req))
	}
}

// dequeue gives the next publish; false if there is none, and the worker is to end.
func (d *duplex) dequeue() (PublishRequest, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.queue, d.working = nil, false
		if d.idle != nil {
			close(d.idle)
		}
		return PublishRequest{}, false
	}
	req := d.queue[0]
	d.queue = d.queue[1:]
	return req, true
}

// publish publishes one message, and gives the answer.
func (d *duplex) publish(ctx context.Context, req PublishRequest) frame {
	m := model.Message{Room: d.room, ID: req.ID, Publisher: req.Publisher, Body: req.Body}
	nack := frame{Type: frameNack, ID: req.ID}
	if err := model.CheckMessage(m); err != nil {
		nack.Status, nack.Reason = http.StatusBadRequest, err.Error()
		return nack
	}
	if len(req.Body) > d.s.cfg.MaxBody {
		nack.Status = http.StatusRequestEntityTooLarge
		nack.Reason = fmt.Sprintf("body: it has %d bytes; allowed are %d", len(req.Body), d.s.cfg.MaxBody)
		return nack
	}
	at, err := d.s.cfg.Publish(ctx, m)
	switch {
	case err == nil && at.Seq > 0:
		return frame{Type: frameAck, ID: req.ID, Cursor: at}
	case err == nil:
		nack.Status, nack.Reason = http.StatusInternalServerError, fmt.Sprintf("the log's position is no message's: %+v", at)
	case errors.Is(err, ErrRejected):
		nack.Status, nack.Reason = http.StatusBadRequest, err.Error()
	case errors.Is(err, ErrForbidden):
		nack.Status, nack.Reason = http.StatusForbidden, err.Error()
	default:
		nack.Status, nack.Reason, nack.Retry = http.StatusServiceUnavailable, err.Error(), d.s.cfg.RetryHint
	}
	return nack
}

// reply writes an answer. If that fails the connection is gone, and the client will ask again, with the
// same ID.
func (d *duplex) reply(f frame) {
	_ = d.out.during(func() error { return writeFrames(d.conn, []frame{f}, d.s.cfg.WriteTimeout) })
}

// settle lets no further publish begin, and waits until those taken are answered, or for the timeout.
func (d *duplex) settle(timeout time.Duration) {
	d.mu.Lock()
	d.settled = true
	if !d.working {
		d.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	d.idle = idle
	d.mu.Unlock()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}
