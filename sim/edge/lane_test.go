package edge

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) { os.Exit(simtest.Main(m, "twohop/sim/", "net/http", "go-redis")) }

// everywhere runs a test on real sockets and in virtual time.
func everywhere(t *testing.T, body func(t *testing.T, w *world)) {
	t.Run("loopback", func(t *testing.T) {
		if runtime.GOOS == "wasip1" {
			t.Skip("there are no sockets here")
		}
		body(t, newWorld(t, &network{}))
	})
	inBubble(t, body)
}

// unhurried runs a test that takes long on real sockets everywhere, or, in a hurry, in virtual time alone.
func unhurried(t *testing.T, body func(t *testing.T, w *world)) {
	if simtest.Quick() {
		inBubble(t, body)
		return
	}
	everywhere(t, body)
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, body func(t *testing.T, w *world)) {
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { body(t, newWorld(t, &network{pipes: true})) })
	})
}

// network connects the processes of a test by name, over loopback or pipes.
type network struct {
	pipes bool
	mu    sync.Mutex
	hosts map[string]func(ctx context.Context) (net.Conn, error)
	conns []*tapped // all that were dialled through a tap
}

// tap gives a dialler for one program, which keeps what both ends write.
func (n *network) tap(program string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := n.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tc := &tapped{Conn: c, name: program + "→" + addr}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.conns = append(n.conns, tc)
		return tc, nil
	}
}

// tapped is a connection that keeps what went over it.
type tapped struct {
	net.Conn
	name       string
	mu         sync.Mutex
	sent, came []byte
}

func (c *tapped) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, b[:n]...)
	return n, err
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came = append(c.came, b[:n]...)
	return n, err
}

// traffic gives what went over each program's connections, in order of dialling, but for the end of a
// response after its goodbye: whether a client closes a wire without latency before it hears that is
// anybody's guess.
func (n *network) traffic() map[string][]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string][]string{}
	for _, c := range n.conns {
		c.mu.Lock()
		all[c.name] = append(all[c.name], string(c.sent), strings.TrimSuffix(string(c.came), "0\r\n\r\n"))
		c.mu.Unlock()
	}
	return all
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	connect := n.hosts[addr]
	n.mu.Unlock()
	if connect == nil {
		return nil, syscall.ECONNREFUSED
	}
	return connect(ctx)
}

func (n *network) listen(t *testing.T, addr string) net.Listener {
	var l net.Listener
	var connect func(context.Context) (net.Conn, error)
	if n.pipes {
		p := simtest.Listen()
		l, connect = p, func(context.Context) (net.Conn, error) { return p.Connect() }
	} else {
		var err error
		l, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		connect = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]func(context.Context) (net.Conn, error){}
	}
	n.hosts[addr] = connect
	return l
}

// world is a broker, edges, publishers and clients.
type world struct {
	net     *network
	crash   func() // ends the broker
	history int    // messages that the broker keeps; 0 means hop 2's default
}

func newWorld(t *testing.T, n *network) *world {
	w := &world{net: n}
	w.broker(t, hop2.NewRedisStore())
	return w
}

// broker starts the broker with a store, in the place of the one before.
func (w *world) broker(t *testing.T, store *hop2.RedisStore) {
	if w.crash != nil {
		w.crash()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	l := w.net.listen(t, "broker:6379")
	go func() { ended <- hop2.ServeRedis(ctx, l, store) }()
	w.crash = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	t.Cleanup(w.crash)
}

// strategy is hop 2 to the broker.
func (w *world) strategy(t *testing.T) hop2.Strategy {
	s, err := hop2.New("redis-streams", hop2.Config{
		Addr: "broker:6379", Dial: w.net.dial, History: w.history, CheckEvery: 100 * time.Millisecond,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// edge makes a server, which is shut down at the test's end.
func (w *world) edge(t *testing.T, change func(*Config)) *Server {
	cfg := Config{Name: "edge-1"}
	if change != nil {
		change(&cfg)
	}
	if cfg.Strategy == nil {
		cfg.Strategy = w.strategy(t)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(within(t))) })
	return s
}

// serve serves an edge over HTTP, and gives a client for it.
func (w *world) serve(t *testing.T, s *Server, addr string) *http.Client {
	return w.net.serve(t, s.Handler(), addr)
}

func (n *network) serve(t *testing.T, h http.Handler, addr string) *http.Client {
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	l := n.listen(t, addr)
	go func() { ended <- srv.Serve(l) }()
	tr := &http.Transport{DialContext: n.dial}
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
		tr.CloseIdleConnections()
		if n.pipes {
			time.Sleep(time.Second) // net/http leaves a connection half a second to take a refusal
		}
	})
	return &http.Client{Transport: tr}
}

// within gives a context that ends before a test's patience does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// publish publishes messages with the IDs from..to, straight to hop 2, and gives the last one's position.
func publish(t *testing.T, s hop2.Strategy, room string, from, to int) model.Cursor {
	t.Helper()
	var at model.Cursor
	for i := from; i <= to; i++ {
		var err error
		at, err = s.Publish(within(t), model.Message{Room: room, ID: fmt.Sprint(i), Body: fmt.Appendf(nil, "body %d", i)})
		require.NoError(t, err)
	}
	return at
}

func open(t *testing.T, s *Server, room string, from model.Cursor) hop1.Subscription {
	t.Helper()
	sub, err := s.Open(within(t), room, from)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	return sub
}

// read reads until the message with Seq to, and gives the sequence numbers.
func read(t *testing.T, sub hop1.Subscription, to uint64) []uint64 {
	t.Helper()
	var seqs []uint64
	ctx := within(t)
	for len(seqs) == 0 || seqs[len(seqs)-1] < to {
		b, err := sub.Next(ctx, nil)
		require.NoErrorf(t, err, "after %v, on the way to %d", seqs, to)
		require.Nil(t, b.Gap)
		require.NotEmpty(t, b.Messages)
		for _, m := range b.Messages {
			require.Equal(t, fmt.Appendf(nil, "body %s", m.ID), m.Body)
			seqs = append(seqs, m.Seq)
		}
	}
	return seqs
}

// readGap reads what must be a gap.
func readGap(t *testing.T, sub hop1.Subscription) hop1.Gap {
	t.Helper()
	b, err := sub.Next(within(t), nil)
	require.NoError(t, err)
	require.NotNil(t, b.Gap, "%+v", b.Messages)
	require.Empty(t, b.Messages)
	return *b.Gap
}

// await waits until something is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for range 20_000 {
		if so() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	require.Fail(t, "it does not come to be so")
}

// counting is a strategy that counts and can fail.
type counting struct {
	hop2.Strategy
	subscribes atomic.Int64
	fail       atomic.Pointer[error] // of Subscribe
}

func (c *counting) Subscribe(ctx context.Context, room string, from model.Cursor) (hop2.Subscription, error) {
	c.subscribes.Add(1)
	if err := c.fail.Load(); err != nil {
		return nil, *err
	}
	return c.Strategy.Subscribe(ctx, room, from)
}
