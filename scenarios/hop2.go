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
	// measure. others are the names of the rest, any one of which edges can do without for a while.
	node   string
	others []string
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

// sources is the registry of how to build what each strategy needs. Its names are those of strategies.
var sources = map[string]func(w *sim.World) source{
	"jetstream":     func(w *sim.World) source { return natsSource(w, "jetstream", w.T().TempDir()) },
	"kafka":         kafkaSource,
	"nats":          func(w *sim.World) source { return natsSource(w, "nats", "") },
	"pull":          pullSource,
	"redis-pubsub":  func(w *sim.World) source { return redisSource(w, "redis-pubsub", "redis-pubsub") },
	"redis-streams": func(w *sim.World) source { return redisSource(w, "redis-streams", "redis") },
	hop2.RingName:   ringSource,
}

// strategies lists the strategies by which edges can get the messages of their clients' rooms, sorted.
func strategies() []string {
	names := append(hop2.Names(), hop2.RingName)
	slices.Sort(names)
	return names
}

// addSource adds the nodes that a strategy needs to a world.
func addSource(w *sim.World, strategy string) (source, error) {
	add := sources[strategy]
	if add == nil {
		return source{}, fmt.Errorf("scenarios: nothing says how to build the source of strategy %q", strategy)
	}
	return add(w), nil
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
func ringSource(w *sim.World) source {
	r := ring{placement: model.Placement{Kind: model.Consistent, VirtualNodes: NewScaling().VirtualNodes}}
	return r.build(w)
}

// pullSource adds a store to be polled, whose database survives its crash, as far as it was synced.
func pullSource(w *sim.World) source {
	d := disk.New()
	w.Node("store", func(ctx context.Context, n *sim.Node) error {
		boot(n, d)
		logs, err := store.Open(store.Config{Disk: d, Rand: n.Rand("identity")})
		if err != nil {
			return err
		}
		return errors.Join(n.Serve(ctx, ":80", logs.Handler()), logs.Close())
	})
	return brokerAt("pull", "store", "80")
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
func kafkaSource(w *sim.World) source {
	store := hop2.NewKafkaStore(w.T().TempDir())
	w.Node("kafka", func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":9092")
		if err != nil {
			return err
		}
		return hop2.ServeKafka(ctx, l, store)
	})
	return brokerAt("kafka", "kafka", "9092")
}

// natsSource adds a NATS server with JetStream, whose streams are kept in a folder, or one without, and
// with the sequencer, which lives and dies with it. The node has the strategy's name.
func natsSource(w *sim.World, node, dir string) source {
	store := hop2.NewNATSStore(dir)
	at := brokerAt(node, node, "4222")
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":4222")
		if err != nil {
			return err
		}
		if dir != "" {
			return hop2.ServeNATS(ctx, l, store)
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
