package hop2

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// pipesMu guards who listens, while clients dial.
var pipesMu sync.Mutex

// pipesTo is a dialer of brokers that listen on pipes, by address.
func pipesTo(brokers map[string]*simtest.Pipes) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, addr string) (net.Conn, error) {
		pipesMu.Lock()
		p := brokers[addr]
		pipesMu.Unlock()
		if p != nil {
			return p.Connect()
		}
		return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
	}
}

// Goal: rooms are spread over shards, those who agree on the shards meet, and when there is one more, a room that
// belongs elsewhere from then on says so to who comes with an old position; the others go on.
// Method: two Redis hosts, then three.
func TestSharded(t *testing.T) {
	for _, name := range []string{"redis-streams", "redis-pubsub"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				brokers := map[string]*simtest.Pipes{}
				for _, addr := range []string{"a:1", "b:1", "c:1"} {
					l := simtest.Listen()
					brokers[addr] = l
					ctx, cancel := context.WithCancel(context.Background())
					ended := make(chan error, 1)
					store := NewRedisStore()
					go func() { ended <- ServeRedis(ctx, l, store) }()
					t.Cleanup(func() {
						cancel()
						require.ErrorIs(t, <-ended, context.Canceled)
					})
				}
				open := func(addrs ...string) *Sharded {
					s, err := NewSharded(name, Config{Dial: pipesTo(brokers)}, addrs)
					require.NoError(t, err)
					t.Cleanup(func() { require.NoError(t, s.Close()) })
					return s
				}
				two, same, three := open("a:1", "b:1"), open("b:1", "a:1"), open("a:1", "b:1", "c:1")
				on, moved := map[string]int{}, 0
				for i := range 12 {
					room := fmt.Sprintf("r.%d", i)
					on[two.Addr(room)]++
					require.Equal(t, two.Addr(room), same.Addr(room))
					sub := subscribe(t, two, room, model.Cursor{})
					end := publish(t, same, room, 1, 3)
					seqs, gaps := collect(t, sub, sub.Start().Cursor, end)
					require.Equal(t, simtest.UpTo(1, 3), seqs)
					require.Empty(t, gaps)

					start := subscribe(t, three, room, end).Start()
					if three.Addr(room) == two.Addr(room) {
						requireAt(t, end, start)
						continue
					}
					moved++
					require.Equal(t, "c:1", three.Addr(room), "consistent hashing moves rooms to the new shard only")
					require.Contains(t, start.Gap, "other epoch")
					require.Equal(t, uint64(0), start.Cursor.Seq)
				}
				require.Len(t, on, 2, "one shard has all rooms")
				require.Positive(t, moved)
				require.Less(t, moved, 12)
			})
		})
	}
}

// Goal: shards that cannot be are refused, by what is wrong with them.
func TestShardedErrors(t *testing.T) {
	for want, addrs := range map[string][]string{
		"there are 0 Members; want 1":    nil,
		`member "a:1" is there twice`:    {"a:1", "b:1", "a:1"},
		"the addresses [\"\"] of shards": {""},
	} {
		_, err := NewSharded("redis-streams", Config{}, addrs)
		require.ErrorContains(t, err, want)
	}
	_, err := NewSharded("pigeon", Config{}, []string{"a:1"})
	require.ErrorContains(t, err, `unknown strategy "pigeon"`)
	s, err := NewSharded("redis-streams", Config{}, []string{"a:1", "b:1"})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = s.Publish(t.Context(), model.Message{Room: "r", ID: "1"})
	require.ErrorIs(t, err, ErrClosed)
}
