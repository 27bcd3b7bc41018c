package hop1

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Goal: however many connections there are, and wherever their turns begin, no gap between their shares is
// more than twice the mean one.
func TestShare(t *testing.T) {
	const window = 10 * time.Second
	for _, from := range []uint64{0, 1, 999, 1 << 63} {
		var points []time.Duration
		for n := range 600 {
			p := share(from+uint64(n), window)
			require.GreaterOrEqual(t, p, time.Duration(0))
			require.Less(t, p, window)
			i, _ := slices.BinarySearch(points, p)
			points = slices.Insert(points, i, p)
			worst := window - points[n] + points[0]
			for j := range n {
				worst = max(worst, points[j+1]-points[j])
			}
			require.LessOrEqual(t, worst*time.Duration(n+1), 2*window, "%d turns from %d", n+1, from)
		}
	}
	require.Zero(t, share(7, 0))
}

// Goal: the clients of a draining server come back spread over the window, not in a herd, and lose nothing.
// Method: 40 clients, one drain; the times between goodbye and return, and what each got.
func TestDrainSpreadsReconnects(t *testing.T) {
	for _, tr := range []string{"sse", "ws"} {
		t.Run(tr, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { drainSpreads(t, tr) }) })
	}
}

func drainSpreads(t *testing.T, tr string) {
	const clients, hint, window = 40, time.Second, 20 * time.Second
	feed := newMemFeed()
	h, err := Handler(ServerConfig{Feed: feed, RetryHint: hint, RetrySpread: window})
	require.NoError(t, err)
	w := newWire(t, h)
	var all []*system
	for i := range clients {
		s := &system{feed: feed, url: w.url, http: w.client}
		s.join(t, tr, func(c *ClientConfig) {
			c.Backoff = Backoff{Min: 10 * time.Millisecond, Max: 20 * time.Millisecond}
			c.Rand = rand.New(rand.NewPCG(uint64(i), 0))
		})
		all = append(all, s)
	}
	feed.publish(3)
	for _, s := range all {
		s.rec.await(t, model.Deliver, 3)
	}
	drained := time.Now()
	feed.fail(ErrDraining)
	feed.publish(3)
	var back []time.Duration
	for _, s := range all {
		s.rec.await(t, model.Deliver, 6)
		back = append(back, s.rec.when(model.Connected).Sub(drained))
		require.Equal(t, simtest.UpTo(1, 6), s.rec.seqs())
		require.Empty(t, s.rec.of(model.Discontinuity))
		require.Equal(t, "goodbye from the server: draining", s.rec.of(model.Disconnected)[0].Note)
	}
	slices.Sort(back)
	const jitter = 10 * time.Millisecond
	require.GreaterOrEqual(t, back[0], hint)
	require.Less(t, back[clients-1], hint+window+jitter)
	require.GreaterOrEqual(t, back[clients-1], hint+window-2*window/clients, "the whole window is used")
	for i := 1; i < clients; i++ {
		require.LessOrEqual(t, back[i]-back[i-1], 2*window/clients+jitter)
	}
	require.LessOrEqual(t, back[0]-hint, 2*window/clients)
	synctest.Wait()
	open, _ := feed.subscriptions()
	require.Equal(t, clients, open)
}

// Goal: without a spread they do come back together: it is the spread that the test above sees.
func TestDrainWithoutSpread(t *testing.T) {
	require.Zero(t, (&server{cfg: ServerConfig{RetryHint: 0}}).retryHint(t.Context()))
	s := &server{cfg: ServerConfig{RetryHint: time.Second}}
	for range 10 {
		require.Equal(t, time.Second, s.retryHint(s.takeTurn(t.Context())))
	}
	s.cfg.RetrySpread = time.Minute
	require.NotEqual(t, s.retryHint(s.takeTurn(t.Context())), s.retryHint(s.takeTurn(t.Context())))
}
