package hop1

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) {
	os.Exit(simtest.Main(m, "sim/hop1", "net/http", "coder/websocket", "pion/"))
}

// lane is where a test runs: a server and how to reach it.
type lane struct {
	name string
	run  func(t *testing.T, body func(t *testing.T))
	// serve starts a server and gives its URL and a client for it.
	serve func(t *testing.T, h http.Handler) (string, *http.Client)
}

// onLoopback uses real sockets.
var onLoopback = lane{
	name: "loopback",
	run:  func(t *testing.T, body func(t *testing.T)) { body(t) },
	serve: func(t *testing.T, h http.Handler) (string, *http.Client) {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL, srv.Client()
	},
}

// inBubble uses virtual time, and wires made in the bubble.
var inBubble = lane{
	name: "bubble",
	run:  func(t *testing.T, body func(t *testing.T)) { synctest.Test(t, body) },
	serve: func(t *testing.T, h http.Handler) (string, *http.Client) {
		w := newWire(t, h)
		return w.url, w.client
	},
}

// everywhere runs a test over every lane and transport.
func everywhere(t *testing.T, body func(t *testing.T, l lane, transport string)) {
	for _, l := range []lane{onLoopback, inBubble} {
		for _, tr := range Transports() {
			t.Run(l.name+"/"+tr, func(t *testing.T) {
				l.run(t, func(t *testing.T) { body(t, l, tr) })
			})
		}
	}
}

// inEveryBubble runs a test of virtual time over every transport.
func inEveryBubble(t *testing.T, body func(t *testing.T, transport string)) {
	for _, tr := range Transports() {
		t.Run(tr, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { body(t, tr) })
		})
	}
}

// holds tells whether a transport's server has a subscription open while nothing happens.
func holds(transport string) bool { return transport != "poll" }

// openingOf is how long a transport takes at most to open over a network without latency, and settleOf how long
// to close on both sides: a peer connection has timers of its own.
func openingOf(transport string) time.Duration {
	if transport == "webrtc" {
		return time.Second
	}
	return time.Millisecond
}

func settleOf(transport string) time.Duration {
	if transport == "webrtc" {
		return time.Second
	}
	return 0
}

// recorder is an Observe that tests can wait on.
type recorder struct {
	mu      sync.Mutex
	events  []model.Event
	times   []time.Time
	changed chan struct{}
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) observe(ev model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.times = append(r.events, ev), append(r.times, time.Now())
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) look() ([]model.Event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]model.Event(nil), r.events...), r.changed
}

// of gives the events of one kind, all of them for "".
func (r *recorder) of(kind model.Kind) []model.Event {
	all, _ := r.look()
	var some []model.Event
	for _, ev := range all {
		if kind == "" || ev.Kind == kind {
			some = append(some, ev)
		}
	}
	return some
}

// when gives the time of the last event of a kind.
func (r *recorder) when(kind model.Kind) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if r.events[i].Kind == kind {
			return r.times[i]
		}
	}
	return time.Time{}
}

// await waits until there are n events of a kind.
func (r *recorder) await(t *testing.T, kind model.Kind, n int) []model.Event {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		_, changed := r.look()
		if some := r.of(kind); len(some) >= n {
			return some
		}
		select {
		case <-changed:
		case <-limit.C:
			require.Failf(t, "events are missing", "want %d of %q, have %+v", n, kind, r.of(""))
		}
	}
}

// seqs gives the delivered sequence numbers.
func (r *recorder) seqs() []uint64 {
	var seqs []uint64
	for _, ev := range r.of(model.Deliver) {
		seqs = append(seqs, ev.Seq)
	}
	return seqs
}

// system is a feed, its server and a client.
type system struct {
	feed *memFeed
	rec  *recorder
	url  string
	http *http.Client
	stop func() error // stops the client and gives what Run returned
}

// testServer serves a feed with short times, which the bubbles' tests count on.
func testServer(t *testing.T, feed Feed) http.Handler {
	h, err := Handler(ServerConfig{Feed: feed, Name: "edge-1", WebRTC: webrtcOn(t)})
	require.NoError(t, err)
	return h
}

func start(t *testing.T, l lane, transport string, change func(*ClientConfig)) *system {
	feed := newMemFeed()
	url, hc := l.serve(t, testServer(t, feed))
	s := &system{feed: feed, url: url, http: hc}
	s.join(t, transport, change)
	return s
}

// join starts the system's client, and waits for its first connection.
func (s *system) join(t *testing.T, transport string, change func(*ClientConfig)) {
	s.rec = newRecorder()
	cfg := ClientConfig{
		Name: "c1", Room: "r", BaseURL: s.url, Transport: transport, HTTP: s.http,
		Backoff: Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond},
		Poll:    Polling{Interval: 10 * time.Millisecond},
		Rand:    rand.New(rand.NewPCG(1, 2)),
		Observe: s.rec.observe, WebRTC: webrtcOn(t),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := NewClient(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { require.ErrorIs(t, s.stop(), context.Canceled) })
	s.rec.await(t, model.Connected, 1)
}

// held waits until the server has a subscription open, if the transport's does.
func (s *system) held(t *testing.T, transport string) {
	require.Eventually(t, func() bool {
		open, _ := s.feed.subscriptions()
		return open > 0 || !holds(transport)
	}, time.Minute, time.Millisecond)
}

// sever ends the client's connection by what its feed says, and waits until the client has noticed. The
// feed goes on ending them until the returned function is called.
func (s *system) sever(t *testing.T, transport string, reason error) (mend func()) {
	n := len(s.rec.of(model.Disconnected))
	s.feed.set(func() { s.feed.openErr = reason })
	if holds(transport) {
		s.feed.fail(reason)
	}
	s.rec.await(t, model.Disconnected, n+1)
	return func() { s.feed.set(func() { s.feed.openErr = nil }) }
}

// wire is a network of in-memory connections between one server and its clients.
type wire struct {
	url      string
	client   *http.Client
	packets  *packets
	accepted chan net.Conn
	closed   chan struct{}

	mu    sync.Mutex
	links []*link
}

// link is one connection. What is written on either side goes through a goroutine that may swallow it
// (the peer is silent) or not take it (its buffer is full).
type link struct {
	mu      sync.Mutex
	cut     bool
	stalled chan struct{} // nil, or closed when the stall ends
	ends    [4]net.Conn
}

func newWire(t *testing.T, h http.Handler) *wire {
	w := &wire{url: "http://edge", packets: packetsOf(t), accepted: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	if c, ok := h.(interface{ Configure(*http.Server) }); ok {
		c.Configure(srv)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(w) }()
	tr := &http.Transport{DialContext: w.dial}
	w.client = &http.Client{Transport: tr}
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
		tr.CloseIdleConnections()
		w.drop()
		time.Sleep(time.Minute) // virtual: peer connections whose client has left find out
	})
	return w
}

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, nearEnd := net.Pipe()
	far, farEnd := net.Pipe()
	l := &link{ends: [4]net.Conn{near, nearEnd, farEnd, far}}
	select {
	case w.accepted <- far:
	case <-w.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	w.links = append(w.links, l)
	w.mu.Unlock()
	go l.relay(farEnd, nearEnd)
	go l.relay(nearEnd, farEnd)
	return near, nil
}

func (l *link) relay(dst, src net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		cut := l.admit()
		if err == nil && !cut {
			_, err = dst.Write(buf[:n])
		}
		if err != nil {
			if !l.admit() {
				dst.Close()
				src.Close()
			}
			return
		}
	}
}

// admit waits for a stall to end, and tells whether the link is cut.
func (l *link) admit() bool {
	l.mu.Lock()
	stalled := l.stalled
	l.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// cut makes every present link swallow everything, its end included.
func (w *wire) cut() {
	w.each(func(l *link) { l.cut = true })
	w.packets.cutOff()
}

// stall makes every present link take nothing, until the returned function is called.
func (w *wire) stall() func() {
	c := make(chan struct{})
	w.each(func(l *link) { l.stalled = c })
	w.packets.cutOff() // datagrams are not held back but lost
	return func() {
		w.packets.restore()
		w.each(func(l *link) { l.stalled = nil })
		close(c)
	}
}

// drop closes every present link. Of datagrams there are only fewer.
func (w *wire) drop() {
	w.packets.cutOff()
	w.each(func(l *link) {
		for _, c := range l.ends {
			c.Close()
		}
	})
}

func (w *wire) each(do func(*link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.accepted:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	select {
	case <-w.closed:
		return errors.New("wire closed twice")
	default:
		close(w.closed)
		return nil
	}
}

func (w *wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire", Net: "wire"} }
