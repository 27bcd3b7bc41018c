package hop1

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// closings is a feed that notes when its subscriptions were closed, in a world's time.
type closings struct {
	*memFeed
	now func() time.Duration
	mu  sync.Mutex
	at  []time.Duration
}

type closing struct {
	Subscription
	f    *closings
	once sync.Once
}

func (f *closings) Open(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	sub, err := f.memFeed.Open(ctx, room, from)
	if err != nil {
		return nil, err
	}
	return &closing{Subscription: sub, f: f}, nil
}

func (c *closing) Close() {
	c.Subscription.Close()
	c.once.Do(func() {
		c.f.mu.Lock()
		defer c.f.mu.Unlock()
		c.f.at = append(c.f.at, c.f.now())
	})
}

// zombie runs a world in which a client is cut off for good at a time, and gives when its server noticed;
// 0 if it had not after a minute.
func zombie(t *testing.T, seed uint64, transport string, cut time.Duration, serve func(http.Handler) http.Handler) time.Duration {
	var found time.Duration
	res := sim.Run(t, sim.Config{Seed: seed}, func(w *sim.World) error {
		feed := &closings{memFeed: newMemFeed(), now: w.Now}
		h, err := Handler(ServerConfig{Feed: feed, Heartbeat: time.Second, IdleTimeout: 3 * time.Second})
		if err != nil {
			return err
		}
		w.Link("*", "*", netsim.Link{Latency: 50 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.02})
		w.Node("edge", func(ctx context.Context, n *sim.Node) error { return n.Serve(ctx, ":80", serve(h)) })
		w.Node("client", func(ctx context.Context, n *sim.Node) error {
			c, err := NewClient(ClientConfig{Room: "r", BaseURL: "http://edge", Transport: transport, HTTP: n.HTTPClient(), Rand: n.Rand("client")})
			if err != nil {
				return err
			}
			_ = c.Run(ctx) // says that ctx ended
			return nil
		})
		w.At(cut, netsim.Partition("edge", "client"))
		w.RunFor(cut + time.Minute)
		w.MustHaveBitten("partition")
		if open, _ := feed.subscriptions(); open == 0 && len(feed.at) > 0 {
			found = feed.at[len(feed.at)-1] - cut
		}
		return nil
	})
	require.NoError(t, res.Err)
	return found
}

// Goal: a server finds a half-open client within its stated bound, and frees its subscription: WebSocket
// within IdleTimeout, SSE within Heartbeat, UserTimeout (which is IdleTimeout, unless configured) and a
// retransmission's wait. Without the user timeout, an SSE server does not.
// Method: on simulated TCP, whose packets to and from the client are swallowed from some moment on.
func TestServerFindsZombie(t *testing.T) {
	same := func(h http.Handler) http.Handler { return h }
	for i, cut := range []time.Duration{2 * time.Second, 2400 * time.Millisecond, 2999 * time.Millisecond} {
		ws := zombie(t, uint64(i), "ws", cut, same)
		require.Greater(t, ws, time.Second)
		require.LessOrEqual(t, ws, 3*time.Second)
		sse := zombie(t, uint64(i), "sse", cut, same)
		require.Greater(t, sse, 2*time.Second)
		require.LessOrEqual(t, sse, 1*time.Second+3*time.Second+time.Second, "cut at %v", cut)
	}
	unconfigured := func(h http.Handler) http.Handler { return http.HandlerFunc(h.ServeHTTP) }
	require.Zero(t, zombie(t, 1, "sse", 2*time.Second, unconfigured))
}

// priorKnowledge gives a client that speaks HTTP/2 without TLS, and counts its connections.
func priorKnowledge(dial func(ctx context.Context, network, addr string) (net.Conn, error), dials *atomic.Int64) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		},
	}}
}

// Goal: over HTTP/2 many streams share one connection, each with its heartbeats, goodbye and resume; a client
// that is gone is found. The same seed gives the same steps, as long as there is one stream a connection:
// with more, those that one packet wakes run in any order.
// Method: clients with one http.Client on simulated TCP with loss; a drain; then a partition.
func TestSSEOverHTTP2(t *testing.T) {
	one := sim.Run(t, sim.Config{Seed: 3, Repeat: 5}, overHTTP2(1))
	require.NoError(t, one.Err)
	for seed := range uint64(3) {
		require.NoError(t, sim.Run(t, sim.Config{Seed: seed}, overHTTP2(20)).Err)
	}
}

func overHTTP2(clients int) func(w *sim.World) error {
	return func(w *sim.World) error {
		feed := &closings{memFeed: newMemFeed(), now: w.Now}
		h, err := Handler(ServerConfig{Feed: feed, Heartbeat: time.Second, RetryHint: time.Second, RetrySpread: 2 * time.Second})
		if err != nil {
			return err
		}
		w.Link("*", "*", netsim.Link{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01})
		w.Node("edge", func(ctx context.Context, n *sim.Node) error { return n.Serve(ctx, ":80", h) })
		var dials atomic.Int64
		got := make([][]uint64, clients)
		w.Node("browser", func(ctx context.Context, n *sim.Node) error {
			hc := priorKnowledge(n.DialContext, &dials)
			defer hc.CloseIdleConnections()
			var running sync.WaitGroup
			defer running.Wait()
			for i := range clients {
				c, err := NewClient(ClientConfig{
					Name: fmt.Sprint(i), Room: "r", BaseURL: "http://edge", Transport: "sse", HTTP: hc,
					Rand: rand.New(rand.NewPCG(uint64(i), 0)),
					Observe: func(e model.Event) {
						if n.Record(e); e.Kind == model.Deliver {
							got[i] = append(got[i], e.Seq)
						}
					},
				})
				if err != nil {
					return err
				}
				running.Go(func() { _ = c.Run(ctx) })                   // says that ctx ended
				time.Sleep(200 * time.Millisecond / time.Duration(i+1)) // the first dials, and the others find its connection
			}
			return nil
		})
		w.RunFor(3 * time.Second)
		if open, _ := feed.subscriptions(); open != clients || dials.Load() != 1 {
			return fmt.Errorf("%d streams over %d connections; want %d over 1", open, dials.Load(), clients)
		}
		feed.publish(10)
		w.RunFor(time.Second)
		feed.fail(ErrDraining)
		feed.publish(10)
		w.RunFor(6 * time.Second)
		for i := range got {
			if len(got[i]) != 20 || got[i][19] != 20 {
				return fmt.Errorf("client %d got %v; want 1 to 20", i, got[i])
			}
		}
		began := w.Now()
		w.Inflict(netsim.Partition("edge", "browser"))
		w.RunFor(10 * time.Second)
		if open, _ := feed.subscriptions(); open != 0 {
			return fmt.Errorf("%d streams are still open 10s after the partition", open)
		}
		if last := feed.at[len(feed.at)-1] - began; last > 5*time.Second {
			return fmt.Errorf("the last stream was freed after %v", last)
		}
		return nil
	}
}

// Goal: over HTTP/2, too, whoever is refused by a server that drains does not come back over the same
// connection, which a balancer keeps with that server.
func TestHTTP2LeavesDrainingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		w := newWire(t, testServer(t, feed))
		var dials atomic.Int64
		h2 := priorKnowledge(w.dial, &dials)
		defer h2.CloseIdleConnections()
		get := func() int {
			resp, err := h2.Get(w.url + "/rooms/r/events")
			require.NoError(t, err)
			require.Equal(t, 2, resp.ProtoMajor)
			require.NoError(t, resp.Body.Close())
			synctest.Wait()
			return resp.StatusCode
		}
		require.Equal(t, []int{200, 200}, []int{get(), get()})
		require.Equal(t, int64(1), dials.Load())
		feed.set(func() { feed.openErr = ErrDraining })
		require.Equal(t, 503, get())
		feed.set(func() { feed.openErr = nil })
		require.Equal(t, 200, get())
		require.Equal(t, int64(2), dials.Load())
		time.Sleep(time.Minute) // what is left of the connections ends
	})
}

// Goal: HTTP/2 and HTTP/1.1 are spoken on one port, on real sockets too.
func TestConfigureOnLoopback(t *testing.T) {
	feed := newMemFeed()
	u, hc := onConfigured(t, testServer(t, feed))
	s := &system{feed: feed, url: u, http: hc}
	s.join(t, "ws", nil)
	var dials atomic.Int64
	h2 := priorKnowledge(dialTCP, &dials)
	defer h2.CloseIdleConnections()
	for range 5 {
		other := &system{feed: feed, url: u, http: h2}
		other.join(t, "sse", nil)
		defer func() { other.rec.await(t, model.Deliver, 1) }()
	}
	feed.publish(1)
	s.rec.await(t, model.Deliver, 1)
	require.Less(t, dials.Load(), int64(5), "they share; one more may be dialled on a busy machine")
}
