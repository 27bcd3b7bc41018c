package browser

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"
)

// Config configures [New]. Its zero value is a browser that speaks HTTP/1.1 over real sockets.
type Config struct {
	// Dial makes the connections. nil means a net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for https and wss. nil means crypto/tls's defaults.
	TLS *tls.Config
	// HTTP2 has requests share one connection to each origin, by HTTP/2. With https the server must offer
	// it; with http it must know of it beforehand, which real browsers do not do, but which spares a
	// world the TLS. WebSockets keep to HTTP/1.1, as they do unless a server announces RFC 8441.
	HTTP2 bool
	// MaxConns is how many HTTP/1.1 connections to one origin there may be, idle ones included; further
	// requests wait. 0 means 6, which is what Chromium, Firefox and Safari have.
	MaxConns int
	// MaxWebSockets is how many WebSockets to one origin there may be. 0 means 255, Chromium's limit
	// (g_max_sockets_per_group in its net/socket/client_socket_pool_manager.cc).
	MaxWebSockets int
}

func (c *Config) validate() error {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	for _, f := range []struct {
		name      string
		value     *int
		byDefault int
	}{{"MaxConns", &c.MaxConns, 6}, {"MaxWebSockets", &c.MaxWebSockets, 255}} {
		if *f.value < 0 {
			return fieldError(f.name, *f.value, fmt.Sprintf("0 (meaning %d) or more", f.byDefault))
		}
		if *f.value == 0 {
			*f.value = f.byDefault
		}
	}
	return nil
}

func fieldError(field string, value any, want string) error {
	return fmt.Errorf("browser: %s: %v; want %s", field, value, want)
}

// Browser is one user's browser: all its pages share its connections and cookies. It is safe for concurrent
// use.
type Browser struct {
	requests, sockets *http.Transport
	limit             *limiter // of WebSockets: net/http does not count connections that have switched protocols
	client            *http.Client
}

// New makes a browser. The error names the field that is wrong.
func New(cfg Config) (*Browser, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	b := &Browser{limit: newLimiter(cfg.MaxWebSockets)}
	// WebSockets have a pool of their own: they take no place from requests, nor those from them.
	b.sockets = &http.Transport{
		DialContext: cfg.Dial, TLSClientConfig: cfg.TLS.Clone(), Protocols: http1(), DisableKeepAlives: true,
	}
	b.requests = &http.Transport{
		DialContext: cfg.Dial, TLSClientConfig: cfg.TLS.Clone(), IdleConnTimeout: idleConnLife, Protocols: http1(),
		MaxConnsPerHost: cfg.MaxConns, MaxIdleConnsPerHost: cfg.MaxConns,
	}
	if cfg.HTTP2 {
		b.requests.Protocols = new(http.Protocols)
		b.requests.Protocols.SetHTTP2(true)
		b.requests.Protocols.SetUnencryptedHTTP2(true)
		b.requests.MaxConnsPerHost = 0
	}
	b.client = &http.Client{Transport: roundTripper(b.roundTrip), Jar: jar}
	return b, nil
}

// idleConnLife is how long an idle connection is kept, if the server does not close it (Chromium: 300 s).
const idleConnLife = 5 * time.Minute

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// roundTripper is a function that is an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (b *Browser) roundTrip(r *http.Request) (*http.Response, error) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return b.limit.roundTrip(b.sockets, r)
	}
	return b.requests.RoundTrip(r)
}

// Client makes the requests of the browser's pages, and opens their WebSockets, which are told by their
// Upgrade header. It is always the same. It has no time-out of its own: a request may wait for a
// connection for as long as its context lets it.
func (b *Browser) Client() *http.Client { return b.client }

// Close closes the connections that nothing uses.
func (b *Browser) Close() {
	b.requests.CloseIdleConnections()
	b.sockets.CloseIdleConnections()
}
