package browser

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// request is one that a server got.
type request struct {
	at     time.Duration // since the test began
	lastID string
	accept string
}

// answers is a server that answers its requests one after the other, and refuses them when it has no answer left.
type answers struct {
	began    time.Time
	mu       sync.Mutex
	requests []request
	next     []http.HandlerFunc
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, request{time.Since(a.began), r.Header.Get("Last-Event-ID"), r.Header.Get("Accept")})
	next := a.next[0]
	a.next = a.next[1:]
	a.mu.Unlock()
	next(w, r)
}

// says answers with a stream that ends.
func says(stream string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, stream)
	}
}

// is answers with a status.
func is(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }
}

// Goal: a stream that ends is sought again after the reconnection time, which the stream may set, from the last
// ID; until an answer that is no stream ends it for ever.
func TestEventSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{began: time.Now(), next: []http.HandlerFunc{
			says("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: cut short"),
			says(""),
			says("retry: 500\ndata: c\n\n"),
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://elsewhere/", http.StatusTemporaryRedirect)
			},
			says("id\ndata: d\nevent: special\n\n"),
			says("retry: x\n\n"),
			is(http.StatusNoContent),
		}}
		h := &host{}
		h.serve(t, a)
		b := h.open(t, false)
		var events []Event
		var opens, breaks int
		s := &EventSource{
			URL: "http://edge/", HTTP: b.Client(),
			OnOpen:  func() { opens++ },
			OnEvent: func(ev Event) { events = append(events, ev) },
			OnError: func(error) { breaks++ },
		}
		err := s.Run(t.Context())
		require.EqualError(t, err, "the EventSource has failed: it was answered with 204, not 200")
		require.Equal(t, []Event{{"message", "a", "1"}, {"message", "b", "2"}, {"message", "c", "2"}, {"special", "d", ""}}, events)
		require.Equal(t, 5, opens)
		require.Equal(t, 5, breaks)
		const ms, stream = time.Millisecond, "text/event-stream"
		require.Equal(t, []request{
			{0, "", stream}, {3000 * ms, "2", stream}, {6000 * ms, "2", stream},
			{6500 * ms, "2", stream}, {6500 * ms, "2", stream}, {7000 * ms, "", stream}, {7500 * ms, "", stream},
		}, a.requests)
		time.Sleep(time.Hour)
		require.Empty(t, a.next)
		require.Len(t, a.requests, 7, "it has failed for ever")
	})
}

// Goal: whatever is no event stream fails the source; a network that fails does not.
func TestEventSourceFails(t *testing.T) {
	for want, answer := range map[string]http.HandlerFunc{
		"answered with 204":               is(204),
		"answered with 401":               is(401),
		"answered with 404":               is(404),
		"answered with 503":               is(503),
		`of type "text/html", not text/e`: func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "text/html") },
		`is of type "", not text/event-s`: func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = nil },
		"more than 100 bytes":             says(fmt.Sprintf("data: %0100d\n\n", 0)),
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &host{}
			stop := h.serve(t, answer)
			b := h.open(t, false)
			s := &EventSource{URL: "http://edge/", HTTP: b.Client(), MaxEvent: 100}
			err := s.Run(t.Context())
			require.IsType(t, &FailedError{}, err)
			require.ErrorContains(t, err, want)

			stop()
			var tries int
			s = &EventSource{URL: "http://edge/", HTTP: b.Client(), OnError: func(error) { tries++ }}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			require.ErrorIs(t, s.Run(ctx), context.DeadlineExceeded)
			require.Equal(t, 4, tries, "at 0, 3, 6 and 9 s")
		})
	}
}

// rooms is an edge server with its broker, and what publishes beside it.
func rooms(t *testing.T) (*edge.Server, hop2.Strategy) {
	broker := simtest.Listen()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hop2.ServeRedis(ctx, broker, hop2.NewRedisStore()) }()
	t.Cleanup(func() { cancel(); require.ErrorIs(t, <-ended, context.Canceled) })
	toBroker := &host{pipes: broker}
	strategy, err := hop2.New("redis-streams", hop2.Config{Addr: "broker:6379", Dial: toBroker.dial})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, strategy.Close()) })
	server, err := edge.New(edge.Config{Strategy: strategy})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(context.Background()))
		time.Sleep(time.Second) // net/http leaves a connection half a second to take a refusal
	})
	return server, strategy
}

// Goal: clients of hop 1 live with a browser's limits as pages do: of seven event streams one never opens, and
// says so; seven WebSockets all do.
func TestClientsInABrowser(t *testing.T) {
	for transport, want := range map[string]int{"sse": 6, "ws": 7} {
		synctest.Test(t, func(t *testing.T) {
			server, _ := rooms(t)
			h := &host{}
			h.serve(t, server.Handler())
			b := h.open(t, false)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var connected atomic.Int64
			ended := make(chan error, 7)
			for range 7 {
				var once sync.Once // on pipes, pings that cross each other break a connection
				c, err := hop1.NewClient(hop1.ClientConfig{
					Room: "r", BaseURL: "http://edge", Transport: transport, HTTP: b.Client(),
					Observe: func(ev model.Event) {
						if ev.Kind == model.Connected {
							once.Do(func() { connected.Add(1) })
						}
					},
				})
				require.NoError(t, err)
				go func() { ended <- c.Run(ctx) }()
			}
			hung := 0
			for range 7 {
				if err := <-ended; strings.Contains(err.Error(), "no opening within 5s") {
					hung++
				}
			}
			require.EqualValues(t, want, connected.Load(), transport)
			require.Equal(t, 7-want, hung, transport)
		})
	}
}

// Goal: a page's EventSource gets from an edge server each message once, though the server dies and returns;
// but a refusal by one that drains is the end of it, which pages have to know of.
func TestEventSourceOfAnEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, strategy := rooms(t)
		h := &host{}
		stop := h.serve(t, server.Handler())
		b := h.open(t, false)
		var hellos atomic.Int64
		var ids []string
		s := &EventSource{URL: "http://edge/rooms/r/events", HTTP: b.Client(), OnEvent: func(ev Event) {
			switch ev.Type {
			case "hello":
				hellos.Add(1)
			case "message":
				if n := len(ids); n == 0 || ids[n-1] != ev.LastEventID { // else it is the anchor of a resume
					ids = append(ids, ev.LastEventID)
				}
			}
		}}
		failed := make(chan error, 1)
		go func() { failed <- s.Run(t.Context()) }()
		var want []string
		publish := func() {
			id := fmt.Sprint(len(want) + 1)
			at, err := strategy.Publish(t.Context(), model.Message{Room: "r", ID: id})
			require.NoError(t, err)
			want = append(want, model.Bookmark{Cursor: at, Anchor: id}.String())
		}
		time.Sleep(time.Second)
		for range 3 {
			publish()
			stop()
			publish()
			time.Sleep(time.Second)
			stop = h.serve(t, server.Handler())
			time.Sleep(5 * time.Second)
			publish()
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 4, hellos.Load())
		require.NoError(t, server.Shutdown(t.Context()))
		require.EqualError(t, <-failed, "the EventSource has failed: it was answered with 503, not 200")
		require.Equal(t, want, ids)
	})
}
