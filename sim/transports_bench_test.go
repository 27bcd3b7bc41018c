package sim_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// logFeed is a feed of one room whose log only grows, and is kept whole.
type logFeed struct {
	mu      sync.Mutex
	log     []model.Message
	changed chan struct{} // closed, and replaced, when the log grows
}

const logEpoch = "bench"

func newLogFeed() *logFeed { return &logFeed{changed: make(chan struct{})} }

func (f *logFeed) publish(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		seq := uint64(len(f.log) + 1)
		f.log = append(f.log, model.Message{Room: "r", Seq: seq, ID: fmt.Sprint(seq), Publisher: "p", Body: make([]byte, fanoutBytes)})
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// Open implements hop1.Feed.
func (f *logFeed) Open(_ context.Context, _ string, from model.Cursor) (hop1.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := func(seq int) string {
		if seq == 0 {
			return ""
		}
		return f.log[seq-1].ID
	}
	s := &logSubscription{
		feed: f, start: hop1.Start{Cursor: from, Resumed: true, Anchor: id(int(from.Seq))},
		at: int(max(from.Seq, 1)) - 1, closed: make(chan struct{}),
	}
	if from.IsZero() {
		s.at = len(f.log)
		s.start = hop1.Start{Cursor: model.Cursor{Epoch: logEpoch, Seq: uint64(s.at)}, Anchor: id(s.at)}
	}
	return s, nil
}

type logSubscription struct {
	feed   *logFeed
	start  hop1.Start
	at     int
	once   sync.Once
	closed chan struct{}
}

func (s *logSubscription) Start() hop1.Start { return s.start }

func (s *logSubscription) Next(ctx context.Context, tick <-chan time.Time) (hop1.Batch, error) {
	for {
		s.feed.mu.Lock()
		rest, changed := s.feed.log[s.at:], s.feed.changed
		s.feed.mu.Unlock()
		if len(rest) > 0 {
			s.at += len(rest)
			return hop1.Batch{Messages: rest}, nil
		}
		select {
		case <-changed:
		case <-s.closed:
			return hop1.Batch{}, hop1.ErrClosed
		case <-tick:
			return hop1.Batch{}, nil
		case <-ctx.Done():
			return hop1.Batch{}, ctx.Err()
		}
	}
}

func (s *logSubscription) Close() { s.once.Do(func() { close(s.closed) }) }

// broadcast is clients of one transport, and the server that sends every message to each of them. It knows
// nothing of where it runs.
type broadcast struct {
	transport string
	messages  int
	feed      *logFeed
	handler   http.Handler

	joined, received sync.WaitGroup
}

// benchPatience is how long everybody waits for a machine that is busy with all of them.
const benchPatience = time.Minute

func newBroadcast(tb testing.TB, transport string, messages int) *broadcast {
	b := &broadcast{transport: transport, messages: messages, feed: newLogFeed()}
	var err error
	b.handler, err = hop1.Handler(hop1.ServerConfig{Feed: b.feed, IdleTimeout: benchPatience, WriteTimeout: benchPatience})
	require.NoError(tb, err)
	b.joined.Add(fanoutClients)
	b.received.Add(fanoutClients)
	return b
}

// client receives all messages.
func (b *broadcast) client(ctx context.Context, name, url string, client *http.Client) error {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	joined, left := false, b.messages
	c, err := hop1.NewClient(hop1.ClientConfig{
		Name: name, Room: "r", BaseURL: url, Transport: b.transport, HTTP: client,
		IdleTimeout: benchPatience, DialTimeout: benchPatience, Poll: hop1.Polling{Interval: 100 * time.Millisecond},
		Observe: func(e model.Event) {
			switch e.Kind {
			case model.Connected:
				if !joined {
					joined = true
					b.joined.Done()
				}
			case model.Deliver:
				if left--; left == 0 {
					b.received.Done()
					enough()
				}
			}
		},
	})
	if err != nil {
		return err
	}
	_ = c.Run(ctx) // returns when it has enough, and says so
	client.CloseIdleConnections()
	if left > 0 {
		return fmt.Errorf("client %s: %d messages have not come", name, left)
	}
	return nil
}

// BenchmarkTransports sends 200-byte messages to 1,000 clients of each transport, all at once, in the
// simulator and over loopback TCP, on one processor. An op is one message to all clients. Polling clients ask
// ten times a second, which on loopback they have to wait for.
func BenchmarkTransports(b *testing.B) {
	for _, transport := range hop1.Transports() {
		if transport == "webrtc" {
			continue // it needs more than a server: see its own
		}
		for _, c := range []struct {
			name string
			run  func(*broadcast, testing.TB) time.Duration
		}{{"loopback", (*broadcast).onLoopback}, {"simulated", (*broadcast).simulated}} {
			b.Run(transport+"/"+c.name, func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				report(b, c.run(newBroadcast(b, transport, b.N), b))
			})
		}
	}
}

func (b *broadcast) onLoopback(tb testing.TB) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := &http.Server{Handler: b.handler}
	go func() { _ = server.Serve(l) }()
	errs := make(chan error, fanoutClients)
	for i := range fanoutClients {
		go func() {
			errs <- b.client(context.Background(), fmt.Sprint(i), "http://"+l.Addr().String(), &http.Client{Transport: &http.Transport{}})
		}()
	}
	b.joined.Wait()
	began := time.Now()
	b.feed.publish(b.messages)
	b.received.Wait()
	took := time.Since(began)
	for range fanoutClients {
		require.NoError(tb, <-errs)
	}
	require.NoError(tb, server.Close())
	return took
}

func (b *broadcast) simulated(tb testing.TB) time.Duration {
	watch := newStopwatch()
	defer watch.stop()
	var took time.Duration
	inWorld(tb, sim.Config{DropTrace: true}, func(w *sim.World) error {
		// Channels and wait groups belong to the bubble that made them.
		b := newBroadcast(tb, b.transport, b.messages)
		w.Link("client", "server", netsim.Link{Latency: 5 * time.Millisecond})
		w.Node("server", func(ctx context.Context, n *sim.Node) error {
			go func() {
				b.joined.Wait()
				began := watch.now()
				b.feed.publish(b.messages)
				b.received.Wait()
				took = watch.now().Sub(began)
			}()
			return n.Serve(ctx, ":80", b.handler)
		})
		w.Node("client", func(ctx context.Context, n *sim.Node) error {
			errs := make(chan error, fanoutClients)
			for i := range fanoutClients {
				go func() { errs <- b.client(ctx, fmt.Sprint(i), "http://server", n.HTTPClient()) }()
			}
			for range fanoutClients {
				if err := <-errs; err != nil {
					return err
				}
			}
			return nil
		})
		w.RunFor(2 * time.Minute)
		return nil
	})
	require.Positive(tb, took)
	return took
}
