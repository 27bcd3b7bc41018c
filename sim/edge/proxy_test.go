package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// proxied is a proxy before some backends, the i-th of which is "b<i>:80", from 1.
type proxied struct {
	*Proxy
	net    *network
	client *http.Client
}

// behind puts handlers behind a proxy; nil stands for a backend that does not listen.
func behind(t *testing.T, n *network, change func(*ProxyConfig), handlers ...http.Handler) *proxied {
	cfg := ProxyConfig{Dial: n.dial}
	for i, h := range handlers {
		addr := fmt.Sprintf("b%d:80", i+1)
		cfg.Backends = append(cfg.Backends, addr)
		if h != nil {
			n.serve(t, h, addr)
		}
	}
	if change != nil {
		change(&cfg)
	}
	p, err := NewProxy(cfg)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return &proxied{p, n, n.serve(t, p, "proxy:80")}
}

// inLanes runs a test of proxies on real sockets and in virtual time.
func inLanes(t *testing.T, body func(t *testing.T, n *network)) {
	everywhere(t, func(t *testing.T, w *world) { body(t, w.net) })
}

// says is a backend that answers with a word.
func says(word string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, word) })
}

// ask makes a request and gives the answer: body or, if that is not 200, status and body.
func (p *proxied) ask(t *testing.T, method, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t), method, "http://proxy:80"+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := p.client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(b)))
	}
	return string(b)
}

// asks makes some GETs, one after the other.
func (p *proxied) asks(t *testing.T, n int) string {
	t.Helper()
	var answers []string
	for range n {
		answers = append(answers, p.ask(t, http.MethodGet, "/", ""))
	}
	return strings.Join(answers, " ")
}

// Without stickiness requests go round; with it a client stays where it was served first, unless that backend
// is drained or its cookie names none.
func TestProxyStickiness(t *testing.T) {
	inLanes(t, func(t *testing.T, n *network) {
		p := behind(t, n, nil, says("1"), says("2"), says("3"))
		require.Equal(t, "1 2 3 1 2", p.asks(t, 5))
		require.NoError(t, p.Drain("b2:80"))
		require.Equal(t, "3 1 3 1", p.asks(t, 4))
		require.NoError(t, p.Undrain("b2:80"))
		require.Equal(t, "2 3 1 2", p.asks(t, 4))
		require.ErrorContains(t, p.Drain("b4:80"), `there is no backend "b4:80"; there are ["b1:80" "b2:80" "b3:80"]`)
		require.Equal(t, []BackendStats{{"b1:80", true, 5, 0}, {"b2:80", true, 4, 0}, {"b3:80", true, 4, 0}}, p.Stats())
	})
	inLanes(t, func(t *testing.T, n *network) {
		p := behind(t, n, func(c *ProxyConfig) { c.StickyCookie = "srv" }, says("1"), says("2"))
		require.Equal(t, "1 2 1 2", p.asks(t, 4), "nobody keeps the cookie")
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		p.client.Jar = jar
		require.Equal(t, "1 1 1", p.asks(t, 3))
		require.NoError(t, p.Drain("b1:80"))
		require.Equal(t, "2 2", p.asks(t, 2))
		require.NoError(t, p.Undrain("b1:80"))
		require.Equal(t, "2 2", p.asks(t, 2), "it has a new cookie")

		p.client.Jar = nil
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://proxy:80/", nil)
		require.NoError(t, err)
		r.AddCookie(&http.Cookie{Name: "srv", Value: "elsewhere:80"})
		resp, err := p.client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "srv=b1:80; Path=/; HttpOnly; SameSite=Lax", resp.Header.Get("Set-Cookie"))
	})
}

// Backends see who asks, and for which host; a client can claim another address only where that is allowed.
func TestProxyHeaders(t *testing.T) {
	for trust, want := range map[bool]string{false: "proxy:80 ", true: "proxy:80 10.9.9.9, "} {
		n := &network{}
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s", r.Host, r.Header.Get("X-Forwarded-For"))
		})
		p, err := NewProxy(ProxyConfig{Backends: []string{"b1:80"}, Dial: n.dial, TrustForwarded: trust})
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) {
			n.pipes = true
			n.serve(t, echo, "b1:80")
			client := n.serve(t, addressed{p}, "proxy:80")
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://proxy:80/", nil)
			require.NoError(t, err)
			r.Header.Set("X-Forwarded-For", "10.9.9.9")
			resp, err := client.Do(r)
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, want+"10.0.0.7", string(b))
			p.Close()
		})
	}
}

// addressed gives clients the address that they do not have on a pipe.
type addressed struct{ http.Handler }

func (a addressed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.RemoteAddr = "10.0.0.7:1234"
	a.Handler.ServeHTTP(w, r)
}

// A backend that cannot be reached costs no request; one that fails in the middle costs none that may be
// made twice. When all fail the client is told why.
func TestProxyRetries(t *testing.T) {
	inLanes(t, func(t *testing.T, n *network) {
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(b)
		})
		p := behind(t, n, nil, nil, echo)
		for i := range 4 {
			body := strings.Repeat("x", 10_000*i)
			require.Equal(t, body, p.ask(t, http.MethodPost, "/", body))
		}
		require.Equal(t, 4, p.Stats()[1].Requests)

		var hits atomic.Int64
		dies := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1); panic(http.ErrAbortHandler) })
		p = behind(t, n, nil, dies, says("2"))
		require.Equal(t, "2 2 2", p.asks(t, 3))
		before := hits.Load()
		require.Positive(t, before)
		answers := p.ask(t, http.MethodPost, "/", "x") + p.ask(t, http.MethodPost, "/", "x")
		require.Contains(t, answers, "502 proxy: backend b1:80: EOF")
		require.Contains(t, answers, "2")
		require.Equal(t, before+1, hits.Load())

		require.Contains(t, behind(t, n, nil, dies, dies).asks(t, 1), "502 proxy: backend b2:80: EOF")
		delete(n.hosts, "b1:80")
		delete(n.hosts, "b2:80")
		p = behind(t, n, nil, nil, nil)
		require.Regexp(t, "502 proxy: backend b2:80: .*refused", p.asks(t, 1))
		for _, s := range p.Stats() {
			require.Zero(t, s.Open)
		}
	})
}

// Time-outs: of dialling, of silence and of the whole, before the response and in the middle of it.
// Method: a backend that says a word a second; the clock is virtual.
func TestProxyTimeouts(t *testing.T) {
	ticks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" && pause(r.Context(), 5*time.Second) != nil {
			return
		}
		for range 10 {
			fmt.Fprint(w, "tick ")
			_ = http.NewResponseController(w).Flush()
			if pause(r.Context(), time.Second) != nil {
				return
			}
		}
	})
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
	}
	for name, c := range map[string]struct {
		change func(*ProxyConfig)
		path   string
		status int
		body   string // its first words
		cut    bool
		took   time.Duration
	}{
		"none":         {nil, "/late", 200, strings.Repeat("tick ", 10), false, 15 * time.Second},
		"dial":         {func(c *ProxyConfig) { c.Dial = never }, "/", 504, "proxy: backend b1:80: dial:", false, time.Second},
		"idle, early":  {func(c *ProxyConfig) { c.IdleTimeout = 4 * time.Second }, "/late", 504, "proxy: idle time-out after 4s", false, 4 * time.Second},
		"idle, cut":    {func(c *ProxyConfig) { c.IdleTimeout = 500 * time.Millisecond }, "/", 200, "tick ", true, 500 * time.Millisecond},
		"idle, long":   {func(c *ProxyConfig) { c.IdleTimeout = 1500 * time.Millisecond }, "/", 200, strings.Repeat("tick ", 10), false, 10 * time.Second},
		"total, early": {func(c *ProxyConfig) { c.TotalTimeout = 4 * time.Second }, "/late", 504, "proxy: total time-out after 4s", false, 4 * time.Second},
		"total, cut":   {func(c *ProxyConfig) { c.TotalTimeout = 3500 * time.Millisecond }, "/", 200, "tick tick tick tick ", true, 3500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := behind(t, &network{pipes: true}, c.change, ticks)
				began := time.Now()
				resp, err := p.client.Get("http://proxy:80" + c.path)
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				require.Equal(t, c.cut, errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
				require.Equal(t, c.took, time.Since(began))
				require.NoError(t, resp.Body.Close())
				require.Equal(t, c.status, resp.StatusCode)
				require.True(t, strings.HasPrefix(string(b), c.body), "%s", b)
			})
		})
	}
}

// A buffering proxy holds a response back until it has more than the buffer, or all of it; unless the server
// asks it not to.
func TestProxyBuffering(t *testing.T) {
	source := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open" {
			w.Header().Set("X-Accel-Buffering", "no")
		}
		for range 10 {
			fmt.Fprint(w, strings.Repeat("x", 300))
			_ = http.NewResponseController(w).Flush()
			if pause(r.Context(), time.Second) != nil {
				return
			}
		}
	})
	for _, c := range []struct {
		path   string
		buffer int
		all    bool
		comes  map[int]int // bytes in all, by the second
	}{
		{"/", 0, false, map[int]int{0: 300, 4: 1500, 9: 3000}},
		{"/open", 1000, false, map[int]int{0: 300, 4: 1500, 9: 3000}},
		{"/open", 1000, true, map[int]int{0: 0, 2: 0, 3: 1200, 6: 1200, 7: 2400, 9: 2400, 10: 3000}},
		{"/", 1000, false, map[int]int{0: 0, 2: 0, 3: 1200, 6: 1200, 7: 2400, 9: 2400, 10: 3000}},
		{"/", 5000, false, map[int]int{0: 0, 9: 0, 10: 3000}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := behind(t, &network{pipes: true}, func(cfg *ProxyConfig) { cfg.Buffer, cfg.BufferAll = c.buffer, c.all }, source)
			var came atomic.Int64
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				resp, err := p.client.Get("http://proxy:80" + c.path)
				if err != nil {
					return
				}
				defer resp.Body.Close()
				buf := make([]byte, 100)
				for err == nil {
					var n int
					n, err = resp.Body.Read(buf)
					came.Add(int64(n))
				}
			}()
			time.Sleep(500 * time.Millisecond) // not on the second
			for s := range 11 {
				if want, ok := c.comes[s]; ok {
					require.EqualValues(t, want, came.Load(), "%s, %d bytes, after %d s", c.path, c.buffer, s)
				}
				time.Sleep(time.Second)
			}
			<-ended
		})
	}
}

// WebSockets go through, both ways, and count as a request for as long as they live; a proxy without upgrades
// has the server say what is missing.
func TestProxyUpgrade(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	})
	inLanes(t, func(t *testing.T, n *network) {
		p := behind(t, n, func(c *ProxyConfig) { c.StickyCookie, c.IdleTimeout = "srv", time.Minute }, echo)
		ctx := within(t)
		c, resp, err := websocket.Dial(ctx, "ws://proxy:80/", &websocket.DialOptions{HTTPClient: p.client})
		require.NoError(t, err)
		require.Contains(t, resp.Header.Get("Set-Cookie"), "srv=b1:80")
		for _, word := range []string{"a", strings.Repeat("b", 20_000)} {
			require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(word)))
			_, b, err := c.Read(ctx)
			require.NoError(t, err)
			require.Equal(t, word, string(b))
		}
		require.NoError(t, p.Drain("b1:80"))
		require.NoError(t, c.Write(ctx, websocket.MessageText, []byte("still here")))
		_, _, err = c.Read(ctx)
		require.NoError(t, err, "who is there may stay")
		require.Equal(t, "503 proxy: no backend is in service", p.asks(t, 1))
		require.Equal(t, []BackendStats{{"b1:80", false, 1, 1}}, p.Stats())
		require.NoError(t, c.CloseNow())
		await(t, func() bool { return p.Stats()[0].Open == 0 })
	})
	inLanes(t, func(t *testing.T, n *network) {
		p := behind(t, n, func(c *ProxyConfig) { c.NoUpgrade = true }, echo)
		_, resp, err := websocket.Dial(within(t), "ws://proxy:80/", &websocket.DialOptions{HTTPClient: p.client})
		require.Error(t, err)
		require.Equal(t, http.StatusUpgradeRequired, resp.StatusCode)
	})
}

// A WebSocket is cut when it has been silent for the idle time-out, and when the total one is over.
func TestProxyCutsWebSockets(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ProxyConfig)
		want   time.Duration
	}{
		"idle":  {func(c *ProxyConfig) { c.IdleTimeout = 1500 * time.Millisecond }, 4500 * time.Millisecond},
		"total": {func(c *ProxyConfig) { c.TotalTimeout = 2 * time.Second }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				talks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s, err := websocket.Accept(w, r, nil)
					if err != nil {
						return
					}
					defer s.CloseNow()
					for i := 0; i < 3 && pause(r.Context(), time.Second) == nil; i++ {
						_ = s.Write(r.Context(), websocket.MessageText, []byte("x")) // it ends when the proxy has cut it
					}
					_, _, _ = s.Read(r.Context())
				})
				p := behind(t, &network{pipes: true}, c.change, talks)
				began := time.Now()
				conn, _, err := websocket.Dial(t.Context(), "ws://proxy:80/", &websocket.DialOptions{HTTPClient: p.client})
				require.NoError(t, err)
				for err == nil {
					_, _, err = conn.Read(t.Context())
				}
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, c.want, time.Since(began))
				require.NoError(t, conn.CloseNow())
			})
		})
	}
}

// Health checks take a backend out that fails, and put it back when it is well; an edge that drains is out.
func TestProxyHealth(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s1, s2 := w.edge(t, nil), w.edge(t, nil)
		p := behind(t, w.net, func(c *ProxyConfig) { c.HealthPath, c.Fall, c.Rise = "/health", 3, 2 }, s1.Handler(), s2.Handler())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		inService := func() [2]bool { return [2]bool{p.Stats()[0].InService, p.Stats()[1].InService} }
		time.Sleep(10*time.Second + time.Millisecond)
		require.Equal(t, [2]bool{true, true}, inService())

		require.NoError(t, s1.Shutdown(within(t)))
		time.Sleep(2 * time.Second)
		require.Equal(t, [2]bool{true, true}, inService(), "two failures are not three")
		time.Sleep(time.Second)
		require.Equal(t, [2]bool{false, true}, inService())
		for range 3 {
			require.Equal(t, "ok\n", p.ask(t, http.MethodGet, "/health", ""))
		}

		connect := w.net.hosts["b2:80"]
		w.net.mu.Lock()
		delete(w.net.hosts, "b2:80")
		w.net.mu.Unlock()
		time.Sleep(4 * time.Second)
		require.Equal(t, [2]bool{false, false}, inService())
		require.Equal(t, "503 proxy: no backend is in service", p.asks(t, 1))
		w.net.mu.Lock()
		w.net.hosts["b2:80"] = connect
		w.net.mu.Unlock()
		time.Sleep(3 * time.Second)
		require.Equal(t, [2]bool{false, true}, inService())
		cancel()
		<-ended
	})
	synctest.Test(t, func(t *testing.T) {
		p := behind(t, &network{pipes: true}, func(c *ProxyConfig) { c.HealthInterval = 100 * time.Millisecond }, says("1"), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.Run(ctx)
		require.Equal(t, []BackendStats{{"b1:80", true, 0, 0}, {"b2:80", false, 0, 0}}, p.Stats())
	})
}

func TestProxyConfigErrors(t *testing.T) {
	for want, change := range map[string]func(*ProxyConfig){
		`Backends: none; want at least one "host:port"`:      func(c *ProxyConfig) { c.Backends = nil },
		`Backends: "b1"; want "host:port"`:                   func(c *ProxyConfig) { c.Backends = []string{"b1"} },
		`Backends: ":80"; want "host:port"`:                  func(c *ProxyConfig) { c.Backends = []string{":80"} },
		`Backends: "b:80"; want each backend once`:           func(c *ProxyConfig) { c.Backends = []string{"b:80", "b:80"} },
		`StickyCookie: "a b"; want a cookie's name`:          func(c *ProxyConfig) { c.StickyCookie = "a b" },
		`Buffer: -1; want 0 (meaning none) to 16777216`:      func(c *ProxyConfig) { c.Buffer = -1 },
		`HealthPath: "health"; want a path such as`:          func(c *ProxyConfig) { c.HealthPath = "health" },
		`HealthPath: "/%zz"; want a path such as`:            func(c *ProxyConfig) { c.HealthPath = "/%zz" },
		`DialTimeout: -1s; want 0 (meaning 1s) or more`:      func(c *ProxyConfig) { c.DialTimeout = -time.Second },
		`IdleTimeout: -1s; want 0 (meaning never) or more`:   func(c *ProxyConfig) { c.IdleTimeout = -time.Second },
		`TotalTimeout: -1s; want 0 (meaning never) or more`:  func(c *ProxyConfig) { c.TotalTimeout = -time.Second },
		`HealthInterval: -1s; want 0 (meaning 1s) or more`:   func(c *ProxyConfig) { c.HealthInterval = -time.Second },
		`HealthTimeout: -1s; want 0 (meaning 3s) or more`:    func(c *ProxyConfig) { c.HealthInterval, c.HealthTimeout = 3*time.Second, -time.Second },
		`Fall: -1; want 0 (meaning 2) or more`:               func(c *ProxyConfig) { c.Fall = -1 },
		`edge proxy: Rise: -1; want 0 (meaning 2) or more`:   func(c *ProxyConfig) { c.Rise = -1 },
		`Buffer: 16777217; want 0 (meaning none) to 1677721`: func(c *ProxyConfig) { c.Buffer = maxProxyBuffer + 1 },
	} {
		cfg := ProxyConfig{Backends: []string{"b1:80"}}
		change(&cfg)
		_, err := NewProxy(cfg)
		require.ErrorContains(t, err, want)
	}
}
