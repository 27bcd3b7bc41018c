package hop1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twohop/twohop/model"
)

// An exchange is one request of a polling client, with its cursor, and the answer: what the room has
// after it, as frames, one JSON object a line, of which the first is the hello. A client that has been
// answered before says so with If-None-Match (RFC 9110 section 13.1.2). If there is nothing new, the
// answer is 304 and empty. To a client with a bare cursor the anchor is sent, but for one whose tag proves
// what that would.

// lineType is the media type of an answer: newline-delimited JSON.
const lineType = "application/x-ndjson"

// entityTag names the state of a room's log that ends with a message (RFC 9110 section 8.8.3).
func entityTag(end model.Bookmark) string { return `"` + end.String() + `"` }

// anyTag reports whether one of the tags of an If-None-Match header matches. The comparison is the weak
// one, as section 13.1.2 wants it: a proxy that compresses may have weakened what it passed on.
func anyTag(header string, matches func(tag string) bool) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || matches(tag) {
			return true
		}
	}
	return false
}

// polled is what one request is answered with.
type polled struct {
	hello  []frame        // and the discontinuity that may go with it
	anchor *frame         // nil if there is none
	frames []frame        // what follows
	end    model.Bookmark // where the client is then
	known  bool           // the client's tag is that of the state it asked from
	news   bool           // there is something that the client does not know
}

// answer answers one request: at once if there is news for the client, or else as soon as there is,
// and no later than after hold.
func (s *server) answer(w http.ResponseWriter, r *http.Request, sub *opened, hold time.Duration) {
	start := sub.Start()
	a := &polled{hello: s.opening(start, sub.asked.Cursor), end: bookmark(start.Cursor, start.Anchor)}
	err := s.gather(r.Context(), a, sub, r.Header.Get("If-None-Match"), hold)
	var bye []frame
	if err != nil {
		f, ok := s.farewell(r.Context(), err)
		if !ok {
			return
		}
		bye = []frame{f}
	}
	h := w.Header()
	h.Set("ETag", entityTag(a.end))
	h.Set("Cache-Control", "private, no-cache")
	if len(bye) > 0 && r.ProtoMajor == 1 {
		h.Set("Connection", "close") // a client that came back over it would come back to this server
	}
	if !a.news && a.known && len(bye) == 0 {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", lineType)
	out := &lineSink{w: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
	switch {
	case a.anchor == nil:
	case a.known:
		a.hello[0].Anchorless = true
	default:
		a.hello = append(a.hello, *a.anchor)
	}
	for _, frames := range [][]frame{a.hello, a.frames, bye} {
		if out.send(frames) != nil {
			return // the client is gone, or takes nothing: what it lacks it will ask for
		}
	}
}

// gather takes what the subscription has. It waits for news for no longer than hold, and for nothing
// more once there is news. The error says why the subscription ended, if it did.
func (s *server) gather(ctx context.Context, a *polled, sub *opened, tags string, hold time.Duration) error {
	start := sub.Start()
	a.news = sub.asked.Cursor.IsZero() || !start.Resumed
	a.known = start.Resumed && anyTag(tags, func(tag string) bool { return tag == entityTag(a.end) })
	held, cancel := context.WithTimeout(ctx, hold)
	defer cancel()
	over, stop := context.WithCancel(ctx)
	stop()
	for {
		wait := held
		if a.news {
			wait = over
		}
		b, err := sub.Next(wait, nil)
		if err != nil {
			if wait.Err() != nil && errors.Is(err, wait.Err()) {
				return ctx.Err() // nil: nothing more is there
			}
			return err
		}
		if err := a.take(b, sub, start, tags); err != nil {
			return err
		}
	}
}

// take adds a batch to the answer.
func (a *polled) take(b Batch, sub *opened, start Start, tags string) error {
	if b.Gap != nil {
		if err := checkPosition(b.Gap.To); err != nil {
			return err
		}
		f := frame{Type: frameDiscontinuity, Cursor: b.Gap.To, Anchor: b.Gap.Anchor, Reason: b.Gap.Why}
		a.frames = append(a.frames, f)
		a.end, a.news = f.mark(), true
		return nil
	}
	for i := range b.Messages {
		m := &b.Messages[i]
		f := frame{Type: frameMessage, Cursor: model.Cursor{Epoch: a.end.Cursor.Epoch, Seq: m.Seq}, Message: m}
		if start.Resumed && f.Cursor == sub.asked.Cursor && len(a.frames) == 0 {
			a.anchor, a.end = &f, bookmark(f.Cursor, m.ID)
			a.known = a.known || anyTag(tags, func(tag string) bool { return tag == entityTag(a.end) })
			a.news = a.news || tags != "" && !a.known // another log: the client must see the anchor
			continue
		}
		a.frames = append(a.frames, f)
		a.end, a.news = bookmark(f.Cursor, m.ID), true
	}
	return nil
}

// lineSink writes frames as lines.
type lineSink struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

func (k *lineSink) send(frames []frame) error {
	for _, f := range frames {
		line, err := encodeFrame(f)
		if err != nil {
			return err
		}
		// Where there are no deadlines, as in a test's recorder, none is needed.
		err = k.rc.SetWriteDeadline(time.Now().Add(k.timeout))
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := k.w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// ErrHoldCut is the error of a long poll whose connection was lost, as by a reset or a gateway that gave
// up, or turned out to be, as no answer came in time, while the server held it or so it seemed. Its text
// begins the Note of the [model.Disconnected]. One of these may be a crash; if they go on, something
// between client and server has an idle time-out shorter than the hold ([HoldWarning]).
var ErrHoldCut = errors.New("hold cut short")

// request is what one exchange asks.
type request struct {
	url string
	tag string // the entity tag of what the client has; "" for none
	// silence bounds the wait for an answer; 0 means that only the context does. If the server is to hold
	// the request, hold is added once there is a connection.
	silence, hold time.Duration
	close         bool // the connection is for this exchange only
}

// exchange is the client's side of a request that was made. Its answer is being read.
type exchange struct {
	cfg     *ClientConfig
	live    context.Context // ends when the exchange does
	cancel  context.CancelCauseFunc
	body    io.ReadCloser
	silence *time.Timer // ends the exchange when nothing has been heard for IdleTimeout
	lines   *bufio.Scanner
	tag     string
	empty   bool // a 304
}

// ask makes a request and waits for the head of its answer; ctx bounds that only.
func ask(ctx context.Context, cfg *ClientConfig, rq request) (*exchange, error) {
	x := &exchange{cfg: cfg}
	x.live, x.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { x.cancel(ctx.Err()) })()
	resp, err := x.do(rq)
	if err != nil {
		x.cancel(nil)
		return nil, err
	}
	x.body, x.tag = resp.Body, resp.Header.Get("ETag")
	x.silence = time.AfterFunc(cfg.IdleTimeout, func() { x.cancel(silent(cfg.IdleTimeout)) })
	x.lines = bufio.NewScanner(x)
	x.lines.Buffer(nil, cfg.MaxFrame)
	if x.empty = resp.StatusCode == http.StatusNotModified && rq.tag != ""; x.empty {
		return x, nil
	}
	if err := checkAnswer(resp); err != nil {
		x.end()
		return nil, err
	}
	return x, nil
}

// do sends the request.
func (x *exchange) do(rq request) (*http.Response, error) {
	w := &wait{request: rq, x: x, began: time.Now()}
	if rq.silence > 0 {
		w.limit = time.AfterFunc(rq.silence, w.expire)
		defer w.limit.Stop()
	}
	ctx := httptrace.WithClientTrace(x.live, &httptrace.ClientTrace{GotConn: w.gotConn})
	var body io.Reader
	if rq.hold > 0 {
		body = once{}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rq.url, body)
	if err != nil {
		return nil, err
	}
	req.Close = rq.close
	maps.Copy(req.Header, x.cfg.Header)
	req.Header.Set("Accept", lineType)
	if rq.tag != "" {
		req.Header.Set("If-None-Match", rq.tag)
	}
	resp, err := x.cfg.HTTP.Do(req)
	switch {
	case err == nil && (resp.StatusCode == http.StatusGatewayTimeout || resp.StatusCode == http.StatusRequestTimeout):
		defer resp.Body.Close()
		return nil, w.lost(refusal(resp)) // something on the way gave up on the server
	case err == nil:
		return resp, nil
	case x.live.Err() != nil:
		return nil, context.Cause(x.live)
	case w.held.Load():
		return nil, w.lost(errors.New("the connection was lost")) // which of its ends said so first is chance
	default:
		return nil, err
	}
}

// once is an empty body of which net/http does not know that it is empty, so that it does not send the request
// again if a connection from its pool turns out to be dead, which it does without a word. That is as it should
// be, but for a request that is to be held. On the wire there is no body. (To cancel the second attempt when it
// begins would be too late: it may have dialled by then, or not.)
type once struct{}

func (once) Read([]byte) (int, error) { return 0, io.EOF }

// wait is the wait for the head of an answer. Whatever becomes of a request that the server was to hold
// has a name of its own, from the moment on that there is a connection for it.
type wait struct {
	request
	x     *exchange
	began time.Time
	limit *time.Timer // ends the exchange; nil if only the context does
	held  atomic.Bool // there is a connection for a request to be held
}

// lost is why the exchange failed.
func (w *wait) lost(err error) error {
	if !w.held.Load() {
		return err
	}
	return fmt.Errorf("%w (of %v, noticed after %v; an idle time-out on the way, if this goes on): %w",
		ErrHoldCut, w.hold, time.Since(w.began).Round(time.Millisecond), err)
}

// expire ends the exchange with a server that has been silent for too long.
func (w *wait) expire() {
	patience := w.silence
	if w.held.Load() {
		patience += w.hold
	}
	w.x.cancel(w.lost(silent(patience)))
}

func (w *wait) gotConn(httptrace.GotConnInfo) {
	if w.hold > 0 && w.limit != nil {
		w.held.Store(true)
		w.limit.Reset(w.hold + w.silence)
	}
}

func checkAnswer(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != lineType {
		return fmt.Errorf("protocol: content type %.80q; want %s", resp.Header.Get("Content-Type"), lineType)
	}
	return nil
}

// Read reads the answer. Every byte is a sign of life.
func (x *exchange) Read(p []byte) (int, error) {
	n, err := x.body.Read(p)
	if n > 0 {
		x.silence.Reset(x.cfg.IdleTimeout)
	}
	return n, err
}

// next gives the next frame of the answer, or io.EOF when it is complete.
func (x *exchange) next(ctx context.Context) (frame, error) {
	defer context.AfterFunc(ctx, func() { x.cancel(ctx.Err()) })()
	if x.lines.Scan() {
		return decodeFrame(x.lines.Bytes())
	}
	err := x.lines.Err()
	switch {
	case err == nil:
		return frame{}, io.EOF
	case x.live.Err() != nil:
		return frame{}, context.Cause(x.live)
	case errors.Is(err, bufio.ErrTooLong):
		return frame{}, fmt.Errorf("protocol: a frame of more than %d bytes", x.cfg.MaxFrame)
	default:
		return frame{}, fmt.Errorf("the answer broke off: %w", err)
	}
}

// end frees the exchange. Its connection is dropped, unless the answer was read to its end.
func (x *exchange) end() {
	x.silence.Stop()
	_ = x.body.Close() // what it has to say adds nothing
	x.cancel(nil)
}
