package conformance

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

var live = flag.Bool("live", false, "run the suite over loopback sockets, in real time")

// liveSystem is edges behind a door, with a client for each transport, on loopback sockets.
type liveSystem struct {
	t      *testing.T
	door   *door
	air    *air
	broker string
	model.History

	mu      sync.Mutex
	began   time.Time
	edges   map[string]*liveEdge
	end     model.Cursor
	posted  int
	places  map[string]model.Cursor
	history int
}

// liveEdge is one server.
type liveEdge struct {
	*edge.Server
	addr     string
	http     *http.Server
	ended    chan error
	strategy hop2.Strategy
}

// liveClients are the transports that run here.
func liveClients() []string {
	var names []string
	for _, transport := range hop1.Transports() {
		if traitsOf(transport).excepted("live", "") == "" {
			names = append(names, transport)
		}
	}
	return names
}

func startLive(t *testing.T, idle time.Duration, history int) *liveSystem {
	sys := &liveSystem{t: t, air: newAir(t), began: time.Now(), history: history, edges: map[string]*liveEdge{}, places: map[string]model.Cursor{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	sys.broker = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hop2.ServeRedis(ctx, l, hop2.NewRedisStore()) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	t.Cleanup(func() {
		for name := range sys.edges {
			sys.kill(name)
		}
	})
	sys.door = openDoor(t, idle)
	sys.start("edge-1")
	sys.start("edge-2")
	return sys
}

// start starts an edge, on a port of its own in each life.
func (sys *liveSystem) start(name string) {
	strategy, err := hop2.New("redis-streams", hop2.Config{Addr: sys.broker, History: sys.history, CheckEvery: 200 * time.Millisecond})
	require.NoError(sys.t, err)
	server, err := edge.New(edge.Config{
		Name: name, Strategy: strategy, QueueLimit: 8, History: 8,
		Heartbeat: 50 * time.Millisecond, IdleTimeout: 250 * time.Millisecond, WriteTimeout: 300 * time.Millisecond, Hold: 400 * time.Millisecond,
		Guard: hop1.Guard{Authenticate: knows}, WebRTC: sys.air.peering(),
	})
	require.NoError(sys.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(sys.t, err)
	e := &liveEdge{
		Server: server, addr: l.Addr().String(), strategy: strategy, ended: make(chan error, 1),
		http: &http.Server{Handler: server.Handler(), ErrorLog: log.New(io.Discard, "", 0)},
	}
	go func() { e.ended <- e.http.Serve(l) }()
	sys.edges[name] = e
	sys.door.add(e.addr)
}

// kill ends an edge as a crash of its process does: its connections are reset.
func (sys *liveSystem) kill(name string) {
	e := sys.edges[name]
	delete(sys.edges, name)
	sys.door.remove(e.addr)
	sys.door.cut(e.addr)
	require.NoError(sys.t, e.http.Close())
	e.gone(sys.t)
}

// drain ends an edge as it should be ended.
func (sys *liveSystem) drain(name string) {
	e := sys.edges[name]
	delete(sys.edges, name)
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(sys.t, e.Shutdown(limit))
	sys.door.remove(e.addr)
	require.NoError(sys.t, e.http.Shutdown(limit))
	e.gone(sys.t)
}

func (e *liveEdge) gone(t *testing.T) {
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(t, e.Shutdown(limit))
	require.ErrorIs(t, <-e.ended, http.ErrServerClosed)
	require.NoError(t, e.strategy.Close())
}

func (sys *liveSystem) observe(e model.Event) {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	e.Step, e.Time = uint64(len(sys.Events)+1), time.Since(sys.began)
	sys.Events = append(sys.Events, e)
	switch e.Kind {
	case model.PublishOK:
		sys.posted++
		sys.end.Epoch, sys.end.Seq = e.Epoch, max(sys.end.Seq, e.Seq)
	case model.Connected, model.Deliver, model.Discontinuity:
		sys.places[e.Node] = e.Cursor()
	}
}

// clientConfig is how a client of a transport is configured.
func (sys *liveSystem) clientConfig(transport string, hc *http.Client) hop1.ClientConfig {
	return hop1.ClientConfig{
		Name: transport, Room: "r", BaseURL: sys.door.url(), Transport: transport, HTTP: hc, Header: authorization(transport),
		Heartbeat: 50 * time.Millisecond, IdleTimeout: 250 * time.Millisecond, Hold: 400 * time.Millisecond,
		Poll: hop1.Polling{Interval: 50 * time.Millisecond}, Backoff: hop1.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		Observe: sys.observe, WebRTC: sys.air.peering(),
	}
}

// clients runs a client of each transport until the test ends, or in two goes if away is closed in
// between: the second begins when back is.
func (sys *liveSystem) clients(away, back <-chan struct{}) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, transport := range liveClients() {
		pool := &http.Transport{}
		c, err := hop1.NewClient(sys.clientConfig(transport, &http.Client{Transport: pool}))
		require.NoError(sys.t, err)
		running.Go(func() {
			defer pool.CloseIdleConnections()
			first, end := context.WithCancel(ctx)
			go func() {
				select {
				case <-away:
				case <-first.Done():
				}
				end()
			}()
			_ = c.Run(first) // it returns when first ends, and says so
			end()
			select {
			case <-back:
				_ = c.Run(ctx)
			case <-ctx.Done():
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	sys.t.Cleanup(stop)
	return stop
}

// post posts messages, 15 ms apart.
func (sys *liveSystem) post(from, to int) {
	pool := &http.Transport{}
	defer pool.CloseIdleConnections()
	publisher := hop1.Publisher{
		Name: "publisher", BaseURL: sys.door.url(), HTTP: &http.Client{Transport: pool}, Header: authorization("publisher"),
		AttemptTimeout: 300 * time.Millisecond, Backoff: hop1.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond}, Observe: sys.observe,
	}
	var posts sync.WaitGroup
	limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i := from; i <= to; i++ {
		posts.Go(func() {
			_, err := publisher.Publish(limit, "r", fmt.Sprint(i), []byte("hello"))
			if err != nil {
				sys.t.Error(err)
			}
		})
		time.Sleep(15 * time.Millisecond)
	}
	posts.Wait()
}

// await waits until something is so.
func (sys *liveSystem) await(what string, so func() bool) {
	sys.t.Helper()
	for range 20_000 {
		sys.mu.Lock()
		yes := so()
		sys.mu.Unlock()
		if yes {
			return
		}
		time.Sleep(time.Millisecond)
	}
	require.Fail(sys.t, "it does not come to be so: "+what)
}

// caughtUp tells whether every client is at the log's end, after n messages. The lock is held.
func (sys *liveSystem) caughtUp(n int) bool {
	for _, transport := range liveClients() {
		if at, ok := sys.places[transport]; !ok || at != sys.end {
			return false
		}
	}
	return sys.posted >= n
}

// count counts what a client saw of one kind.
func (sys *liveSystem) count(node string, kind model.Kind) int {
	n := 0
	for _, e := range sys.Events {
		if e.Node == node && e.Kind == kind {
			n++
		}
	}
	return n
}

// lost counts how often a client lost a connection otherwise than by its own end.
func (sys *liveSystem) lost(node string) int {
	n := 0
	for _, e := range sys.Events {
		if e.Node == node && e.Kind == model.Disconnected && e.Note != model.NoteStopped {
			n++
		}
	}
	return n
}

// Goal: what holds in virtual time holds over real sockets.
// Method: a client of each transport, on edges behind a proxy that cuts, freezes and forgets
// connections, and over sockets that lose what peers send each other, while edges come and go; the history is judged by all properties.
func TestLive(t *testing.T) {
	if !*live {
		t.Skip("takes real time: run with -live")
	}
	cases := []struct {
		name    string
		idle    time.Duration
		history int
		away    bool
		happens func(sys *liveSystem)
		// judge looks at what a client of a transport saw, besides the properties.
		judge func(t *testing.T, sys *liveSystem, transport string)
	}{
		{
			name: "clean",
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				require.Equal(t, 60, sys.count(transport, model.Deliver))
			},
		},
		{
			name: "resets",
			happens: func(sys *liveSystem) {
				for range 3 {
					sys.door.cut("")
					time.Sleep(100 * time.Millisecond)
				}
			},
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				tr := traitsOf(transport)
				if !tr.requests && !tr.direct { // the pool of requests may not notice, or make up for it
					require.Positive(t, sys.lost(transport))
				}
			},
		},
		{
			name: "partition of 500 ms",
			happens: func(sys *liveSystem) {
				sys.door.freeze(true)
				sys.air.freeze(true)
				time.Sleep(500 * time.Millisecond)
				sys.door.thaw()
				sys.air.thaw()
			},
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				if transport != "longpoll" { // which waits for Hold and IdleTimeout: 650 ms
					require.Positive(t, sys.lost(transport))
				}
			},
		},
		{
			name: "half-open", // and NAT rebinding: what is there is never heard of again
			happens: func(sys *liveSystem) {
				sys.door.freeze(false)
				sys.air.freeze(false)
			},
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				require.Positive(t, sys.lost(transport))
			},
		},
		{
			name: "edge crash",
			happens: func(sys *liveSystem) {
				sys.kill("edge-1")
				time.Sleep(200 * time.Millisecond)
				sys.start("edge-1")
				time.Sleep(200 * time.Millisecond)
				sys.kill("edge-2")
			},
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				if !traitsOf(transport).requests {
					require.Positive(t, sys.lost(transport))
				}
			},
		},
		{
			name: "rolling restart",
			happens: func(sys *liveSystem) {
				for _, name := range []string{"edge-1", "edge-2"} {
					sys.drain(name)
					sys.start(name)
					time.Sleep(100 * time.Millisecond)
				}
			},
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				if !traitsOf(transport).requests {
					require.Positive(t, sys.lost(transport))
				}
			},
		},
		{
			name: "idle time-out", // shorter than any heartbeat
			idle: 30 * time.Millisecond,
			happens: func(sys *liveSystem) {
				sys.await("a lull", func() bool { return sys.posted >= 30 })
				time.Sleep(300 * time.Millisecond)
			},
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				if transport != "poll" && !traitsOf(transport).direct { // poll's pool makes up for it
					require.Positive(t, sys.lost(transport))
				}
			},
		},
		{
			name: "resume",
			away: true,
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				require.Equal(t, 60, sys.count(transport, model.Deliver))
				require.Zero(t, sys.count(transport, model.Discontinuity))
			},
		},
		{
			name:    "discontinuity",
			away:    true,
			history: 8,
			judge: func(t *testing.T, sys *liveSystem, transport string) {
				require.Positive(t, sys.count(transport, model.Discontinuity))
				require.Less(t, sys.count(transport, model.Deliver), 60)
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sys := startLive(t, c.idle, c.history)
			away, back := make(chan struct{}), make(chan struct{})
			stop := sys.clients(away, back)
			sys.await("connected", func() bool { return len(sys.places) == len(liveClients()) })
			sys.post(1, 15)
			if c.away {
				close(away)
				sys.await("gone", func() bool {
					for _, transport := range liveClients() {
						if sys.count(transport, model.Disconnected) == 0 {
							return false
						}
					}
					return true
				})
				sys.post(16, 45)
				close(back)
			} else {
				var happening sync.WaitGroup
				happening.Go(func() { sys.post(16, 30) })
				if c.happens != nil {
					c.happens(sys)
				}
				happening.Wait()
				sys.post(31, 45)
			}
			sys.await("back", func() bool { return sys.posted >= 45 && sys.caughtUp(45) })
			sys.post(46, 60)
			sys.await("caught up", func() bool { return sys.caughtUp(60) })
			stop()
			sys.observe(model.Event{Kind: model.RunEnd})
			for _, v := range properties.Check(&sys.History) {
				require.True(t, v.Ok(), v)
			}
			for _, transport := range liveClients() {
				c.judge(t, sys, transport)
			}
		})
	}
}
