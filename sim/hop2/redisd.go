package hop2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
)

// RedisStore is the data of a Redis broker. It outlives the broker: a restart with the same store
// keeps every command that was executed, as with appendfsync always; one with a new store loses all.
// Scripts are kept with the data; subscriptions end with their connections.
//
// In a synctest bubble a store must be made inside the bubble.
type RedisStore struct {
	redis   *miniredis.Miniredis
	scripts *scriptHost
	served  atomic.Bool
	lost    atomic.Bool // and is empty when it is next served
	// outputLimit is how many bytes of replies and published messages wait for a client, at most,
	// before the broker closes its connection. It is the soft limit of Redis's default for pub/sub
	// clients, 8 MiB.
	outputLimit int
}

// NewRedisStore makes an empty store. Its keys expire by the clock, also while nobody serves it.
func NewRedisStore() *RedisStore {
	s := &RedisStore{outputLimit: 8 << 20}
	s.empty()
	return s
}

// empty gives the store new data, of which there is none.
func (s *RedisStore) empty() {
	s.redis = miniredis.NewMiniRedis()
	s.redis.ClockTTL(true)
	s.redis.Seed(1) // for commands that draw, such as SPOP; without, they use the process's global source
	s.scripts = newScriptHost(s.redis)
}

// Lose empties the store, scripts and all; a broker that serves it now still has what it has. It reports whether
// there was anything in it.
func (s *RedisStore) Lose() (lost bool) {
	s.lost.Store(true)
	return len(s.redis.Keys()) > 0
}

// Subscriptions is how many subscriptions to channels the broker holds for its clients now; 0 while the store is
// not served.
func (s *RedisStore) Subscriptions() (n int) {
	if !s.served.Load() {
		return 0
	}
	for _, subscribers := range s.redis.PubSubNumSub(s.redis.PubSubChannels("")...) {
		n += subscribers
	}
	return n
}

// ServeRedis is a Redis broker: it serves a store to the connections that l accepts, until ctx ends or
// l fails. It then closes l and every connection, at once, as a crash does, and returns ctx's error or
// l's when everything that it started has ended. A store is served by one broker at a time.
//
// The broker is miniredis: what it does not implement of Redis is answered with an error.
func ServeRedis(ctx context.Context, l net.Listener, store *RedisStore) error {
	if !store.served.CompareAndSwap(false, true) {
		return errors.Join(errors.New("hop2: the Redis store is being served already"), l.Close())
	}
	defer store.served.Store(false)
	if store.lost.CompareAndSwap(true, false) {
		store.empty()
	}
	first, err := store.redis.Dial() // starts it, without a listener
	if err != nil {
		return errors.Join(fmt.Errorf("hop2: start Redis: %w", err), l.Close())
	}
	store.scripts.attach()
	b := &redisBroker{store: store}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // which ends accept; no one else has use for the error
	defer stop()
	err = errors.Join(first.Close(), b.accept(ctx, l))
	b.close()
	return err
}

// redisBroker is one life of a broker.
type redisBroker struct {
	store *RedisStore

	mu    sync.Mutex
	conns []*servedConn // open, in order of acceptance
}

// servedConn leaves the broker's list when it is closed.
type servedConn struct {
	*outbox
	broker *redisBroker
}

func (c *servedConn) Close() error {
	c.broker.forget(c)
	return c.outbox.Close()
}

func (b *redisBroker) accept(ctx context.Context, l net.Listener) error {
	server := b.store.redis.Server()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // it came too late
			}
			return ctx.Err()
		}
		if err != nil {
			return errors.Join(err, l.Close())
		}
		c := &servedConn{outbox: newOutbox(conn, b.store.outputLimit), broker: b}
		b.mu.Lock()
		b.conns = append(b.conns, c)
		b.mu.Unlock()
		server.ServeConn(c)
	}
}

func (b *redisBroker) forget(c *servedConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = slices.DeleteFunc(b.conns, func(o *servedConn) bool { return o == c })
}

// close closes the connections, in order, and waits for all that miniredis started. The store can be
// served again after that.
func (b *redisBroker) close() {
	b.mu.Lock()
	conns := slices.Clone(b.conns)
	b.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // it is a crash: nobody is left to be told
	}
	m := b.store.redis
	m.Close()
	m.Ctx, m.CtxCancel = context.WithCancel(context.Background()) // Close ended the one for blocking commands
}
