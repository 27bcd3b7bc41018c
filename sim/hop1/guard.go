package hop1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// What a [Guard]'s Authenticate may answer, and what a client's attempt was refused for. They may be
// wrapped.
var (
	// ErrUnauthorized: the request does not say who sends it, or not credibly (401, RFC 9110 section
	// 15.5.2). Whatever else Authenticate answers is treated as this.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden: whoever sends it may not do this (403, RFC 9110 section 15.5.4).
	ErrForbidden = errors.New("forbidden")
	// ErrCannotTell: who sends it cannot be found out now, as whoever knows is out of reach (503). A
	// client that was told 401 instead might throw good credentials away.
	ErrCannotTell = errors.New("credentials cannot be checked now")
)

// Guard says whom a server lets in. The zero value lets in everybody but pages of other origins.
//
// Everything is checked before any upgrade, stream or subscription.
type Guard struct {
	// Authenticate tells who sends a request, by a header or cookie of it; [Identity] has the answer
	// afterwards. The request's PathValue("room") is the room. nil lets everybody in, as "".
	Authenticate func(*http.Request) (who string, err error)
	// Challenge is the WWW-Authenticate header of a 401, which must have one (RFC 9110 section 11.6.1).
	// "" means "Bearer".
	Challenge string
	// Origins are those, besides the server's own, whose pages may use the server, each as
	// "https://app.example" or with a port. They are compared as they are: a browser sends them in
	// lower case, without the scheme's own port. Requests that a browser sends for a page of any other
	// origin are answered with 403, whatever cookies it adds: subscriptions as well as publishes.
	Origins []string

	// MaxConns is how many streams are open at a time; one more is answered with 503. 0 means no limit.
	MaxConns int
	// MaxPerIdentity is how many of these one who, that is not "", has, and MaxPerAddr how many come from
	// one address; one more is answered with 429. 0 means no limit.
	MaxPerIdentity, MaxPerAddr int
	// Addr gives the address to count a request by. nil means that of the connection, without its port:
	// behind a proxy that is the proxy's for all.
	Addr func(*http.Request) string
}

// validate checks the fields and fills in defaults. Errors name the field.
func (g *Guard) validate() error {
	if g.Challenge == "" {
		g.Challenge = "Bearer"
	}
	if strings.ContainsFunc(g.Challenge, func(c rune) bool { return c < ' ' || c > '~' }) {
		return fieldError("Guard.Challenge", fmt.Sprintf("%.80q", g.Challenge), "printable ASCII")
	}
	for _, o := range g.Origins {
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(o); err != nil {
			return fieldError("Guard.Origins", err, `scheme and host, such as "https://app.example"`)
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"MaxConns", g.MaxConns}, {"MaxPerIdentity", g.MaxPerIdentity}, {"MaxPerAddr", g.MaxPerAddr}} {
		if f.value < 0 {
			return fieldError("Guard."+f.name, f.value, "0 (meaning no limit) or more")
		}
	}
	if g.Addr == nil {
		g.Addr = connAddr
	}
	return nil
}

func connAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Gate is a [Guard] at work: what it keeps of the streams that are open.
type Gate struct {
	guard   Guard
	origins *http.CrossOriginProtection
	retry   time.Duration // told to those who are too many

	mu     sync.Mutex // never held while waiting
	total  int
	byWho  map[string]int
	byAddr map[string]int
}

// NewGate checks a guard. The error names the field that is wrong. Those who are too many are asked to
// come again after retry, in whole seconds, one at least.
func NewGate(g Guard, retry time.Duration) (*Gate, error) {
	if err := g.validate(); err != nil {
		return nil, fmt.Errorf("hop1: %w", err)
	}
	gate := &Gate{guard: g, retry: retry, origins: http.NewCrossOriginProtection(), byWho: map[string]int{}, byAddr: map[string]int{}}
	for _, o := range g.Origins {
		if err := gate.origins.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("hop1: %w", err)
		}
	}
	return gate, nil
}

// identityKey is the context key of who sends a request.
type identityKey struct{}

// Identity is who sends a request that a [Gate] let in, by its context; "" if nobody asked.
func Identity(ctx context.Context) string {
	who, _ := ctx.Value(identityKey{}).(string)
	return who
}

// Protect has only requests through that the guard lets in, and says to a page of an allowed origin that
// it may read the answer. Requests are not counted.
func (g *Gate) Protect(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.checkOrigin(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		who, err := g.authenticate(r)
		if err != nil {
			g.deny(w, err)
			return
		}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
	})
}

// Stream is Protect for what stays open: it counts, and refuses those who are too many.
func (g *Gate) Stream(h http.Handler) http.Handler {
	return g.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, addr := Identity(r.Context()), g.guard.Addr(r)
		if status, why := g.enter(who, addr); status != 0 {
			retryLater(w, g.retry)
			http.Error(w, why, status)
			return
		}
		defer g.leave(who, addr)
		h.ServeHTTP(w, r)
	}))
}

// checkOrigin refuses pages of other origins, and answers those of allowed ones. The standard library
// decides, for every method as it does for those that change something: a stream is read with the
// user's cookies.
func (g *Gate) checkOrigin(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	asPost := r.WithContext(r.Context())
	asPost.Method = http.MethodPost
	if err := g.origins.Check(asPost); err != nil {
		return fmt.Errorf("origin %.80q is not allowed: %w", r.Header.Get("Origin"), err)
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After, ETag")
	}
	return nil
}

// preflightAge is how long a browser may remember a preflight's answer: the most that Chromium does.
const preflightAge = "7200"

// Preflight answers the request by which a browser asks on a page's behalf what it may do (Fetch
// standard, section 3.3). It has no credentials, so there is nobody to authenticate.
func (g *Gate) Preflight(w http.ResponseWriter, r *http.Request) {
	if err := g.checkOrigin(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, If-None-Match, Cache-Control")
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gate) authenticate(r *http.Request) (string, error) {
	if g.guard.Authenticate == nil {
		return "", nil
	}
	return g.guard.Authenticate(r)
}

func (g *Gate) deny(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrForbidden):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, ErrCannotTell), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		retryLater(w, g.retry)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.Header().Set("WWW-Authenticate", g.guard.Challenge)
		http.Error(w, err.Error(), http.StatusUnauthorized)
	}
}

// enter counts a stream, or says with which status it is refused, and why.
func (g *Gate) enter(who, addr string) (status int, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.guard.MaxPerIdentity > 0 && who != "" && g.byWho[who] >= g.guard.MaxPerIdentity:
		return http.StatusTooManyRequests, fmt.Sprintf("too many connections of %.80q: allowed are %d", who, g.guard.MaxPerIdentity)
	case g.guard.MaxPerAddr > 0 && g.byAddr[addr] >= g.guard.MaxPerAddr:
		return http.StatusTooManyRequests, fmt.Sprintf("too many connections from %.80s: allowed are %d", addr, g.guard.MaxPerAddr)
	case g.guard.MaxConns > 0 && g.total >= g.guard.MaxConns:
		return http.StatusServiceUnavailable, fmt.Sprintf("the server is full: it has %d connections", g.guard.MaxConns)
	}
	g.total++
	g.byWho[who]++
	g.byAddr[addr]++
	return 0, ""
}

func (g *Gate) leave(who, addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	uncount(g.byWho, who)
	uncount(g.byAddr, addr)
}

// uncount takes one away, and forgets whoever has none left.
func uncount(counts map[string]int, key string) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// retryLater asks to come again after d, in whole seconds, one at least.
func retryLater(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", fmt.Sprint(max(1, int64((d+time.Second-1)/time.Second))))
}
