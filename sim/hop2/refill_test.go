package hop2

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// copyOf keeps what is on a disk that nobody serves, and gives what puts it back: a disk that lies about syncs and
// loses power, or a replica that lags and takes over, comes to the same.
func copyOf(t *testing.T, d disk) (restore func()) {
	folder := func(dir string) func() {
		kept := t.TempDir()
		require.NoError(t, os.CopyFS(kept, os.DirFS(dir)))
		return func() {
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			for _, e := range entries {
				require.NoError(t, os.RemoveAll(dir+"/"+e.Name()))
			}
			require.NoError(t, os.CopyFS(dir, os.DirFS(kept)))
		}
	}
	switch d := d.(type) {
	case *NATSStore:
		return folder(d.dir)
	case *KafkaStore:
		return folder(d.cluster.dir)
	case *RedisStore:
		from, kept := d.redis, NewRedisStore()
		to := kept.redis
		for _, key := range from.Keys() {
			switch from.Type(key) {
			case "hash":
				fields, err := from.HKeys(key)
				require.NoError(t, err)
				for _, f := range fields {
					to.HSet(key, f, from.HGet(key, f))
				}
			case "list":
				values, err := from.List(key)
				require.NoError(t, err)
				_, err = to.Push(key, values...)
				require.NoError(t, err)
			case "stream":
				entries, err := from.Stream(key)
				require.NoError(t, err)
				for _, e := range entries {
					_, err := to.XAdd(key, e.ID, e.Values)
					require.NoError(t, err)
				}
			default:
				require.Fail(t, "a key of an unknown kind", "%s is a %s", key, from.Type(key))
			}
		}
		return func() { d.redis, d.scripts = kept.redis, kept.scripts }
	default: // it keeps nothing
		return func() {}
	}
}

// Goal: a reader whose position was lost by its broker and filled again, with another message, is told so, whether
// there are more messages or not, and gets what comes after that.
// Method: the broker comes back with what it had two messages ago, two or more others are published, and only then
// can the reader reach it again.
func TestEachRefill(t *testing.T) {
	each(t, func(t *testing.T, n *network, k kind) {
		for more := range 2 {
			d := k.disk(t)
			crash := n.serve(t, d)
			var away atomic.Bool
			cfg := n.config()
			cfg.Rand, cfg.CheckEvery, cfg.RetryMin, cfg.RetryMax = nil, 100*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond
			publisher := kind{name: k.name, storage: k.storage}.open(t, n, cfg)
			cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if away.Load() {
					return nil, syscall.ECONNREFUSED
				}
				return n.dial(ctx, network, addr)
			}
			reader := k.open(t, n, cfg)
			publish(t, publisher, "r", 1, 8)
			crash()
			restore := copyOf(t, d)
			crash = n.serve(t, d)
			sub := subscribe(t, reader, "r", model.Cursor{})
			collect(t, sub, sub.Start().Cursor, publish(t, publisher, "r", 9, 10))
			at := publish(t, publisher, "r", 10, 10)

			away.Store(true)
			crash()
			restore()
			n.serve(t, d)
			end := publish(t, publisher, "r", 109, 110+more)
			if k.durable {
				require.Equal(t, model.Cursor{Epoch: at.Epoch, Seq: 10 + uint64(more)}, end, "the epoch goes on, or this tests nothing")
			} else {
				require.True(t, end.Epoch != at.Epoch || k.name == "redis-pubsub")
			}
			away.Store(false)

			b, err := sub.Next(within(t, patience))
			require.NoError(t, err)
			require.NotNil(t, b.Gap, "messages 9 and 10 were lost, and others came in their place: %v", b.Messages)
			require.Equal(t, at, b.Gap.From)
			if b.Cursor.Epoch == at.Epoch {
				require.GreaterOrEqual(t, b.Cursor.Seq, at.Seq)
			}
			seqs, gaps := collect(t, sub, b.Cursor, end)
			if PromisesOf(k.name).Resume {
				require.Empty(t, gaps)
				require.Equal(t, simtest.UpTo(b.Cursor.Seq+1, end.Seq), seqs)
			}

			next := publish(t, publisher, "r", 120, 121)
			seqs, gaps = collect(t, sub, end, next)
			require.Equal(t, simtest.UpTo(end.Seq+1, next.Seq), seqs)
			require.Empty(t, gaps)
			late := subscribe(t, reader, "r", next)
			requireAt(t, next, late.Start())
			if end.Epoch == at.Epoch { // else the epoch tells
				require.Equal(t, "m121", late.Start().Anchor)
				if PromisesOf(k.name).Resume {
					require.Equal(t, "m120", subscribe(t, reader, "r", model.Cursor{Epoch: next.Epoch, Seq: next.Seq - 1}).Start().Anchor)
				}
			}
		}
	})
}
