package scenarios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/coord"
	"github.com/twohop/twohop/sim/hop2/disk"
	ringsource "github.com/twohop/twohop/sim/hop2/source"
	"github.com/twohop/twohop/sim/hop2/store"
)

// ScalingSystem is one system of a [Scaling] in a world: three nodes of a coordination service, a source, a
// controller, edges, a balancer, publishers and clients. All names begin with its kind.
type ScalingSystem struct {
	scaling  *Scaling
	kind     model.PlacementKind
	balancer *netsim.Balancer
	tracker

	mu     sync.Mutex
	source *ringsource.Source     // in its present life
	lookup *hop2.Lookup           // in its present life; nil if there is none
	steps  []string               // of the dance, as the controllers took them
	moving bool                   // according to the last of them
	rings  map[string]*hop2.Ring  // by edge, in its present life
	coords map[string]*coord.Node // by node, in its present life
}

func (sys *ScalingSystem) name(part string, i int) string {
	return fmt.Sprintf("%s-%s-%d", sys.kind, part, i+1)
}

func (sys *ScalingSystem) edgeName(i int) string { return sys.name("edge", i) }

func (sys *ScalingSystem) room(i int) string { return sys.name("room", i) }

// build adds the system's nodes and links.
func (sys *ScalingSystem) build(w *sim.World) {
	s := sys.scaling
	sys.rings, sys.coords = map[string]*hop2.Ring{}, map[string]*coord.Node{}
	kind := string(sys.kind)
	outside := netsim.Link{Latency: s.Latency, Jitter: s.Jitter}
	inner := kind + "-lb|" + kind + "-edge-*"
	if s.Find != findRedirect {
		inner += "|" + kind + "-lookup"
	}
	w.Link(kind+"-client-*|"+kind+"-publisher-*", inner, outside)

	for i := range coordinators {
		d := disk.New()
		w.Node(sys.name("coord", i), func(ctx context.Context, n *sim.Node) error { return sys.coordinate(ctx, n, i, d) })
	}
	d := disk.New()
	w.Node(kind+"-source", func(ctx context.Context, n *sim.Node) error { return sys.serveSource(ctx, n, d) })
	w.Node(kind+"-controller", sys.control)
	if s.Find != findRedirect {
		w.Node(kind+"-lookup", sys.serveLookup)
	}
	backends := make([]string, s.Edges+1)
	for i := range backends {
		w.Node(sys.edgeName(i), func(ctx context.Context, n *sim.Node) error {
			if i == s.Edges && !waitUntil(ctx, n, s.comes()) {
				return nil
			}
			return sys.serveEdge(ctx, n)
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

// coordinators is how many nodes a coordination service has.
const coordinators = 3

// coordAddresses lists where the coordination service's nodes listen on a port.
func (sys *ScalingSystem) coordAddresses(port int) []string {
	addresses := make([]string, coordinators)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("%s:%d", sys.name("coord", i), port)
	}
	return addresses
}

// waitUntil waits for a moment of the run; false if the node is told to end before.
func waitUntil(ctx context.Context, n *sim.Node, at time.Duration) bool {
	select {
	case <-time.After(at - n.Now()):
		return true
	case <-ctx.Done():
		return false
	}
}

// boot cuts a disk's power before each life but the first: what was not synced may be gone.
func boot(n *sim.Node, d *disk.Disk) {
	if n.Life() > 1 {
		d.Crash(n.Rand("disk"))
	}
}

func (sys *ScalingSystem) coordinate(ctx context.Context, n *sim.Node, i int, d *disk.Disk) error {
	boot(n, d)
	node, err := coord.Start(coord.Config{ID: i + 1, Peers: sys.coordAddresses(2380), Disk: d, Dial: n.DialContext})
	if err != nil {
		return err
	}
	sys.mu.Lock()
	sys.coords[n.Name()] = node
	sys.mu.Unlock()
	peers, err := n.Listen("tcp", ":2380")
	if err != nil {
		return err
	}
	clients, err := n.Listen("tcp", ":2379")
	if err != nil {
		return err
	}
	return node.Run(ctx, peers, clients)
}

// coordClient is a node's client of the coordination service.
func (sys *ScalingSystem) coordClient(n *sim.Node) (*coord.Client, error) {
	return coord.NewClient(coord.ClientConfig{
		Name: fmt.Sprintf("%s/%d", n.Name(), n.Life()), Nodes: sys.coordAddresses(2379), Dial: n.DialContext,
	})
}

func (sys *ScalingSystem) serveSource(ctx context.Context, n *sim.Node, d *disk.Disk) error {
	boot(n, d)
	logs, err := store.Open(store.Config{Disk: d, Rand: n.Rand("identity")})
	if err != nil {
		return err
	}
	client, err := sys.coordClient(n)
	if err != nil {
		return errors.Join(err, logs.Close())
	}
	defer client.Close()
	cfg := ringsource.Config{Store: logs, Coord: client}
	if sys.scaling.mutant == string(ringsource.NoDualSend) {
		cfg.Mutant = ringsource.NoDualSend
	}
	src, err := ringsource.New(cfg)
	if err != nil {
		return errors.Join(err, logs.Close())
	}
	sys.mu.Lock()
	sys.source = src
	sys.mu.Unlock()
	following := make(chan error, 1)
	go func() { following <- src.Run(ctx) }()
	err = n.Serve(ctx, ":80", src.Handler())
	if end := <-following; ctx.Err() == nil {
		err = errors.Join(err, end)
	}
	return errors.Join(err, logs.Close())
}

func (sys *ScalingSystem) control(ctx context.Context, n *sim.Node) error {
	client, err := sys.coordClient(n)
	if err != nil {
		return err
	}
	defer client.Close()
	c := hop2.Controller{
		Coord: client, Placement: sys.scaling.placement(sys.kind), Settle: 500 * time.Millisecond,
		Observe: func(step string, t model.Transition) {
			sys.mu.Lock()
			defer sys.mu.Unlock()
			sys.steps = append(sys.steps, step)
			sys.moving = t.Moving()
		},
	}
	if sys.scaling.mutant == string(hop2.EarlyCommit) {
		c.Mutant = hop2.EarlyCommit
	}
	if err := c.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
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

// leaveLimit is how long an edge that is told to stop waits for its rooms to be moved.
const leaveLimit = 30 * time.Second

func (sys *ScalingSystem) serveEdge(ctx context.Context, n *sim.Node) error {
	ring, err := hop2.NewRing(hop2.RingConfig{
		Config: hop2.Config{Addr: string(sys.kind) + "-source:80", Dial: n.DialContext, Rand: n.Rand("hop 2"), CheckEvery: checkEvery},
		Name:   n.Name(), Life: fmt.Sprint(n.Life()), Coordinators: sys.coordAddresses(2379), MovePace: sys.scaling.MovePace,
	})
	if err != nil {
		return err
	}
	sys.mu.Lock()
	sys.rings[n.Name()] = ring
	sys.mu.Unlock()
	server, err := edge.New(edge.Config{Name: n.Name(), Strategy: ring})
	if err != nil {
		return errors.Join(err, ring.Close())
	}
	// Told to stop, it has its rooms moved first, as slowly as always; then it drains.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		leaving, cancel := context.WithTimeout(serving, leaveLimit)
		defer cancel()
		_ = ring.Leave(leaving) // what has not been moved by then is cut
		drain, cancel := context.WithTimeout(serving, drainLimit)
		defer cancel()
		_ = server.Shutdown(drain) // so is what has not drained
		stop()
	})()
	return errors.Join(n.Serve(serving, ":80", ring.Redirect(server.Handler())), ring.Close())
}

// publish is a publisher's program: it posts to random rooms, and does not wait for an answer before it posts
// again.
func (sys *ScalingSystem) publish(ctx context.Context, n *sim.Node) error {
	s := sys.scaling
	luck := n.Rand("publisher")
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: "http://" + string(sys.kind) + "-lb", HTTP: n.HTTPClient(), AttemptTimeout: 2 * time.Second,
		Observe: func(e model.Event) { sys.observe(n, e) },
	}
	var posts sync.WaitGroup
	defer posts.Wait()
	wait := 5 * time.Second // for a leader to be elected, edges to be known, and clients to connect
	for i := 1; ; i++ {
		if !waitUntil(ctx, n, n.Now()+wait) || n.Now() >= s.Duration*4/5 {
			return nil
		}
		id, room := fmt.Sprintf("%s-%d", n.Name(), i), sys.room(luck.IntN(s.Rooms))
		posts.Go(func() {
			// It fails only when the run ends; what became of the message is in the history.
			_, _ = publisher.Publish(ctx, room, id, []byte(id))
		})
		wait = time.Duration(-math.Log(1-luck.Float64()) / s.Rate * float64(time.Second))
	}
}

// subscribe is the program of the i-th client.
func (sys *ScalingSystem) subscribe(ctx context.Context, n *sim.Node, i int) error {
	s := sys.scaling
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
	if waitUntil(ctx, n, 2500*time.Millisecond+time.Duration(luck.Int64N(int64(time.Second)))) {
		_ = client.Run(ctx) // returns when ctx ends, and says so
	}
	return nil
}

// settled reports whether every client has what it is owed, and nobody is being moved.
func (sys *ScalingSystem) settled() bool {
	sys.mu.Lock()
	moving := sys.moving
	sys.mu.Unlock()
	return !moving && sys.caughtUp(sys.scaling.Clients)
}

// Steps lists the steps of the dance that controllers took.
func (sys *ScalingSystem) Steps() []string {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	return slices.Clone(sys.steps)
}

// Source is the source's counters, in its present life.
func (sys *ScalingSystem) Source() ringsource.Stats {
	sys.mu.Lock()
	src := sys.source
	sys.mu.Unlock()
	if src == nil {
		return ringsource.Stats{}
	}
	return src.Stats()
}

// Edges sums up the counters of the edges, in their present lives.
func (sys *ScalingSystem) Edges() (sum hop2.RingStats) {
	sys.mu.Lock()
	rings := maps.Clone(sys.rings)
	sys.mu.Unlock()
	for _, r := range rings {
		st := r.Stats()
		sum.Streams += st.Streams
		sum.Delivered += st.Delivered
		sum.Strays += st.Strays
		sum.Moved += st.Moved
		sum.Fenced += st.Fenced
		sum.Redirects += st.Redirects
	}
	return sum
}

// Leader is the name of the node that leads the coordination service; "" if there is none. A microsecond of
// virtual time passes.
func (sys *ScalingSystem) Leader(w *sim.World) (leader string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
	defer cancel()
	for i := range coordinators {
		sys.mu.Lock()
		node := sys.coords[sys.name("coord", i)]
		sys.mu.Unlock()
		go func() {
			if st, err := node.Stats(ctx); err == nil && st.Leads {
				sys.mu.Lock()
				leader = sys.name("coord", i)
				sys.mu.Unlock()
			}
		}()
	}
	w.RunFor(time.Microsecond)
	sys.mu.Lock()
	defer sys.mu.Unlock()
	return leader
}

// ours reports whether a client or publisher is one of this system's.
func (sys *ScalingSystem) ours(node string) bool {
	return strings.HasPrefix(node, string(sys.kind)+"-")
}
