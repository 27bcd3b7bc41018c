package scenarios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/coord"
	"github.com/twohop/twohop/sim/hop2/disk"
	ringsource "github.com/twohop/twohop/sim/hop2/source"
	"github.com/twohop/twohop/sim/hop2/store"
)

// ring is what the strategy ring needs in a world besides its edges: three nodes of a coordination service, a
// source and a controller.
type ring struct {
	// prefix begins the names of all nodes.
	prefix string
	// placement is the rule by which rooms belong to edges, without its members.
	placement model.Placement
	options   sourceOptions
	// movePace is the time from one room that an edge moves to its next. 0 means the default of [hop2.RingConfig].
	movePace time.Duration
	// mutant is a deliberate bug of the source or of the controller; other names are nobody's.
	mutant string
	// record enters in the history whose the rooms are.
	record *ringRecord

	mu     sync.Mutex
	source *ringsource.Source     // in its present life
	steps  []string               // of the dance, as the controllers took them
	moving bool                   // according to the last of them
	edges  map[string]*hop2.Ring  // by node, in its present life
	coords map[string]*coord.Node // by node, in its present life
}

// mutantModulo places rooms by modulo, whatever the rule.
const mutantModulo = "modulo"

// coordinators is how many nodes a coordination service has.
const coordinators = 3

func (r *ring) coordName(i int) string { return fmt.Sprintf("%scoord-%d", r.prefix, i+1) }
func (r *ring) sourceName() string     { return r.prefix + "source" }
func (r *ring) controllerName() string { return r.prefix + "controller" }

// otherNames are the names of the nodes besides the source.
func (r *ring) otherNames() []string {
	names := []string{r.controllerName()}
	for i := range coordinators {
		names = append(names, r.coordName(i))
	}
	return names
}

// build adds the nodes, and gives the source that edges get their messages from.
func (r *ring) build(w *sim.World) source {
	r.record = new(ringRecord)
	r.edges, r.coords = map[string]*hop2.Ring{}, map[string]*coord.Node{}
	r.buildCoordinators(w)
	d := r.options.disk()
	w.OnDiskLose(r.sourceName(), d.Lose)
	w.Node(r.sourceName(), func(ctx context.Context, n *sim.Node) error { return r.serveSource(ctx, n, d) })
	w.Node(r.controllerName(), r.control)
	return source{node: r.sourceName(), config: brokerConfig(r.sourceName(), "80"), open: r.open, record: r.record}
}

// buildCoordinators adds the nodes of the coordination service.
func (r *ring) buildCoordinators(w *sim.World) {
	for i := range coordinators {
		d := r.options.disk()
		w.OnDiskLose(r.coordName(i), d.Lose)
		w.Node(r.coordName(i), func(ctx context.Context, n *sim.Node) error { return r.coordinate(ctx, n, i, d) })
	}
}

// coordAddresses lists where the coordination service's nodes listen on a port.
func (r *ring) coordAddresses(port int) []string {
	addresses := make([]string, coordinators)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("%s:%d", r.coordName(i), port)
	}
	return addresses
}

// boot cuts a disk's power before each life but the first: what was not synced may be gone.
func boot(n *sim.Node, d *disk.Disk) {
	if n.Life() > 1 {
		d.Crash(n.Rand("disk"))
	}
}

func (r *ring) coordinate(ctx context.Context, n *sim.Node, i int, d *disk.Disk) error {
	boot(n, d)
	cfg := coord.Config{ID: i + 1, Peers: r.coordAddresses(2380), Disk: d, Dial: n.DialContext}
	if r.mutant == string(coord.StaleReads) {
		cfg.Mutant = coord.StaleReads
	}
	node, err := coord.Start(cfg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.coords[n.Name()] = node
	r.mu.Unlock()
	peers, err := n.Listen("tcp", ":2380")
	if err != nil {
		return err
	}
	clients, err := n.Listen("tcp", ":2379")
	if err != nil {
		return err
	}
	if err := node.Run(ctx, peers, clients); !errors.Is(err, coord.ErrLogLost) {
		return err
	}
	return nil // it steps aside: two are a majority
}

// coordClient is a node's client of the coordination service.
func (r *ring) coordClient(n *sim.Node) (*coord.Client, error) {
	return coord.NewClient(coord.ClientConfig{
		Name: fmt.Sprintf("%s/%d", n.Name(), n.Life()), Nodes: r.coordAddresses(2379), Dial: n.DialContext,
	})
}

func (r *ring) serveSource(ctx context.Context, n *sim.Node, d *disk.Disk) error {
	boot(n, d)
	logs, err := store.Open(store.Config{Disk: d, History: r.options.history, Rand: n.Rand("identity")})
	if err != nil {
		return err
	}
	client, err := r.coordClient(n)
	if err != nil {
		return errors.Join(err, logs.Close())
	}
	defer client.Close()
	cfg := ringsource.Config{Store: logs, Coord: client}
	if len(r.record.rooms) > 0 {
		r.record.alive(n)
		cfg.Observer = r.record
	}
	if r.mutant == string(ringsource.NoDualSend) {
		cfg.Mutant = ringsource.NoDualSend
	}
	src, err := ringsource.New(cfg)
	if err != nil {
		return errors.Join(err, logs.Close())
	}
	r.mu.Lock()
	r.source = src
	r.mu.Unlock()
	following := make(chan error, 1)
	go func() { following <- src.Run(ctx) }()
	err = n.Serve(ctx, ":80", src.Handler())
	if end := <-following; ctx.Err() == nil {
		err = errors.Join(err, end)
	}
	return errors.Join(err, logs.Close())
}

func (r *ring) control(ctx context.Context, n *sim.Node) error {
	client, err := r.coordClient(n)
	if err != nil {
		return err
	}
	defer client.Close()
	c := hop2.Controller{
		Coord: client, Placement: r.placement, Settle: 500 * time.Millisecond,
		Observe: func(step string, t model.Transition) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.steps = append(r.steps, step)
			r.moving = t.Moving()
		},
	}
	if r.mutant == mutantModulo {
		c.Placement = model.Placement{Kind: model.Modulo}
	}
	if r.mutant == string(hop2.EarlyCommit) {
		c.Mutant = hop2.EarlyCommit
	}
	if err := c.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// open opens an edge's end of the ring.
func (r *ring) open(n *sim.Node, cfg hop2.Config) (joint, error) {
	end, err := hop2.NewRing(hop2.RingConfig{
		Config: cfg, Name: n.Name(), Life: fmt.Sprint(n.Life()), Coordinators: r.coordAddresses(2379), MovePace: r.movePace,
	})
	if err != nil {
		return joint{}, err
	}
	r.mu.Lock()
	r.edges[n.Name()] = end
	r.mu.Unlock()
	return joint{Strategy: end, front: end.Redirect, leave: end.Leave}, nil
}

// quiet tells whether no rooms are being moved.
func (r *ring) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.moving
}

// Steps lists the steps of the dance that controllers took.
func (r *ring) Steps() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.steps)
}

// Source is the source's counters, in its present life.
func (r *ring) Source() ringsource.Stats {
	r.mu.Lock()
	src := r.source
	r.mu.Unlock()
	if src == nil {
		return ringsource.Stats{}
	}
	return src.Stats()
}

// Edges sums up the counters of the edges, in their present lives.
func (r *ring) Edges() (sum hop2.RingStats) {
	r.mu.Lock()
	edges := maps.Clone(r.edges)
	r.mu.Unlock()
	for _, e := range edges {
		st := e.Stats()
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
func (r *ring) Leader(w *sim.World) (leader string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
	defer cancel()
	for i := range coordinators {
		r.mu.Lock()
		node := r.coords[r.coordName(i)]
		r.mu.Unlock()
		go func() {
			if st, err := node.Stats(ctx); err == nil && st.Leads {
				r.mu.Lock()
				leader = r.coordName(i)
				r.mu.Unlock()
			}
		}()
	}
	w.RunFor(time.Microsecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	return leader
}
