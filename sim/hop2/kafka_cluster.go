package hop2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaCluster is a Kafka cluster of several brokers, each of which runs on a host of its own ([KafkaCluster.Serve]),
// and what they keep. Topics are led by one broker after the other, in order of their creation. When a broker has
// been away for some time, the others lead what it led; when it is back, it does again at once.
//
// The cluster is kfake, of franz-go, which is one program: what is acknowledged is on all brokers, even those
// that are cut off from each other, and survives as long as one is there, or if there is a folder. It lists
// brokers that are away to its clients. The last broker is the controller: topics cannot be created while it is
// away. A folder belongs to one KafkaCluster for good: who is to lead what is not kept there.
type KafkaCluster struct {
	dir      string
	addrs    []string // as advertised; "" is that of the listener
	failover time.Duration
	lost     atomic.Bool // what it keeps is, and it is empty when the next first broker comes

	mu     sync.Mutex // held while a broker comes or goes
	up     []bool
	life   *kafkaLife // nil while no broker is there
	topics []string   // in order of creation, while no broker is there
}

// kafkaFailover is how long a broker is away, by default, until others lead what it led. Kafka has 9 s
// (broker.session.timeout.ms), which would be most of an experiment's time.
const kafkaFailover = time.Second

// NewKafkaCluster makes a cluster of brokers that advertise some addresses, at least one, such as "kafka-1:9092". It
// keeps everything in a folder, which must exist; "" means that there is no disk, and nothing outlives the last
// broker.
func NewKafkaCluster(dir string, addrs []string) (*KafkaCluster, error) {
	if len(addrs) == 0 || len(addrs) > maxKafkaLanes {
		return nil, fmt.Errorf("hop2: Kafka with %d brokers; want 1 to %d", len(addrs), maxKafkaLanes)
	}
	known := map[string]bool{}
	for _, addr := range addrs {
		if _, err := advertised(addr); err != nil {
			return nil, err
		}
		if known[addr] {
			return nil, fmt.Errorf("hop2: two brokers of Kafka advertise %q; want an address each", addr)
		}
		known[addr] = true
	}
	return &KafkaCluster{dir: dir, addrs: addrs, failover: kafkaFailover}, nil
}

// kafkaAddr is an address that may have a host's name.
type kafkaAddr string

func (a kafkaAddr) Network() string { return "tcp" }
func (a kafkaAddr) String() string  { return string(a) }

// advertised checks an address to be advertised.
func advertised(addr string) (net.Addr, error) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && host == "" {
		err = errors.New("it has no host")
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("hop2: a broker of Kafka advertises %.80q; want host:port: %w", addr, err)
	}
	return kafkaAddr(addr), nil
}

// Serve is the broker of a number, from 0: it serves the connections that l accepts until ctx ends or l fails. It
// then closes l and every connection, and returns ctx's error or l's. To clients the end is a crash: connections
// end without a word. A broker is served once at a time.
func (c *KafkaCluster) Serve(ctx context.Context, broker int, l net.Listener) error {
	if broker < 0 || broker >= len(c.addrs) {
		return errors.Join(fmt.Errorf("hop2: broker %d of a Kafka with %d; they are numbered from 0", broker, len(c.addrs)), l.Close())
	}
	life, err := c.enter(broker, l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	err = life.brokers[broker].serve(ctx, l)
	c.leave(broker)
	return err
}

// Lose empties what the cluster keeps, on all its brokers; those that are there now still have it, until the last has
// gone. It reports whether there was anything.
func (c *KafkaCluster) Lose() (lost bool) { return loseFolder(c.dir, &c.lost) }

// Rotate gives what each broker leads to the next one, as an operator does who moves partitions. It does nothing
// while no broker is there.
func (c *KafkaCluster) Rotate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != nil {
		c.life.rotate()
	}
}

// enter starts a broker, and the cluster if it is the first.
func (c *KafkaCluster) enter(broker int, l net.Listener) (*kafkaLife, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up == nil {
		c.up = make([]bool, len(c.addrs))
	}
	if c.up[broker] {
		return nil, fmt.Errorf("hop2: broker %d of the Kafka store is being served already", broker)
	}
	if c.life == nil {
		life, err := c.start(l)
		if err != nil {
			return nil, err
		}
		c.life = life
	}
	c.up[broker] = true
	c.life.change(broker, time.Time{})
	return c.life, nil
}

// leave says that a broker has gone, and ends the cluster if it was the last.
func (c *KafkaCluster) leave(broker int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up[broker] = false
	for _, up := range c.up {
		if up {
			c.life.change(broker, time.Now())
			return
		}
	}
	c.topics = c.life.close()
	c.life = nil
	if c.dir != "" {
		// Who was a member of what, kfake keeps, but nobody's rooms are ever free again of members who did not come
		// back in time. A crash would not have kept it.
		_ = os.Remove(filepath.Join(c.dir, "session_state.json")) // it need not be there
	}
}

// kafkaRecord is the greatest size of a batch that the broker takes: that of the largest body in base64, and
// some. A broker's own default, 1 MiB, would do for bodies of 750 kB.
const kafkaRecord = 2 << 20

// start starts kfake. No broker is there yet.
func (c *KafkaCluster) start(l net.Listener) (*kafkaLife, error) {
	if lost, err := emptyFolder(c.dir, &c.lost); err != nil {
		return nil, fmt.Errorf("hop2: empty the Kafka store: %w", err)
	} else if lost {
		c.topics = nil
	}
	life := newKafkaLife(len(c.addrs), c.failover)
	listeners := 0
	opts := []kfake.Opt{
		kfake.NumBrokers(len(c.addrs)), kfake.DefaultNumPartitions(1),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":                    fmt.Sprint(kafkaRecord),
			"group.consumer.heartbeat.interval.ms": fmt.Sprint(kafkaHeartbeat.Milliseconds()),
			"group.consumer.session.timeout.ms":    fmt.Sprint(kafkaSession.Milliseconds()),
		}),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			addr := net.Addr(kafkaAddr(c.addrs[listeners]))
			if c.addrs[listeners] == "" {
				addr = l.Addr()
				if _, _, err := net.SplitHostPort(addr.String()); err != nil {
					addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092} // made up: pipes have no port
				}
			}
			listeners++
			b := newKafkaBroker(addr)
			life.brokers = append(life.brokers, b)
			return b, nil
		}),
	}
	if c.dir != "" {
		opts = append(opts, kfake.DataDir(c.dir))
	} else {
		c.topics = nil
	}
	var err error
	if life.kfake, err = kfake.NewCluster(opts...); err != nil {
		return nil, fmt.Errorf("hop2: start Kafka: %w", err)
	}
	life.begin(c.topics)
	return life, nil
}
