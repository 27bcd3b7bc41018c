package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// celebritySystem is one design for a number of followers, in a world: a Redis, relays if the design has any,
// edges, clients, and the celebrity. All names begin with those of the design and the number.
type celebritySystem struct {
	c       *Celebrity
	design  string
	clients int
	tracker

	servers       []string              // all but the clients and the celebrity, the broker first
	hosts         map[netip.Addr]string // names
	before, after map[string]uint64     // what servers had sent before the first update, and at the end
}

// The parts that nodes of a system play.
const (
	roleBroker = "redis"
	roleRelay  = "relay"
	roleEdge   = "edge"
	roleClient = "client"
)

// calm is how often connections are probed, edges look at the log, and the like: not while the run lasts, so
// that uplinks have nothing but updates to send.
const calm = 10 * time.Minute

func (sys *celebritySystem) room() string { return fmt.Sprintf("%s-%d", sys.design, sys.clients) }

func (sys *celebritySystem) name(role string) string { return sys.room() + "-" + role }

// shape is the design as a tree: the broker first, level by level, the clients last.
func (sys *celebritySystem) shape() []model.FanoutNode {
	c, n := sys.c, sys.clients
	design := sys.design
	if c.mutant == mutantTreeOnly {
		design = designTree
	}
	edges := 1
	switch design {
	case designTree:
		return c.form(n).Tree()
	case designBroker:
		edges = (n + c.Branch - 1) / c.Branch
	}
	nodes := []model.FanoutNode{{Parent: -1, Children: edges}}
	for e := range edges {
		nodes = append(nodes, model.FanoutNode{Parent: 0, Level: 1, Rank: e + 1, Children: (n + edges - 1 - e) / edges})
	}
	for e := range edges {
		for i := range nodes[e+1].Children {
			nodes = append(nodes, model.FanoutNode{Parent: e + 1, Level: 2, Rank: i + 1})
		}
	}
	return nodes
}

// build adds the system's nodes.
func (sys *celebritySystem) build(w *sim.World) {
	shape := sys.shape()
	depth := shape[len(shape)-1].Level
	names := make([]string, len(shape))
	sources := make([]source, len(shape)) // what a node is to its children
	counts := map[string]int{}
	for i, node := range shape {
		role := roleRelay
		switch node.Level {
		case 0:
			role = roleBroker
		case depth:
			role = roleClient
		case depth - 1:
			role = roleEdge
		}
		counts[role]++
		names[i] = fmt.Sprintf("%s-%d", sys.name(role), counts[role])
		if role != roleClient {
			sys.servers = append(sys.servers, names[i])
		}
		from := 0
		if node.Parent > 0 && !(role == roleEdge && sys.c.mutant == mutantBypass) {
			from = node.Parent
		}
		switch role {
		case roleBroker:
			names[i] = sys.name(role)
			sys.servers[0] = names[i]
			sources[i] = quiet(brokerAt("redis-streams", names[i], "6379"))
			w.Node(names[i], sys.serveBroker)
		case roleRelay:
			sources[i] = quiet(relaySource(names[i]))
			w.Node(names[i], sys.relay(sources[from]))
		case roleEdge:
			w.Node(names[i], endpointWith(sources[from], edge.Config{Heartbeat: calm}))
		case roleClient:
			w.Node(names[i], func(ctx context.Context, n *sim.Node) error { return sys.follow(ctx, n, names[node.Parent]) })
		}
	}
	// The celebrity posts to an edge that has no followers, so that what it uploads is not in anybody's way.
	w.Node(sys.name("entry"), endpointWith(sources[0], edge.Config{}))
	w.Node(sys.name("celebrity"), sys.publish)
	sys.hosts = map[netip.Addr]string{}
	for _, h := range w.Net().Hosts() {
		sys.hosts[h.Addr()] = h.Name()
	}
}

// quiet has who gets messages from a source not look at its log for a while.
func quiet(from source) source {
	config := from.config
	from.config = func(n *sim.Node) hop2.Config {
		cfg := config(n)
		cfg.CheckEvery, cfg.Timeout = calm, 2*calm
		return cfg
	}
	return from
}

// tapped runs a server whose copies of messages are recorded.
func (sys *celebritySystem) tapped(ctx context.Context, n *sim.Node, address string, serve func(net.Listener) error) error {
	l, err := n.Listen("tcp", address)
	if err != nil {
		return err
	}
	j := newJournal(n)
	written := make(chan struct{})
	go func() {
		defer close(written)
		j.run(ctx)
	}()
	err = serve(&tap{Listener: l, journal: j, room: sys.room(), peers: func(a netip.Addr) string { return sys.hosts[a] }})
	<-written
	return err
}

// serveBroker is the broker's program.
func (sys *celebritySystem) serveBroker(ctx context.Context, n *sim.Node) error {
	return sys.tapped(ctx, n, ":6379", func(l net.Listener) error { return hop2.ServeRedis(ctx, l, hop2.NewRedisStore()) })
}

// relay is the program of a relay that gets its messages from a source.
func (sys *celebritySystem) relay(from source) sim.Program {
	return func(ctx context.Context, n *sim.Node) error {
		up, err := from.open(n, from.config(n))
		if err != nil {
			return err
		}
		relay, err := hop2.NewRelay(hop2.RelayConfig{Upstream: up, Heartbeat: calm})
		if err != nil {
			return errors.Join(err, up.Close())
		}
		server := &http.Server{Handler: relay.Handler(), BaseContext: func(net.Listener) context.Context { return ctx }}
		defer context.AfterFunc(ctx, func() { _ = server.Close() })() // its connections' ends are the run's
		err = sys.tapped(ctx, n, ":80", server.Serve)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		return errors.Join(err, relay.Close(), up.Close())
	}
}

// follow is a client's program.
func (sys *celebritySystem) follow(ctx context.Context, n *sim.Node, at string) error {
	luck := n.Rand("client")
	client, err := hop1.NewClient(hop1.ClientConfig{
		Name: n.Name(), Room: sys.room(), BaseURL: "http://" + at, Transport: "ws", HTTP: n.Metered(n.HTTPClient()),
		Rand: luck, Heartbeat: calm, Observe: func(e model.Event) { sys.observe(n, e) },
	})
	if err != nil {
		return err
	}
	// People don't open their apps at once, nor close them.
	within := int64(sys.c.connecting())
	if !sleepUntil(ctx, n, connectFrom+time.Duration(luck.Int64N(within))) {
		return nil
	}
	ctx, leave := context.WithTimeout(ctx, sys.c.spread()-n.Now()+time.Duration(luck.Int64N(within)))
	defer leave()
	_ = client.Run(ctx) // returns when ctx ends, and says so
	return nil
}

// publish is the celebrity's program.
func (sys *celebritySystem) publish(ctx context.Context, n *sim.Node) error {
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: "http://" + sys.name("entry"), HTTP: n.HTTPClient(),
		Observe: func(e model.Event) { sys.observe(n, e) },
	}
	body := make([]byte, sys.c.Body)
	for i := range sys.c.Updates {
		if !sleepUntil(ctx, n, sys.c.settled()+time.Duration(i)*sys.c.spacing()) {
			return nil
		}
		// It fails only when the run ends; what became of the update is in the history.
		post(ctx, n, publisher, sys.room(), fmt.Sprintf("update-%d", i+1), body)
	}
	return nil
}

// sent is how many bytes each server has sent.
func (sys *celebritySystem) sent(w *sim.World) map[string]uint64 {
	sent := make(map[string]uint64, len(sys.servers))
	for _, name := range sys.servers {
		sent[name] = w.Net().Host(name).Counters().BytesSent
	}
	return sent
}
