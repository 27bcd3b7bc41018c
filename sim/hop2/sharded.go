package hop2

import (
	"context"
	"errors"
	"fmt"

	"github.com/twohop/twohop/model"
)

// Sharded is a strategy over several brokers that know nothing of each other, as Redis is often run: each room is
// on one of them, by consistent hashing of its name over their addresses. So every broker has a share of the
// load, and one that dies takes its rooms only.
//
// All who share rooms must agree on the addresses. When these change, a room that belongs elsewhere begins anew
// there, and a reader that comes with its old position is told so.
type Sharded struct {
	ring   *model.Ring
	shards map[string]Strategy // by address
	addrs  []string            // sorted
}

// NewSharded makes the strategy of a name over the brokers at some addresses, at least one. cfg configures what it
// has at each; its Addr is not looked at.
func NewSharded(strategy string, cfg Config, addrs []string) (*Sharded, error) {
	ring, err := ShardRing(addrs)
	if err != nil {
		return nil, err
	}
	s := &Sharded{ring: ring, shards: map[string]Strategy{}, addrs: ring.Placement().Members}
	for _, addr := range s.addrs {
		cfg.Addr = addr
		shard, err := New(strategy, cfg)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.shards[addr] = shard
	}
	return s, nil
}

// ShardRing tells which of some brokers' addresses each room belongs to.
func ShardRing(addrs []string) (*model.Ring, error) {
	ring, err := model.NewRing(model.Placement{Kind: model.Consistent, Members: addrs})
	if err != nil {
		return nil, fmt.Errorf("hop2: the addresses %.200q of shards: %w", addrs, err)
	}
	return ring, nil
}

// Addr is the address of the broker that a room is on.
func (s *Sharded) Addr(room string) string { return s.ring.Owner(room) }

// Publish appends m to its room's log.
func (s *Sharded) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	return s.shards[s.Addr(m.Room)].Publish(ctx, m)
}

// Subscribe gives a room's log from a cursor.
func (s *Sharded) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	return s.shards[s.Addr(room)].Subscribe(ctx, room, from)
}

// Close closes what there is at each broker.
func (s *Sharded) Close() error {
	var errs []error
	for _, addr := range s.addrs {
		if shard := s.shards[addr]; shard != nil {
			errs = append(errs, shard.Close())
		}
	}
	return errors.Join(errs...)
}
