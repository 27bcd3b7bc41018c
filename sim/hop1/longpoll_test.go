package hop1

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Goal: a request is held until there is something, for as long as the client asks and the server
// allows; then the client asks again at once. All updates that wait go into one answer.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, a := onCountedWire(t, "longpoll", func(c *ClientConfig) { c.Hold = 4 * time.Second })
		time.Sleep(6 * time.Second)
		s.feed.publish(3)
		synctest.Wait()
		s.feed.publish(1)
		synctest.Wait()
		require.Equal(t, simtest.UpTo(1, 4), s.rec.seqs())
		statuses, took := a.answers()
		require.Equal(t, []int{200, 304, 200, 200}, statuses)
		require.Equal(t, []time.Duration{0, 4 * time.Second, 2 * time.Second, 0}, took)
		open, closed := s.feed.subscriptions()
		require.Equal(t, []int{1, 4}, []int{open, closed}, "the fifth request is being held")
	})
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		h, err := Handler(ServerConfig{Feed: feed, Hold: 2 * time.Second})
		require.NoError(t, err)
		for hold, want := range map[string]time.Duration{
			"": 2 * time.Second, "hold=1500": 1500 * time.Millisecond, "hold=0": 0, "hold=3600000": 2 * time.Second,
		} {
			began := time.Now()
			require.Equal(t, 304, get(h, "/rooms/r/longpoll?cursor=e1:0&"+hold, `"e1:0"`).Code)
			require.Equal(t, want, time.Since(began), hold)
		}
		began := time.Now()
		require.Equal(t, 200, get(h, "/rooms/r/longpoll", "").Code)
		require.Zero(t, time.Since(began), "a new client is told its position at once")
		for _, hold := range []string{"-1", "1.5", "1s", "3600001", "0x1", "99999999999999999999"} {
			w := get(h, "/rooms/r/longpoll?hold="+hold, "")
			require.Equal(t, 400, w.Code)
			require.Contains(t, w.Body.String(), `hold "`+hold+`": want a whole number of milliseconds, 0 to 3600000`)
		}
	})
}

// Goal: a server that does not hold is not asked without a pause.
func TestServerThatDoesNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		var requests atomic.Int64
		inner := testServer(t, feed)
		w := newWire(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "hold=25000", "hold=0")
			inner.ServeHTTP(rw, r)
		}))
		s := &system{feed: feed, url: w.url, http: w.client}
		s.join(t, "longpoll", func(c *ClientConfig) { c.Backoff = Backoff{Min: 100 * time.Millisecond} })
		time.Sleep(10 * time.Second)
		require.InDelta(t, 100, requests.Load(), 2)
		require.Empty(t, s.rec.of(model.Disconnected))
	})
}

// Goal: a hold that is cut short has a name of its own, however it is cut, and costs nothing else.
// Method: a reset in mid-hold, which net/http would hide; a gateway's time-out; silence is TestHalfOpenIsFound's.
func TestHoldCut(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, w := onWire(t, "longpoll")
			s.feed.publish(1)
			s.rec.await(t, model.Deliver, 1)
			time.Sleep(10 * time.Second)
			w.drop()
			gone := s.rec.await(t, model.Disconnected, 1)
			require.Equal(t, ErrHoldCut.Error()+" (of 25s, noticed after 10s; an idle time-out on the way, if this goes on): the connection was lost", gone[0].Note)
			s.feed.publish(1)
			s.rec.await(t, model.Deliver, 2)
			require.Equal(t, simtest.UpTo(1, 2), s.rec.seqs())
			require.True(t, s.rec.of(model.Connected)[1].Resumed)
		})
	})
	t.Run("gateway", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			feed := newMemFeed()
			inner := testServer(t, feed)
			w := newWire(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("hold") == "0" {
					inner.ServeHTTP(rw, r)
					return
				}
				time.Sleep(10 * time.Second)
				rw.WriteHeader(http.StatusGatewayTimeout)
				_, _ = io.WriteString(rw, "upstream timed out")
			}))
			s := &system{feed: feed, url: w.url, http: w.client}
			s.join(t, "longpoll", nil)
			gone := s.rec.await(t, model.Disconnected, 1)
			require.Equal(t, ErrHoldCut.Error()+" (of 25s, noticed after 10s; an idle time-out on the way, if this goes on): refused with 504: upstream timed out", gone[0].Note)
			synctest.Wait() // Run knows, too
			require.ErrorIs(t, s.stop(), ErrHoldCut)
		})
	})
}

func TestHoldWarning(t *testing.T) {
	require.Empty(t, HoldWarning(25*time.Second, 0), "it never forgets")
	require.Empty(t, HoldWarning(25*time.Second, time.Minute))
	for _, idle := range []time.Duration{25 * time.Second, 10 * time.Second} {
		warning := HoldWarning(25*time.Second, idle)
		require.Contains(t, warning, "hold of 25s")
		require.Contains(t, warning, "idle time-out is "+idle.String())
	}
}
