package hop2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/twohop/twohop/model"
)

// ErrMoved ends a subscription whose room is another member's from now on.
var ErrMoved = errors.New("the room has moved to another member of the group")

// KafkaGroup is the strategy kafka for servers that share the reading: of all members that subscribe to a room, one
// at a time reads it, and another goes on where that one stops, leaves or dies. Subscribe waits until the room is
// this member's; a subscription whose room moves to another ends with [ErrMoved].
//
// Each room has a consumer group of its own, by Kafka's protocol of version 4.0 (KIP-848). A room belongs to the
// member whose name, hashed with the room's, is the least of those that are there: so rooms are spread evenly, and
// only those of a member that comes or goes move.
//
// A group remembers how far its room was read: what Next has given counts as read when it is called again. There a
// subscription goes on, or, if nobody has read the room yet, from its cursor. The position is kept a heartbeat later
// at most, and before the room moves, but not when a member dies: the next one then delivers again what was read
// last.
//
// A member that has not heard of the group for a session's length reads no further, since by then another may.
type KafkaGroup struct {
	cfg    KafkaGroupConfig
	kafka  *Kafka
	client *kgo.Client // for the group's requests

	ctx    context.Context // ends when the strategy is being closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	wake   chan struct{} // has an element if a member changed since run last looked

	mu      sync.Mutex              // never held across anything that blocks; taken before a member's
	members map[string]*kafkaMember // by room
	over    []*kafkaMember          // that are to leave
}

// KafkaGroupConfig configures a [KafkaGroup]. Addr, Group and Member are needed.
type KafkaGroupConfig struct {
	Config
	// Group is the name of the group, and Member this strategy's in it, which no other has at the same time: 1 to
	// 128 bytes each.
	Group, Member string
	// Session is how long the member reads on without hearing of the group; and how long, at most, it may take to
	// give up a room. It must not be more than the broker's group.consumer.session.timeout.ms. 0 means 3 s; at
	// least 100 ms.
	Session time.Duration
}

func (c *KafkaGroupConfig) validate() error {
	for _, f := range []struct{ name, value string }{{"Group", c.Group}, {"Member", c.Member}} {
		if f.value == "" || len(f.value) > 128 {
			return fieldError(f.name, fmt.Sprintf("%.40q", f.value), "1 to 128 bytes")
		}
	}
	if c.Session == 0 {
		c.Session = kafkaSession
	}
	if c.Session < 100*time.Millisecond {
		return fieldError("Session", c.Session, fmt.Sprintf("0 (meaning %v), or 100ms or more", kafkaSession))
	}
	return nil
}

// NewKafkaGroup makes a member of a group. It does not wait for the broker.
func NewKafkaGroup(cfg KafkaGroupConfig) (*KafkaGroup, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	k, err := NewKafka(cfg.Config)
	if err != nil {
		return nil, err
	}
	cfg.Config = k.cfg // with defaults
	g := &KafkaGroup{cfg: cfg, kafka: k, wake: make(chan struct{}, 1), members: map[string]*kafkaMember{}}
	if g.client, err = k.newClient(kversion.V4_0_0()); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.tasks.Go(g.run)
	return g, nil
}

// Close gives up all rooms, which takes as long as one attempt at most, and ends everything.
func (g *KafkaGroup) Close() error {
	g.cancel()
	g.tasks.Wait()
	err := g.kafka.Close()
	g.client.Close()
	return err
}

// Publish appends m to its room's log.
func (g *KafkaGroup) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	return g.kafka.Publish(ctx, m)
}

// Subscribe waits until the room is this member's, and gives its log from where the group got to, or from a cursor
// that is further on. A member subscribes to a room once at a time.
func (g *KafkaGroup) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 kafka: subscribe: %w", err)
	}
	s, err := g.subscribe(ctx, room, from)
	if err != nil {
		return nil, fmt.Errorf("hop2 kafka: subscribe to room %s in group %s: %w", room, g.cfg.Group, err)
	}
	return s, nil
}

func (g *KafkaGroup) subscribe(ctx context.Context, room string, from model.Cursor) (*groupSubscription, error) {
	log := g.kafka.reader(room)
	if err := g.kafka.insist(ctx, func() error { return log.upToDate(ctx) }); err != nil { // there must be a topic
		return nil, err
	}
	for {
		m, err := g.join(room)
		if err != nil {
			return nil, err
		}
		err = m.await(ctx, m.ready)
		if err == nil {
			at := m.committed
			if at.Cursor.IsZero() || at.Cursor.Epoch == from.Epoch && at.Cursor.Seq < from.Seq {
				at = model.Bookmark{Cursor: from}
			}
			err = log.agreeOn(ctx, at)
		}
		if err == nil {
			// Before the group knows where it began, the next member would begin elsewhere.
			m.begin(log.at)
			err = m.await(ctx, m.begun)
		}
		if err == nil {
			return &groupSubscription{m: m, log: log}, nil
		}
		m.end(ErrClosed)
		if !errors.Is(err, ErrMoved) {
			return nil, err
		}
	}
}

// await waits for something while the membership lasts.
func (m *kafkaMember) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-m.ctx.Done():
		return m.ended()
	case <-ctx.Done():
		return fmt.Errorf("%w: the room is not member %s's: %w", ErrUnavailable, m.g.cfg.Member, ctx.Err())
	}
}

// groupSubscription reads a room as long as it is this member's.
type groupSubscription struct {
	m   *kafkaMember
	log *kafkaSubscription
}

// Start is what was agreed.
func (s *groupSubscription) Start() Start { return s.log.Start() }

// Unsubscribe gives the room up.
func (s *groupSubscription) Unsubscribe() {
	s.m.end(ErrClosed)
	s.log.Unsubscribe()
}

// Next blocks until there is a batch. That it is called says that the batch before has been read.
func (s *groupSubscription) Next(ctx context.Context) (Batch, error) {
	s.m.read(s.log.at)
	for {
		lease, err := s.m.holds(time.Now())
		if err != nil {
			return Batch{}, fmt.Errorf("hop2 kafka: read room %s in group %s: %w", s.m.room, s.m.g.cfg.Group, err)
		}
		b, err := s.next(ctx, lease)
		switch {
		case ctx.Err() != nil:
			return Batch{}, ctx.Err()
		case err == nil:
			return b, nil
		case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
			s.m.end(err)
			return Batch{}, err
		}
	}
}

// next reads until the lease ends, or the membership. What comes at that very instant may be another's.
func (s *groupSubscription) next(ctx context.Context, lease time.Time) (Batch, error) {
	ctx, cancel := context.WithDeadline(ctx, lease)
	defer cancel()
	defer context.AfterFunc(s.m.ctx, cancel)()
	at := s.log.at
	b, err := s.log.Next(ctx)
	if err == nil {
		if _, over := s.m.holds(time.Now()); over != nil {
			s.log.at = at
			return Batch{}, context.Canceled
		}
	}
	return b, err
}
