package hop2

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/twohop/twohop/model"
)

// Redis is the strategies redis-streams and redis-pubsub. Both announce what is appended to a room over
// Redis pub/sub, which is lossy: what is published while a subscriber is away, or faster than it reads,
// is gone. Publishing is one script, so that sequence, log, memory of IDs and announcement change
// together or not at all: the same ID is appended once, as long as Redis keeps its data and up to
// [Config].Remember messages later.
//
// redis-streams ([NewRedisStreams]) keeps each room's log in a Redis stream besides. A subscription reads
// it at every sign of a loss, after every re-subscription, and within [Config].CheckEvery of silence. What
// is out of reach, and announced as a gap, is what the stream was trimmed of, or lost with Redis's data.
//
// redis-pubsub ([NewRedisPubSub]) keeps no log, only a count. At the same signs a subscription has the
// count announced, on the room's channel, so that it comes in order with the messages; what is missing up
// to it is lost, and announced as a gap. So is all that was published while nobody listened.
//
// Each holds two connections: one for commands, which are gathered into pipelines, and one for pub/sub.
type Redis struct {
	name     string // of the strategy
	streams  bool   // there is a log
	cfg      Config
	identity [8]byte // tells the epochs that this strategy begins from others'
	attempts

	ctx    context.Context // ends when the strategy is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	calls *gather[*call]  // for the commander
	log   roomLog[answer] // if there is one
	rooms *gather[string] // rooms that gained their first or lost their last subscription, for the listener

	mu    sync.Mutex // never held across anything that blocks
	subs  map[string]*liveRoom
	stats RedisStats
}

// RedisStats counts what a [Redis] has done.
type RedisStats struct {
	// Sessions is how many times a pub/sub connection was subscribed.
	Sessions int
	// Batches is how many pipelines of commands were sent, Failures how many attempts at anything,
	// pipelines and pub/sub sessions alike, failed.
	Batches, Failures int
	// Reads is how many times a log, or a count, was read: by new subscriptions, after losses, after
	// silence.
	Reads int
	// LastFailure is the latest failure's reason; "" if there was none.
	LastFailure string
}

// liveRoom is what the subscriptions to one room share.
type liveRoom struct {
	live  bool          // the broker confirmed the room's channel, in the present session
	ready chan struct{} // closed while live
	subs  []liveReader
}

// liveReader is a subscription as it is seen from the connection that live messages come over.
type liveReader interface{ live() *inbox[liveItem] }

type liveSubscription interface {
	Subscription
	liveReader
}

// NewRedisStreams makes a strategy of Redis at cfg.Addr, version 5 or later, with a log. It does not wait
// for the broker.
func NewRedisStreams(cfg Config) (*Redis, error) { return newRedis("redis-streams", true, cfg) }

// NewRedisPubSub makes a strategy of Redis at cfg.Addr, version 5 or later, without a log:
// [Config].History is not looked at. It does not wait for the broker.
func NewRedisPubSub(cfg Config) (*Redis, error) { return newRedis("redis-pubsub", false, cfg) }

func newRedis(name string, streams bool, cfg Config) (*Redis, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Redis{
		name: name, streams: streams, cfg: cfg,
		calls: newGather(compareCalls),
		rooms: newGather(func(a, b string) int { return 0 }), // the listener sorts
		subs:  map[string]*liveRoom{},
	}
	binary.LittleEndian.PutUint64(r.identity[:], cfg.Rand.Uint64())
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.attempts = attempts{&r.cfg, r.ctx.Done(), permanent}
	r.log = roomLog[answer]{
		label: name, conf: &r.cfg, done: r.ctx.Done(), every: r.cfg.CheckEvery, together: time.Now(), decode: decodeAnswer,
		read: func(room string, from model.Cursor, known model.Bookmark) <-chan answer {
			c := r.readCall(room, from, known)
			r.calls.put(c)
			return c.answer
		},
	}
	r.tasks.Go(func() { (&commander{r: r}).run(r.ctx) })
	r.tasks.Go(func() { (&listener{r: r}).run(r.ctx) })
	return r, nil
}

// Close ends the connections and the subscriptions, and waits for all that was started.
func (r *Redis) Close() error {
	r.cancel()
	r.tasks.Wait()
	return nil
}

// Stats gives a copy of the counters.
func (r *Redis) Stats() RedisStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Publish appends m to its room's log.
func (r *Redis) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	if err := checkMessage(m); err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 %s: publish: %w", r.name, err)
	}
	record := encodeRecord(m)
	var at model.Cursor
	err := r.insist(ctx, func() (err error) {
		reply, err := r.publishReply(ctx, m, record)
		if err == nil {
			at, err = decodePublished(reply)
		}
		return err
	})
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 %s: publish %q to room %s: %w", r.name, m.ID, m.Room, err)
	}
	return at, nil
}

// Subscribe gives a room's log from a cursor.
func (r *Redis) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 %s: subscribe: %w", r.name, err)
	}
	s, begin := r.reader(room)
	// Live messages first, history second: in the other order, what is published in between is lost.
	r.join(room, s)
	err := r.awaitLive(ctx, room)
	if err == nil {
		err = begin(ctx, from)
	}
	if err != nil {
		s.Unsubscribe()
		return nil, fmt.Errorf("hop2 %s: subscribe to room %s: %w", r.name, room, err)
	}
	return s, nil
}

// reader makes a reader of a room, and what makes it agree on a position.
func (r *Redis) reader(room string) (liveSubscription, func(context.Context, model.Cursor) error) {
	if !r.streams {
		s := newLossy(r, room)
		return s, s.begin
	}
	s := newLogReader(&r.log, room)
	s.leave = func() { r.leave(room, s) }
	return s, func(ctx context.Context, from model.Cursor) error {
		return r.insist(ctx, func() error {
			s.inbox.trust()
			fields, err := r.do(ctx, r.readCall(room, from, model.Bookmark{}))
			if err != nil {
				return err
			}
			p, err := decodePage(room, fields)
			if err == nil {
				s.begin(from, p)
			}
			return err
		})
	}
}

// do makes one call and waits for its answer.
func (r *Redis) do(ctx context.Context, c *call) ([]string, error) {
	r.calls.put(c)
	select {
	case a := <-c.answer:
		return a.fields, a.err
	case <-r.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join adds a subscription to a room, which from now on collects live messages.
func (r *Redis) join(room string, s liveReader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.subs[room]
	if rm == nil {
		rm = &liveRoom{ready: make(chan struct{})}
		r.subs[room] = rm
		r.rooms.put(room)
	}
	rm.subs = append(rm.subs, s)
}

// leave removes a subscription.
func (r *Redis) leave(room string, s liveReader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.subs[room]
	if rm == nil {
		return
	}
	rm.subs = slices.DeleteFunc(rm.subs, func(o liveReader) bool { return o == s })
	if len(rm.subs) == 0 {
		delete(r.subs, room)
		r.rooms.put(room)
	}
}

// awaitLive waits until the broker sends the room's live messages.
func (r *Redis) awaitLive(ctx context.Context, room string) error {
	for {
		r.mu.Lock()
		rm := r.subs[room]
		live, ready := rm.live, rm.ready
		r.mu.Unlock()
		if live {
			return nil
		}
		select {
		case <-ready:
		case <-r.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: %w (last failure: %s)", ErrUnavailable, ctx.Err(), r.Stats().LastFailure)
		}
	}
}

// candidate gives the name of a room's epoch, should this be the moment that it begins. It depends on
// nothing but who, where and when, so that calls of one instant do not depend on their order. Any two
// moments at which the broker's data was lost in between are more than a round trip apart.
func (r *Redis) candidate(room string) string {
	return epochName(string(r.identity[:]), room)
}

// epochName gives a room's epoch a name, in 16 hex digits, that depends on who begins it, when, and which
// room it is.
func epochName(identity, room string) string {
	b := binary.LittleEndian.AppendUint64([]byte(identity), uint64(time.Now().UnixNano()))
	sum := sha256.Sum256(append(b, room...))
	return hex.EncodeToString(sum[:8])
}

// failure counts a failed attempt.
func (r *Redis) failure(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Failures++
	r.stats.LastFailure = err.Error()
}

// connect dials the broker and makes a go-redis client of the one connection. cut closes it at once,
// whatever go-redis does with it; it is called when ctx ends, and must be called otherwise.
//
// go-redis does not get to dial, and never retries by itself: it would dial with locks held that others
// need, keep idle connections to a broker that is gone, and wait as long as its own dice say.
func (r *Redis) connect(ctx context.Context, wrap func(net.Conn) net.Conn) (client *redis.Client, cut func(), err error) {
	dialing, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	conn, err := r.cfg.Dial(dialing, "tcp", r.cfg.Addr)
	if err != nil {
		return nil, nil, err
	}
	conn = wrap(conn)
	life, cut := context.WithCancel(ctx)
	context.AfterFunc(life, func() { _ = conn.Close() }) // whoever cuts it has no use for the error
	var given atomic.Bool
	return redis.NewClient(&redis.Options{
		Addr: r.cfg.Addr,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			if given.Swap(true) {
				return nil, errors.New("the connection is gone")
			}
			return conn, nil
		},
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true,
		DialTimeout:              r.cfg.Timeout,
		ReadTimeout:              r.cfg.Timeout,
		WriteTimeout:             r.cfg.Timeout,
		PoolTimeout:              r.cfg.Timeout,
		PoolSize:                 16,
		PipelinePoolSize:         -1, // one pool for the one connection
		DialerRetries:            1,
		MaxRetries:               -1,
		ConnMaxIdleTime:          -1,
	}), cut, nil
}
