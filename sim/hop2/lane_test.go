package hop2

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "3000"); err != nil { // of a pure machine, they take half a second
		log.Fatal(err)
	}
	os.Exit(simtest.Main(m, "sim/hop2", "go-redis", "miniredis", "nats.go", "nats-server/v2/server.", "kgo.", "kfake."))
}

// everywhere runs a test on real sockets and in virtual time.
func everywhere(t *testing.T, body func(t *testing.T, n *network)) {
	t.Run("loopback", func(t *testing.T) {
		if runtime.GOOS == "wasip1" {
			t.Skip("there are no sockets here")
		}
		body(t, newNetwork(t, false))
	})
	inBubble(t, body)
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, body func(t *testing.T, n *network)) {
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { body(t, newNetwork(t, true)) })
	})
}

// network is how strategies reach the broker: by loopback or by pipes.
type network struct {
	pipes bool

	mu       sync.Mutex
	address  string         // of the listening broker, on loopback
	pipe     *simtest.Pipes // of the broker that listens, or did last, with pipes; nil before any
	conns    []*conn        // all that were dialled
	deaf     bool           // new connections are cut at once
	dialFail error
}

// conn is a strategy's end of a connection. One that is cut swallows what is written and read.
type conn struct {
	net.Conn
	mu      sync.Mutex
	cut     bool
	written []byte
}

func (c *conn) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.written = append(c.written, b...)
	cut := c.cut
	c.mu.Unlock()
	if cut {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.isCut() {
			return n, err
		}
	}
}

func newNetwork(t *testing.T, pipes bool) *network {
	return &network{pipes: pipes}
}

// dial is a strategy's Dial.
func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	address, pipe, deaf, err := n.address, n.pipe, n.deaf, n.dialFail
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var raw net.Conn
	switch {
	case !n.pipes:
		raw, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	case pipe == nil:
		err = syscall.ECONNREFUSED
	default:
		raw, err = pipe.Connect()
	}
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, cut: deaf}
	n.mu.Lock()
	n.conns = append(n.conns, c)
	n.mu.Unlock()
	return c, nil
}

// cut makes every present connection a dead one, of which neither end is told.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.mu.Lock()
		c.cut = true
		c.mu.Unlock()
	}
}

// written gives what was written on each connection, in order of dialling.
func (n *network) written() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, c := range n.conns {
		c.mu.Lock()
		all = append(all, string(c.written))
		c.mu.Unlock()
	}
	return all
}

// listen opens the broker's end of the network.
func (n *network) listen(t require.TestingT) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pipes {
		n.pipe = simtest.Listen()
		return n.pipe
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.address = l.Addr().String()
	return l
}

// disk is what a broker keeps.
type disk interface {
	// serve runs the broker, and what else its strategy needs, until ctx ends.
	serve(ctx context.Context, n *network, l net.Listener) error
}

func (s *RedisStore) serve(ctx context.Context, _ *network, l net.Listener) error {
	return ServeRedis(ctx, l, s)
}

// serve starts a broker on the network; the function it returns crashes it.
func (n *network) serve(t *testing.T, store disk) (crash func()) {
	ctx, cancel := context.WithCancel(context.Background())
	l := n.listen(t)
	ended := make(chan error, 1)
	go func() { ended <- store.serve(ctx, n, l) }()
	crash = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	t.Cleanup(crash)
	return crash
}

// config is a strategy's, on this network.
func (n *network) config() Config {
	return Config{Addr: "broker:6379", Dial: n.dial, Rand: rand.New(rand.NewPCG(1, 2))}
}

// strategy makes one that is closed at the test's end.
func (n *network) strategy(t *testing.T, change func(*Config)) *Redis {
	cfg := n.config()
	if change != nil {
		change(&cfg)
	}
	s, err := NewRedisStreams(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// within gives a context that ends before a test's patience does: in virtual time it costs nothing.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

const patience = 20 * time.Second

// note is a message whose ID and body follow from its number.
func note(room string, i int) model.Message {
	return model.Message{Room: room, ID: fmt.Sprintf("m%d", i), Publisher: "p", Body: fmt.Appendf(nil, "body \x00\xff of %d", i)}
}

// publish publishes notes from..to, one after the other.
func publish(t *testing.T, s Strategy, room string, from, to int) model.Cursor {
	t.Helper()
	var at model.Cursor
	for i := from; i <= to; i++ {
		var err error
		at, err = s.Publish(within(t, patience), note(room, i))
		require.NoError(t, err)
	}
	return at
}

func subscribe(t *testing.T, s Strategy, room string, from model.Cursor) Subscription {
	t.Helper()
	sub, err := s.Subscribe(within(t, patience), room, from)
	require.NoError(t, err)
	t.Cleanup(sub.Unsubscribe)
	return sub
}

// requireAt fails unless a subscription starts where it was asked to.
func requireAt(t *testing.T, at model.Cursor, s Start) {
	t.Helper()
	require.Equal(t, at, s.Cursor)
	require.Empty(t, s.Gap)
}

// collect reads until the subscription has come to an end position, and gives the sequence numbers
// that it delivered and the gaps that it announced. It checks that they make one whole.
func collect(t *testing.T, sub Subscription, from, to model.Cursor) (seqs []uint64, gaps []Gap) {
	t.Helper()
	ctx := within(t, patience)
	for at := from; at != to; {
		b, err := sub.Next(ctx)
		require.NoErrorf(t, err, "at %v, on the way to %v", at, to)
		if b.Gap != nil {
			require.Equal(t, at, b.Gap.From)
			gaps = append(gaps, *b.Gap)
		}
		for i, m := range b.Messages {
			require.Equal(t, at.Seq+uint64(i)+1, m.Seq)
			seqs = append(seqs, m.Seq)
		}
		at = b.Cursor
	}
	return seqs, gaps
}
