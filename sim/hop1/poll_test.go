package hop1

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// asked notes the requests that a handler gets.
type asked struct {
	http.Handler
	mu       sync.Mutex
	times    []time.Time
	statuses []int
	took     []time.Duration
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	noted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	a.Handler.ServeHTTP(noted, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times, a.statuses, a.took = append(a.times, began), append(a.statuses, noted.status), append(a.took, time.Since(began))
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// onCountedWire starts a feed, a server over a wire whose requests are noted, and a client.
func onCountedWire(t *testing.T, tr string, change func(*ClientConfig)) (*system, *wire, *asked) {
	feed := newMemFeed()
	a := &asked{Handler: testServer(t, feed)}
	w := newWire(t, a)
	s := &system{feed: feed, url: w.url, http: w.client}
	s.join(t, tr, change)
	return s, w, a
}

// intervals gives the times between the requests.
func (a *asked) intervals() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ds []time.Duration
	for i := 1; i < len(a.times); i++ {
		ds = append(ds, a.times[i].Sub(a.times[i-1]))
	}
	return ds
}

// Goal: intervals are spread evenly over a tenth around Interval, or all the same if they are Steady.
func TestPollIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, a := onCountedWire(t, "poll", func(c *ClientConfig) { c.Poll = Polling{Interval: 100 * time.Millisecond} })
		time.Sleep(50 * time.Second)
		require.ErrorContains(t, s.stop(), "canceled")
		all := a.intervals()
		require.InDelta(t, 500, len(all), 10)
		slices.Sort(all)
		require.InDelta(t, 0.090, all[0].Seconds(), 0.001)
		require.InDelta(t, 0.095, all[len(all)/4].Seconds(), 0.002)
		require.InDelta(t, 0.100, all[len(all)/2].Seconds(), 0.002)
		require.InDelta(t, 0.110, all[len(all)-1].Seconds(), 0.001)

		s, _, a = onCountedWire(t, "poll", func(c *ClientConfig) { c.Poll = Polling{Interval: time.Second, Steady: true} })
		time.Sleep(20 * time.Second)
		require.ErrorContains(t, s.stop(), "canceled")
		require.GreaterOrEqual(t, len(a.intervals()), 19)
		for _, d := range a.intervals() {
			require.Equal(t, time.Second, d)
		}
	})
}

// Goal: a quiet room costs a poll an empty answer, and the server nothing between polls.
func TestPollOfQuietRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, a := onCountedWire(t, "poll", func(c *ClientConfig) { c.Poll = Polling{Interval: time.Second, Steady: true} })
		s.feed.publish(2)
		time.Sleep(9500 * time.Millisecond)
		require.Equal(t, []int{200, 200, 304, 304, 304, 304, 304, 304, 304, 304}, a.statuses)
		open, closed := s.feed.subscriptions()
		require.Equal(t, []int{0, 10}, []int{open, closed})
		require.Equal(t, simtest.UpTo(1, 2), s.rec.seqs())
	})
}

// Goal: one connection serves all polls, or each takes its own, so that handshakes can be seen.
func TestPollConnections(t *testing.T) {
	for want, reconnect := range map[int]bool{1: false, 10: true} {
		synctest.Test(t, func(t *testing.T) {
			s, w, a := onCountedWire(t, "poll", func(c *ClientConfig) {
				c.Poll = Polling{Interval: time.Second, Steady: true, Reconnect: reconnect}
			})
			time.Sleep(9500 * time.Millisecond)
			require.Len(t, a.statuses, 10)
			connections := 0
			w.each(func(*link) { connections++ })
			require.Equal(t, want, connections)
			require.Empty(t, s.rec.of(model.Disconnected))
		})
	}
}

// Goal: the events name the server that answered, and a change of servers is no lost connection.
func TestPollersChangeServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		other, err := Handler(ServerConfig{Feed: feed, Name: "edge-2"})
		require.NoError(t, err)
		servers, n := []http.Handler{testServer(t, feed), other}, 0
		w := newWire(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			servers[n%2].ServeHTTP(rw, r)
			n++
		}))
		s := &system{feed: feed, url: w.url, http: w.client}
		s.join(t, "poll", func(c *ClientConfig) { c.Poll = Polling{Interval: time.Second, Steady: true} })
		for i := range 4 {
			feed.publish(1)
			s.rec.await(t, model.Deliver, i+1)
		}
		var peers []string
		for _, ev := range s.rec.of(model.Deliver) {
			peers = append(peers, ev.Peer)
		}
		require.Equal(t, []string{"edge-2", "edge-1", "edge-2", "edge-1"}, peers)
		require.Empty(t, s.rec.of(model.Disconnected))
	})
}
