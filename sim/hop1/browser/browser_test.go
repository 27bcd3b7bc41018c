package browser

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/sim/internal/simtest"
)

// The flag is there for go test ./sim/hop1/... -live, which gives it to every package.
var _ = flag.Bool("live", false, "without effect: these tests need nothing real")

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) {
	os.Exit(simtest.Main(m, "twohop/sim/", "net/http", "coder/websocket", "go-redis"))
}

// host is a server that is reached over pipes, by any name.
type host struct {
	mu    sync.Mutex
	pipes *simtest.Pipes // nil while it is down
}

func (h *host) dial(context.Context, string, string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pipes == nil {
		return nil, fmt.Errorf("dial: %w", os.ErrClosed)
	}
	return h.pipes.Connect()
}

// serve starts a server, of HTTP/1.1 and HTTP/2 without TLS; the function it returns ends it.
func (h *host) serve(t *testing.T, handler http.Handler) (stop func()) {
	pipes := simtest.Listen()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), Protocols: protocols}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(pipes) }()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pipes = pipes
	stop = sync.OnceFunc(func() {
		h.mu.Lock()
		h.pipes = nil
		h.mu.Unlock()
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	t.Cleanup(stop)
	return stop
}

// open starts a browser for a host.
func (h *host) open(t *testing.T, http2 bool) *Browser {
	b, err := New(Config{Dial: h.dial, HTTP2: http2})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

// streams is a server of endless event streams, and of WebSockets.
func streams(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ws":
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, _, _ = c.Read(r.Context()) // it ends when the client leaves
		_ = c.CloseNow()
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		fmt.Fprint(w, "answer")
	}
}

// sources opens n EventSources, and gives how many are open, and what closes the last that was begun.
func sources(t *testing.T, b *Browser, origin string, n int) (open *atomic.Int64, closeOne func()) {
	open = new(atomic.Int64)
	var closers []func()
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		s := &EventSource{URL: origin + "/events", HTTP: b.Client(), OnOpen: func() { open.Add(1) }}
		go func() {
			defer close(ended)
			_ = s.Run(ctx) // ctx's error, as the test ends it
		}()
		closer := sync.OnceFunc(func() { cancel(); <-ended })
		t.Cleanup(closer)
		closers = append(closers, closer)
		synctest.Wait() // so that they come in order
	}
	return open, closers[0]
}

// Goal: over HTTP/1.1 the seventh event stream to one origin hangs, and with it every other request, until
// one of the six closes. Over HTTP/2 there is no such limit. Another origin, and WebSockets, have their own.
func TestSixConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		h.serve(t, http.HandlerFunc(streams))
		b := h.open(t, false)
		open, closeOne := sources(t, b, "http://edge", 7)
		time.Sleep(time.Hour)
		require.EqualValues(t, 6, open.Load())

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://edge/post", strings.NewReader("x"))
		require.NoError(t, err)
		_, err = b.Client().Do(r)
		require.ErrorIs(t, err, context.DeadlineExceeded, "a POST waits behind them")

		elsewhere, _ := sources(t, b, "http://another", 1)
		time.Sleep(time.Second)
		require.EqualValues(t, 1, elsewhere.Load())
		for range 7 {
			c, _, err := websocket.Dial(t.Context(), "http://edge/ws", &websocket.DialOptions{HTTPClient: b.Client()})
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.CloseNow() })
		}

		closeOne()
		time.Sleep(time.Second)
		require.EqualValues(t, 7, open.Load(), "the one that waited has its place")
	})
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		h.serve(t, http.HandlerFunc(streams))
		b := h.open(t, true)
		open, _ := sources(t, b, "http://edge", 30)
		time.Sleep(time.Second)
		require.EqualValues(t, 30, open.Load())
		resp, err := b.Client().Post("http://edge/post", "text/plain", strings.NewReader("x"))
		require.NoError(t, err)
		require.Equal(t, 2, resp.ProtoMajor)
		require.NoError(t, resp.Body.Close())
	})
}

// Goal: WebSockets have a limit, too.
func TestWebSocketLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		h.serve(t, http.HandlerFunc(streams))
		b, err := New(Config{Dial: h.dial, MaxWebSockets: 3})
		require.NoError(t, err)
		t.Cleanup(b.Close)
		var last *websocket.Conn
		dial := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c, _, err := websocket.Dial(ctx, "http://edge/ws", &websocket.DialOptions{HTTPClient: b.Client()})
			if err == nil {
				last = c
				t.Cleanup(func() { _ = c.CloseNow() })
			}
			return err
		}
		for range 3 {
			require.NoError(t, dial())
		}
		require.ErrorIs(t, dial(), context.DeadlineExceeded)
		require.NoError(t, last.CloseNow())
		require.NoError(t, dial())
		for range 5 {
			_, _, err = websocket.Dial(t.Context(), "http://another/no-socket", &websocket.DialOptions{HTTPClient: b.Client()})
			require.Error(t, err, "what is refused holds no place")
		}
	})
}

// Goal: the same on real sockets; with https, HTTP/2 is agreed on as browsers do it.
func TestBrowserOnLoopback(t *testing.T) {
	if runtime.GOOS == "wasip1" {
		t.Skip("there are no sockets here")
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(streams))
	srv.EnableHTTP2, srv.Config.ErrorLog = true, log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	for _, http2 := range []bool{false, true} {
		b, err := New(Config{TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig, HTTP2: http2})
		require.NoError(t, err)
		t.Cleanup(b.Close)
		opened := make(chan struct{}, 7)
		for range 7 {
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			s := &EventSource{URL: srv.URL + "/events", HTTP: b.Client(), OnOpen: func() { opened <- struct{}{} }}
			go func() { _ = s.Run(ctx) }() // it ends with the test
		}
		for range 6 {
			<-opened
		}
		if http2 {
			<-opened
			continue
		}
		select {
		case <-opened:
			require.Fail(t, "a seventh stream has opened")
		case <-time.After(200 * time.Millisecond): // enough for a mutant to show; too little shows nothing that is not so
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for want, cfg := range map[string]Config{
		"MaxConns: -1; want 0 (meaning 6) or more":        {MaxConns: -1},
		"MaxWebSockets: -1; want 0 (meaning 255) or more": {MaxWebSockets: -1},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
	client := &http.Client{}
	for want, s := range map[string]*EventSource{
		`URL: "ws://edge"; want http or https`:           {URL: "ws://edge", HTTP: client},
		`URL: "/events"; want http or https with a host`: {URL: "/events", HTTP: client},
		"URL: parse":                                          {URL: "http://[", HTTP: client},
		"HTTP: <nil>; want a Browser's client":                {URL: "http://edge"},
		"HTTP.Timeout: 1s; want 0":                            {URL: "http://edge", HTTP: &http.Client{Timeout: time.Second}},
		"ReconnectionTime: -1s; want 0 (meaning 3s) or more":  {URL: "http://edge", HTTP: client, ReconnectionTime: -time.Second},
		"browser: MaxEvent: -1; want 0 (meaning 16 MiB) or m": {URL: "http://edge", HTTP: client, MaxEvent: -1},
	} {
		require.ErrorContains(t, s.Run(t.Context()), want)
	}
}
