package hop2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/twohop/twohop/model"
)

// Kafka is the strategy kafka: each room is a topic with one partition, whose order is the room's. Every
// strategy that publishes to a room or reads it keeps a replica of the room's end, up to [Config].History
// messages, which it reads from the partition; subscriptions read the replica.
//
// Kafka knows no IDs. That the same ID is appended once is agreed among readers, by rules that kafkaLog has:
// a message says up to where its publisher had read, and readers drop the second of two that did not know of
// each other. So publishing takes until the message has come back. An ID is remembered for
// [Config].Remember records of its room, void ones included; all who share a room must agree on that.
//
// Nothing is trimmed by the strategy. What the broker's retention trimmed is out of reach, and announced as
// a gap; so is the loss of a topic.
//
// Addr may name several brokers, separated by commas, to find the cluster by; any one will do. It holds a few
// connections to each broker that leads a partition: to look around, for what is at hand, and to wait for news.
// Brokers are independent of each other: one that does not answer holds up the rooms that it leads, until
// another leads them. It uses franz-go's client for connections, versions and metadata, but not its producer and consumer,
// whose goroutines make as many requests of the records of one instant as the scheduler likes.
type Kafka struct {
	cfg      Config
	identity string
	attempts

	ctx    context.Context // ends when the strategy is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	loader     *kafkaLoader
	work, tail *kgo.Client // of the lanes: for calls, and to wait for news

	mu    sync.Mutex // never held across anything that blocks; taken before a room's
	rooms map[string]*kafkaRoom
	lanes map[int]*kafkaLane // by broker
	fails string             // the latest failure
}

// kafkaRoom is a replica of a room's end.
type kafkaRoom struct {
	name, topic string

	mu      sync.Mutex
	log     *kafkaLog
	leader  int           // the broker that leads the partition
	loaded  bool          // the log is known, and the leader's lane follows it
	torn    bool          // the connection broke: what was read last is to be read again, and compared
	changed chan struct{} // closed, and made anew, whenever the log changed
}

// kafkaCall is a message to publish, or, without one, a room to bring up to date.
type kafkaCall struct {
	room    string
	message *model.Message
	answer  chan error // has room for the one answer
	offset  int64      // the room's log must be read up to there, exclusively
}

// compareKafkaCalls is the canonical order of calls: those that it takes for equal are. Those without a message
// come first in their room.
func compareKafkaCalls(a, b *kafkaCall) int {
	if c := strings.Compare(a.room, b.room); c != 0 {
		return c
	}
	switch {
	case a.message == nil && b.message == nil:
		return 0
	case a.message == nil:
		return -1
	case b.message == nil:
		return 1
	}
	return strings.Compare(a.message.ID, b.message.ID)
}

// kafkaWait is how long a broker may hold back its answer that there is no news. A room that is new to the
// strategy is not listened to before that.
const kafkaWait = 100 * time.Millisecond

// NewKafka makes a strategy of Kafka, version 2.8 or later, that finds the cluster at cfg.Addr. Dial is
// called with the addresses that the brokers advertise, too. It does not wait for the broker.
func NewKafka(cfg Config) (*Kafka, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	k := &Kafka{
		cfg: cfg, identity: randomName(cfg.Rand), rooms: map[string]*kafkaRoom{}, lanes: map[int]*kafkaLane{},
	}
	k.loader = &kafkaLoader{k: k, calls: newGather(compareKafkaCalls)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.attempts = attempts{&k.cfg, k.ctx.Done(), kafkaPermanent}
	for _, client := range []**kgo.Client{&k.loader.client, &k.work, &k.tail} {
		var err error
		if *client, err = k.newClient(kversion.V2_8_0()); err != nil {
			k.cancel()
			return nil, fieldError("Addr", fmt.Sprintf("%.80q", cfg.Addr), "host:port, or several of them: "+err.Error())
		}
	}
	k.tasks.Go(k.loader.serve)
	return k, nil
}

// newClient makes a client, which does nothing until it is asked for something.
func (k *Kafka) newClient(most *kversion.Versions) (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(strings.Split(k.cfg.Addr, ",")...), kgo.MaxVersions(most), kgo.DisableClientMetrics(), kgo.ClientID(k.cfg.Namespace),
		kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
			defer cancel()
			conn, err := k.cfg.Dial(ctx, network, host)
			if err != nil {
				return nil, err
			}
			return newOutbox(conn, commandLimit), nil
		}),
		// Attempts are counted, and spaced, here.
		kgo.RequestRetries(0), kgo.RetryBackoffFn(func(int) time.Duration { return k.cfg.RetryMin }),
		kgo.RequestTimeoutOverhead(max(k.cfg.Timeout, 100*time.Millisecond)), kgo.ConnIdleTimeout(15*time.Minute),
	)
}

// Close ends the connections and the subscriptions, and waits for all that was started.
func (k *Kafka) Close() error {
	k.cancel()
	k.tasks.Wait()
	for _, client := range []*kgo.Client{k.loader.client, k.work, k.tail} {
		client.Close()
	}
	return nil
}

// Publish appends m to its room's log, and waits for it to come back.
func (k *Kafka) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	if err := checkMessage(m); err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 kafka: publish: %w", err)
	}
	rm := k.room(m.Room)
	var at model.Cursor
	err := k.insist(ctx, func() error {
		c := &kafkaCall{room: m.Room, message: &m, answer: make(chan error, 1)}
		if err := k.do(ctx, rm, c); err != nil {
			return err
		}
		rm.mu.Lock()
		defer rm.mu.Unlock()
		seq, known := rm.log.ids[m.ID]
		if !known || !rm.loaded {
			return errors.New("the log went on before the message came to it")
		}
		at = model.Cursor{Epoch: rm.log.epoch, Seq: seq}
		return nil
	})
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 kafka: publish %q to room %s: %w", m.ID, m.Room, err)
	}
	return at, nil
}

// do makes a call, and waits until its room's log is read as far as it says.
func (k *Kafka) do(ctx context.Context, rm *kafkaRoom, c *kafkaCall) error {
	k.put(c)
	select {
	case err := <-c.answer:
		if err != nil {
			return err
		}
	case <-k.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	waiting, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	for {
		rm.mu.Lock()
		loaded, next, changed := rm.loaded, rm.log.next, rm.changed
		rm.mu.Unlock()
		if !loaded {
			return errors.New("the room's log was lost meanwhile")
		}
		if next >= c.offset {
			return nil
		}
		select {
		case <-changed:
		case <-k.ctx.Done():
			return ErrClosed
		case <-waiting.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the log was not read up to offset %d within %v", c.offset, k.cfg.Timeout)
		}
	}
}

// kafkaPermanent tells whether trying again would give the same error.
func kafkaPermanent(err error) bool {
	var answer *kerr.Error
	if errors.As(err, &answer) {
		return !answer.Retriable && !errors.Is(err, kerr.OffsetOutOfRange)
	}
	return errors.Is(err, errReply)
}

// room gives a room's replica, which is not loaded if it is new.
func (k *Kafka) room(name string) *kafkaRoom {
	k.mu.Lock()
	defer k.mu.Unlock()
	rm := k.rooms[name]
	if rm == nil {
		rm = &kafkaRoom{
			name: name, topic: k.cfg.Namespace + "." + name, changed: make(chan struct{}),
			log: newKafkaLog(k.cfg.Remember, k.cfg.History),
		}
		k.rooms[name] = rm
	}
	return rm
}

// roomsOf lists the rooms that are loaded and that a broker leads, sorted.
func (k *Kafka) roomsOf(leader int) []*kafkaRoom {
	k.mu.Lock()
	defer k.mu.Unlock()
	var rooms []*kafkaRoom
	for _, name := range slices.Sorted(maps.Keys(k.rooms)) {
		rm := k.rooms[name]
		rm.mu.Lock()
		if rm.loaded && rm.leader == leader {
			rooms = append(rooms, rm)
		}
		rm.mu.Unlock()
	}
	return rooms
}

// announce wakes whoever waits for the log to change. The room's lock is held.
func (rm *kafkaRoom) announce() {
	close(rm.changed)
	rm.changed = make(chan struct{})
}

// lose says that the log that was read is not there any more, or is not what it was.
func (rm *kafkaRoom) lose() {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.loaded = false
	rm.announce()
}

// tear says that the log may have become another, of the same length or more.
func (rm *kafkaRoom) tear() {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.torn = true
}

// take takes what was read, unless that was asked for before the log began to be read anew: what is between would be
// missed.
func (rm *kafkaRoom) take(f fetched) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	if f.from > rm.log.next {
		return
	}
	rm.torn = false
	for _, r := range f.records {
		rm.log.take(rm.name, r.Offset, r.Value)
	}
	if rm.log.foreign || rm.loaded && !rm.log.known {
		rm.loaded = false // its beginning was missed
	}
	if len(f.records) > 0 {
		rm.announce()
	}
}

// ask makes a request of the broker that leads a room's partition.
func (k *Kafka) ask(ctx context.Context, client *kgo.Client, leader int, req kmsg.Request) (kmsg.Response, error) {
	return k.request(ctx, client.Broker(leader), req)
}

// requester is a client of whichever broker answers, or a broker.
type requester interface {
	Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
}

// request makes a request, and takes its time after one that failed: franz-go tells of a connection's end before
// it drops the connection, so that whether the next request fails with it, or dials, were a race.
func (k *Kafka) request(ctx context.Context, of requester, req kmsg.Request) (kmsg.Response, error) {
	// A dial, and waiting for an answer, have bounds of their own in franz-go, which this one is not to tie with.
	bounded, cancel := context.WithTimeout(ctx, k.cfg.Timeout+kafkaWait+kafkaSettle)
	defer cancel()
	resp, err := of.Request(bounded, req)
	if err != nil {
		_ = k.pause(k.ctx, kafkaSettle) // it is the end
	}
	return resp, err
}

// kafkaSettle is how long franz-go is given to drop what failed: it needs the instant only.
const kafkaSettle = 10 * time.Microsecond

func (k *Kafka) failure(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = err.Error()
}
