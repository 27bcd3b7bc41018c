package capture_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// chunk is what one end of a real connection wrote.
type chunk struct {
	at         time.Duration
	fromServer bool
	data       []byte
}

// tap is the client's end of a connection, which notes what goes either way.
type tap struct {
	net.Conn
	begin time.Time

	mu     sync.Mutex
	chunks []chunk
}

func (c *tap) note(fromServer bool, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(data) > 0 {
		c.chunks = append(c.chunks, chunk{time.Since(c.begin), fromServer, append([]byte(nil), data...)})
	}
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(true, b[:n])
	return n, err
}

func (c *tap) Write(b []byte) (int, error) {
	c.note(false, b) // before the server can answer it
	return c.Conn.Write(b)
}

// pipeListener accepts one connection.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// realBytes runs a net/http server and a client in virtual time, and gives what they wrote.
func realBytes(t *testing.T, handler http.HandlerFunc, use func(ctx context.Context, client *http.Client)) []chunk {
	var chunks []chunk
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &pipeListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conns <- far
		server := &http.Server{Handler: handler}
		served := make(chan error)
		go func() { served <- server.Serve(l) }()
		conn := &tap{Conn: near, begin: time.Now()}
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		use(t.Context(), &http.Client{Transport: transport})
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		chunks = conn.chunks
	})
	return chunks
}

// replay makes a capture of a conversation with the same bytes.
func replay(t *testing.T, chunks []chunk) []byte {
	require.NotEmpty(t, chunks)
	return captureOf(t, func(c *conversation) {
		begin := c.now
		for _, k := range chunks {
			c.now = max(c.now, begin+k.at)
			from := c.client
			if k.fromServer {
				from = c.server
			}
			c.say(from, k.data, "")
		}
	})
}

var greetings = []string{"hello", "how are you", "bye"}

// sseCapture is a stream of server-sent events, a second apart.
func sseCapture(t *testing.T) []byte {
	return replay(t, realBytes(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i, text := range greetings {
			if _, err := fmt.Fprintf(w, "id: a1:%d\ndata: %s\n\n", i+1, text); err != nil {
				t.Error(err)
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second) // of virtual time
		}
	}, func(ctx context.Context, client *http.Client) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://edge-1/events", nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := client.Do(req)
		require.NoError(t, err)
		lines := bufio.NewScanner(resp.Body)
		n := 0
		for lines.Scan() {
			n++
		}
		require.NoError(t, lines.Err())
		require.Equal(t, 3*len(greetings), n)
		require.NoError(t, resp.Body.Close())
	}))
}

// webSocketCapture is an echo over WebSocket, closed by the client.
func webSocketCapture(t *testing.T) []byte {
	return replay(t, realBytes(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil {
				if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
					t.Error(err)
				}
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte("echo: "), data...)); err != nil {
				t.Error(err)
			}
		}
	}, func(ctx context.Context, client *http.Client) {
		c, resp, err := websocket.Dial(ctx, "ws://edge-1/ws", &websocket.DialOptions{HTTPClient: client})
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		for _, text := range greetings {
			require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(text)))
			_, answer, err := c.Read(ctx)
			require.NoError(t, err)
			require.Equal(t, "echo: "+text, string(answer))
		}
		require.NoError(t, c.Close(websocket.StatusNormalClosure, "done"))
	}))
}

// The bytes that real protocols wrote are in their captures, in order, at both hosts.
func TestRealBytes(t *testing.T) {
	for name, file := range map[string][]byte{"sse": sseCapture(t), "websocket": webSocketCapture(t)} {
		all, _ := readAll(t, file)
		var atHost [2]string
		for _, rec := range all {
			atHost[rec.info.InterfaceIndex] += string(rec.payload)
		}
		require.Equal(t, atHost[0], atHost[1], name)
		require.Contains(t, atHost[0], "GET /", name)
		require.Contains(t, atHost[0], greetings[2], name)
	}
}
