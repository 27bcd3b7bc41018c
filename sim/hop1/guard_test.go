package hop1

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// guarded serves a feed behind a guard.
func guarded(t *testing.T, feed Feed, g Guard) http.Handler {
	h, err := Handler(ServerConfig{Feed: feed, Name: "edge-1", RetryHint: 1500 * time.Millisecond, Guard: g, WebRTC: webrtcOn(t)})
	require.NoError(t, err)
	return h
}

// knows lets in who has a token, by header or cookie.
func knows(r *http.Request) (string, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c, err := r.Cookie("session"); err == nil {
		token = c.Value
	}
	switch token {
	case "alice", "bob":
		return token, nil
	case "mallory":
		return "", fmt.Errorf("%w: mallory may not enter %s", ErrForbidden, r.PathValue("room"))
	case "later":
		return "", fmt.Errorf("directory: %w", ErrCannotTell)
	}
	return "", errors.New("who are you?")
}

// identities is a feed that notes who opens.
type identities struct {
	*memFeed
	who chan string
}

func (f identities) Open(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	f.who <- Identity(ctx)
	return f.memFeed.Open(ctx, room, from)
}

// Goal: who has a token, in a header or in a cookie, is let in over every transport, and the feed knows who
// it is.
func TestAuthenticate(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		feed := identities{newMemFeed(), make(chan string, 100)}
		u, hc := l.serve(t, guarded(t, feed, Guard{Authenticate: knows}))
		s := &system{feed: feed.memFeed, url: u, http: hc}
		s.join(t, tr, func(c *ClientConfig) { c.Header = http.Header{"Authorization": {"Bearer alice"}} })
		require.Equal(t, "alice", <-feed.who)

		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		at, err := url.Parse(u)
		require.NoError(t, err)
		jar.SetCookies(at, []*http.Cookie{{Name: "session", Value: "bob"}})
		withJar := *hc
		withJar.Jar = jar
		other := &system{feed: feed.memFeed, url: u, http: &withJar}
		other.join(t, tr, nil)
		for who := range feed.who { // alice may come again, where a transport asks again and again
			if who == "bob" {
				break
			}
			require.Equal(t, "alice", who)
		}
		feed.publish(1)
		s.rec.await(t, model.Deliver, 1)
		other.rec.await(t, model.Deliver, 1)
	})
}

// visit makes a request by hand, whose client has left already, and gives the answer.
func visit(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://edge.example"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	left, leave := context.WithCancel(r.Context())
	leave()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(left))
	return w
}

// letIn tells whether a request passed the guard. What came after that is the transport's affair: a recorder
// can neither stream nor be upgraded.
func letIn(code int) bool { return code != 401 && code != 403 && code != 429 }

// Goal: whoever is not let in is told with the right status, before any subscription is opened.
func TestDenial(t *testing.T) {
	feed := newMemFeed()
	h := guarded(t, feed, Guard{Authenticate: knows, Challenge: `Bearer realm="rooms"`})
	for _, tr := range transports {
		path := "/rooms/r/" + tr.path
		w := visit(h, "GET", path)
		require.Equal(t, 401, w.Code)
		require.Equal(t, `Bearer realm="rooms"`, w.Header().Get("WWW-Authenticate"))
		require.Contains(t, w.Body.String(), "who are you?")
		w = visit(h, "GET", path, "Authorization", "Bearer mallory")
		require.Equal(t, 403, w.Code)
		require.Contains(t, w.Body.String(), "mallory may not enter r")
		w = visit(h, "GET", path, "Cookie", "session=later")
		require.Equal(t, 503, w.Code)
		require.Equal(t, "2", w.Header().Get("Retry-After"))
		require.Empty(t, feed.cursors())
		require.True(t, letIn(visit(h, "GET", path, "Cookie", "session=bob").Code))
		require.Len(t, feed.cursors(), 1)
		feed.set(func() { feed.asked = nil })
	}
}

// Goal: a client that is denied does not hammer the server, comes in once its credentials are good, and
// says why it could not.
func TestDeniedClientWaits(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		feed := newMemFeed()
		var asked atomic.Int64
		var open atomic.Bool
		w := newWire(t, guarded(t, feed, Guard{Authenticate: func(*http.Request) (string, error) {
			if asked.Add(1); open.Load() {
				return "c1", nil
			}
			return "", errors.New("not yet")
		}}))
		rec := newRecorder()
		cfg := ClientConfig{
			Name: "c1", Room: "r", BaseURL: w.url, Transport: tr, HTTP: w.client, Observe: rec.observe, WebRTC: webrtcOn(t),
			Backoff: Backoff{Min: time.Millisecond, Max: 5 * time.Second}, Rand: rand.New(rand.NewPCG(1, 2)),
		}
		c, err := NewClient(cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = c.Run(ctx)
		require.ErrorIs(t, err, ErrUnauthorized)
		require.ErrorContains(t, err, "refused with 401: not yet")
		// The waits are of 5 s and a draw below 1 ms, 2 ms ... 5 s.
		require.InDelta(t, 11, asked.Load(), 2)

		open.Store(true)
		ctx, cancel = context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		rec.await(t, model.Connected, 1)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)

		open.Store(false)
		cfg.StopWhenDenied = true
		c, err = NewClient(cfg)
		require.NoError(t, err)
		synctest.Wait() // the server is done with whoever has left
		before := asked.Load()
		require.ErrorIs(t, c.Run(t.Context()), ErrUnauthorized)
		require.Equal(t, int64(1), asked.Load()-before)
	})
}

// Goal: only pages of the server's own origin and of those allowed get anything, whatever the transport.
func TestOrigins(t *testing.T) {
	feed := newMemFeed()
	h := guarded(t, feed, Guard{Origins: []string{"https://app.example", "http://localhost:3000"}})
	cases := []struct {
		name         string
		header       []string
		in, readable bool
	}{
		{"no browser", nil, true, false},
		{"same origin", []string{"Origin", "http://edge.example"}, true, true},
		{"same origin, as the browser knows", []string{"Origin", "https://edge.example", "Sec-Fetch-Site", "same-origin"}, true, true},
		{"typed in", []string{"Sec-Fetch-Site", "none"}, true, false},
		{"allowed", []string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}, true, true},
		{"allowed, old browser", []string{"Origin", "http://localhost:3000"}, true, true},
		{"other port", []string{"Origin", "http://localhost:3001"}, false, false},
		{"other scheme", []string{"Origin", "http://app.example"}, false, false},
		{"other", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, false, false},
		{"suffix", []string{"Origin", "http://evil-edge.example"}, false, false},
		{"subdomain", []string{"Origin", "http://x.edge.example", "Sec-Fetch-Site", "same-site"}, false, false},
		{"sandbox", []string{"Origin", "null"}, false, false},
		{"an image of another page", []string{"Sec-Fetch-Site", "cross-site"}, false, false},
	}
	for _, tr := range transports {
		for _, c := range cases {
			t.Run(tr.name+" "+c.name, func(t *testing.T) {
				feed.set(func() { feed.asked = nil })
				w := visit(h, "GET", "/rooms/r/"+tr.path, c.header...)
				require.Equal(t, c.in, letIn(w.Code), w.Code)
				require.Equal(t, c.in, len(feed.cursors()) == 1)
				allowed := w.Header().Get("Access-Control-Allow-Origin")
				require.Equal(t, c.readable, allowed != "")
				if c.readable {
					require.Equal(t, c.header[1], allowed)
				}
				require.Equal(t, "Origin", w.Header().Get("Vary"))
				if !c.in {
					require.Equal(t, 403, w.Code)
				}
				if len(c.header) == 0 || c.header[0] != "Origin" {
					return
				}
				w = visit(h, "OPTIONS", "/rooms/r/"+tr.path, append(c.header, "Access-Control-Request-Method", "GET")...)
				require.Equal(t, map[bool]int{true: 204, false: 403}[c.in], w.Code)
				if c.in {
					require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Last-Event-ID")
					require.Equal(t, "true", w.Header().Get("Access-Control-Allow-Credentials"))
				}
			})
		}
	}
}

// Goal: preflights need no credentials, as browsers send none; what they ask for does.
func TestPreflightIsNotAuthenticated(t *testing.T) {
	h := guarded(t, newMemFeed(), Guard{Authenticate: knows, Origins: []string{"https://app.example"}})
	require.Equal(t, 204, visit(h, "OPTIONS", "/rooms/r/events", "Origin", "https://app.example").Code)
	require.Equal(t, 401, visit(h, "GET", "/rooms/r/events", "Origin", "https://app.example").Code)
}

// Goal: one too many is refused, and has its place when another has left; those of others are not counted.
// Method: streams that stay open, of which one is closed again.
func TestConnectionLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		guard   Guard
		first   string // what the first two are refused a third for
		other   string // who still gets in
		status  int
		because string
	}{
		{"server", Guard{MaxConns: 2}, "alice", "", 503, "the server is full: it has 2 connections"},
		{"identity", Guard{MaxPerIdentity: 2}, "alice", "bob", 429, `too many connections of "alice": allowed are 2`},
		{"address", Guard{MaxPerAddr: 2, Addr: func(r *http.Request) string { return r.Header.Get("X-Test-Addr") }}, "alice", "bob", 429,
			"too many connections from alice: allowed are 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				feed := newMemFeed()
				c.guard.Authenticate = knows
				w := newWire(t, guarded(t, feed, c.guard))
				get := func(who string) *http.Response {
					req, err := http.NewRequest("GET", w.url+"/rooms/r/events", nil)
					require.NoError(t, err)
					req.Header.Set("Authorization", "Bearer "+who)
					req.Header.Set("X-Test-Addr", who)
					resp, err := w.client.Do(req)
					require.NoError(t, err)
					return resp
				}
				open := []*http.Response{get(c.first), get(c.first)}
				refused := get(c.first)
				require.Equal(t, c.status, refused.StatusCode)
				require.Equal(t, "2", refused.Header.Get("Retry-After"))
				require.Contains(t, refusal(refused).body, c.because)
				require.NoError(t, refused.Body.Close())
				if c.other != "" {
					open = append(open, get(c.other))
					require.Equal(t, 200, open[2].StatusCode)
				}
				require.NoError(t, open[0].Body.Close())
				synctest.Wait()
				open[0] = get(c.first)
				require.Equal(t, 200, open[0].StatusCode)
				for _, resp := range open {
					require.NoError(t, resp.Body.Close())
				}
			})
		})
	}
}

// Goal: a limit that is reached is left no lower than it was: nothing is counted twice or for ever.
func TestGateForgets(t *testing.T) {
	g, err := NewGate(Guard{MaxConns: 3, MaxPerIdentity: 2, MaxPerAddr: 2}, 0)
	require.NoError(t, err)
	for range 3 {
		for _, in := range [][2]string{{"a", "1"}, {"a", "2"}, {"", "1"}} {
			status, _ := g.enter(in[0], in[1])
			require.Zero(t, status)
		}
		status, _ := g.enter("b", "3")
		require.Equal(t, 503, status)
		status, _ = g.enter("a", "3")
		require.Equal(t, 429, status)
		status, _ = g.enter("b", "1")
		require.Equal(t, 429, status)
		for _, in := range [][2]string{{"a", "1"}, {"a", "2"}, {"", "1"}} {
			g.leave(in[0], in[1])
		}
		require.Empty(t, g.byWho)
		require.Empty(t, g.byAddr)
	}
	require.Equal(t, "10.0.0.1", connAddr(&http.Request{RemoteAddr: "10.0.0.1:80"}))
	require.Equal(t, "pipe", connAddr(&http.Request{RemoteAddr: "pipe"}))
}

func TestGuardConfig(t *testing.T) {
	for _, c := range []struct {
		field string
		guard Guard
	}{
		{"Guard.Challenge", Guard{Challenge: "a\nb"}},
		{"Guard.Origins", Guard{Origins: []string{"app.example"}}},
		{"Guard.Origins", Guard{Origins: []string{"https://app.example/path"}}},
		{"Guard.Origins", Guard{Origins: []string{"*"}}},
		{"Guard.MaxConns: -1", Guard{MaxConns: -1}},
		{"Guard.MaxPerIdentity: -1", Guard{MaxPerIdentity: -1}},
		{"Guard.MaxPerAddr: -1", Guard{MaxPerAddr: -1}},
	} {
		_, err := Handler(ServerConfig{Feed: newMemFeed(), Guard: c.guard})
		require.ErrorContains(t, err, c.field)
	}
}
