package scenarios

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
)

// gaugeEvery is how often a world looks at what its endpoint servers hold. What it reads are marks of the
// highest, so that nothing between two looks is missed but what an edge held just before it crashed.
const gaugeEvery = 250 * time.Millisecond

// calmLimit is how long, after all clients have left, servers have to give back what they held: a silent
// client's connection is found within its time-outs, and then its room lingers.
const calmLimit = 20 * time.Second

// gauges enters in the history what the endpoint servers of a world hold, for properties of resources. Its zero
// value, before begin, does not look.
type gauges struct {
	mu      sync.Mutex
	servers map[string]*edge.Server // by node, in its present life
	deepest map[string]int          // of each node's queues, as recorded; in its present life
	source  source

	staying [2]context.Context // end when publishers, and when clients, are to leave
	leave   [2]context.CancelFunc
}

// Who leaves first.
const (
	publishers = iota
	clients
)

// begin has the world look from now on. It comes first in a system's making.
func (g *gauges) begin(w *sim.World) {
	g.servers, g.deepest = map[string]*edge.Server{}, map[string]int{}
	for who := range g.staying {
		g.staying[who], g.leave[who] = context.WithCancel(context.Background())
	}
	w.Every(gaugeEvery, func() { g.look(w) })
}

// watchSource adds the source, which holds nothing yet.
func (g *gauges) watchSource(w *sim.World, s source) {
	g.source = s
	g.sourceLevel(w)
}

func (g *gauges) sourceLevel(w *sim.World) {
	if g.source.held != nil {
		w.Record(model.Event{Kind: model.Level, Node: g.source.node, Object: "subscriptions", Value: int64(g.source.held())})
	}
}

// watch adds a node's server, for as long as the node's process lives. It records what that holds now.
func (g *gauges) watch(ctx context.Context, n *sim.Node, s *edge.Server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.servers == nil {
		return
	}
	g.servers[n.Name()] = s
	for _, e := range levels(n.Name(), s) {
		n.Record(e)
	}
	deepest, limit := s.Held()
	g.deepest[n.Name()] = deepest
	n.Record(backlog(n.Name(), deepest, limit))
	context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.servers[n.Name()] == s {
			delete(g.servers, n.Name())
		}
	})
}

// levels are how much an endpoint server holds.
func levels(node string, s *edge.Server) []model.Event {
	st := s.Stats()
	level := func(object string, value int) model.Event {
		return model.Event{Kind: model.Level, Node: node, Object: object, Value: int64(value)}
	}
	return []model.Event{level("clients", st.Clients), level("rooms", st.Rooms), level("subscriptions to hop 2", st.Upstreams)}
}

// backlog is how much an endpoint server keeps for one client, and how much it may.
func backlog(node string, deepest, limit int) model.Event {
	return model.Event{Kind: model.Queue, Node: node, Object: "backlog of a client", Value: int64(deepest), Limit: int64(limit)}
}

// look records each server's deepest queue, if it is deeper than before.
func (g *gauges) look(w *sim.World) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(g.servers)) {
		deepest, limit := g.servers[name].Held()
		if deepest > g.deepest[name] {
			g.deepest[name] = deepest
			w.Record(backlog(name, deepest, limit))
		}
	}
}

// until gives a program's context that ends, too, when its part of the system is to leave.
func (g *gauges) until(ctx context.Context, who int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(g.staying[who], cancel)
	return ctx, cancel
}

// end ends systems that have come to rest, so that it shows whether anything is left behind: publishers leave,
// then, as soon as nothing is under way, clients; and when servers have had the time to give everything back,
// it is recorded what they hold. settled tells whether all messages have arrived.
func end(w *sim.World, settled func() bool, systems ...*gauges) {
	for _, g := range systems {
		g.leave[publishers]()
	}
	now := w.Now()
	if w.RunFor(time.Second); w.Now() == now {
		return // the run has failed, or was interrupted
	}
	runUntil(w, settleLimit, settled)
	for _, g := range systems {
		g.leave[clients]()
	}
	runUntil(w, calmLimit, func() bool { return !slices.ContainsFunc(systems, (*gauges).busy) })
	for _, g := range systems {
		g.look(w)
		g.levels(w)
	}
}

// levels records what the servers hold now.
func (g *gauges) levels(w *sim.World) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(g.servers)) {
		for _, e := range levels(name, g.servers[name]) {
			w.Record(e)
		}
	}
	g.sourceLevel(w)
}

// busy tells whether a server holds anything.
func (g *gauges) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.servers {
		if st := s.Stats(); st.Clients+st.Rooms+st.Upstreams > 0 {
			return true
		}
	}
	return g.source.held != nil && g.source.held() > 0
}

// resourceProperties are those of what endpoint servers hold.
func resourceProperties() []model.Property {
	return []model.Property{properties.NoZombie(), properties.BoundedQueue(0)}
}

// runUntil lets virtual time pass until something is so, at most limit, to the second.
func runUntil(w *sim.World, limit time.Duration, so func() bool) {
	for waited := time.Duration(0); waited < limit && !so() && !w.Interrupted(); waited += time.Second {
		w.RunFor(time.Second)
	}
}
