package scenarios

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// ScalingSystem is one system of a [Scaling] in a world: three nodes of a coordination service, a source, a
// controller, edges, a balancer, publishers and clients. All names begin with its kind.
type ScalingSystem struct {
	scaling  *Scaling
	kind     model.PlacementKind
	balancer *netsim.Balancer
	tracker
	gauges
	*ring

	mu     sync.Mutex
	lookup *hop2.Lookup // in its present life; nil if there is none
}

func (sys *ScalingSystem) name(part string, i int) string {
	return fmt.Sprintf("%s-%s-%d", sys.kind, part, i+1)
}

func (sys *ScalingSystem) edgeName(i int) string { return sys.name("edge", i) }

func (sys *ScalingSystem) room(i int) string { return sys.name("room", i) }

// build adds the system's nodes and links.
func (sys *ScalingSystem) build(w *sim.World) {
	s := sys.scaling
	kind := string(sys.kind)
	outside := netsim.Link{Latency: s.Latency, Jitter: s.Jitter}
	inner := kind + "-lb|" + kind + "-edge-*"
	if s.Find != findRedirect {
		inner += "|" + kind + "-lookup"
	}
	w.Link(kind+"-client-*|"+kind+"-publisher-*", inner, outside)

	sys.ring = &ring{prefix: kind + "-", placement: s.placement(sys.kind), movePace: s.MovePace, mutant: s.mutant}
	sys.begin(w)
	from := sys.ring.build(w)
	for i := range s.Rooms {
		from.record.rooms = append(from.record.rooms, sys.room(i))
	}
	config := from.config
	from.config = func(n *sim.Node) hop2.Config {
		cfg := config(n)
		cfg.CheckEvery = checkEvery
		return cfg
	}
	serve := watchedEndpoint(from, edge.Config{}, &sys.gauges)
	if s.Find != findRedirect {
		w.Node(kind+"-lookup", sys.serveLookup)
	}
	backends := make([]string, s.Edges+1)
	for i := range backends {
		w.Node(sys.edgeName(i), func(ctx context.Context, n *sim.Node) error {
			if i == s.Edges && !sleepUntil(ctx, n, s.comes()) {
				return nil
			}
			return serve(ctx, n)
		})
		backends[i] = sys.edgeName(i) + ":80"
	}
	w.Node(kind+"-lb", func(ctx context.Context, n *sim.Node) error {
		sys.balancer.Run(ctx)
		return nil
	})
	var err error
	sys.balancer, err = w.Net().Host(kind + "-lb").Balance(netsim.BalancerConfig{Backends: backends, HealthInterval: 500 * time.Millisecond})
	w.Fail(err)
	for i := range s.Publishers {
		w.Node(sys.name("publisher", i), sys.publish)
	}
	for i := range s.Clients {
		w.Node(sys.name("client", i), func(ctx context.Context, n *sim.Node) error { return sys.subscribe(ctx, n, i) })
	}
}
func (sys *ScalingSystem) serveLookup(ctx context.Context, n *sim.Node) error {
	client, err := sys.coordClient(n)
	if err != nil {
		return err
	}
	defer client.Close()
	lookup, err := hop2.NewLookup(client, sys.scaling.Lookup)
	if err != nil {
		return err
	}
	sys.mu.Lock()
	sys.lookup = lookup
	sys.mu.Unlock()
	following := make(chan error, 1)
	go func() { following <- lookup.Run(ctx) }()
	err = n.Serve(ctx, ":80", lookup.Handler())
	if end := <-following; ctx.Err() == nil {
		err = errors.Join(err, end)
	}
	return err
}

// Lookups is how often the central lookup was asked, in its present life.
func (sys *ScalingSystem) Lookups() int {
	sys.mu.Lock()
	lookup := sys.lookup
	sys.mu.Unlock()
	if lookup == nil {
		return 0
	}
	return lookup.Asked()
}

// checkEvery is how long an edge believes a silence. It is longer than rooms take to move, so that a message
// that the source does not deliver is not found by chance.
const checkEvery = time.Minute

// publish is a publisher's program: it posts to random rooms, and does not wait for an answer before it posts
// again.
func (sys *ScalingSystem) publish(ctx context.Context, n *sim.Node) error {
	s := sys.scaling
	ctx, cancel := sys.until(ctx, publishers)
	defer cancel()
	luck := n.Rand("publisher")
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: "http://" + string(sys.kind) + "-lb", HTTP: n.HTTPClient(), AttemptTimeout: 2 * time.Second,
		Observe: func(e model.Event) { sys.observe(n, e) },
	}
	var posts sync.WaitGroup
	defer posts.Wait()
	wait := 5 * time.Second // for a leader to be elected, edges to be known, and clients to connect
	for i := 1; ; i++ {
		if !sleepUntil(ctx, n, n.Now()+wait) || n.Now() >= s.Duration*4/5 {
			return nil
		}
		id, room := fmt.Sprintf("%s-%d", n.Name(), i), sys.room(luck.IntN(s.Rooms))
		posts.Go(func() {
			// It fails only when the run ends; what became of the message is in the history.
			post(ctx, n, publisher, room, id, []byte(id))
		})
		wait = time.Duration(-math.Log(1-luck.Float64()) / s.Rate * float64(time.Second))
	}
}

// subscribe is the program of the i-th client.
func (sys *ScalingSystem) subscribe(ctx context.Context, n *sim.Node, i int) error {
	s := sys.scaling
	ctx, cancel := sys.until(ctx, clients)
	defer cancel()
	transport := s.Transport
	if transport == "mix" {
		transport = []string{"ws", "sse"}[i%2]
	}
	luck := n.Rand("client")
	cfg := hop1.ClientConfig{
		Name: n.Name(), Room: sys.room(i / 2 % s.Rooms), BaseURL: "http://" + string(sys.kind) + "-lb", Transport: transport,
		HTTP: n.Metered(n.HTTPClient()), Rand: luck, Backoff: hop1.Backoff{Max: time.Second}, Observe: func(e model.Event) { sys.observe(n, e) },
	}
	if s.Find != findRedirect {
		cfg.HTTP.Transport = &hop2.Locator{
			Base: cfg.HTTP.Transport, Lookup: "http://" + string(sys.kind) + "-lookup", Keep: s.Find == findMapping,
		}
	}
	if s.mutant == string(hop1.NoResume) {
		cfg.Mutant = hop1.NoResume
	}
	client, err := hop1.NewClient(cfg)
	if err != nil {
		return err
	}
	// People don't open their apps at once, nor before the service is announced.
	if sleepUntil(ctx, n, 2500*time.Millisecond+time.Duration(luck.Int64N(int64(time.Second)))) {
		_ = client.Run(ctx) // returns when ctx ends, and says so
	}
	return nil
}

// settled reports whether every client has what it is owed, and nobody is being moved.
func (sys *ScalingSystem) settled() bool { return sys.quiet() && sys.caughtUp(sys.scaling.Clients) }

// ours reports whether a client or publisher is one of this system's.
func (sys *ScalingSystem) ours(node string) bool {
	return strings.HasPrefix(node, string(sys.kind)+"-")
}
