package hop1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// The WebSocket transport (RFC 6455): a text message a frame, from server to client; the other way what
// duplex.go says.

// compression gives the library's mode. A context kept from one message to the next would cost 1.2 MB a
// connection.
func compression(on bool) websocket.CompressionMode {
	if on {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

// writing counts the messages that are being written. A ping that comes meanwhile gets no pong: who reads
// must not wait for who writes. If both ends did, each behind a message that the other does not read
// because it waits itself, neither would ever go on. The message is a sign of life as good as a pong, and
// the next ping gets one (RFC 6455 section 5.5.3 lets an endpoint answer the latest ping only).
type writing struct {
	mu    sync.Mutex // never held while waiting
	count int
	since time.Time // when count last ceased to be 0
	until time.Time // when it last became 0 again, of those times that took any time
}

// during runs a write.
func (w *writing) during(write func() error) error {
	w.mu.Lock()
	if w.count == 0 {
		w.since = time.Now()
	}
	w.count++
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count--
		if now := time.Now(); w.count == 0 && w.since.Before(now) {
			w.until = now
		}
	}()
	return write()
}

// held tells whether writes have, up to this instant, had to wait.
func (w *writing) held() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	return w.count > 0 && w.since.Before(now) || w.until.Equal(now)
}

func (w *writing) none() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count == 0
}

// pongSettle is how long a ping that finds writes held is left, before it gets its pong or not. What brought it may
// just have made room for what is being written: whether the writer has heard of that would differ from run to run.
// However short, a moment of virtual time passes only when all is at rest.
const pongSettle = 250 * time.Nanosecond

// onPing marks a sign of life, and says whether the ping gets its pong.
func (w *writing) onPing(h *heard) func(context.Context, []byte) bool {
	return func(ctx context.Context, _ []byte) bool {
		h.mark()
		if !w.held() {
			return true
		}
		_ = pause(ctx, pongSettle) // if it is the end, the pong finds out
		return w.none()
	}
}

// patience is how long a client hears nothing before it pings: a quarter more than its Heartbeat, but within its
// IdleTimeout. The server's ping, if it has the same Heartbeat, is the first by then, and tells both ends all that
// one of the client's would.
func (c *ClientConfig) patience() time.Duration {
	return c.Heartbeat + min(c.Heartbeat, c.IdleTimeout-c.Heartbeat)/4
}

// keepAlive pings the peer at h's alarm, when nothing at all was heard of it, until ctx ends, which gives nil, or a
// ping cannot be written, or it has been silent for idle, which gives errSilent. Not only the pong counts as a sign
// of life, but any: a pong may have to queue behind much data.
//
// A ping under way outlives ctx, but not life. It may have been waiting for a message to be written; had it its turn
// just after its context ended, the library would close the connection, and no goodbye could be said.
func keepAlive(ctx, life context.Context, conn *websocket.Conn, h *heard, idle time.Duration) error {
	defer h.alarm.Stop()
	for {
		select {
		case <-h.alarm.C:
		case <-ctx.Done():
			return nil
		}
		if err := pingUntilHeard(life, conn, h, idle); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// pingUntilHeard pings until a pong comes. Each ping waits until the peer, if it stays silent, is to be
// taken for dead; if another sign of life came meanwhile, that time has moved.
func pingUntilHeard(ctx context.Context, conn *websocket.Conn, h *heard, idle time.Duration) error {
	for {
		ping, cancel := context.WithDeadline(ctx, h.deadline(idle))
		err := conn.Ping(ping)
		expired := ping.Err() != nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case time.Until(h.deadline(idle)) <= 0:
			return silent(idle)
		case !expired:
			return err
		}
	}
}

// serveWebSocket streams one subscription. A dead client is found by keepAlive, within IdleTimeout.
func (s *server) serveWebSocket(w http.ResponseWriter, r *http.Request, sub *opened) {
	h, out := newHeardFor(s.cfg.Heartbeat+beatLag), new(writing)
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the gate has checked the origin
		CompressionMode:    compression(s.cfg.Compression),
		OnPingReceived:     out.onPing(h),
		OnPongReceived:     func(context.Context, []byte) { h.mark() },
	})
	if err != nil {
		return // Accept has answered
	}
	// Reading outlives the request's context, so that there is still a connection for the goodbye.
	reading, hangUp := context.WithCancel(context.WithoutCancel(r.Context()))
	ctx, end := context.WithCancelCause(r.Context())
	var helpers sync.WaitGroup
	var up *duplex
	if s.cfg.Publish != nil {
		up = newDuplex(s, conn, out, r.PathValue("room"))
	}
	helpers.Go(func() {
		if up != nil {
			up.listen(reading, h, end)
		} else {
			listen(reading, conn, end)
		}
		_ = conn.CloseNow() // ends a blocked write; that it may be closed already is no error
	})
	helpers.Go(func() {
		if keepAlive(ctx, reading, conn, h, s.cfg.IdleTimeout) != nil {
			hangUp()
		}
	})

	send := func(frames []frame) error {
		return out.during(func() error { return writeFrames(conn, frames, s.cfg.WriteTimeout) })
	}
	err = s.pump(ctx, sub, send, nil) // the pings are its beats
	end(err)
	if bye, ok := s.farewell(ctx, err); ok {
		if up != nil {
			up.settle(s.cfg.WriteTimeout)
		}
		s.partWebSocket(conn, bye, hangUp)
	}
	hangUp()
	helpers.Wait()
	if up != nil {
		up.workers.Wait()
	}
}

// listen reads until the connection or ctx, whose end closes it, does: only so are pings, pongs and
// close frames taken. Messages are dropped, and the first one ends the service.
//
// (CloseRead of the library would do, but for a client that sends messages it holds on for 15 s.)
func listen(ctx context.Context, conn *websocket.Conn, end context.CancelCauseFunc) {
	for {
		_, r, err := conn.Reader(ctx)
		if err == nil {
			end(errSpoke)
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			end(fmt.Errorf("%w: %w", errGone, err))
			return
		}
	}
}

// partWebSocket says goodbye and closes with the handshake, for which the client has WriteTimeout.
func (s *server) partWebSocket(conn *websocket.Conn, bye frame, hangUp func()) {
	if writeFrames(conn, []frame{bye}, s.cfg.WriteTimeout) != nil {
		return // the client left meanwhile
	}
	t := time.AfterFunc(s.cfg.WriteTimeout, hangUp)
	defer t.Stop()
	_ = conn.Close(closeCode(bye.Reason), bye.Reason) // fails only if the client left meanwhile
}

// closeCode gives the status for a goodbye (RFC 6455 section 7.4.1 and its IANA registry).
func closeCode(reason string) websocket.StatusCode {
	switch reason {
	case reasonDraining:
		return websocket.StatusGoingAway // 1001
	case reasonSlow:
		return websocket.StatusTryAgainLater // 1013
	case reasonSpoke, reasonGarbage:
		return websocket.StatusPolicyViolation // 1008
	case reasonTooBig:
		return websocket.StatusMessageTooBig // 1009
	default:
		return websocket.StatusInternalError // 1011
	}
}

// writeFrames writes each frame as a text message, for which it has the timeout.
func writeFrames(conn *websocket.Conn, frames []frame, timeout time.Duration) error {
	for _, f := range frames {
		b, err := encodeFrame(f)
		if err != nil {
			return err
		}
		// Not bound to the request's context: its end must leave a connection for the goodbye.
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		err = conn.Write(ctx, websocket.MessageText, b)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// wsStream is the client's side.
type wsStream struct {
	conn   *websocket.Conn
	heard  *heard
	cancel context.CancelFunc // ends the pinging
	fell   chan error         // errSilent if the server fell silent; closed when the pinging has ended
	idle   time.Duration
	calls  calls // publishes under way
	out    writing
}

func dialWebSocket(ctx context.Context, cfg *ClientConfig, from claim) (stream, error) {
	h := newHeardFor(cfg.patience() + beatLag)
	s := &wsStream{heard: h, fell: make(chan error, 1), idle: cfg.IdleTimeout}
	conn, resp, err := websocket.Dial(ctx, cfg.roomURL("ws", from), &websocket.DialOptions{
		HTTPClient:      cfg.HTTP,
		HTTPHeader:      cfg.Header,
		CompressionMode: compression(cfg.Compression),
		OnPingReceived:  func(context.Context, []byte) bool { h.mark(); return true },
		OnPongReceived:  func(context.Context, []byte) { h.mark() },
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, refusal(resp)
		}
		return nil, err
	}
	conn.SetReadLimit(int64(cfg.MaxFrame))
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.conn, s.cancel = conn, cancel
	h.mark()
	go func() {
		defer close(s.fell)
		if err := keepAlive(live, live, conn, h, cfg.IdleTimeout); errors.Is(err, errSilent) {
			s.fell <- err
		}
		_ = conn.CloseNow() // ends a blocked next; that it may be closed already is no error
	}()
	return s, nil
}

func (s *wsStream) next(ctx context.Context) (frame, error) {
	for {
		f, err := s.read(ctx)
		if err != nil || !s.calls.answer(f) {
			return f, err
		}
	}
}

func (s *wsStream) read(ctx context.Context) (frame, error) {
	// The library would watch ctx by itself, but begin and end it several times a frame, pings included.
	defer context.AfterFunc(ctx, func() { _ = s.conn.CloseNow() })() // it may be closed already
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return frame{}, s.cause(ctx, err)
	}
	s.heard.mark()
	b, err := io.ReadAll(s.heard.reader(r))
	if err != nil {
		return frame{}, s.cause(ctx, err)
	}
	if kind != websocket.MessageText {
		return frame{}, errors.New("protocol: a binary message")
	}
	return decodeFrame(b)
}

// cause prefers why the connection was closed from this side over the fact that it is closed.
func (s *wsStream) cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case why, ok := <-s.fell:
		if ok {
			return why
		}
	default:
	}
	return err
}

// close drops the connection without a closing handshake, for which a half-open peer would keep the
// client waiting; RFC 6455 section 7.1.1 has servers expect that.
func (s *wsStream) close() {
	s.cancel()
	_ = s.conn.CloseNow() // that it may be closed already is no error
	<-s.fell
}
