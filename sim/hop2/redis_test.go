package hop2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// The same ID is appended once, whoever publishes it however often, until it is forgotten.
func TestPublishIsIdempotent(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, func(c *Config) { c.Remember = 3 })
		other := n.strategy(t, func(c *Config) { c.Remember = 3 })
		first := publish(t, s, "r", 1, 1)
		require.Equal(t, uint64(1), first.Seq)
		require.Equal(t, first, publish(t, other, "r", 1, 1))

		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				at, err := s.Publish(within(t, patience), note("r", 2))
				require.NoError(t, err)
				require.Equal(t, uint64(2), at.Seq)
			})
		}
		wg.Wait()
		require.Equal(t, uint64(1), publish(t, s, "elsewhere", 1, 1).Seq, "IDs are unique within a room only")

		require.Equal(t, uint64(4), publish(t, s, "r", 3, 4).Seq)
		require.Equal(t, uint64(2), publish(t, s, "r", 2, 2).Seq, "still remembered")
		require.Equal(t, uint64(5), publish(t, s, "r", 1, 1).Seq, "memory is bounded by Remember")
	})
}

// Publishers at work at the same time get positions 1..n, each its own.
func TestConcurrentPublishers(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		const publishers, each = 10, 20
		var mu sync.Mutex
		var seqs []uint64
		epochs := map[string]bool{}
		var wg sync.WaitGroup
		for p := range publishers {
			s := n.strategy(t, func(c *Config) { c.Rand = nil })
			wg.Go(func() {
				for i := range each {
					at, err := s.Publish(within(t, patience), note("r", p*each+i))
					require.NoError(t, err)
					mu.Lock()
					seqs = append(seqs, at.Seq)
					epochs[at.Epoch] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(seqs)
		require.Equal(t, simtest.UpTo(1, publishers*each), seqs)
		require.Len(t, epochs, 1)
	})
}

// A subscriber resumes from any position that the log still has, and gets the rest whole, contents
// included, whatever is published meanwhile.
func TestResumeFromEveryCursor(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		const old, all = 150, 155 // more than a page
		end := publish(t, s, "r", 1, old)
		var subs []Subscription
		var starts []model.Cursor
		for seq := 0; seq <= old; seq += 25 {
			from := model.Cursor{Epoch: end.Epoch, Seq: uint64(seq)}
			sub := subscribe(t, s, "r", from)
			requireAt(t, from, sub.Start())
			if from.Seq > 0 {
				require.Equal(t, fmt.Sprintf("m%d", from.Seq), sub.Start().Anchor)
			}
			subs, starts = append(subs, sub), append(starts, from)
		}
		live := subscribe(t, s, "r", model.Cursor{})
		requireAt(t, end, live.Start())
		subs, starts = append(subs, live), append(starts, end)

		end = publish(t, s, "r", old+1, all)
		for i, sub := range subs {
			seqs, gaps := collect(t, sub, starts[i], end)
			require.Empty(t, gaps)
			require.Equal(t, simtest.UpTo(starts[i].Seq+1, all), seqs)
		}

		sub := subscribe(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: 6})
		b, err := sub.Next(within(t, patience))
		require.NoError(t, err)
		want := note("r", 7)
		want.Seq = 7
		require.Equal(t, want, b.Messages[0])
	})
}

// A room to which nobody has published has a live end, from which one can resume.
func TestEmptyRoom(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		start := subscribe(t, s, "r", model.Cursor{}).Start()
		require.NotEmpty(t, start.Cursor.Epoch)
		require.Zero(t, start.Cursor.Seq)
		end := publish(t, s, "r", 1, 3)
		seqs, gaps := collect(t, subscribe(t, s, "r", start.Cursor), start.Cursor, end)
		require.Equal(t, simtest.UpTo(1, 3), seqs)
		require.Empty(t, gaps)
	})
}

// What was trimmed from the log is announced, both when a subscription starts and when its reader was
// slow; a cursor ahead of the log is, too.
func TestTrimmedHistoryIsAnnounced(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, func(c *Config) { c.History, c.Inbox = 5, 2 })
		slow := subscribe(t, s, "r", model.Cursor{})
		end := publish(t, s, "r", 1, 20)
		at := func(seq uint64) model.Cursor { return model.Cursor{Epoch: end.Epoch, Seq: seq} }

		late := subscribe(t, s, "r", at(14))
		require.Equal(t, at(15), late.Start().Cursor)
		require.Contains(t, late.Start().Gap, "trimmed")
		seqs, gaps := collect(t, late, at(15), end)
		require.Equal(t, simtest.UpTo(16, 20), seqs)
		require.Empty(t, gaps)
		requireAt(t, at(15), subscribe(t, s, "r", at(15)).Start())

		ahead := subscribe(t, s, "r", at(21))
		require.Equal(t, end, ahead.Start().Cursor)
		require.Contains(t, ahead.Start().Gap, "future")
		require.Contains(t, subscribe(t, s, "r", at(1<<64-1)).Start().Gap, "future")

		seqs, gaps = collect(t, slow, slow.Start().Cursor, end)
		require.Len(t, gaps, 1)
		require.Equal(t, at(15), gaps[0].To)
		require.Contains(t, gaps[0].Why, "trimmed")
		require.Equal(t, append(simtest.UpTo(1, gaps[0].From.Seq), simtest.UpTo(16, 20)...), seqs)
	})
}

// A broker that restarts with its data: publishers publish on, subscribers miss nothing.
func TestRestartKeepsData(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		crash := n.serve(t, store)
		s := n.strategy(t, nil)
		sub := subscribe(t, s, "r", model.Cursor{})
		from := sub.Start().Cursor
		before := publish(t, s, "r", 1, 10)
		seqs, gaps := collect(t, sub, from, before)
		require.Len(t, seqs, 10)
		require.Empty(t, gaps)

		for round := range 3 {
			crash()
			published := make(chan model.Cursor, 1)
			go func() { published <- publish(t, s, "r", 11+10*round, 20+10*round) }()
			time.Sleep(30 * time.Millisecond)
			crash = n.serve(t, store)
			after := <-published
			require.Equal(t, before.Seq+10, after.Seq)
			seqs, gaps = collect(t, sub, before, after)
			require.Equal(t, simtest.UpTo(before.Seq+1, after.Seq), seqs)
			require.Empty(t, gaps)
			before = after
		}
		require.NotZero(t, s.Stats().Failures)
	})
}

// A broker that restarts without its data begins a new epoch. Present subscribers are told, and get
// all of the new log; so are those who come with an old cursor.
func TestRestartLosesData(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		crash := n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		sub := subscribe(t, s, "r", model.Cursor{})
		before := publish(t, s, "r", 1, 10)
		collect(t, sub, sub.Start().Cursor, before)

		crash()
		n.serve(t, NewRedisStore())
		after := publish(t, s, "r", 1, 3)
		require.Equal(t, uint64(3), after.Seq)
		require.NotEqual(t, before.Epoch, after.Epoch)
		seqs, gaps := collect(t, sub, before, after)
		require.Equal(t, simtest.UpTo(1, 3), seqs)
		require.Len(t, gaps, 1)
		require.Equal(t, model.Cursor{Epoch: after.Epoch}, gaps[0].To)
		require.Contains(t, gaps[0].Why, "other epoch")

		old := subscribe(t, s, "r", before)
		require.Equal(t, model.Cursor{Epoch: after.Epoch}, old.Start().Cursor)
		require.Contains(t, old.Start().Gap, "other epoch")
	})
}

// publishUnheard appends a message whose live copy is lost.
func publishUnheard(t *testing.T, s *Redis, m model.Message) {
	t.Helper()
	c := s.publishCall(m.Room, m.ID, encodeRecord(m))
	require.Equal(t, s.channel(m.Room), c.args[2])
	c.args[2] = "nobody listens here"
	_, err := s.do(within(t, patience), c)
	require.NoError(t, err)
}

// A message whose live copy is lost is found by the next one, or within CheckEvery by nothing at all.
func TestLostAnnouncement(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		sub := subscribe(t, s, "r", model.Cursor{})
		at := publish(t, s, "r", 1, 1)
		collect(t, sub, sub.Start().Cursor, at)

		lost := time.Now()
		publishUnheard(t, s, note("r", 2))
		at.Seq = 2
		collect(t, sub, model.Cursor{Epoch: at.Epoch, Seq: 1}, at)
		require.LessOrEqual(t, time.Since(lost), time.Second+time.Millisecond)
		require.Greater(t, time.Since(lost), 900*time.Millisecond, "it was not lost")

		lost = time.Now()
		publishUnheard(t, s, note("r", 3))
		end := publish(t, s, "r", 4, 4)
		seqs, gaps := collect(t, sub, at, end)
		require.Equal(t, simtest.UpTo(3, 4), seqs)
		require.Empty(t, gaps)
		require.Less(t, time.Since(lost), 10*time.Millisecond)
	})
}

// After every re-subscription the log is read: what was published in between went by unheard.
func TestResubscriptionReads(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		crash := n.serve(t, store)
		s := n.strategy(t, func(c *Config) { c.CheckEvery = time.Hour })
		sub := subscribe(t, s, "r", model.Cursor{})
		crash()
		n.serve(t, store)
		began := time.Now()
		end := publish(t, n.strategy(t, nil), "r", 1, 3) // before s is back, after RetryMin
		require.Less(t, time.Since(began), s.cfg.RetryMin)
		seqs, gaps := collect(t, sub, sub.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(1, 3), seqs)
		require.Empty(t, gaps)
		require.Less(t, time.Since(began), s.cfg.RetryMin+time.Millisecond)
	})
}

// What overflows a reader's inbox is read from the log as soon as the reader is back.
func TestInboxOverflow(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, func(c *Config) { c.Inbox, c.CheckEvery = 2, time.Hour })
		sub := subscribe(t, s, "r", model.Cursor{})
		end := publish(t, s, "r", 1, 10)
		synctest.Wait() // the last of them, too, has come
		back := time.Now()
		seqs, gaps := collect(t, sub, sub.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(1, 10), seqs)
		require.Empty(t, gaps)
		require.Less(t, time.Since(back), time.Millisecond)
	})
}

// In a quiet room the log is read once per CheckEvery and not more; in a busy one never.
func TestQuietReads(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		sub := subscribe(t, s, "r", model.Cursor{})
		before := s.Stats().Reads
		_, err := sub.Next(within(t, 10*time.Second+time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10, s.Stats().Reads-before)

		before = s.Stats().Reads
		for i := range 20 {
			time.Sleep(500 * time.Millisecond)
			at := publish(t, s, "r", i, i)
			collect(t, sub, model.Cursor{Epoch: at.Epoch, Seq: at.Seq - 1}, at)
		}
		require.Zero(t, s.Stats().Reads-before)
	})
}

// Connections that die without a word are given up and made again, and nothing is lost.
func TestSilentNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		far := n.strategy(t, nil)
		sub := subscribe(t, s, "r", model.Cursor{})
		first := publish(t, far, "r", 1, 1)
		collect(t, sub, sub.Start().Cursor, first)
		n.cut() // far's, too
		cut := time.Now()
		end := first
		end.Seq = 5
		go publish(t, far, "r", 2, 5)
		seqs, gaps := collect(t, sub, first, end)
		require.Equal(t, simtest.UpTo(2, 5), seqs)
		require.Empty(t, gaps)
		require.Less(t, time.Since(cut), 4*time.Second, "a check after 1 s, its timeout after 2 s, and another")

		time.Sleep(5 * time.Second) // by now the pub/sub connection is new as well
		before, published := s.Stats().Reads, time.Now()
		collect(t, sub, end, publish(t, far, "r", 6, 6))
		require.Equal(t, 2, s.Stats().Sessions)
		require.LessOrEqual(t, s.Stats().Reads-before, 1)
		require.Less(t, time.Since(published), 10*time.Millisecond)
	})
}

// While the broker is away, calls fail with the caller's context, and at once when it is cancelled.
func TestUnavailable(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		crash := n.serve(t, NewRedisStore())
		crash()
		s := n.strategy(t, nil)
		for name, call := range map[string]func(context.Context) error{
			"publish":   func(ctx context.Context) error { _, err := s.Publish(ctx, note("r", 1)); return err },
			"subscribe": func(ctx context.Context) error { _, err := s.Subscribe(ctx, "r", model.Cursor{}); return err },
		} {
			err := call(within(t, 60*time.Millisecond))
			for d := 240 * time.Millisecond; !n.pipes && d < patience && !strings.Contains(err.Error(), "refused"); d *= 4 {
				err = call(within(t, d)) // a busy machine had no time to refuse it
			}
			require.ErrorIs(t, err, ErrUnavailable, name)
			require.ErrorContains(t, err, "refused", name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(20*time.Millisecond, cancel)
			require.ErrorIs(t, call(ctx), context.Canceled, name)
		}
		require.NotEmpty(t, s.Stats().LastFailure)
		require.Empty(t, s.subs, "failed subscriptions must leave nothing behind")
	})
}

// Next and Publish are not held up by a network that is silent.
func TestCancelInSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, func(c *Config) { c.Timeout = time.Hour })
		sub := subscribe(t, s, "r", model.Cursor{})
		n.cut()
		began := time.Now()
		_, err := sub.Next(within(t, 1500*time.Millisecond)) // reads the log after 1 s
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = s.Publish(within(t, 100*time.Millisecond), note("r", 1))
		require.ErrorIs(t, err, ErrUnavailable)
		require.NoError(t, s.Close())
		require.Equal(t, 1600*time.Millisecond, time.Since(began))
	})
}

// Close and Unsubscribe end what waits, and can be called again.
func TestClose(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		crash := n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		blocked := func(sub Subscription) chan error {
			failed := make(chan error, 1)
			go func() { _, err := sub.Next(context.Background()); failed <- err }()
			return failed
		}
		first, second := subscribe(t, s, "r", model.Cursor{}), subscribe(t, s, "r", model.Cursor{})
		failed := blocked(first)
		time.Sleep(10 * time.Millisecond)
		first.Unsubscribe()
		first.Unsubscribe()
		require.ErrorIs(t, <-failed, ErrClosed)
		failed = blocked(second)
		crash()
		calls := make(chan error, 2)
		go func() { _, err := s.Publish(context.Background(), note("r", 1)); calls <- err }()
		go func() { _, err := s.Subscribe(context.Background(), "r", model.Cursor{}); calls <- err }()
		time.Sleep(10 * time.Millisecond)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-failed, ErrClosed)
		require.ErrorIs(t, <-calls, ErrClosed)
		require.ErrorIs(t, <-calls, ErrClosed)
		_, err := s.Publish(context.Background(), note("r", 2))
		require.ErrorIs(t, err, ErrClosed)
		_, err = second.Next(context.Background())
		require.ErrorIs(t, err, ErrClosed)
	})
}

// Rooms come and go on one pub/sub connection; live messages, not checks, bring what is published.
func TestRoomsShareAConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, func(c *Config) { c.CheckEvery = time.Hour })
		began := time.Now()
		for range 3 {
			subs := map[string]Subscription{}
			for _, room := range []string{"a", "b", "c"} {
				subs[room] = subscribe(t, s, room, model.Cursor{})
			}
			for room, sub := range subs {
				from := sub.Start().Cursor
				collect(t, sub, from, publish(t, s, room, int(from.Seq)+1, int(from.Seq)+2))
				// Leave and come back at once, or after the broker was told.
				sub.Unsubscribe()
				if room == "b" {
					time.Sleep(time.Millisecond)
				}
				again := subscribe(t, s, room, model.Cursor{})
				from = again.Start().Cursor
				collect(t, again, from, publish(t, s, room, int(from.Seq)+1, int(from.Seq)+2))
				again.Unsubscribe()
			}
			time.Sleep(time.Millisecond)
			require.Empty(t, s.subs)
		}
		require.Equal(t, 1, s.Stats().Sessions)
		require.Less(t, time.Since(began), time.Second)
	})
}

// A broker that lost its scripts gets them again.
func TestScriptsAreReloaded(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		s := n.strategy(t, nil)
		publish(t, s, "r", 1, 1)
		admin, cut, err := s.connect(t.Context(), plain)
		require.NoError(t, err)
		defer cut()
		require.NoError(t, admin.ScriptFlush(t.Context()).Err())
		require.Equal(t, uint64(2), publish(t, s, "r", 2, 2).Seq)
		require.Zero(t, s.Stats().Failures)
	})
}

// An error that trying again cannot cure ends Publish, Subscribe and Next at once; one that passes does not.
func TestBrokerErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		n.serve(t, store)
		s := n.strategy(t, nil)
		sub := subscribe(t, s, "r", model.Cursor{})
		publish(t, s, "r", 1, 1)
		collect(t, sub, sub.Start().Cursor, model.Cursor{Epoch: sub.Start().Cursor.Epoch, Seq: 1})

		store.redis.SetError("LOADING Redis is loading the dataset in memory")
		time.AfterFunc(5*time.Second, func() { store.redis.SetError("") })
		began := time.Now()
		publish(t, s, "r", 2, 2)
		require.Greater(t, time.Since(began), 4*time.Second)

		store.redis.Del(s.keys("r")[1])
		require.NoError(t, store.redis.Set(s.keys("r")[1], "no stream"))
		_, err := s.Publish(t.Context(), note("r", 3))
		require.ErrorContains(t, err, "WRONGTYPE")
		_, err = s.Subscribe(t.Context(), "r", model.Cursor{})
		require.ErrorContains(t, err, "WRONGTYPE")
		for err = nil; err == nil; _, err = sub.Next(t.Context()) {
		}
		require.ErrorContains(t, err, "WRONGTYPE")
	})
}

// An entry that is no message becomes an announced gap, not an obstacle.
func TestForeignEntry(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		n.serve(t, store)
		s := n.strategy(t, nil)
		from := subscribe(t, s, "r", model.Cursor{}).Start().Cursor
		publishUnheard(t, s, note("r", 1))
		c := s.publishCall("r", "m2", "no record")
		_, err := s.do(t.Context(), c)
		require.NoError(t, err)
		end := publish(t, s, "r", 3, 3)
		seqs, gaps := collect(t, subscribe(t, s, "r", from), from, end)
		require.Equal(t, []uint64{1, 3}, seqs)
		require.Len(t, gaps, 1)
	})
}

// The same seed writes the same bytes on every connection, however the scheduler interleaves goroutines
// that wake at one instant: a start, a crash and a comeback of many publishers and subscribers.
func TestSameBytes(t *testing.T) {
	runs := 10
	if testing.Short() {
		runs = 3
	}
	var first []string
	for range runs {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, true)
			store := NewRedisStore()
			crash := n.serve(t, store)
			s := n.strategy(t, nil)
			var wg sync.WaitGroup
			for i := range 8 {
				room := fmt.Sprintf("r%d", i%4)
				wg.Go(func() {
					sub := subscribe(t, s, room, model.Cursor{})
					collect(t, sub, sub.Start().Cursor, model.Cursor{Epoch: sub.Start().Cursor.Epoch, Seq: 10})
				})
				wg.Go(func() {
					time.Sleep(time.Second)
					for j := range 5 {
						publish(t, s, room, i*10+j, i*10+j)
						time.Sleep(700 * time.Millisecond)
					}
				})
			}
			time.Sleep(2500*time.Millisecond + time.Microsecond)
			crash()
			time.Sleep(time.Second)
			n.serve(t, store)
			wg.Wait()
			require.NoError(t, s.Close())
			require.Equal(t, 2, s.Stats().Sessions)
			if first == nil {
				first = n.written()
				require.Greater(t, len(strings.Join(first, "")), 10_000)
			}
			requireSameBytes(t, first, n.written())
		})
	}
}

// requireSameBytes fails with the first difference only: all of the bytes would fill a book.
func requireSameBytes(t *testing.T, want, got []string) {
	t.Helper()
	require.Len(t, got, len(want), "connections")
	for i := range want {
		at := 0
		for at < min(len(want[i]), len(got[i])) && want[i][at] == got[i][at] {
			at++
		}
		around := func(s string) string { return s[max(0, at-80):min(len(s), at+80)] }
		require.Equalf(t, around(want[i]), around(got[i]), "connection %d differs at byte %d", i, at)
		require.Equal(t, len(want[i]), len(got[i]))
	}
}

func TestPermanent(t *testing.T) {
	for err, want := range map[error]bool{
		errors.New("connection reset"):        false,
		redis.Nil:                             true,
		fmt.Errorf("x: %w", errReply):         true,
		fmt.Errorf("x: %w", context.Canceled): false,
	} {
		require.Equal(t, want, permanent(err), "%v", err)
	}
}
