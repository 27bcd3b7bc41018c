package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/hop2/store"
)

// source is where messages come from: what a strategy of hop 2 needs in a world besides the edges.
type source struct {
	// node is the name of the host that is, or represents, the source: the one to crash and to cut off.
	node string
	// nodes are all those that messages come from, node first.
	nodes []string
	// nodeOf, unless nil, gives the one of nodes that a room is on; else it is node.
	nodeOf func(room string) string
	// rotate, unless nil, gives what each of nodes leads to the next one.
	rotate func()
	// config gives a node the configuration of its strategy.
	config func(n *sim.Node) hop2.Config
	// open opens a node's end of the strategy with such a configuration.
	open func(n *sim.Node, cfg hop2.Config) (joint, error)
	// held, unless nil, tells how many subscriptions the source's broker holds.
	held func() int
	// record, unless nil, enters in the history who owns which room, of those that it is told of.
	record *ringRecord
}

// joint is a node's end of hop 2.
type joint struct {
	hop2.Strategy
	// front, unless nil, puts itself before the handler of an edge.
	front func(next http.Handler) http.Handler
	// leave, unless nil, hands over what the edge is in charge of, before it drains.
	leave func(ctx context.Context) error
}

// handOver hands over what the edge is in charge of, if that can be. What has not been handed over within leaveLimit is
// cut.
func (j joint) handOver(ctx context.Context) {
	if j.leave != nil {
		ctx, cancel := context.WithTimeout(ctx, leaveLimit)
		defer cancel()
		_ = j.leave(ctx)
	}
}

// sourceKind is how to build what a strategy needs.
type sourceKind struct {
	node string // the name of the source's node
	// others are the names of the rest, any one of which edges can do without for a while.
	others []string
	// forgets: a crash has the source forget which messages it has had, so that one which is published again, since its
	// publisher got no answer, comes twice.
	forgets bool
	// hosts, unless 0, is how many hosts the source can be spread over, at most. They are numbered if there are
	// several.
	hosts int
	add   func(w *sim.World, nodes []string, o sourceOptions) source
}

// sourceOptions is what a source may be told about itself. The zero value is the defaults.
type sourceOptions struct {
	// hosts is how many hosts it is spread over, or as many as it can be. 0 means one.
	hosts int
	// history is how many messages of a room are kept. 0 means the strategy's default.
	history int
	// lag, unless 0, says that the source has a copy, which takes its place when it loses its disk, and how many
	// messages of each room that copy is behind. It is for hosts of Redis.
	lag int
	// unsynced says that its disk says that it has synced and has not; see [disk.Disk.IgnoreSync].
	unsynced bool
}

// disk gives a source its disk.
func (o sourceOptions) disk() *disk.Disk {
	d := disk.New()
	if o.unsynced {
		d.IgnoreSync()
	}
	return d
}

// sources is the registry of how to build what each strategy needs. Its names are those of strategies.
var sources = map[string]sourceKind{
	"jetstream":     {node: "jetstream", add: jetStreamSource},
	"kafka":         {node: "kafka", hosts: 16, add: kafkaSource},
	"nats":          {node: "nats", forgets: true, add: natsSource},
	"pull":          {node: "store", add: pullSource},
	"redis-pubsub":  {node: "redis-pubsub", hosts: 16, add: redisSources("redis-pubsub")},
	"redis-streams": {node: "redis", hosts: 16, add: redisSources("redis-streams")},
	hop2.RingName:   {node: "source", others: (&ring{}).otherNames(), add: ringSource},
}

// strategies lists the strategies by which edges can get the messages of their clients' rooms, sorted.
func strategies() []string {
	names := append(hop2.Names(), hop2.RingName)
	slices.Sort(names)
	return names
}

// nodes are the names of the hosts that the source is spread over, if it is to be so many, or as many as it can be.
func (k sourceKind) nodes(hosts int) []string {
	if hosts = min(hosts, k.hosts); hosts <= 1 {
		return []string{k.node}
	}
	var nodes []string
	for i := range hosts {
		nodes = append(nodes, fmt.Sprintf("%s-%d", k.node, i+1))
	}
	return nodes
}

// addSource adds the nodes that a strategy needs to a world.
func addSource(w *sim.World, strategy string, o sourceOptions) (source, error) {
	kind, known := sources[strategy]
	if !known {
		return source{}, fmt.Errorf("scenarios: nothing says how to build the source of strategy %q", strategy)
	}
	nodes := kind.nodes(o.hosts)
	s := kind.add(w, nodes, o)
	s.node, s.nodes = nodes[0], nodes
	if s.nodeOf == nil {
		s.nodeOf = func(string) string { return s.node }
	}
	config := s.config
	s.config = func(n *sim.Node) hop2.Config {
		cfg := config(n)
		cfg.History = o.history
		return cfg
	}
	return s, nil
}

// brokerAt is a source that is one broker on one port.
func brokerAt(strategy, node, port string) source {
	return source{
		config: brokerConfig(node, port),
		open: func(_ *sim.Node, cfg hop2.Config) (joint, error) {
			s, err := hop2.New(strategy, cfg)
			return joint{Strategy: s}, err
		},
	}
}

// brokerConfig configures strategies whose broker is on a port of a node.
func brokerConfig(node, port string) func(n *sim.Node) hop2.Config {
	return func(n *sim.Node) hop2.Config {
		return hop2.Config{Addr: node + ":" + port, Dial: n.DialContext, Rand: n.Rand("hop 2")}
	}
}

// ringSource adds a ring by consistent hashing.
func ringSource(w *sim.World, _ []string, o sourceOptions) source {
	r := ring{options: o, placement: model.Placement{Kind: model.Consistent, VirtualNodes: NewScaling().VirtualNodes}}
	return r.build(w)
}

// pullSource adds a store to be polled, whose database survives its crash, as far as it was synced.
func pullSource(w *sim.World, nodes []string, o sourceOptions) source {
	node := nodes[0]
	d := o.disk()
	w.OnDiskLose(node, d.Lose)
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		boot(n, d)
		logs, err := store.Open(store.Config{Disk: d, History: o.history, Rand: n.Rand("identity")})
		if err != nil {
			return err
		}
		return errors.Join(n.Serve(ctx, ":80", logs.Handler()), logs.Close())
	})
	return brokerAt("pull", node, "80")
}

// redisSources adds hosts of Redis whose data survives their crashes. If there are several, rooms are spread over
// them.
func redisSources(strategy string) func(*sim.World, []string, sourceOptions) source {
	return func(w *sim.World, nodes []string, o sourceOptions) source {
		if len(nodes) == 1 {
			return redisSource(w, strategy, nodes[0], o)
		}
		shards := make([]source, len(nodes))
		for i, node := range nodes {
			shards[i] = redisSource(w, strategy, node, o)
		}
		s, err := shardsAt(strategy, nodes, "6379")
		w.Fail(err)
		s.held = func() (n int) {
			for _, shard := range shards {
				n += shard.held()
			}
			return n
		}
		return s
	}
}

// redisSource adds a Redis whose data survives its crash.
func redisSource(w *sim.World, strategy, node string, o sourceOptions) source {
	store := hop2.NewRedisStore()
	lose := store.Lose
	if o.lag > 0 {
		lose = func() bool { return store.FallBehind(o.lag) }
	}
	w.OnDiskLose(node, lose)
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":6379")
		if err != nil {
			return err
		}
		return hop2.ServeRedis(ctx, probing{l}, store)
	})
	at := brokerAt(strategy, node, "6379")
	at.held = store.Subscriptions
	return at
}

// probing is a broker's listener, whose connections are probed when they are silent, as tcp-keepalive has it in
// redis.conf, and net.ipv4.tcp_keepalive_time elsewhere. Without it, a broker of which nothing is asked or said
// holds the subscriptions of an edge that crashed for ever.
type probing struct{ net.Listener }

// Redis probes after 300 s, and takes a connection for dead when three probes, a third of that apart, have not been
// answered. Here it is to give everything back within calmLimit.
var brokerProbes = net.KeepAliveConfig{Enable: true, Idle: 6 * time.Second, Interval: 2 * time.Second, Count: 3}

func (l probing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if k, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		if err := k.SetKeepAliveConfig(brokerProbes); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// shardsAt is a source that is brokers on one port of each of some nodes, which do not know each other.
func shardsAt(strategy string, nodes []string, port string) (source, error) {
	addrs, byAddr := make([]string, len(nodes)), map[string]string{}
	for i, node := range nodes {
		addrs[i] = node + ":" + port
		byAddr[addrs[i]] = node
	}
	ring, err := hop2.ShardRing(addrs)
	return source{
		nodeOf: func(room string) string { return byAddr[ring.Owner(room)] },
		config: brokerConfig(nodes[0], port),
		open: func(_ *sim.Node, cfg hop2.Config) (joint, error) {
			s, err := hop2.NewSharded(strategy, cfg, addrs)
			return joint{Strategy: s}, err
		},
	}, err
}

// kafkaSource adds a Kafka of so many brokers, whose data survives their crashes.
func kafkaSource(w *sim.World, nodes []string, _ sourceOptions) source {
	addrs := make([]string, len(nodes))
	for i, node := range nodes {
		addrs[i] = node + ":9092"
	}
	cluster, err := hop2.NewKafkaCluster(w.T().TempDir(), addrs)
	w.Fail(err)
	if len(nodes) == 1 { // of several, the others have all that one has
		w.OnDiskLose(nodes[0], cluster.Lose)
	}
	for i, node := range nodes {
		w.Node(node, func(ctx context.Context, n *sim.Node) error {
			l, err := n.Listen("tcp", ":9092")
			if err != nil {
				return err
			}
			return cluster.Serve(ctx, i, l)
		})
	}
	s := brokerAt("kafka", nodes[0], "9092")
	s.config = func(n *sim.Node) hop2.Config {
		return hop2.Config{Addr: strings.Join(addrs, ","), Dial: n.DialContext, Rand: n.Rand("hop 2")}
	}
	s.rotate = cluster.Rotate
	return s
}

// jetStreamSource adds a NATS server with JetStream, whose streams are kept in a folder.
func jetStreamSource(w *sim.World, nodes []string, _ sourceOptions) source {
	node := nodes[0]
	store := hop2.NewNATSStore(w.T().TempDir())
	w.OnDiskLose(node, store.Lose)
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":4222")
		if err != nil {
			return err
		}
		return hop2.ServeNATS(ctx, l, store)
	})
	return brokerAt("jetstream", node, "4222")
}

// natsSource adds a NATS server without JetStream, and with the sequencer, which lives and dies with it.
func natsSource(w *sim.World, nodes []string, _ sourceOptions) source {
	node := nodes[0]
	store := hop2.NewNATSStore("")
	at := brokerAt("nats", node, "4222")
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":4222")
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		sequencer := make(chan error, 1)
		go func() { sequencer <- hop2.RunSequencer(ctx, at.config(n)) }()
		err = hop2.ServeNATS(ctx, l, store)
		stop()
		return errors.Join(err, <-sequencer)
	})
	return at
}
