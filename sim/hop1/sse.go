package hop1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"sync/atomic"
	"time"
)

// The SSE transport: a response that never ends, of server-sent events (HTML Living Standard,
// section 9.2).

// serveSSE streams one subscription. A dead client is found by a write that times out.
func (s *server) serveSSE(w http.ResponseWriter, r *http.Request, sub *opened) {
	out := &sseSink{w: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
	if err := out.extend(); err != nil { // nothing is written yet, so there is still a status to give
		http.Error(w, "streaming is not possible: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform") // compressors hold back what they get
	h.Set("X-Accel-Buffering", "no")                 // and so does nginx, unless told not to
	if r.ProtoMajor == 1 {
		// When the stream has ended, a client that reconnected over the same connection would come
		// back to this server, which may be draining.
		h.Set("Connection", "close")
	}
	err := s.pump(r.Context(), sub, out.send, out.beat)
	if bye, ok := s.farewell(r.Context(), err); ok {
		// If the request's context ended because the client left, this write fails, and that is all
		// right: nobody is owed the goodbye.
		_ = out.send([]frame{bye})
	}
}

// sseSink writes frames as events.
type sseSink struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	buf     []byte
}

// extend gives the next write its time.
func (k *sseSink) extend() error { return k.rc.SetWriteDeadline(time.Now().Add(k.timeout)) }

func (k *sseSink) send(frames []frame) error {
	for _, f := range frames {
		var err error
		if k.buf, err = appendEvent(k.buf[:0], f); err != nil {
			return err
		}
		if err := k.write(k.buf); err != nil {
			return err
		}
	}
	return k.rc.Flush()
}

// beat writes a comment, which EventSource and every other parser skips.
func (k *sseSink) beat() error {
	if err := k.write([]byte(":\n\n")); err != nil {
		return err
	}
	return k.rc.Flush()
}

func (k *sseSink) write(b []byte) error {
	if err := k.extend(); err != nil {
		return err
	}
	_, err := k.w.Write(b)
	return err
}

// sseStream is the client's side. A goroutine parses the body, since a body cannot be read with a
// deadline; next takes what it found.
type sseStream struct {
	cancel context.CancelFunc // ends the request, which ends a blocked read of the body
	body   io.ReadCloser
	heard  *heard
	idle   time.Duration
	events chan parsed
	opened bool          // an event has come
	closed chan struct{} // tells the goroutine that nobody takes events any more
	done   chan struct{} // the goroutine has ended
}

// parsed is one event of the body, or the error that ended it.
type parsed struct {
	frame frame
	err   error
}

func dialSSE(ctx context.Context, cfg *ClientConfig, from claim) (stream, error) {
	// The request lives as long as the stream, but while it is being dialled ctx can end it.
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	detach := context.AfterFunc(ctx, cancel)
	req, err := http.NewRequestWithContext(live, http.MethodGet, cfg.roomURL("events", claim{}), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	maps.Copy(req.Header, cfg.Header)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-store") // as EventSource (HTML standard section 9.2.2)
	if !from.Cursor.IsZero() {
		req.Header.Set("Last-Event-ID", from.String())
	}
	var sent atomic.Bool
	resp, err := cfg.HTTP.Do(req.WithContext(traceSent(live, &sent)))
	if err != nil {
		cancel()
		if sent.Load() {
			err = held(ctx, "the request was sent, and not a byte of an answer came", err)
		}
		return nil, err
	}
	if err := checkEventStream(resp); err != nil || !detach() {
		cancel()
		return nil, errors.Join(err, context.Cause(ctx), resp.Body.Close())
	}
	s := &sseStream{
		cancel: cancel, body: resp.Body, heard: newHeard(), idle: cfg.IdleTimeout,
		events: make(chan parsed), closed: make(chan struct{}), done: make(chan struct{}),
	}
	go s.parse(cfg.MaxFrame)
	return s, nil
}

func checkEventStream(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "text/event-stream" {
		return fmt.Errorf("protocol: content type %.80q; want text/event-stream", resp.Header.Get("Content-Type"))
	}
	return nil
}

// parse hands over every event of the body, then the error that ended it.
func (s *sseStream) parse(maxEvent int) {
	defer close(s.done)
	for ev, err := range readEvents(s.heard.reader(s.body), maxEvent) {
		p := parsed{err: err}
		if err == nil {
			p.frame, p.err = decodeEvent(ev)
		}
		if !s.hand(p) || p.err != nil {
			return
		}
	}
	s.hand(parsed{err: fmt.Errorf("stream ended without goodbye: %w", io.ErrUnexpectedEOF)})
}

func (s *sseStream) hand(p parsed) bool {
	select {
	case s.events <- p:
		return true
	case <-s.closed:
		return false
	}
}

func (s *sseStream) next(ctx context.Context) (frame, error) {
	t := time.NewTimer(time.Until(s.heard.deadline(s.idle)))
	defer t.Stop()
	for {
		select {
		case p := <-s.events:
			s.opened = true
			return p.frame, p.err
		case <-ctx.Done():
			if !s.opened {
				return frame{}, held(ctx, "the answer began, and not an event of it came", ctx.Err())
			}
			return frame{}, ctx.Err()
		case <-t.C:
			rest := time.Until(s.heard.deadline(s.idle))
			if rest <= 0 {
				return frame{}, silent(s.idle)
			}
			t.Reset(rest)
		}
	}
}

func (s *sseStream) close() {
	close(s.closed)
	s.cancel()
	<-s.done
	// The connection is gone with its request's context; what closing the body has to say adds nothing.
	_ = s.body.Close()
}
