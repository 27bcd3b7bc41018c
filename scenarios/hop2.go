package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/hop2/store"
)

// source is where messages come from: what a strategy of hop 2 needs in a world besides the edges.
type source struct {
	// node is the name of the host that is, or represents, the source: the one to crash, to cut off and to
	// measure.
	node string
	// config gives a node the configuration of its strategy.
	config func(n *sim.Node) hop2.Config
	// open opens a node's end of the strategy with such a configuration.
	open func(n *sim.Node, cfg hop2.Config) (joint, error)
}

// joint is a node's end of hop 2.
type joint struct {
	hop2.Strategy
	// front, unless nil, puts itself before the handler of an edge.
	front func(next http.Handler) http.Handler
	// leave, unless nil, hands over what the edge is in charge of, before it drains.
	leave func(ctx context.Context) error
}

// sourceKind is how to build what a strategy needs.
type sourceKind struct {
	node string // the name of the source's node
	// others are the names of the rest, any one of which edges can do without for a while.
	others []string
	add    func(w *sim.World, node string) source
}

// sources is the registry of how to build what each strategy needs. Its names are those of strategies.
var sources = map[string]sourceKind{
	"jetstream":     {node: "jetstream", add: jetStreamSource},
	"kafka":         {node: "kafka", add: kafkaSource},
	"nats":          {node: "nats", add: natsSource},
	"pull":          {node: "store", add: pullSource},
	"redis-pubsub":  {node: "redis-pubsub", add: func(w *sim.World, node string) source { return redisSource(w, "redis-pubsub", node) }},
	"redis-streams": {node: "redis", add: func(w *sim.World, node string) source { return redisSource(w, "redis-streams", node) }},
	hop2.RingName:   {node: "source", others: (&ring{}).otherNames(), add: ringSource},
}

// strategies lists the strategies by which edges can get the messages of their clients' rooms, sorted.
func strategies() []string {
	names := append(hop2.Names(), hop2.RingName)
	slices.Sort(names)
	return names
}

// addSource adds the nodes that a strategy needs to a world.
func addSource(w *sim.World, strategy string) (source, error) {
	kind, known := sources[strategy]
	if !known {
		return source{}, fmt.Errorf("scenarios: nothing says how to build the source of strategy %q", strategy)
	}
	return kind.add(w, kind.node), nil
}

// brokerAt is a source that is one broker on one port.
func brokerAt(strategy, node, port string) source {
	return source{
		node: node, config: brokerConfig(node, port),
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
func ringSource(w *sim.World, _ string) source {
	r := ring{placement: model.Placement{Kind: model.Consistent, VirtualNodes: NewScaling().VirtualNodes}}
	return r.build(w)
}

// pullSource adds a store to be polled, whose database survives its crash, as far as it was synced.
func pullSource(w *sim.World, node string) source {
	d := disk.New()
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		boot(n, d)
		logs, err := store.Open(store.Config{Disk: d, Rand: n.Rand("identity")})
		if err != nil {
			return err
		}
		return errors.Join(n.Serve(ctx, ":80", logs.Handler()), logs.Close())
	})
	return brokerAt("pull", node, "80")
}

// redisSource adds a Redis whose data survives its crash.
func redisSource(w *sim.World, strategy, node string) source {
	store := hop2.NewRedisStore()
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":6379")
		if err != nil {
			return err
		}
		return hop2.ServeRedis(ctx, l, store)
	})
	return brokerAt(strategy, node, "6379")
}

// kafkaSource adds a Kafka of one broker, whose data survives its crash.
func kafkaSource(w *sim.World, node string) source {
	store := hop2.NewKafkaStore(w.T().TempDir())
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":9092")
		if err != nil {
			return err
		}
		return hop2.ServeKafka(ctx, l, store)
	})
	return brokerAt("kafka", node, "9092")
}

// jetStreamSource adds a NATS server with JetStream, whose streams are kept in a folder.
func jetStreamSource(w *sim.World, node string) source {
	store := hop2.NewNATSStore(w.T().TempDir())
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
func natsSource(w *sim.World, node string) source {
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
