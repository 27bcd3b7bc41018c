package hop1

import (
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// Goal: every draw lies in [hint, hint + min(Max, Min·2ⁿ)), and the whole of it is used.
func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Min: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "min")),
			Max: time.Duration(rapid.Int64Range(1, math.MaxInt64/2).Draw(t, "max")),
		}
		if b.Min > b.Max {
			b.Min, b.Max = b.Max, min(b.Min, math.MaxInt64/2)
		}
		n := rapid.IntRange(0, 100).Draw(t, "n")
		hint := time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "hint"))
		bound := min(float64(b.Max), float64(b.Min)*math.Pow(2, float64(n)))
		d := b.delay(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), n, hint)
		floor := min(hint, time.Minute)
		require.GreaterOrEqual(t, d, floor)
		require.LessOrEqual(t, float64(d-floor), bound)
	})
}

func TestBackoffSpread(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 4 * time.Second}
	rng := rand.New(rand.NewPCG(1, 1))
	for n, bound := range []time.Duration{1, 2, 4, 4} {
		low, high, sum := time.Hour, time.Duration(0), time.Duration(0)
		for range 2000 {
			d := b.delay(rng, n, 0)
			low, high, sum = min(low, d), max(high, d), sum+d
		}
		bound *= time.Second
		require.Less(t, low, bound/100)
		require.Greater(t, high, bound-bound/100)
		require.InEpsilon(t, float64(bound)/2, float64(sum)/2000, 0.05)
	}
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "3": 3 * time.Second, "3600": time.Minute, "-1": 0, "1.5": 0,
		"99999999999999999999": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {text}}), text)
	}
}

// Goal: a client whose server flaps backs off more and more; one connection that proved healthy
// starts it over.
// Method: the feed ends every subscription at once; then lets one live.
func TestBackoffStartsOverWhenHealthy(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		feed := newMemFeed()
		w := newWire(t, testServer(t, feed))
		s := &system{feed: feed, url: w.url, http: w.client}
		s.join(t, tr, func(c *ClientConfig) { c.Backoff = Backoff{Min: time.Millisecond, Max: 16 * time.Second} })
		away := func() time.Duration {
			n := len(s.rec.of(model.Connected))
			synctest.Wait()
			s.sever(t, tr, ErrClosed)()
			s.rec.await(t, model.Connected, n+1)
			return s.rec.when(model.Connected).Sub(s.rec.when(model.Disconnected))
		}
		var flapping time.Duration
		for range 20 {
			flapping = max(flapping, away())
		}
		require.Greater(t, flapping, time.Second)
		feed.publish(1)
		s.rec.await(t, model.Deliver, 1)
		require.Less(t, away(), openingOf(tr), "after a delivery")
		for range 20 {
			away()
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		require.Less(t, away(), openingOf(tr), "after a long life")
	})
}
