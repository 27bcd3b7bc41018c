package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/hop2/store"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// everywhere runs a test on real sockets and in virtual time.
func everywhere(t *testing.T, body func(t *testing.T, n *network)) {
	t.Run("loopback", func(t *testing.T) {
		if runtime.GOOS == "wasip1" {
			t.Skip("there are no sockets here")
		}
		body(t, &network{})
	})
	inBubble(t, body)
}

func inBubble(t *testing.T, body func(t *testing.T, n *network)) {
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { body(t, &network{pipes: true}) })
	})
}

// network is how strategies reach the store: by loopback or by pipes.
type network struct {
	pipes bool

	mu      sync.Mutex
	address string
	pipe    *simtest.Pipes
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	address, pipe := n.address, n.pipe
	n.mu.Unlock()
	switch {
	case pipe != nil:
		return pipe.Connect()
	case n.pipes || address == "":
		return nil, syscall.ECONNREFUSED
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// serve starts a handler on the network; the function that it returns ends it, as a crash does.
func (n *network) serve(t *testing.T, h http.Handler) (crash func()) {
	n.mu.Lock()
	var l net.Listener
	if n.pipes {
		n.pipe = simtest.Listen()
		l = n.pipe
	} else {
		var err error
		l, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		n.address = l.Addr().String()
	}
	n.mu.Unlock()
	server := &http.Server{Handler: h}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	crash = sync.OnceFunc(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	t.Cleanup(crash)
	return crash
}

// serveStore opens a store on a disk and serves it; the function that it returns cuts its power.
func (n *network) serveStore(t *testing.T, cfg store.Config) (s *store.Store, crash func()) {
	s = open(t, cfg)
	stop := n.serve(t, s.Handler())
	return s, func() {
		cfg.Disk.Crash(nil)
		stop()
		_ = s.Close() // fails: the disk is gone
	}
}

func (n *network) pull(t *testing.T, change func(*hop2.PullConfig)) *hop2.Pull {
	cfg := hop2.PullConfig{Config: hop2.Config{Addr: "store:80", Dial: n.dial, Timeout: time.Second}, Interval: 20 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	p, err := hop2.NewPull(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

const patience = 20 * time.Second

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func publish(t *testing.T, s hop2.Strategy, room string, from, to int) model.Cursor {
	t.Helper()
	var at model.Cursor
	for i := from; i <= to; i++ {
		var err error
		at, err = s.Publish(within(t, patience), model.Message{Room: room, ID: fmt.Sprintf("m%d", i), Publisher: "p", Body: fmt.Appendf(nil, "body \x00\xff of %d", i)})
		require.NoError(t, err)
	}
	return at
}

func subscribe(t *testing.T, s hop2.Strategy, room string, from model.Cursor) hop2.Subscription {
	t.Helper()
	sub, err := s.Subscribe(within(t, patience), room, from)
	require.NoError(t, err)
	t.Cleanup(sub.Unsubscribe)
	return sub
}

// collect reads until the subscription has come to an end position. It checks that what it gives makes one
// whole.
func collect(t *testing.T, sub hop2.Subscription, from, to model.Cursor) (seqs []uint64, gaps []hop2.Gap) {
	t.Helper()
	ctx := within(t, patience)
	for at := from; at != to; {
		b, err := sub.Next(ctx)
		require.NoErrorf(t, err, "at %v, on the way to %v", at, to)
		if b.Gap != nil {
			require.Equal(t, at, b.Gap.From)
			gaps = append(gaps, *b.Gap)
		}
		for i, m := range b.Messages {
			require.Equal(t, at.Seq+uint64(i)+1, m.Seq)
			require.Equal(t, "p", m.Publisher)
			seqs = append(seqs, m.Seq)
		}
		at = b.Cursor
	}
	return seqs, gaps
}

// Messages come in order and once, whoever publishes; the same ID is appended once.
func TestPull(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serveStore(t, store.Config{Disk: disk.New()})
		p, other := n.pull(t, nil), n.pull(t, nil)
		sub := subscribe(t, p, "r", model.Cursor{})
		require.Equal(t, uint64(1), publish(t, p, "r", 1, 1).Seq)
		require.Equal(t, uint64(1), publish(t, other, "r", 1, 1).Seq)
		end := publish(t, other, "r", 2, 10)
		seqs, gaps := collect(t, sub, sub.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(1, 10), seqs)
		require.Empty(t, gaps)

		late := subscribe(t, other, "r", model.Cursor{Epoch: end.Epoch, Seq: 4})
		require.Empty(t, late.Start().Gap)
		seqs, _ = collect(t, late, late.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(5, 10), seqs)
		late.Unsubscribe()
		_, err := late.Next(t.Context())
		require.ErrorIs(t, err, hop2.ErrClosed)
	})
}

// A long history comes page by page, at once and not an interval apart.
func TestPullPages(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serveStore(t, store.Config{Disk: disk.New()})
		p := n.pull(t, func(c *hop2.PullConfig) { c.Interval, c.Batch = time.Hour, 7 })
		end := publish(t, p, "r", 1, 50)
		sub := subscribe(t, p, "r", model.Cursor{Epoch: end.Epoch})
		began := time.Now()
		seqs, _ := collect(t, sub, sub.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(1, 50), seqs)
		require.Less(t, time.Since(began), time.Second)
		require.Equal(t, 8, p.Stats().Reads, "50 messages by 7 each")
	})
}

// The store restarts with what it had synced, and nothing is lost; without its disk, that is told.
func TestPullRestart(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		cfg := store.Config{Disk: disk.New()}
		_, crash := n.serveStore(t, cfg)
		p := n.pull(t, nil)
		sub := subscribe(t, p, "r", model.Cursor{})
		before := publish(t, p, "r", 1, 10)
		collect(t, sub, sub.Start().Cursor, before)
		crash()
		failed := make(chan error, 1)
		go func() {
			_, err := p.Publish(within(t, 300*time.Millisecond), model.Message{Room: "r", ID: "m11"})
			failed <- err
		}()
		require.ErrorIs(t, <-failed, hop2.ErrUnavailable)
		_, crash = n.serveStore(t, cfg)
		after := publish(t, p, "r", 11, 20)
		require.Equal(t, model.Cursor{Epoch: before.Epoch, Seq: 20}, after)
		seqs, gaps := collect2(t, sub, before, after)
		require.Equal(t, simtest.UpTo(11, 20), seqs)
		require.Empty(t, gaps)
		require.NotZero(t, p.Stats().Failures, "the crash did not bite")

		crash()
		n.serveStore(t, store.Config{Disk: disk.New()})
		fresh := publish(t, p, "r", 1, 3)
		require.Equal(t, uint64(3), fresh.Seq)
		seqs, gaps = collect(t, sub, after, fresh)
		require.Equal(t, simtest.UpTo(1, 3), seqs)
		require.Len(t, gaps, 1)
		require.Contains(t, gaps[0].Why, "other epoch")
	})
}

// collect2 is collect for messages of which one has no publisher.
func collect2(t *testing.T, sub hop2.Subscription, from, to model.Cursor) (seqs []uint64, gaps []hop2.Gap) {
	for at := from; at != to; {
		b, err := sub.Next(within(t, patience))
		require.NoError(t, err)
		if b.Gap != nil {
			gaps = append(gaps, *b.Gap)
		}
		for _, m := range b.Messages {
			seqs = append(seqs, m.Seq)
		}
		at = b.Cursor
	}
	return seqs, gaps
}

// Whoever comes back too late, from the future or from elsewhere is told.
func TestPullGaps(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serveStore(t, store.Config{Disk: disk.New(), History: 5})
		p := n.pull(t, nil)
		end := publish(t, p, "r", 1, 20)
		for why, from := range map[string]model.Cursor{
			"trimmed": {Epoch: end.Epoch, Seq: 3}, "from the future": {Epoch: end.Epoch, Seq: 99}, "other epoch": {Epoch: "elsewhere", Seq: 18},
		} {
			sub := subscribe(t, p, "r", from)
			require.Contains(t, sub.Start().Gap, why)
		}
		sub := subscribe(t, p, "r", model.Cursor{Epoch: end.Epoch, Seq: 18})
		sub2 := subscribe(t, p, "r", model.Cursor{})
		end = publish(t, p, "r", 21, 40) // while nobody reads
		for _, s := range []hop2.Subscription{sub, sub2} {
			_, gaps := collect(t, s, s.Start().Cursor, end)
			require.Len(t, gaps, 1)
			require.Contains(t, gaps[0].Why, "trimmed")
		}
	})
}

// A disk that lied loses the end of the log; a reader that had it is told, and a reader that had not is not
// held up.
func TestPullLyingDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		cfg := store.Config{Disk: disk.New()}
		_, crash := n.serveStore(t, cfg)
		p := n.pull(t, nil)
		sub := subscribe(t, p, "r", model.Cursor{})
		publish(t, p, "r", 1, 5)
		cfg.Disk.IgnoreSync()
		lost := publish(t, p, "r", 6, 9)
		collect(t, sub, sub.Start().Cursor, lost)
		crash()
		n.serveStore(t, cfg)
		_, gaps := collect(t, sub, lost, model.Cursor{Epoch: lost.Epoch, Seq: 5})
		require.Len(t, gaps, 1)
		require.Contains(t, gaps[0].Why, "from the future: the log ends at 5")
	})
}

// The same, and other messages have come to the reader's position before it reads again: it is told, and gets what
// comes after that.
func TestPullRefill(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		cfg := store.Config{Disk: disk.New()}
		_, crash := n.serveStore(t, cfg)
		var away atomic.Bool
		publisher := n.pull(t, nil)
		reader := n.pull(t, func(c *hop2.PullConfig) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if away.Load() {
					return nil, syscall.ECONNREFUSED
				}
				return dial(ctx, network, addr)
			}
		})
		sub := subscribe(t, reader, "r", model.Cursor{})
		publish(t, publisher, "r", 1, 8)
		cfg.Disk.IgnoreSync()
		at := publish(t, publisher, "r", 9, 10)
		collect(t, sub, sub.Start().Cursor, at)
		away.Store(true)
		crash()
		n.serveStore(t, cfg)
		end := publish(t, publisher, "r", 109, 111)
		require.Equal(t, model.Cursor{Epoch: at.Epoch, Seq: 11}, end)
		away.Store(false)
		seqs, gaps := collect(t, sub, at, end)
		require.Equal(t, []uint64{11}, seqs)
		require.Len(t, gaps, 1)
		require.Contains(t, gaps[0].Why, `another log: message 10 is "m110", and was "m10"`)
	})
}

// The load at the store is what the closed form says: clients over interval, whatever there is to read.
func TestPullReadLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		load := model.ReadLoad{Clients: 200, Interval: 10 * time.Second}
		s, _ := n.serveStore(t, store.Config{Disk: disk.New()})
		p := n.pull(t, func(c *hop2.PullConfig) { c.Interval = load.Interval })
		ctx, cancel := context.WithCancel(context.Background())
		var readers sync.WaitGroup
		for i := range load.Clients {
			time.Sleep(load.Interval / time.Duration(load.Clients))
			sub := subscribe(t, p, fmt.Sprintf("r%d", i%10), model.Cursor{})
			readers.Go(func() {
				for ctx.Err() == nil {
					if _, err := sub.Next(ctx); err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
						return
					}
				}
			})
		}
		before := s.Stats().Reads
		const span = 60 * time.Second
		for i := range 60 {
			time.Sleep(span / 60)
			publish(t, p, "r0", i, i)
		}
		reads := s.Stats().Reads - before
		cancel()
		readers.Wait()
		require.InEpsilon(t, load.In(span), reads, 0.02, "%d reads in %v", reads, span)
		require.InEpsilon(t, 20, load.PerSecond(), 1e-9)
		require.Greater(t, p.Stats().Empty, reads/2, "most reads find nothing: that is what polling costs")
	})
}

// A store that answers nonsense is an error, and never a gap or a silence.
func TestPullNonsense(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"results":[{"page":{"epoch":"e","first":9,"last":1}}]}`))
		}))
		p := n.pull(t, nil)
		_, err := p.Subscribe(within(t, patience), "r", model.Cursor{Epoch: "e", Seq: 1})
		require.ErrorContains(t, err, "the oldest message is 9 of a log that ends at 1")
		_, err = p.Publish(within(t, patience), model.Message{Room: "r", ID: "1"})
		require.ErrorContains(t, err, "no message's position")
		require.Equal(t, 2, p.Stats().Failures)
	})
}

// Refused before anything is sent, or by the configuration.
func TestPullInvalid(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		p := n.pull(t, nil)
		_, err := p.Publish(t.Context(), model.Message{Room: "r"})
		require.ErrorIs(t, err, hop2.ErrInvalid)
		_, err = p.Subscribe(t.Context(), "..", model.Cursor{})
		require.ErrorIs(t, err, hop2.ErrInvalid)
		_, err = p.Subscribe(within(t, time.Second), "r", model.Cursor{})
		require.ErrorIs(t, err, hop2.ErrUnavailable)
		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		_, err = p.Subscribe(t.Context(), "r", model.Cursor{})
		require.ErrorIs(t, err, hop2.ErrClosed)
	})
	for want, change := range map[string]func(*hop2.PullConfig){
		"Addr":          func(c *hop2.PullConfig) { c.Addr = "" },
		"Interval: 1ns": func(c *hop2.PullConfig) { c.Interval = 1 },
		"Batch: -1":     func(c *hop2.PullConfig) { c.Batch = -1 },
		"Batch: 1001":   func(c *hop2.PullConfig) { c.Batch = 1001 },
	} {
		cfg := hop2.PullConfig{Config: hop2.Config{Addr: "store:80"}}
		change(&cfg)
		_, err := hop2.NewPull(cfg)
		require.ErrorContains(t, err, want)
	}
}
