package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Every client of a room gets every message, over one upstream subscription, and the messages are the
// same in memory.
func TestFanOut(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hop := &counting{Strategy: w.strategy(t)}
		s := w.edge(t, func(c *Config) { c.Strategy = hop })
		var subs []hop1.Subscription
		for range 50 {
			subs = append(subs, open(t, s, "r", model.Cursor{}))
		}
		other := open(t, s, "other", model.Cursor{})
		require.Equal(t, Stats{Clients: 51, Rooms: 2, Upstreams: 2}, s.Stats())
		publish(t, hop, "r", 1, 5)
		publish(t, hop, "other", 1, 2)
		for _, sub := range subs {
			require.Zero(t, sub.Start().Cursor.Seq)
			require.Equal(t, simtest.UpTo(1, 5), read(t, sub, 5))
		}
		require.Equal(t, simtest.UpTo(1, 2), read(t, other, 2))
		require.Equal(t, int64(2), hop.subscribes.Load())

		publish(t, hop, "r", 6, 6)
		first, err := subs[0].Next(within(t), nil)
		require.NoError(t, err)
		second, err := subs[1].Next(within(t), nil)
		require.NoError(t, err)
		require.Same(t, &first.Messages[0], &second.Messages[0])
	})
}

// anchor is the ID of the message at a position of what publish publishes.
func anchor(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return strconv.FormatUint(seq, 10)
}

// Who comes late starts at the live end; who comes back starts at the anchor, from the cache if that
// reaches back far enough, else from hop 2.
func TestResume(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hop := &counting{Strategy: w.strategy(t)}
		s := w.edge(t, func(c *Config) { c.Strategy, c.History, c.QueueLimit = hop, 10, 5 })
		publish(t, hop, "r", 1, 20)
		keeper := open(t, s, "r", model.Cursor{}) // from here on the room has a cache
		for i := 21; i <= 60; i++ {
			at := publish(t, hop, "r", i, i)
			read(t, keeper, at.Seq)
		}
		at := func(seq uint64) model.Cursor { return model.Cursor{Epoch: keeper.Start().Cursor.Epoch, Seq: seq} }
		require.Equal(t, hop1.Start{Cursor: at(60), Anchor: "60"}, open(t, s, "r", model.Cursor{}).Start())

		for seq := uint64(0); seq <= 60; seq++ {
			before := hop.subscribes.Load()
			sub := open(t, s, "r", at(seq))
			require.Equal(t, hop1.Start{Cursor: at(seq), Resumed: true, Anchor: anchor(seq)}, sub.Start())
			require.Equal(t, simtest.UpTo(max(seq, 1), 60), read(t, sub, 60), "the anchor first")
			if asked := hop.subscribes.Load() - before; seq > 50 {
				require.Zero(t, asked, "the cache has what follows %d", seq)
			} else {
				require.Equal(t, int64(1), asked)
			}
			sub.Close()
		}
		sub, cached := open(t, s, "r", at(3)), open(t, s, "r", at(55))
		end := publish(t, hop, "r", 61, 64).Seq
		require.Equal(t, simtest.UpTo(3, end), read(t, sub, end))
		require.Equal(t, simtest.UpTo(55, end), read(t, cached, end))
		require.Equal(t, 1, s.Stats().Upstreams)
	})
}

// A client that resumes while messages pour in, from anywhere, gets each of them once.
func TestResumeWhilePublishing(t *testing.T) {
	unhurried(t, func(t *testing.T, w *world) {
		hop := w.strategy(t)
		s := w.edge(t, func(c *Config) { c.Strategy, c.History, c.QueueLimit = hop, 20, 1000 })
		s2 := w.edge(t, func(c *Config) { c.Strategy, c.History, c.QueueLimit = hop, 1, 1000 })
		epoch := publish(t, hop, "r", 1, 50).Epoch
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 51; i <= 250; i++ {
				publish(t, hop, "r", i, i)
			}
		})
		for c := range 20 {
			wg.Go(func() {
				from := model.Cursor{Epoch: epoch, Seq: uint64(c + 1)}
				for from.Seq < 250 {
					server := s
					if c%2 == 0 {
						server = s2
					}
					sub, err := server.Open(within(t), "r", from)
					require.NoError(t, err)
					require.Equal(t, hop1.Start{Cursor: from, Resumed: true, Anchor: anchor(from.Seq)}, sub.Start())
					to := min(from.Seq+30, 250)
					seqs := read(t, sub, to)
					require.Equal(t, simtest.UpTo(from.Seq, seqs[len(seqs)-1]), seqs)
					from.Seq = seqs[len(seqs)-1]
					sub.Close()
				}
			})
		}
		wg.Wait()
	})
}

// What is out of reach is announced: trimmed history, another epoch, a cursor from the future. What is
// left is replayed.
func TestGaps(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.history = 10
		s := w.edge(t, nil)
		hop := w.strategy(t)
		end := publish(t, hop, "r", 1, 30)
		at := func(seq uint64) model.Cursor { return model.Cursor{Epoch: end.Epoch, Seq: seq} }
		for _, c := range []struct {
			from, start model.Cursor
			gap         string
		}{
			{at(5), at(20), "trimmed"},
			{at(19), at(20), "trimmed"},
			{at(31), at(30), "future"},
			{at(1<<64 - 1), at(30), "future"},
			{model.Cursor{Epoch: "another", Seq: 7}, at(20), "other epoch"},
		} {
			sub := open(t, s, "r", c.from)
			require.Equal(t, c.start, sub.Start().Cursor, "from %v", c.from)
			require.False(t, sub.Start().Resumed)
			require.Contains(t, sub.Start().Gap, c.gap, "from %v", c.from)
			if c.start.Seq < 30 {
				require.Equal(t, simtest.UpTo(c.start.Seq+1, 30), read(t, sub, 30))
			}
			sub.Close()
		}
		require.Equal(t, hop1.Start{Cursor: at(21), Resumed: true, Anchor: "21"}, open(t, s, "r", at(21)).Start())
		sub := open(t, s, "r", at(20)) // all that follows is there, but not the anchor
		require.Equal(t, hop1.Start{Cursor: at(20), Resumed: true, Anchorless: true}, sub.Start())
		require.Equal(t, simtest.UpTo(21, 30), read(t, sub, 30))
	})
}

// A client that was at a server ahead of this one resumes, and gets nothing twice.
func TestResumeAheadOfTheRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hop := &holding{Strategy: w.strategy(t)}
		s := w.edge(t, func(c *Config) { c.Strategy = hop })
		publish(t, hop, "r", 1, 3)
		behind := open(t, s, "r", model.Cursor{})
		hop.hold(true) // what comes now does not reach the room
		end := publish(t, hop, "r", 4, 8)
		sub := open(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: 6})
		require.True(t, sub.Start().Resumed)
		require.Equal(t, simtest.UpTo(6, 8), read(t, sub, 8))
		hop.hold(false)
		end = publish(t, hop, "r", 9, 9)
		require.Equal(t, []uint64{9}, read(t, sub, 9))
		require.Equal(t, simtest.UpTo(4, 9), read(t, behind, 9))
	})
}

// holding is a strategy whose first subscription can be held back.
type holding struct {
	hop2.Strategy
	mu    sync.Mutex
	first hop2.Subscription
	held  chan struct{} // nil, or closed when what was held may go on
}

type heldSubscription struct {
	hop2.Subscription
	h *holding
}

func (h *holding) hold(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if on {
		h.held = make(chan struct{})
	} else {
		close(h.held)
		h.held = nil
	}
}

func (h *holding) Subscribe(ctx context.Context, room string, from model.Cursor) (hop2.Subscription, error) {
	sub, err := h.Strategy.Subscribe(ctx, room, from)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && h.first == nil {
		h.first = sub
		return &heldSubscription{sub, h}, nil
	}
	return sub, err
}

func (s *heldSubscription) Next(ctx context.Context) (hop2.Batch, error) {
	b, err := s.Subscription.Next(ctx)
	s.h.mu.Lock()
	held := s.h.held
	s.h.mu.Unlock()
	if held != nil {
		<-held
	}
	return b, err
}

// When the broker loses its data, clients read what they were owed of the old log, and are told of the
// gap, in the stream that they have or when they come back.
func TestEpochChange(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.edge(t, nil)
		hop := w.strategy(t)
		sub, idle := open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{})
		old := publish(t, hop, "r", 1, 4)
		require.Equal(t, simtest.UpTo(1, 4), read(t, sub, 4))
		w.broker(t, hop2.NewRedisStore())
		fresh := publish(t, hop, "r", 1, 2)
		for _, sub := range []hop1.Subscription{sub, idle} {
			if sub == idle {
				require.Equal(t, simtest.UpTo(1, 4), read(t, idle, 4))
			}
			gap := readGap(t, sub)
			require.Equal(t, model.Cursor{Epoch: fresh.Epoch}, gap.To)
			require.Contains(t, gap.Why, "other epoch")
			require.Equal(t, simtest.UpTo(1, 2), read(t, sub, 2))
		}

		back := open(t, s, "r", old)
		require.Equal(t, model.Cursor{Epoch: fresh.Epoch}, back.Start().Cursor)
		require.Contains(t, back.Start().Gap, "other epoch")
		require.Equal(t, simtest.UpTo(1, 2), read(t, back, 2))
	})
}

// A client that does not read is disconnected when its queue overflows, at one message over the limit.
// Nobody else notices.
func TestSlowConsumer(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hop := w.strategy(t)
		s := w.edge(t, func(c *Config) { c.Strategy, c.QueueLimit, c.History = hop, 10, 3 })
		slow, late, fast := open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{})
		publish(t, hop, "r", 1, 10)
		require.Equal(t, simtest.UpTo(1, 10), read(t, fast, 10))
		require.Equal(t, simtest.UpTo(1, 10), read(t, late, 10), "the limit itself is allowed")
		require.Equal(t, 10, s.Stats().QueueHigh)
		publish(t, hop, "r", 11, 11)
		require.Equal(t, []uint64{11}, read(t, fast, 11))
		for range 2 {
			b, err := slow.Next(within(t), nil)
			require.ErrorIs(t, err, hop1.ErrSlowConsumer)
			require.Empty(t, b)
		}
		require.Equal(t, []uint64{11}, read(t, late, 11))
		require.Equal(t, 11, s.Stats().QueueHigh)

		epoch := fast.Start().Cursor.Epoch
		again := open(t, s, "r", model.Cursor{Epoch: epoch, Seq: 1})
		publish(t, hop, "r", 12, 21)
		require.Equal(t, simtest.UpTo(1, 21), read(t, again, 21), "a backlog is not a queue")
	})
}

// Next with a deadline loses nothing; Close ends a blocked Next.
func TestNext(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hop := w.strategy(t)
		s := w.edge(t, func(c *Config) { c.Strategy = hop })
		sub := open(t, s, "r", model.Cursor{})
		for i := 1; i <= 3; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			_, err := sub.Next(ctx, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
			at := publish(t, hop, "r", i, i)
			require.Equal(t, []uint64{at.Seq}, read(t, sub, at.Seq))
		}
		failed := make(chan error, 1)
		go func() { _, err := sub.Next(context.Background(), nil); failed <- err }()
		time.Sleep(5 * time.Millisecond)
		sub.Close()
		sub.Close()
		require.ErrorIs(t, <-failed, hop1.ErrClosed)
		require.Zero(t, s.Stats().Clients)
	})
}

// A room outlives its last client by Linger; a client that comes back in time finds it open, cache and all.
func TestLinger(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hop := &counting{Strategy: w.strategy(t)}
		s := w.edge(t, func(c *Config) { c.Strategy, c.Linger = hop, 10*time.Second })
		sub := open(t, s, "r", model.Cursor{})
		publish(t, hop, "r", 1, 3)
		read(t, sub, 3)
		sub.Close()
		time.Sleep(9 * time.Second)
		end := publish(t, hop, "r", 4, 6)
		require.Equal(t, Stats{Rooms: 1, Upstreams: 1, QueueHigh: s.Stats().QueueHigh}, s.Stats())
		sub = open(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: 2})
		require.Equal(t, simtest.UpTo(2, 6), read(t, sub, 6))
		require.Equal(t, int64(1), hop.subscribes.Load())
		time.Sleep(9 * time.Second) // the first linger must not end the room
		require.Equal(t, 1, s.Stats().Upstreams)

		sub.Close()
		time.Sleep(10*time.Second + time.Millisecond)
		require.Equal(t, Stats{QueueHigh: s.Stats().QueueHigh}, s.Stats())
		require.NotZero(t, s.Stats().QueueHigh, "the high-water mark outlives its room")
		open(t, s, "r", model.Cursor{})
		require.Equal(t, int64(3), hop.subscribes.Load(), "and one, for the message at the end of the log")
	})
}

// Draining ends every subscription with ErrDraining, the busy and the idle, refuses new ones, and leaves
// nothing running.
func TestShutdown(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hop := w.strategy(t)
		s := w.edge(t, func(c *Config) { c.Strategy = hop })
		busy, idle := open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{})
		publish(t, hop, "r", 1, 3)
		require.Equal(t, simtest.UpTo(1, 3), read(t, idle, 3))
		await(t, func() bool { return s.Stats().QueueHigh == 3 })
		ends := make(chan error, 5)
		for i := range 5 {
			sub := open(t, s, fmt.Sprintf("r%d", i), model.Cursor{})
			go func() {
				_, err := sub.Next(context.Background(), nil)
				sub.Close()
				ends <- err
			}()
		}
		lingering := open(t, s, "lingering", model.Cursor{})
		lingering.Close()

		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := s.Shutdown(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "with 2 clients")
		for range 5 {
			require.ErrorIs(t, <-ends, hop1.ErrDraining)
		}
		_, err = s.Open(t.Context(), "r", model.Cursor{})
		require.ErrorIs(t, err, hop1.ErrDraining)
		_, err = busy.Next(t.Context(), nil)
		require.ErrorIs(t, err, hop1.ErrDraining)
		_, _, err = idle.(*subscription).take() // it was about to wait when the room closed
		require.ErrorIs(t, err, hop1.ErrDraining)
		busy.Close()
		idle.Close()
		require.NoError(t, s.Shutdown(within(t)))
		require.Equal(t, Stats{QueueHigh: 3}, s.Stats())
	})
}

// Shutdown reaches clients that are still being let in.
func TestShutdownWhileOpening(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.crash()
		s := w.edge(t, func(c *Config) { c.OpenTimeout = time.Hour })
		opened := make(chan error, 1)
		go func() { _, err := s.Open(context.Background(), "r", model.Cursor{}); opened <- err }()
		await(t, func() bool { return s.Stats().Clients == 1 })
		require.NoError(t, s.Shutdown(within(t)))
		require.ErrorIs(t, <-opened, hop1.ErrDraining)
		require.Zero(t, s.Stats())
	})
}

// Without a broker an opening fails in time, or with its context; when the broker is there, the room
// that was asked for opens.
func TestOpenWithoutBroker(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.crash()
		s := w.edge(t, func(c *Config) { c.OpenTimeout = 50 * time.Millisecond })
		_, err := s.Open(t.Context(), "r", model.Cursor{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		_, err = s.Open(ctx, "r", model.Cursor{})
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, s.Stats().Clients)
		w.broker(t, hop2.NewRedisStore())
		var sub hop1.Subscription
		for sub == nil {
			sub, _ = s.Open(t.Context(), "r", model.Cursor{}) // hop 2 may be in the middle of a wait
		}
		require.Equal(t, 1, s.Stats().Clients)
		sub.Close()
	})
}

// Rooms that no hop could carry do not exist.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWorld(t, &network{pipes: true}).edge(t, nil)
		for _, room := range []string{"", ".", "..", "a b", "a/b", "a~b", "ü", string(make([]byte, 65))} {
			_, err := s.Open(t.Context(), room, model.Cursor{})
			require.ErrorIs(t, err, hop1.ErrNoRoom, "%q", room)
		}
		require.Zero(t, s.Stats())
	})
}

// Hop 2's errors: one that passes delays a room; the end of the strategy ends it.
func TestStrategyErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hop := &counting{Strategy: w.strategy(t)}
		broken := errors.New("broken")
		hop.fail.Store(&broken)
		s := w.edge(t, func(c *Config) { c.Strategy = hop })
		time.AfterFunc(2500*time.Millisecond, func() { hop.fail.Store(nil) })
		began := time.Now()
		sub, err := s.Open(t.Context(), "r", model.Cursor{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Nil(t, sub)
		sub = open(t, s, "r", model.Cursor{})
		require.Equal(t, 3, int(time.Since(began)/time.Second))

		require.NoError(t, hop.Close())
		_, err = sub.Next(t.Context(), nil)
		require.ErrorIs(t, err, hop1.ErrClosed)
		synctest.Wait()
		require.Zero(t, s.Stats().Rooms)
		_, err = s.Open(t.Context(), "r", model.Cursor{})
		require.ErrorIs(t, err, hop2.ErrClosed)
	})
}

func TestConfigErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hop := newWorld(t, &network{pipes: true}).strategy(t)
		for want, change := range map[string]func(*Config){
			"Strategy":               func(c *Config) { c.Strategy = nil },
			"QueueLimit: -1":         func(c *Config) { c.QueueLimit = -1 },
			"History: -1":            func(c *Config) { c.History = -1 },
			"MaxBody: 1048577":       func(c *Config) { c.MaxBody = model.MaxBodyLen + 1 },
			"Linger: -1s":            func(c *Config) { c.Linger = -time.Second },
			"OpenTimeout: -1s":       func(c *Config) { c.OpenTimeout = -time.Second },
			"PublishTimeout: -1s":    func(c *Config) { c.PublishTimeout = -time.Second },
			`Slow: "never"; want`:    func(c *Config) { c.Slow = "never" },
			"Key: nil; want":         func(c *Config) { c.Slow = Conflate },
			"Key: a function; want":  func(c *Config) { c.Key = byThree },
			"KeyLimit: -1":           func(c *Config) { c.KeyLimit = -1 },
			"RetrySpread: 1m1s":      func(c *Config) { c.RetrySpread = 61 * time.Second },
			"UserTimeout: -1s":       func(c *Config) { c.UserTimeout = -time.Second },
			"Guard.MaxConns: -1":     func(c *Config) { c.Guard.MaxConns = -1 },
			"Heartbeat: -1s":         func(c *Config) { c.Heartbeat = -time.Second },
			"RetryHint: 1h0m0s":      func(c *Config) { c.RetryHint = time.Hour },
			"WriteTimeout: -1s":      func(c *Config) { c.WriteTimeout = -time.Second },
			"IdleTimeout: 1ns; want": func(c *Config) { c.IdleTimeout = 1 },
		} {
			cfg := Config{Strategy: hop}
			change(&cfg)
			_, err := New(cfg)
			require.ErrorContains(t, err, want)
		}
	})
}
