package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/netsim/tcp"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) {
	os.Exit(simtest.Main(m, "twohop/sim/", "net/http", "coder/websocket", "go-redis", "pion"))
}

// span is a stretch of virtual time, from its first moment to before its last. Empty means never.
type span struct{ from, to time.Duration }

func (s span) has(t time.Duration) bool { return t >= s.from && t < s.to }

// event is a fault with its time.
type event struct {
	at    time.Duration
	fault sim.Fault
}

// plan is what a system is and what happens to it.
type plan struct {
	transport string
	mutant    hop1.Mutant

	posts  []time.Duration // when the publisher posts
	body   int             // bytes of each message
	away   span            // while client-1's program does not run its client
	stalls span            // while client-1's program takes nothing that it is told
	events []event
	length time.Duration // after which the run goes on until all have caught up
	look   time.Duration // when to count the edges' subscriptions; 0 means never

	link    netsim.Link // between those outside and the frontage
	inside  netsim.Link // between all others
	near    bool        // the publisher is inside
	nat     bool        // the clients are behind one
	idle    time.Duration
	hold    time.Duration
	history int // messages that the broker keeps; 0 means its default

	guarded   bool       // the edges let in those only whom they know
	strangers []stranger // who try to get in
}

// clients is how many there are, and edges how many servers.
const (
	clients = 3
	edges   = 2
)

// newPlan posts four messages a second for nine seconds.
func newPlan(transport string) *plan {
	p := &plan{transport: transport, body: 100, length: 12 * time.Second, hold: hold, inside: netsim.Link{Latency: time.Millisecond}}
	for at := time.Second; at < 10*time.Second; at += 250 * time.Millisecond {
		p.posts = append(p.posts, at)
	}
	return p
}

// system is a plan that is being carried out in a world.
type system struct {
	*plan
	w        *sim.World
	balancer *netsim.Balancer

	mu      sync.Mutex
	servers map[string]*edge.Server
	drains  map[string][]drain
	end     model.Cursor // the last position that the publisher knows of
	posted  int
	places  map[string]model.Cursor
	held    int // subscriptions at the time of look
	opened  int // rooms at the time of look, of all edges

	refused  map[string][]error // by stranger: how each attempt ended
	statuses map[string]*statuses
}

// drain is how an edge went when it was told to.
type drain struct {
	took time.Duration
	err  error
}

// outcome is what came of a plan.
type outcome struct {
	*system
	res *sim.Result
}

// carryOut runs a plan. What must have bitten is named by kind.
func carryOut(t *testing.T, cfg sim.Config, p *plan, mustBite ...string) *outcome {
	out := &outcome{}
	cfg.TCP = tcp.Config{SendBuffer: buffers, ReceiveBuffer: buffers}
	out.res = sim.Run(t, cfg, func(w *sim.World) error {
		out.system = build(w, p)
		out.run()
		w.MustHaveBitten(mustBite...)
		w.Check(properties.All()...)
		return nil
	})
	return out
}

// fixed is a configuration with the seed of the flag -sim.seed.
func fixed() sim.Config {
	seed, _ := flag.Lookup("sim.seed").Value.(flag.Getter).Get().(uint64)
	return sim.Config{Seed: seed}
}

// settleLimit bounds how much longer than planned a run may take.
const settleLimit = time.Minute

func (sys *system) run() {
	for _, e := range sys.events {
		sys.w.At(e.at, e.fault)
	}
	if sys.look > 0 {
		sys.w.RunFor(sys.look)
		sys.mu.Lock()
		for _, s := range sys.servers {
			sys.held += s.Stats().Clients
			sys.opened += s.Stats().Rooms
		}
		sys.mu.Unlock()
	}
	sys.w.RunFor(sys.length - sys.look)
	for waited := time.Duration(0); waited < settleLimit && !sys.caughtUp(); waited += 500 * time.Millisecond {
		sys.w.RunFor(500 * time.Millisecond)
	}
}

func build(w *sim.World, p *plan) *system {
	sys := &system{
		plan: p, w: w, servers: map[string]*edge.Server{}, drains: map[string][]drain{}, places: map[string]model.Cursor{},
		refused: map[string][]error{}, statuses: map[string]*statuses{},
	}
	w.Link("*", "*", p.inside)
	store := hop2.NewRedisStore()
	w.Node("redis", func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":6379")
		if err != nil {
			return err
		}
		return hop2.ServeRedis(ctx, l, store)
	})
	var backends []string
	for i := range edges {
		name := fmt.Sprintf("edge-%d", i+1)
		w.Node(name, sys.edge)
		backends = append(backends, name+":80")
	}
	w.Node("lb", func(ctx context.Context, n *sim.Node) error {
		sys.balancer.Run(ctx)
		return nil
	})
	var err error
	sys.balancer, err = w.Net().Host("lb").Balance(netsim.BalancerConfig{
		Backends: backends, HealthInterval: 200 * time.Millisecond, IdleTimeout: p.idle,
	})
	w.Fail(err)
	w.Node("publisher", sys.publish)
	for i := range clients {
		w.Node(fmt.Sprintf("client-%d", i+1), sys.subscribe)
	}
	for _, s := range p.strangers {
		w.Node(s.name, func(ctx context.Context, n *sim.Node) error { return sys.intrude(ctx, n, s) })
		w.Link(s.name, frontage, p.link)
	}
	outside := "client-*"
	if p.nat {
		outside = "nat"
		nat, err := w.Net().NewHost("nat")
		w.Fail(err)
		_, err = nat.NAT(netsim.NATConfig{Inside: "client-*"})
		w.Fail(err)
	}
	if !p.near {
		outside += "|publisher"
	}
	w.Link(outside, frontage, p.link)
	return sys
}

// frontage is what those outside reach: the balancer carries TCP, and peer connections go to an edge.
const frontage = "lb|edge-*"

// buffers is how much each end of a connection holds for its program, in bytes: little, so that a client that
// takes nothing is soon noticed.
const buffers = 16 << 10

// peering is how a node makes peer connections.
func peering(n *sim.Node) *hop1.WebRTC {
	return &hop1.WebRTC{
		Net: pionnet.New(n), Engine: func(e *webrtc.SettingEngine) { e.SetSCTPMaxReceiveBufferSize(buffers) },
	}
}

// edge is an endpoint server's program. Told to stop, it drains.
func (sys *system) edge(ctx context.Context, n *sim.Node) error {
	strategy, err := hop2.New("redis-streams", hop2.Config{
		Addr: "redis:6379", Dial: n.DialContext, Rand: n.Rand("hop 2"), History: sys.history,
	})
	if err != nil {
		return err
	}
	server, err := edge.New(edge.Config{
		Name: n.Name(), Strategy: strategy, QueueLimit: 8, History: 8, WriteTimeout: writeTimeout, Hold: hold,
		WebRTC: peering(n), Guard: sys.guard(),
	})
	if err != nil {
		return err
	}
	sys.mu.Lock()
	sys.servers[n.Name()] = server
	sys.mu.Unlock()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		began := n.Now()
		limit, cancel := context.WithTimeout(serving, 5*time.Second)
		defer cancel()
		err := server.Shutdown(limit)
		sys.mu.Lock()
		sys.drains[n.Name()] = append(sys.drains[n.Name()], drain{n.Now() - began, err})
		sys.mu.Unlock()
		stop()
	})()
	return errors.Join(n.Serve(serving, ":80", server.Handler()), strategy.Close())
}

// publish is the publisher's program. It does not wait for an answer before it posts again.
func (sys *system) publish(ctx context.Context, n *sim.Node) error {
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: "http://lb", HTTP: n.HTTPClient(), Header: authorization(n.Name()), AttemptTimeout: time.Second, Backoff: hop1.Backoff{Max: time.Second},
		Observe: func(e model.Event) { sys.observe(n, e) },
	}
	var posts sync.WaitGroup
	defer posts.Wait()
	for i, at := range sys.posts {
		if !sleep(ctx, at-n.Now()) {
			return nil
		}
		posts.Go(func() {
			// It fails only when the run ends; what became of the message is in the history.
			_, _ = publisher.Publish(ctx, "r", fmt.Sprint(i+1), make([]byte, sys.body))
		})
	}
	return nil
}

// clientConfig is how a client of any transport is configured on a node.
func (sys *system) clientConfig(n *sim.Node) hop1.ClientConfig {
	return hop1.ClientConfig{
		Name: n.Name(), Room: "r", BaseURL: "http://lb", Transport: sys.transport, HTTP: n.HTTPClient(),
		Poll: hop1.Polling{Interval: interval}, Hold: sys.hold, Backoff: hop1.Backoff{Max: time.Second},
		Rand: n.Rand("client"), Mutant: sys.mutant, WebRTC: peering(n),
		Header: authorization(n.Name()),
	}
}

// subscribe is a client's program.
func (sys *system) subscribe(ctx context.Context, n *sim.Node) error {
	cfg := sys.clientConfig(n)
	first := n.Name() == "client-1"
	cfg.Observe = func(e model.Event) {
		sys.observe(n, e)
		if now := n.Now(); first && sys.stalls.has(now) && e.Kind == model.Deliver {
			sleep(ctx, sys.stalls.to-now)
		}
	}
	client, err := hop1.NewClient(cfg)
	if err != nil {
		return err
	}
	if first && sys.away.to > 0 {
		until, cancel := context.WithTimeout(ctx, sys.away.from-n.Now())
		_ = client.Run(until) // returns when until ends, and says so
		cancel()
		sleep(ctx, sys.away.to-n.Now())
	}
	_ = client.Run(ctx) // returns when ctx ends, and says so
	return nil
}

// sleep waits. It gives false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (sys *system) observe(n *sim.Node, e model.Event) {
	n.Record(e)
	sys.mu.Lock()
	defer sys.mu.Unlock()
	switch e.Kind {
	case model.PublishOK:
		sys.posted++
		sys.end.Epoch, sys.end.Seq = e.Epoch, max(sys.end.Seq, e.Seq)
	case model.Connected, model.Deliver, model.Discontinuity:
		sys.places[n.Name()] = e.Cursor()
	}
}

// caughtUp reports whether all messages are posted, and every client has come to the log's end.
func (sys *system) caughtUp() bool {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	for _, at := range sys.places {
		if at != sys.end {
			return false
		}
	}
	return sys.posted == len(sys.posts) && len(sys.places) == clients
}

// of gives what a node saw of one kind, within a span.
func (o *outcome) of(node string, kind model.Kind, within span) []model.Event {
	var some []model.Event
	for _, e := range o.res.History.Events {
		if e.Node == node && e.Kind == kind && within.has(e.Time) {
			some = append(some, e)
		}
	}
	return some
}

// steps counts the trace's steps of one kind on hosts that match.
func (o *outcome) steps(kind netsim.Kind, on func(host string) bool) int {
	n := 0
	for i := uint64(1); i <= o.res.Trace.Steps(); i++ {
		if s, ok := o.res.Trace.At(i); ok && s.Kind == kind.String() && on(s.Host) {
			n++
		}
	}
	return n
}

const forever = 1000 * time.Hour
