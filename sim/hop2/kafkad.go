package hop2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaStore is what a Kafka broker keeps on its disk. It outlives the broker: a restart with the same store
// keeps every record that was acknowledged, one with a new store loses all.
type KafkaStore struct {
	dir    string
	served atomic.Bool
}

// NewKafkaStore makes a store in a folder, which must exist. "" means that there is no disk: nothing outlives
// the broker.
func NewKafkaStore(dir string) *KafkaStore { return &KafkaStore{dir: dir} }

// ServeKafka is a Kafka cluster of one broker: it serves the connections that l accepts until ctx ends or l
// fails. It then closes l and every connection, and returns ctx's error or l's. A store is served by one
// broker at a time.
//
// The broker is kfake, of franz-go. To its clients the end is a crash: connections end without a word. To its
// store it is a shutdown, as if every write had been synced.
func ServeKafka(ctx context.Context, l net.Listener, store *KafkaStore) error {
	if !store.served.CompareAndSwap(false, true) {
		return errors.Join(errors.New("hop2: the Kafka store is being served already"), l.Close())
	}
	defer store.served.Store(false)
	b := &kafkaBroker{Listener: l, failed: make(chan error, 1)}
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.DefaultNumPartitions(1),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": fmt.Sprint(kafkaRecord)}),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b, nil }),
	}
	if store.dir != "" {
		opts = append(opts, kfake.DataDir(store.dir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return errors.Join(fmt.Errorf("hop2: start Kafka: %w", err), l.Close())
	}
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-b.failed:
	}
	b.crash()
	cluster.Close()
	return err
}

// kafkaRecord is the greatest size of a batch that the broker takes: that of the largest body in base64, and
// some. A broker's own default, 1 MiB, would do for bodies of 750 kB.
const kafkaRecord = 2 << 20

// kafkaBroker is one life of a broker, as its listener, which keeps track of the connections.
type kafkaBroker struct {
	net.Listener
	failed chan error // has room for one: why the listener failed

	mu    sync.Mutex
	conns []*kafkaConn // open, in order of acceptance
	over  bool
}

// kafkaConn leaves the broker's list when it is closed.
type kafkaConn struct {
	*outbox
	broker *kafkaBroker
}

func (c *kafkaConn) Close() error {
	c.broker.mu.Lock()
	c.broker.conns = slices.DeleteFunc(c.broker.conns, func(o *kafkaConn) bool { return o == c })
	c.broker.mu.Unlock()
	return c.outbox.Close()
}

// Accept accepts a connection, whose writes never block: kfake would not stop waiting for a peer that does
// not read.
func (b *kafkaBroker) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		select {
		case b.failed <- err:
		default:
		}
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	c := &kafkaConn{newOutbox(conn, kafkaOutput), b}
	b.conns = append(b.conns, c)
	return c, nil
}

// kafkaOutput is how many bytes wait for a client, at most, before its connection is closed.
const kafkaOutput = 64 << 20

// Addr is the listener's, or a made-up one if that has no port: the broker advertises it.
func (b *kafkaBroker) Addr() net.Addr {
	if _, _, err := net.SplitHostPort(b.Listener.Addr().String()); err != nil {
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092}
	}
	return b.Listener.Addr()
}

// crash closes the listener and the connections, in order. Nobody is left to be told of errors.
func (b *kafkaBroker) crash() {
	_ = b.Close()
	b.mu.Lock()
	b.over = true
	conns := slices.Clone(b.conns)
	b.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}
