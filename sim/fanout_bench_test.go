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

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

const (
	fanoutClients = 1000
	fanoutBytes   = 200
)

// fanout is a WebSocket server that sends every message to every client, and its clients. It knows
// nothing of where it runs.
type fanout struct {
	clients, messages int

	mu       sync.Mutex
	outboxes []chan []byte

	joined, received sync.WaitGroup
}

func newFanout(clients, messages int) *fanout {
	f := &fanout{clients: clients, messages: messages}
	f.joined.Add(clients)
	f.received.Add(clients)
	return f
}

// ServeHTTP serves one client: whatever is published goes to its outbox, and from there to the wire.
func (f *fanout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	outbox := make(chan []byte, f.messages)
	f.mu.Lock()
	f.outboxes = append(f.outboxes, outbox)
	f.mu.Unlock()
	f.joined.Done()
	for m := range outbox {
		if ws.Write(r.Context(), websocket.MessageBinary, m) != nil {
			return
		}
	}
	_ = ws.Close(websocket.StatusNormalClosure, "")
}

// publish sends all messages to all clients, as fast as they are taken.
func (f *fanout) publish() {
	message := make([]byte, fanoutBytes)
	for range f.messages {
		for _, outbox := range f.outboxes {
			outbox <- message
		}
	}
}

func (f *fanout) close() {
	for _, outbox := range f.outboxes {
		close(outbox)
	}
}

// client receives all messages.
func (f *fanout) client(ctx context.Context, url string, http *http.Client) error {
	defer f.received.Done()
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: http})
	if err != nil {
		f.joined.Done()
		return err
	}
	for range f.messages {
		_, m, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if len(m) != fanoutBytes {
			return fmt.Errorf("message of %d bytes", len(m))
		}
	}
	_ = ws.CloseNow()
	return nil
}

// BenchmarkFanout fans 200-byte messages out to 1,000 WebSocket clients, in the simulator and over
// loopback TCP, both saturated and both on one processor, so that they can be compared. An op is one
// message to all clients.
func BenchmarkFanout(b *testing.B) {
	for _, c := range []struct {
		name string
		run  func(testing.TB, int) time.Duration
	}{{"loopback", fanoutLoopback}, {"simulated", fanoutSimulated}} {
		b.Run(c.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			report(b, c.run(b, b.N))
		})
	}
}

func report(b *testing.B, took time.Duration) {
	b.ReportMetric(0, "ns/op") // it would count the connections' setting up
	b.ReportMetric(float64(fanoutClients*b.N)/took.Seconds(), "msgs/s")
}

func fanoutLoopback(tb testing.TB, messages int) time.Duration {
	f := newFanout(fanoutClients, messages)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := &http.Server{Handler: f}
	go func() { _ = server.Serve(l) }()
	errs := make(chan error, fanoutClients)
	for range fanoutClients {
		go func() {
			errs <- f.client(context.Background(), "ws://"+l.Addr().String(), &http.Client{Transport: &http.Transport{}})
		}()
	}
	f.joined.Wait()
	began := time.Now()
	f.publish()
	f.received.Wait()
	took := time.Since(began)
	f.close()
	for range fanoutClients {
		require.NoError(tb, <-errs)
	}
	require.NoError(tb, server.Close())
	return took
}

func fanoutSimulated(tb testing.TB, messages int) time.Duration {
	watch := newStopwatch()
	defer watch.stop()
	var took time.Duration
	inWorld(tb, sim.Config{DropTrace: true}, func(w *sim.World) error {
		f := newFanout(fanoutClients, messages)
		w.Link("client", "server", netsim.Link{Latency: 5 * time.Millisecond})
		w.Node("server", func(ctx context.Context, n *sim.Node) error {
			go func() {
				f.joined.Wait()
				began := watch.now()
				f.publish()
				f.received.Wait()
				took = watch.now().Sub(began)
				f.close()
			}()
			return n.Serve(ctx, ":80", f)
		})
		w.Node("client", func(ctx context.Context, n *sim.Node) error {
			errs := make(chan error, fanoutClients)
			for range fanoutClients {
				go func() { errs <- f.client(ctx, "ws://server", n.HTTPClient()) }()
			}
			for range fanoutClients {
				if err := <-errs; err != nil {
					return err
				}
			}
			return nil
		})
		w.RunFor(10 * time.Minute)
		return nil
	})
	return took
}

// BenchmarkIdle measures what a connection costs that does nothing: both ends of a WebSocket over the
// simulated network, with their goroutines and buffers. A hundred thousand of them take some minutes.
func BenchmarkIdle(b *testing.B) {
	for _, c := range []struct {
		fidelity netsim.Fidelity
		clients  int
	}{{netsim.TCP, 1000}, {netsim.Stream, 1000}, {netsim.Stream, 100_000}} {
		b.Run(fmt.Sprintf("%v/%d", c.fidelity, c.clients), func(b *testing.B) {
			for range b.N {
				used := idleBytes(b, c.fidelity, c.clients)
				b.ReportMetric(float64(used)/float64(c.clients), "B/pair")
				b.ReportMetric(float64(used)/1e9, "GB")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// clientsPerHost is how many clients a host has: fewer than it has ports.
const clientsPerHost = 20_000

// idleBytes is how much memory the process takes for idle connections.
func idleBytes(tb testing.TB, fidelity netsim.Fidelity, clients int) uint64 {
	var before, after runtime.MemStats
	inWorld(tb, sim.Config{DropTrace: true, Fidelity: fidelity}, func(w *sim.World) error {
		f := newFanout(clients, 1)
		w.Node("server", func(ctx context.Context, n *sim.Node) error { return n.Serve(ctx, ":80", f) })
		w.RunFor(time.Second)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for first := 0; first < clients; first += clientsPerHost {
			w.Node(fmt.Sprintf("client-%d", first), func(ctx context.Context, n *sim.Node) error {
				var all sync.WaitGroup
				for i := range min(clientsPerHost, clients-first) {
					all.Go(func() {
						time.Sleep(time.Duration(i) * time.Millisecond) // lest the server's backlog overflow
						_ = f.client(ctx, "ws://server", n.HTTPClient())
					})
				}
				all.Wait()
				return nil
			})
		}
		w.RunFor(time.Minute)
		f.joined.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		f.publish()
		f.close()
		w.RunFor(time.Minute)
		return nil
	})
	return after.HeapInuse + after.StackInuse - before.HeapInuse - before.StackInuse
}

// inWorld runs f in a world on one processor, from a benchmark: a bubble needs a *testing.T.
func inWorld(tb testing.TB, cfg sim.Config, f func(*sim.World) error) {
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: tb.Name(),
		F: func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // here, since RunTests sets it
			require.NoError(t, sim.Run(t, cfg, f).Err)
		},
	}})
	require.True(tb, ok)
}

// stopwatch tells real time to whoever is inside a bubble.
type stopwatch struct {
	ask    chan struct{}
	answer chan time.Time
}

func newStopwatch() *stopwatch {
	s := &stopwatch{make(chan struct{}), make(chan time.Time)}
	go func() {
		for range s.ask {
			s.answer <- time.Now()
		}
	}()
	return s
}

func (s *stopwatch) now() time.Time {
	s.ask <- struct{}{}
	return <-s.answer
}

func (s *stopwatch) stop() { close(s.ask) }
