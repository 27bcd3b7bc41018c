package scenarios

import (
	"context"
	"errors"
	"fmt"

	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// source is where messages come from: what a strategy of hop 2 needs in a world besides the edges.
type source struct {
	// node is the name of the host that is, or represents, the source: the one to crash, to cut off and to
	// measure.
	node string
	// config gives a node the configuration of its strategy.
	config func(n *sim.Node) hop2.Config
}

// sources is the registry of how to build what each strategy needs. Its names are those of [hop2.Names].
var sources = map[string]func(w *sim.World) source{
	"jetstream":     func(w *sim.World) source { return natsSource(w, "jetstream", w.T().TempDir()) },
	"kafka":         kafkaSource,
	"nats":          func(w *sim.World) source { return natsSource(w, "nats", "") },
	"redis-pubsub":  func(w *sim.World) source { return redisSource(w, "redis-pubsub") },
	"redis-streams": func(w *sim.World) source { return redisSource(w, "redis") },
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
func brokerAt(node, port string) source {
	return source{node, func(n *sim.Node) hop2.Config {
		return hop2.Config{Addr: node + ":" + port, Dial: n.DialContext, Rand: n.Rand("hop 2")}
	}}
}

// redisSource adds a Redis whose data survives its crash.
func redisSource(w *sim.World, node string) source {
	store := hop2.NewRedisStore()
	w.Node(node, func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":6379")
		if err != nil {
			return err
		}
		return hop2.ServeRedis(ctx, l, store)
	})
	return brokerAt(node, "6379")
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
	return brokerAt("kafka", "9092")
}

// natsSource adds a NATS server with JetStream, whose streams are kept in a folder, or one without, and
// with the sequencer, which lives and dies with it.
func natsSource(w *sim.World, node, dir string) source {
	store := hop2.NewNATSStore(dir)
	at := brokerAt(node, "4222")
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
