package hop2

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

func (s *NATSStore) serve(ctx context.Context, _ *network, l net.Listener) error {
	return ServeNATS(ctx, l, s)
}

func (s *KafkaStore) serve(ctx context.Context, _ *network, l net.Listener) error {
	return ServeKafka(ctx, l, s)
}

// coreNATS is a NATS server without a disk, and the sequencer.
type coreNATS struct{}

func (coreNATS) serve(ctx context.Context, n *network, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- RunSequencer(ctx, Config{Addr: "broker:4222", Dial: n.dial, CheckEvery: 100 * time.Millisecond, RetryMin: 10 * time.Millisecond})
	}()
	err := ServeNATS(ctx, l, NewNATSStore(""))
	cancel()
	if seq := <-ended; !errors.Is(seq, context.Canceled) {
		return seq
	}
	return err
}

// kind is a strategy with its broker.
type kind struct {
	name    string
	storage string
	disk    func(t *testing.T) disk
	durable bool // a restart with the disk keeps what was published
	relayed bool // there is a relay between
}

var kinds = []kind{
	{"redis-streams", "", func(*testing.T) disk { return NewRedisStore() }, true, false},
	{"kafka", "", func(t *testing.T) disk { return NewKafkaStore(t.TempDir()) }, true, false},
	{"redis-pubsub", "", func(*testing.T) disk { return NewRedisStore() }, false, false},
	{"nats", "", func(*testing.T) disk { return coreNATS{} }, false, false},
	{"jetstream", "file", func(t *testing.T) disk { return NewNATSStore(t.TempDir()) }, true, false},
	{"jetstream", "memory", func(t *testing.T) disk { return NewNATSStore(t.TempDir()) }, false, false},
	{"redis-streams", "", func(*testing.T) disk { return NewRedisStore() }, true, true},
	{"nats", "", func(*testing.T) disk { return coreNATS{} }, false, true},
}

func (k kind) String() string {
	name := k.name
	if k.storage != "" {
		name += "-" + k.storage
	}
	if k.relayed {
		name += "-relayed"
	}
	return name
}

// each runs a test for every strategy, everywhere; in a hurry most of them in virtual time alone.
func each(t *testing.T, body func(t *testing.T, n *network, k kind)) {
	for i, k := range kinds {
		lanes := everywhere
		if simtest.Quick() && i > 0 {
			lanes = inBubble
		}
		t.Run(k.String(), func(t *testing.T) {
			lanes(t, func(t *testing.T, n *network) { body(t, n, k) })
		})
	}
}

func (k kind) strategy(t *testing.T, n *network) Strategy {
	cfg := n.config()
	cfg.Rand, cfg.CheckEvery = nil, 200*time.Millisecond
	return k.open(t, n, cfg)
}

// open makes a strategy that is closed at the test's end.
func (k kind) open(t *testing.T, n *network, cfg Config) Strategy {
	cfg.Storage = k.storage
	s, err := New(k.name, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	if k.relayed {
		beyond := newNetwork(t, n.pipes)
		beyond.relay(t, RelayConfig{Upstream: s, History: cfg.History})
		return beyond.relayed(t, cfg)
	}
	return s
}

// What is published comes, in order and whole, to everybody; the same ID once, whoever publishes it.
func TestEachDelivers(t *testing.T) {
	each(t, func(t *testing.T, n *network, k kind) {
		n.serve(t, k.disk(t))
		s, other := k.strategy(t, n), k.strategy(t, n)
		near, far := subscribe(t, s, "r.1", model.Cursor{}), subscribe(t, other, "r.1", model.Cursor{})
		start := near.Start().Cursor
		require.NotEmpty(t, start.Epoch)
		require.Equal(t, near.Start(), far.Start())
		var wg sync.WaitGroup
		for p, s := range []Strategy{s, other} {
			wg.Go(func() { publish(t, s, "r.1", 100*p, 100*p+29) })
		}
		wg.Wait()
		end := model.Cursor{Epoch: start.Epoch, Seq: 60}
		for _, sub := range []Subscription{near, far} {
			seqs, gaps := collect(t, sub, start, end)
			require.Equal(t, simtest.UpTo(1, 60), seqs)
			require.Empty(t, gaps)
		}
		again := publish(t, other, "r.1", 7, 7)
		require.LessOrEqual(t, again.Seq, uint64(60))
		require.Equal(t, again, publish(t, s, "r.1", 7, 7))
		require.Equal(t, uint64(61), publish(t, s, "r.1", 500, 500).Seq)
		elsewhere := subscribe(t, s, "r", model.Cursor{})
		require.Equal(t, uint64(0), elsewhere.Start().Cursor.Seq)
		require.Equal(t, uint64(1), publish(t, s, "r", 7, 7).Seq, "IDs are unique within a room only")
		b, err := elsewhere.Next(within(t, patience))
		require.NoError(t, err)
		want := note("r", 7)
		want.Seq = 1
		require.Equal(t, []model.Message{want}, b.Messages)
	})
}

// A broker that restarts with its disk, and one that restarts without: nothing is lost in silence, and by
// those that are durable nothing at all as long as the disk is there.
func TestEachRestart(t *testing.T) {
	each(t, func(t *testing.T, n *network, k kind) {
		disk := k.disk(t)
		crash := n.serve(t, disk)
		s := k.strategy(t, n)
		sub := subscribe(t, s, "r", model.Cursor{})
		before := publish(t, s, "r", 1, 10)
		collect(t, sub, sub.Start().Cursor, before)
		crash()
		crash = n.serve(t, disk)
		next := publish(t, k.strategy(t, n), "r", 11, 13)
		if k.durable {
			require.Equal(t, model.Cursor{Epoch: before.Epoch, Seq: 13}, next)
		}
		seqs, gaps := collect(t, sub, before, next)
		if k.durable {
			require.Equal(t, simtest.UpTo(11, 13), seqs)
			require.Empty(t, gaps)
			require.Equal(t, before, publish(t, s, "r", 10, 10), "IDs are remembered")
		}

		crash()
		n.serve(t, k.disk(t))
		after := publish(t, s, "r", 14, 16)
		require.NotEqual(t, next.Epoch, after.Epoch)
		require.Equal(t, uint64(3), after.Seq)
		_, gaps = collect(t, sub, next, after)
		require.Contains(t, gaps[0].Why, "other epoch")
		require.Equal(t, after.Epoch, gaps[0].To.Epoch)
		old := subscribe(t, s, "r", next)
		require.Contains(t, old.Start().Gap, "other epoch")
		require.Equal(t, after.Epoch, old.Start().Cursor.Epoch)
	})
}

// A cursor from the future or from another log is answered with where the log is, and why.
func TestEachForeignCursor(t *testing.T) {
	each(t, func(t *testing.T, n *network, k kind) {
		n.serve(t, k.disk(t))
		s := k.strategy(t, n)
		end := publish(t, s, "r", 1, 3)
		for from, why := range map[model.Cursor]string{
			{Epoch: end.Epoch, Seq: 4}:         "future",
			{Epoch: end.Epoch, Seq: 1<<64 - 1}: "future",
			{Epoch: "elsewhere", Seq: 2}:       "other epoch",
		} {
			start := subscribe(t, s, "r", from).Start()
			require.Contains(t, start.Gap, why)
			require.Equal(t, end.Epoch, start.Cursor.Epoch)
			require.LessOrEqual(t, start.Cursor.Seq, uint64(3))
		}
		requireAt(t, end, subscribe(t, s, "r", end).Start())
	})
}

// A reader that does not read stops nobody, and is told what it missed if that is more than its inbox
// takes and the broker keeps.
func TestEachSlowReader(t *testing.T) {
	each(t, func(t *testing.T, n *network, k kind) {
		n.serve(t, k.disk(t))
		cfg := n.config()
		cfg.Inbox, cfg.History, cfg.CheckEvery = 4, 20, 200*time.Millisecond
		s := k.open(t, n, cfg)
		slow := subscribe(t, s, "r", model.Cursor{})
		end := publish(t, s, "r", 1, 100)
		seqs, gaps := collect(t, slow, slow.Start().Cursor, end)
		require.NotEmpty(t, gaps)
		require.NotEmpty(t, seqs)
		next := publish(t, s, "r", 101, 101)
		seqs, gaps = collect(t, slow, end, next)
		require.Equal(t, []uint64{101}, seqs)
		require.Empty(t, gaps)
	})
}

// A connection that dies without a word is given up, and made again; what is out of reach is announced.
func TestEachSilentNetwork(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.serve(t, k.disk(t))
				s, far := k.strategy(t, n), k.strategy(t, n)
				sub := subscribe(t, s, "r", model.Cursor{})
				first := publish(t, far, "r", 1, 1)
				collect(t, sub, sub.Start().Cursor, first)
				n.cut()
				time.Sleep(10 * time.Second)
				end := publish(t, far, "r", 2, 5)
				if k.name != "nats" { // the sequencer's connection was cut, too, but it kept its state
					require.Equal(t, model.Cursor{Epoch: first.Epoch, Seq: 5}, end)
				}
				seqs, _ := collect(t, sub, first, end)
				require.Equal(t, simtest.UpTo(2, 5), seqs, "everybody is back by now")
			})
		})
	}
}

// While the broker is away calls fail with the caller's context; Close and Unsubscribe end what waits.
func TestEachUnavailable(t *testing.T) {
	each(t, func(t *testing.T, n *network, k kind) {
		crash := n.serve(t, k.disk(t))
		s := k.strategy(t, n)
		first, second := subscribe(t, s, "r", model.Cursor{}), subscribe(t, s, "r", model.Cursor{})
		crash()
		_, err := s.Publish(within(t, 100*time.Millisecond), note("r", 1))
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = s.Subscribe(within(t, 100*time.Millisecond), "other", model.Cursor{})
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = first.Next(within(t, 50*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded, "an unreachable broker is no error of Next")

		failed := make(chan error, 4)
		go func() { _, err := first.Next(context.Background()); failed <- err }()
		time.Sleep(10 * time.Millisecond)
		first.Unsubscribe()
		first.Unsubscribe()
		require.ErrorIs(t, <-failed, ErrClosed)
		go func() { _, err := second.Next(context.Background()); failed <- err }()
		go func() { _, err := s.Publish(context.Background(), note("r", 1)); failed <- err }()
		go func() { _, err := s.Subscribe(context.Background(), "r", model.Cursor{}); failed <- err }()
		time.Sleep(10 * time.Millisecond)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		for range 3 {
			require.ErrorIs(t, <-failed, ErrClosed)
		}
	})
}
