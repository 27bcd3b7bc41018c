package hop1

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// proxy is a reverse proxy to what is behind a wire.
func proxy(t *testing.T, behind *wire, change func(http.Handler) http.Handler) *wire {
	target, err := url.Parse(behind.url)
	require.NoError(t, err)
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: behind.client.Transport,
	}
	return newWire(t, change(p))
}

// unflushed is a response that nobody can flush: net/http sends it when it has two kilobytes, or ends.
type unflushed struct{ http.ResponseWriter }

// buffers is a proxy that holds back whole responses, their headers too.
func buffers(p http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w = unflushed{w}
		}
		p.ServeHTTP(w, r)
	})
}

// buffersBodies sends headers at once, and holds back what follows.
func buffersBodies(p http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		p.ServeHTTP(unflushed{w}, r)
	})
}

// stripsUpgrades is a proxy that knows nothing of upgrades.
func stripsUpgrades(p http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Connection")
		r.Header.Del("Upgrade")
		p.ServeHTTP(w, r)
	})
}

// Goal: a client behind a proxy that buffers says so, by name, instead of that time ran out.
func TestBufferingIsNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(http.Handler) http.Handler
		why    string
	}{
		{"whole", buffers, "the request was sent, and not a byte of an answer came"},
		{"bodies", buffersBodies, "the answer began, and not an event of it came"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := proxy(t, newWire(t, testServer(t, newMemFeed())), c.change)
				cl, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: "sse", HTTP: w.client, DialTimeout: 2 * time.Second})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
				defer cancel()
				err = cl.Run(ctx)
				require.ErrorIs(t, err, ErrBuffered)
				require.ErrorContains(t, err, "no opening within 2s")
				require.ErrorContains(t, err, c.why)
			})
		})
	}
}

// Goal: nobody else is said to buffer: not who cannot be reached, who refuses, or whose client stops.
func TestNotBuffering(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"refuses": http.NotFoundHandler(),
		"breaks":  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, h)
				c, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: "sse", HTTP: w.client})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				require.NotErrorIs(t, c.Run(ctx), ErrBuffered)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // nobody takes the connection, let alone the request
		w := newWire(t, http.NotFoundHandler())
		hc := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(10 * time.Second)
			return nil, syscall.ETIMEDOUT
		}}}
		c, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: "sse", HTTP: hc})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err = c.Run(ctx)
		require.ErrorContains(t, err, "no opening within 5s")
		require.NotErrorIs(t, err, ErrBuffered)
		time.Sleep(10 * time.Second) // for the last dial
	})
}

// Goal: a client goes on with another transport where its own does not get through, and stays with it,
// through reconnects and a resume; without a fallback it does not.
func TestFallback(t *testing.T) {
	for _, c := range []struct {
		from, to string
		change   func(http.Handler) http.Handler
	}{
		{"sse", "ws", buffers},
		{"ws", "sse", stripsUpgrades},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				feed := newMemFeed()
				w := proxy(t, newWire(t, testServer(t, feed)), c.change)
				s := &system{feed: feed, url: w.url, http: w.client}
				s.join(t, c.from, func(cfg *ClientConfig) { cfg.Fallback = []string{c.to} })
				feed.publish(2)
				s.rec.await(t, model.Deliver, 2)
				feed.fail(ErrClosed)
				feed.publish(2)
				s.rec.await(t, model.Deliver, 4)
				require.Equal(t, simtest.UpTo(1, 4), s.rec.seqs())
				for _, e := range s.rec.of("") {
					require.Equal(t, c.to, e.Transport)
				}

				alone, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: c.from, HTTP: w.client})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				require.Error(t, alone.Run(ctx))
				require.Equal(t, c.from, alone.transport.name)
			})
		})
	}
}
