package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// EventSource is a page's EventSource (HTML Living Standard, section 9.2). URL and HTTP are needed; set
// all before Run.
//
// It reconnects by itself, after the reconnection time, whenever the stream ends or the network fails, and
// then says what came last, in a Last-Event-ID header. But an answer that is no event stream, such as 204,
// by which a server ends it for good, but a 503 as well, fails it for ever: a page that wants to go on has to
// make another.
type EventSource struct {
	// URL is where the stream is, http or https.
	URL string
	// HTTP makes the requests, a [Browser]'s client. Its Timeout must be 0.
	HTTP *http.Client
	// ReconnectionTime is how long to wait before reconnecting, until the server says otherwise in a retry
	// field. 0 means 3 s, Chromium's.
	ReconnectionTime time.Duration
	// MaxEvent is the most that one event may have, in bytes; a larger one fails the source. Browsers have
	// no limit but memory. 0 means 16 MiB.
	MaxEvent int

	// OnOpen is called when there is a stream, OnEvent for every event, and OnError when the stream has broken
	// and will be sought again (not for the failure for ever, which Run returns). All are called from Run's
	// goroutine, and may be nil.
	OnOpen  func()
	OnEvent func(Event)
	OnError func(error)

	lastEventID string
}

// Event is what an EventSource dispatches.
type Event struct {
	// Type is "message" unless the stream named another.
	Type string
	// Data has the lines of data, with "\n" between them.
	Data string
	// LastEventID is the last ID of the stream up to this event.
	LastEventID string
}

// FailedError is the end of an EventSource for ever: its readyState is CLOSED.
type FailedError struct{ Why string }

func (e *FailedError) Error() string { return "the EventSource has failed: " + e.Why }

func (s *EventSource) validate() error {
	u, err := url.Parse(s.URL)
	if err != nil {
		return fmt.Errorf("browser: URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fieldError("URL", fmt.Sprintf("%.80q", s.URL), "http or https with a host")
	}
	if s.HTTP == nil {
		return fieldError("HTTP", nil, "a Browser's client")
	}
	if s.HTTP.Timeout != 0 {
		return fieldError("HTTP.Timeout", s.HTTP.Timeout, "0: it would cut streams")
	}
	if s.ReconnectionTime < 0 {
		return fieldError("ReconnectionTime", s.ReconnectionTime, "0 (meaning 3s) or more")
	}
	if s.MaxEvent < 0 {
		return fieldError("MaxEvent", s.MaxEvent, "0 (meaning 16 MiB) or more")
	}
	if s.ReconnectionTime == 0 {
		s.ReconnectionTime = 3 * time.Second
	}
	if s.MaxEvent == 0 {
		s.MaxEvent = 16 << 20
	}
	return nil
}

// Run keeps the stream until ctx ends, as by the page's close(), and returns its error; or until the source
// has failed for ever, with a *FailedError. An error of validation names the field that is wrong.
func (s *EventSource) Run(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	for {
		err := s.stream(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, ok := errors.AsType[*FailedError](err); ok {
			return err
		}
		if s.OnError != nil {
			s.OnError(err)
		}
		if err := pause(ctx, s.ReconnectionTime); err != nil {
			return err
		}
	}
}

// stream lives through one connection, and tells why it ended.
func (s *EventSource) stream(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return &FailedError{err.Error()}
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cache-Control", "no-store")
	if s.lastEventID != "" {
		r.Header.Set("Last-Event-ID", s.lastEventID)
	}
	resp, err := s.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &FailedError{fmt.Sprintf("it was answered with %d, not 200", resp.StatusCode)}
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "text/event-stream" {
		return &FailedError{fmt.Sprintf("the answer is of type %.80q, not text/event-stream", resp.Header.Get("Content-Type"))}
	}
	if s.OnOpen != nil {
		s.OnOpen()
	}
	return s.interpret(resp.Body)
}

// interpret dispatches the events of a stream until it ends. As in Chromium, and unlike the standard's letter,
// an ID outlives the connection also if the next one's first events have none.
func (s *EventSource) interpret(body io.Reader) error {
	p := newParser(body, s.MaxEvent, s.lastEventID)
	for {
		ev, err := p.next()
		s.lastEventID = p.dispatchedID
		if p.retry >= 0 {
			s.ReconnectionTime = p.retry
		}
		switch {
		case errors.Is(err, errTooLarge):
			return &FailedError{fmt.Sprintf("an event has more than %d bytes", s.MaxEvent)}
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the stream has ended: %w", err)
		case err != nil:
			return err
		case s.OnEvent != nil:
			s.OnEvent(ev)
		}
	}
}

// pause waits, or returns why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
