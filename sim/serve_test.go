package sim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// Goal: a server that ends its service when its last request does, as one that drains, ends it the same way
// in each run: what the answer says, when the connections are closed, and when the process ends.
// Method: a dozen clients, each with a connection of its own, of whom the last to be answered ends the
// service from within its handler, while the others' answers of the same instant are on their way.
func TestServeEndsTheSameWay(t *testing.T) {
	const clients = 12
	res := sim.Run(t, sim.Config{Seed: 1, Repeat: 30}, func(w *sim.World) error {
		w.Link("*", "*", netsim.Link{Latency: 10 * time.Millisecond})
		w.Node("server", func(ctx context.Context, n *sim.Node) error {
			serving, stop := context.WithCancel(ctx)
			defer stop()
			release := make(chan struct{})
			arrived := make(chan struct{}, clients)
			err := n.Serve(serving, ":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				if r.URL.Path == "/held" {
					<-release
				} else {
					time.Sleep(time.Second)
					close(release)
					stop()
				}
				_, _ = io.WriteString(w, "done")
			}))
			n.Record(model.Event{Kind: model.PublishCall, Note: fmt.Sprint("served ", len(arrived))})
			return err
		})
		for i := range clients {
			w.Node(fmt.Sprint("client-", i), func(ctx context.Context, n *sim.Node) error {
				path := "held"
				if i == 0 {
					path = "last"
				}
				resp, err := n.HTTPClient().Get("http://server/" + path)
				if err != nil {
					return err
				}
				n.Record(model.Event{Kind: model.Deliver, Note: resp.Header.Get("Connection")})
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			})
		}
		w.RunFor(3 * time.Second)
		return nil
	})
	require.NoError(t, res.Err)
	require.Len(t, res.History.Events, clients+2) // and the run's end
	require.Equal(t, fmt.Sprint("served ", clients), res.History.Events[0].Note)
}

// Goal: a request that is under way when the service ends is answered, and one that takes longer than the
// grace is cut.
func TestServeGrace(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		ends  time.Duration
		ok    bool
	}{
		{2 * time.Second, 3 * time.Second, true},
		{20 * time.Second, 6500 * time.Millisecond, false}, // half a second before the stop, and five after it
	} {
		var ended time.Duration
		var got error
		res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
			w.Node("server", func(ctx context.Context, n *sim.Node) error {
				err := n.Serve(ctx, ":80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(c.takes) }))
				ended = n.Now()
				return err
			})
			w.Node("client", func(ctx context.Context, n *sim.Node) error {
				time.Sleep(time.Second - n.Now())
				resp, err := n.HTTPClient().Get("http://server/")
				if got = err; err == nil {
					_ = resp.Body.Close()
				}
				return nil
			})
			w.At(1500*time.Millisecond, sim.Stop("server"))
			w.RunFor(30 * time.Second)
			return nil
		})
		require.NoError(t, res.Err)
		require.Equal(t, c.ok, got == nil, "%v", got)
		require.InDelta(t, c.ends.Seconds(), ended.Seconds(), 0.01)
	}
}

// idleFor is a handler that says how long connections may be without a request.
type idleFor struct {
	http.Handler
	d time.Duration
}

func (h idleFor) Configure(srv *http.Server) { srv.IdleTimeout = h.d }

// Goal: a connection that nothing is asked over is not kept for ever, but for as long as is said.
// Method: a client that asks once, and waits for the server to close.
func TestServeForgetsIdleConnections(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		handler http.Handler
		idle    time.Duration
	}{{ok, 2 * time.Minute}, {idleFor{ok, 30 * time.Second}, 30 * time.Second}} {
		var closed time.Duration
		res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
			w.Link("*", "*", netsim.Link{Latency: 10 * time.Millisecond})
			w.Node("server", func(ctx context.Context, n *sim.Node) error { return n.Serve(ctx, ":80", c.handler) })
			w.Node("client", func(ctx context.Context, n *sim.Node) error {
				conn, err := n.Dial("tcp", "server:80")
				if err != nil {
					return err
				}
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: server\r\n\r\n"); err != nil {
					return err
				}
				answer, err := io.ReadAll(conn)
				require.Contains(w.T(), string(answer), "200 OK")
				closed = n.Now()
				return err
			})
			w.RunFor(5 * time.Minute)
			return nil
		})
		require.NoError(t, res.Err)
		require.InDelta(t, c.idle.Seconds(), closed.Seconds(), 0.1)
	}
}
