package hop1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// ClientConfig configures [NewClient]. Room, BaseURL and Transport are needed.
type ClientConfig struct {
	// Name is the client's name in the events it observes.
	Name string
	// Room is what to subscribe to; see [model.CheckRoom].
	Room string
	// BaseURL is what rooms hang from, such as "http://edge:8080".
	BaseURL string
	// Transport is one of [Transports].
	Transport string
	// Fallback are the transports to go on with, in turn, if this one does not get through: if what
	// the server sends is held back ([ErrBuffered]), or an upgrade to WebSocket is refused with 426, as
	// when a proxy strips it. It is for as long as the client lives. Without, it tries for ever.
	Fallback []string
	// HTTP makes the connections. Its Timeout must be 0. Its Jar, if there is one, sends cookies along, and
	// its Transport may add credentials that change. nil means http.DefaultClient.
	HTTP *http.Client
	// Header is sent with every opening request, such as an Authorization.
	Header http.Header
	// StopWhenDenied ends Run with the error when the server answers 401 ([ErrUnauthorized]) or 403
	// ([ErrForbidden]). Otherwise the client comes again, as credentials may be renewed meanwhile, but not
	// before Backoff.Max, to which the jitter is added.
	StopWhenDenied bool
	// Compression asks WebSocket servers for permessage-deflate, for messages from half a kilobyte.
	Compression bool

	// Heartbeat is how long a WebSocket server may be silent before the client pings it; the client gives it up to a
	// quarter more, as the server's own ping does as well. 0 means 1 s.
	Heartbeat time.Duration
	// IdleTimeout is how long the server may be silent, whatever the transport, before the client
	// drops the connection. It must be longer than the client's Heartbeat, the server's, and the
	// longest round trip on top. Of a polling server it bounds the wait for each answer: that to a long
	// poll may take the Hold in addition. 0 means three heartbeats.
	IdleTimeout time.Duration
	// DialTimeout bounds a connection attempt up to the end of the server's opening. 0 means 5 s.
	DialTimeout time.Duration
	// Backoff is how long to wait between connections. It starts over after a connection that proved
	// healthy: one that delivered something or lived for Backoff.Max.
	Backoff Backoff
	// MaxFrame is the largest frame to accept, in bytes as on the wire (a message's body is 4/3 of its
	// size there, with some 150 bytes around it). A larger one drops the connection, again and
	// again: MaxFrame must fit what publishers may publish. 0 means 1 MiB.
	MaxFrame int
	// Poll is how often the poll transport asks.
	Poll Polling
	// Hold is how long the long-polling client asks the server to hold a request for which there is
	// nothing, in whole milliseconds, 1 ms to an hour. The server may hold it for less. Whatever is on the
	// way must let a connection be silent for longer ([HoldWarning]). 0 means 25 s.
	Hold time.Duration
	// WebRTC is how peer connections are made; of the others, no transport needs it. nil means the zero
	// value: the machine's own interfaces.
	WebRTC *WebRTC
	// Wait waits between connections and between polls, until d has passed or ctx ends, and returns ctx's error
	// then: a page's timers, say, of package browser. nil means that nothing but time has a say.
	Wait func(ctx context.Context, d time.Duration) error
	// Rand draws the jitter. Only Run uses it. nil means a generator seeded by crypto/rand.
	Rand *rand.Rand

	// Observe gets what the client sees: Connected, Disconnected, Deliver, Discontinuity, with all
	// fields but Step and Time. The end of a connection by the end of Run is a Disconnected too, with
	// the note [model.NoteStopped]. It is called from Run's goroutine, in order. While it blocks, nothing
	// is received: if for IdleTimeout, the server counts as silent. nil means nobody looks.
	Observe func(model.Event)
	// Mutant is a deliberate bug; the zero value is none.
	Mutant Mutant
}

// minFrame is the least MaxFrame: a hello, and a message of some hundred bytes, fit.
const minFrame = 1024

func (c *ClientConfig) validate() error {
	if err := model.CheckRoom(c.Room); err != nil {
		return err
	}
	if _, err := baseField(c.BaseURL); err != nil {
		return err
	}
	for _, name := range c.Fallback {
		if _, err := findTransport(name); err != nil {
			return fieldError("Fallback", fmt.Sprintf("unknown %.40q", name), "any of "+strings.Join(Transports(), ", "))
		}
	}
	if err := clientField(&c.HTTP); err != nil {
		return err
	}
	if err := headerField(c.Header); err != nil {
		return err
	}
	if err := livenessFields(&c.Heartbeat, &c.IdleTimeout); err != nil {
		return err
	}
	if err := durationField("DialTimeout", &c.DialTimeout, 5*time.Second); err != nil {
		return err
	}
	if err := c.Backoff.validate(); err != nil {
		return err
	}
	if err := c.Poll.validate(); err != nil {
		return err
	}
	if err := holdField(&c.Hold); err != nil {
		return err
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = 1 << 20
	}
	if c.MaxFrame < minFrame {
		return fieldError("MaxFrame", c.MaxFrame, fmt.Sprintf("0 (meaning 1 MiB), or %d or more", minFrame))
	}
	if c.WebRTC == nil {
		c.WebRTC = new(WebRTC)
	}
	if c.Wait == nil {
		c.Wait = pause
	}
	if c.Rand == nil {
		c.Rand = newRand()
	}
	if c.Observe == nil {
		c.Observe = func(model.Event) {}
	}
	return c.Mutant.validate()
}

// roomURL gives the URL of a transport's endpoint; with the position to go on from, unless it is zero.
func (c *ClientConfig) roomURL(path string, from claim) string {
	u := strings.TrimSuffix(c.BaseURL, "/") + "/rooms/" + c.Room + "/" + path
	if !from.Cursor.IsZero() {
		u += "?cursor=" + url.QueryEscape(from.String())
	}
	return u
}

// Client keeps one subscription to one room alive: it connects, resumes from its cursor whenever the
// connection breaks, and passes on every message once, in order, without a silent gap.
type Client struct {
	cfg       ClientConfig
	transport transport
	fallback  []string // what is left of it
	session   session
	line      line
}

// NewClient checks the configuration. The error names the field that is wrong.
func NewClient(cfg ClientConfig) (*Client, error) {
	t, err := findTransport(cfg.Transport)
	if err == nil {
		err = cfg.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("hop1 client: %w", err)
	}
	return &Client{cfg: cfg, transport: t, fallback: cfg.Fallback, session: session{room: cfg.Room, mutant: cfg.Mutant}}, nil
}

// Run keeps the client connected until ctx ends, and returns ctx's error, with why the last connection
// failed or ended before that, if one did; or, if it is to StopWhenDenied, why it was. Whatever it started has ended by then. Called again after
// that it resumes; it must not be called while it runs.
func (c *Client) Run(ctx context.Context) error {
	var last error
	for failures := 0; ; failures++ {
		healthy, err := c.connection(ctx)
		if ctx.Err() != nil {
			return stopped(ctx, last)
		}
		if healthy {
			failures = 0
		}
		last = err
		hint := hintOf(err)
		if denied(err) {
			if c.cfg.StopWhenDenied {
				return err
			}
			hint = max(hint, c.cfg.Backoff.Max)
		}
		c.fallBack(err)
		if c.cfg.Wait(ctx, c.wait(failures, hint)) != nil {
			return stopped(ctx, last)
		}
	}
}

func stopped(ctx context.Context, last error) error {
	if last == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w; the last connection before: %w", ctx.Err(), last)
}

// connection makes one connection and lives through it. It tells why it ended, and whether it proved
// healthy.
func (c *Client) connection(ctx context.Context) (healthy bool, err error) {
	st, peer, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	defer st.close()
	since := time.Now()
	c.line.connect(st)
	delivered, err := c.stream(ctx, st, peer)
	c.line.disconnect(err)
	note := err.Error()
	if ctx.Err() != nil {
		note = model.NoteStopped
	}
	c.observe(peer, []model.Event{{Kind: model.Disconnected, Note: note}})
	return delivered || time.Since(since) >= c.cfg.Backoff.Max, err
}

// open dials and takes frames until the position is agreed. It tells who serves.
func (c *Client) open(ctx context.Context) (_ stream, peer string, err error) {
	opening, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	defer func() {
		if err != nil && opening.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no opening within %v: %w", c.cfg.DialTimeout, err)
		}
	}()
	st, err := c.transport.dial(opening, &c.cfg, c.session.begin())
	if err != nil {
		return nil, "", err
	}
	if peer, err = c.agree(opening, st); err != nil {
		st.close()
		return nil, "", err
	}
	return st, peer, nil
}

// agree takes the frames of the opening.
func (c *Client) agree(ctx context.Context, st stream) (peer string, err error) {
	for {
		f, err := st.next(ctx)
		if err != nil {
			return "", err
		}
		if f.Type == frameHello {
			peer = f.Server
		}
		events, err := c.session.take(f)
		if err != nil {
			return "", err
		}
		if len(events) > 0 {
			c.observe(peer, events)
			return peer, nil
		}
	}
}

// stream takes frames until the connection ends, and tells whether one was delivered.
func (c *Client) stream(ctx context.Context, st stream, peer string) (delivered bool, err error) {
	for {
		f, err := st.next(ctx)
		if err != nil {
			return delivered, err
		}
		events, err := c.session.take(f)
		if err != nil {
			return delivered, err
		}
		if f.Server != "" {
			peer = f.Server
		}
		c.observe(peer, events)
		delivered = delivered || slices.ContainsFunc(events, func(ev model.Event) bool { return ev.Kind == model.Deliver })
	}
}

func (c *Client) observe(peer string, events []model.Event) {
	for _, ev := range events {
		ev.Node, ev.Room, ev.Transport, ev.Peer = c.cfg.Name, c.cfg.Room, c.transport.name, peer
		c.cfg.Observe(ev)
	}
}

// statusError is an answer other than the one hoped for.
type statusError struct {
	code  int
	body  string
	retry time.Duration
}

func (e *statusError) Error() string { return fmt.Sprintf("refused with %d: %s", e.code, e.body) }

// Unwrap names the refusals that credentials would change.
func (e *statusError) Unwrap() error {
	switch e.code {
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	}
	return nil
}

// denied tells whether a connection was refused for who asked.
func denied(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrForbidden)
}

// refusal reads why a request was refused. It does not close the body.
func refusal(resp *http.Response) *statusError {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	body := strings.TrimSpace(string(b))
	if err != nil {
		body += " (cut short: " + err.Error() + ")"
	}
	return &statusError{code: resp.StatusCode, body: body, retry: retryAfter(resp.Header)}
}

// hintOf gives how long the server asked to be left alone, if it did.
func hintOf(err error) time.Duration {
	var g *goodbye
	var st *statusError
	switch {
	case errors.As(err, &g):
		return g.retry
	case errors.As(err, &st):
		return st.retry
	default:
		return 0
	}
}
