package edge

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ProxyConfig configures [NewProxy]. Only Backends is needed. The rest's zero values make a proxy that
// takes its backends in turn, lets WebSockets through, passes on every byte at once, and has all the
// patience in the world.
type ProxyConfig struct {
	// Backends are the servers, each "host:port", none twice.
	Backends []string
	// Dial connects to a backend. nil means a net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout bounds one attempt to connect to a backend. 0 means 1 s.
	DialTimeout time.Duration

	// StickyCookie, unless empty, is the name of a cookie that ties a client to the backend that served
	// it, whose address is the cookie's value, for as long as that backend is in service (HAProxy:
	// "cookie NAME insert"). Empty means that every request is the next backend's.
	StickyCookie string
	// NoUpgrade drops a client's wish to switch protocols, as does an nginx that was not told to pass
	// on the Upgrade header, which is hop-by-hop (RFC 9110 section 7.8): WebSocket servers answer 426.
	NoUpgrade bool
	// Buffer, unless 0, is how many bytes of a response are held back until there are more, or the
	// response has ended (nginx's proxy_buffering, of 4 or 8 KiB at first). A server's response header
	// "X-Accel-Buffering: no", which [hop1] sends with event streams, lets that response through at once,
	// unless BufferAll: few proxies but nginx know it. At most 16 MiB.
	Buffer    int
	BufferAll bool
	// IdleTimeout, unless 0, is how long an exchange may go without a byte from or to the backend
	// (nginx's proxy_read_timeout and an AWS application load balancer's idle time-out, both 60 s unless set
	// otherwise). Before the response has begun it is answered with 504, then it is cut.
	IdleTimeout time.Duration
	// TotalTimeout, unless 0, bounds an exchange as a whole, streams and WebSockets too, to the same
	// effect (Envoy's route time-out, 15 s unless set otherwise).
	TotalTimeout time.Duration
	// TrustForwarded appends the client's address to the X-Forwarded-For that it sent, as is right
	// behind another proxy. Otherwise what it sent is dropped: anybody can claim any address.
	TrustForwarded bool

	// HealthPath, unless empty, is what a health check asks a backend for, by a GET that must be answered
	// with 200, such as "/health" of a [Server]. Empty means that it only connects.
	HealthPath string
	// HealthInterval is the time between two health checks of a backend. 0 means 1 s.
	HealthInterval time.Duration
	// HealthTimeout is how long a check may take. 0 means HealthInterval.
	HealthTimeout time.Duration
	// Fall and Rise are how many checks in a row must fail for a backend to be taken out of service, and
	// succeed for it to be put back. 0 means 2.
	Fall, Rise int
}

// maxProxyBuffer bounds what one response can make the proxy keep, in bytes.
const maxProxyBuffer = 16 << 20

// validate checks the configuration and fills in defaults.
func (c *ProxyConfig) validate() error {
	if len(c.Backends) == 0 {
		return proxyError("Backends", "none", `at least one "host:port"`)
	}
	for i, b := range c.Backends {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			return proxyError("Backends", fmt.Sprintf("%.80q", b), `"host:port"`)
		}
		if slices.Contains(c.Backends[:i], b) {
			return proxyError("Backends", fmt.Sprintf("%.80q", b), "each backend once")
		}
	}
	if c.StickyCookie != "" {
		if err := (&http.Cookie{Name: c.StickyCookie, Value: "x"}).Valid(); err != nil {
			return proxyError("StickyCookie", fmt.Sprintf("%.80q", c.StickyCookie), "a cookie's name (RFC 6265 section 4.1.1), or none")
		}
	}
	if c.Buffer < 0 || c.Buffer > maxProxyBuffer {
		return proxyError("Buffer", c.Buffer, fmt.Sprintf("0 (meaning none) to %d", maxProxyBuffer))
	}
	if _, err := url.ParseRequestURI(c.HealthPath); c.HealthPath != "" && (err != nil || !strings.HasPrefix(c.HealthPath, "/")) {
		return proxyError("HealthPath", fmt.Sprintf("%.80q", c.HealthPath), `a path such as "/health", or none`)
	}
	return c.defaults()
}

// defaults fills in what is 0, and rejects what is negative.
func (c *ProxyConfig) defaults() error {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	for _, f := range []struct {
		name      string
		value     *time.Duration
		byDefault func() time.Duration
	}{
		{"DialTimeout", &c.DialTimeout, func() time.Duration { return time.Second }},
		{"IdleTimeout", &c.IdleTimeout, nil},
		{"TotalTimeout", &c.TotalTimeout, nil},
		{"HealthInterval", &c.HealthInterval, func() time.Duration { return time.Second }},
		{"HealthTimeout", &c.HealthTimeout, func() time.Duration { return c.HealthInterval }},
	} {
		switch {
		case *f.value < 0 && f.byDefault == nil:
			return proxyError(f.name, *f.value, "0 (meaning never) or more")
		case *f.value < 0:
			return proxyError(f.name, *f.value, fmt.Sprintf("0 (meaning %v) or more", f.byDefault()))
		case *f.value == 0 && f.byDefault != nil:
			*f.value = f.byDefault()
		}
	}
	for _, f := range []struct {
		name  string
		value *int
	}{{"Fall", &c.Fall}, {"Rise", &c.Rise}} {
		if *f.value < 0 {
			return proxyError(f.name, *f.value, "0 (meaning 2) or more")
		}
		if *f.value == 0 {
			*f.value = 2
		}
	}
	return nil
}

func proxyError(field string, value any, want string) error {
	return fmt.Errorf("edge proxy: %s: %v; want %s", field, value, want)
}
