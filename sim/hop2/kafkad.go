package hop2

import (
	"context"
	"net"
	"slices"
	"sync"
)

// KafkaStore is what a Kafka broker keeps on its disk. It outlives the broker: a restart with the same store
// keeps every record that was acknowledged, one with a new store loses all.
type KafkaStore struct{ cluster *KafkaCluster }

// NewKafkaStore makes a store in a folder, which must exist. "" means that there is no disk: nothing outlives
// the broker.
func NewKafkaStore(dir string) *KafkaStore {
	return &KafkaStore{&KafkaCluster{dir: dir, addrs: []string{""}, failover: kafkaFailover}}
}

// Lose is [KafkaCluster.Lose].
func (s *KafkaStore) Lose() (lost bool) { return s.cluster.Lose() }

// ServeKafka is a Kafka cluster of one broker: it serves the connections that l accepts until ctx ends or l
// fails. It then closes l and every connection, and returns ctx's error or l's. A store is served by one
// broker at a time.
//
// The broker is kfake, of franz-go. To its clients the end is a crash: connections end without a word. To its
// store it is a shutdown, as if every write had been synced.
func ServeKafka(ctx context.Context, l net.Listener, store *KafkaStore) error {
	return store.cluster.Serve(ctx, 0, l)
}

// kafkaBroker is a broker of a cluster, as the listener that kfake has of it. It is there as long as the cluster
// is; while the broker is away, nobody connects.
type kafkaBroker struct {
	addr     net.Addr
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	conns []*kafkaConn // open, in order of acceptance
}

func newKafkaBroker(addr net.Addr) *kafkaBroker {
	return &kafkaBroker{addr: addr, accepted: make(chan net.Conn), closed: make(chan struct{})}
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

// Accept gives kfake a connection.
func (b *kafkaBroker) Accept() (net.Conn, error) {
	select {
	case conn := <-b.accepted:
		return conn, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (b *kafkaBroker) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// Addr is what the broker advertises.
func (b *kafkaBroker) Addr() net.Addr { return b.addr }

// kafkaOutput is how many bytes wait for a client, at most, before its connection is closed.
const kafkaOutput = 64 << 20

// serve hands on the connections that l accepts until ctx ends or l fails. Writes on them never block: kfake would
// not stop waiting for a peer that does not read. In the end it closes l and the connections, in order; nobody is
// left to be told of errors.
func (b *kafkaBroker) serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err == nil && ctx.Err() == nil {
			c := &kafkaConn{newOutbox(conn, kafkaOutput), b}
			b.mu.Lock()
			b.conns = append(b.conns, c)
			b.mu.Unlock()
			select {
			case b.accepted <- c:
				continue
			case <-b.closed:
				err = net.ErrClosed
			}
		}
		if err == nil {
			_ = conn.Close() // it came too late
		}
		_ = l.Close()
		b.mu.Lock()
		conns := slices.Clone(b.conns)
		b.mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
}
