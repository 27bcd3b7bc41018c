package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"
)

// Proxy is an L7 load balancer: it ends its clients' connections, and gives each request to one of its
// backends over connections of its own (net/http/httputil.ReverseProxy). The backends see the
// client's Host header, and its address in X-Forwarded-For. It is an [http.Handler], safe for
// concurrent use.
//
// What it cannot do for a request it answers itself, with a sentence: 502 if the backend failed, 503 if no
// backend is in service, 504 if one took too long. A request that a backend has not got, as it could
// not be connected to, is given to the next, each once; so is one that failed there before it was
// answered, if it has no body and its method is idempotent (RFC 9110 section 9.2.2).
//
// [Proxy.Run] does the health checks. Without it every backend counts as healthy.
type Proxy struct {
	cfg       ProxyConfig
	reverse   *httputil.ReverseProxy
	transport *http.Transport
	backends  *backends
}

// NewProxy makes a proxy. The error names the field that is wrong.
func NewProxy(cfg ProxyConfig) (*Proxy, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, backends: newBackends(cfg.Backends)}
	p.transport = &http.Transport{
		DialContext:         p.dial,
		DisableCompression:  true, // what to compress is for the two ends to agree on
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     time.Minute,
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      roundTripper(p.roundTrip),
		ModifyResponse: p.answered,
		ErrorHandler:   p.failed,
		ErrorLog:       log.New(io.Discard, "", 0), // clients and backends come and go
		BufferPool:     smallBuffers{},
	}
	return p, nil
}

// Close closes the connections to backends that no request uses.
func (p *Proxy) Close() { p.transport.CloseIdleConnections() }

// Why the proxy gives up on an exchange, besides what the backend does.
var (
	errIdle  = errors.New("idle time-out")
	errTotal = errors.New("total time-out")
	// errNoBackend: every backend is out of service.
	errNoBackend = errors.New("no backend is in service")
)

// dialError is the error of a request that its backend has not got.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

func (p *Proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	c, err := p.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, dialError{err}
	}
	return c, nil
}

// ServeHTTP gives a request to a backend, and its response to the client.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := &exchange{idle: p.cfg.IdleTimeout}
	defer func() { p.backends.end(x.backend) }()
	if c, err := r.Cookie(p.cfg.StickyCookie); err == nil {
		x.sticky = c.Value
	}
	if p.cfg.TotalTimeout > 0 {
		defer time.AfterFunc(p.cfg.TotalTimeout, func() { cancel(after(errTotal, p.cfg.TotalTimeout)) }).Stop()
	}
	if x.idle > 0 {
		x.timer = time.AfterFunc(x.idle, func() { cancel(after(errIdle, x.idle)) })
		defer x.timer.Stop()
	}
	if p.cfg.Buffer > 0 {
		held := &heldResponse{ResponseWriter: w, limit: p.cfg.Buffer, all: p.cfg.BufferAll}
		defer held.release()
		w = held
	}
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(ctx, exchangeKey{}, x)))
}

func after(err error, d time.Duration) error { return fmt.Errorf("%w after %v", err, d) }

// rewrite makes the backend's request of the client's. The backend is chosen later.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	if p.cfg.TrustForwarded {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}
	r.SetXForwarded()
	if p.cfg.NoUpgrade {
		r.Out.Header.Del("Connection")
		r.Out.Header.Del("Upgrade")
	}
}

// roundTripper is a function that is an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// roundTrip tries one backend after another.
func (p *Proxy) roundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r)
	err := errNoBackend
	for {
		x.backend = p.backends.begin(x.sticky, x.tried)
		if x.backend == nil {
			return nil, err
		}
		resp, failed := p.transport.RoundTrip(x.attempt(r))
		if failed == nil {
			x.stir()
			return resp, nil
		}
		p.backends.end(x.backend)
		x.tried, x.backend = append(x.tried, x.backend), nil
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		err = fmt.Errorf("backend %s: %w", x.tried[len(x.tried)-1].addr, failed)
		if !repeatable(r, failed) {
			return nil, err
		}
	}
}

// idempotent are the methods that do the same once and twice (RFC 9110 section 9.2.2).
var idempotent = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete}

// repeatable reports whether another backend may get a request that failed at one.
func repeatable(r *http.Request, failed error) bool {
	if _, ok := errors.AsType[dialError](failed); ok {
		return true // nothing of it was sent, nor its body read
	}
	return r.Body == nil && slices.Contains(idempotent, r.Method)
}

// answered takes the backend's response before the client does.
func (p *Proxy) answered(resp *http.Response) error {
	x := exchangeOf(resp.Request)
	if p.cfg.StickyCookie != "" && x.sticky != x.backend.addr {
		c := http.Cookie{Name: p.cfg.StickyCookie, Value: x.backend.addr, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
		resp.Header.Add("Set-Cookie", c.String())
	}
	x.watch(resp)
	return nil
}

// failed answers a request for which there is no response.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	switch cause := context.Cause(r.Context()); {
	case errors.Is(err, errNoBackend):
		status = http.StatusServiceUnavailable
	case errors.Is(cause, errIdle), errors.Is(cause, errTotal):
		status, err = http.StatusGatewayTimeout, cause
	case isTimeout(err):
		status = http.StatusGatewayTimeout
	}
	http.Error(w, "proxy: "+err.Error(), status)
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
