package sim_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// asking is a world in which a client asks a server every second: three requests that are answered, one of
// them with a WebSocket, then a crash and a restart of the client, and as much again.
func asking(metered bool) func(w *sim.World) error {
	return func(w *sim.World) error {
		w.Link("client", "server", netsim.Link{Latency: 10 * time.Millisecond})
		w.Node("server", func(ctx context.Context, n *sim.Node) error {
			return n.Serve(ctx, ":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/ws" {
					return
				}
				if ws, err := websocket.Accept(w, r, nil); err == nil {
					_ = ws.Close(websocket.StatusNormalClosure, "")
				}
			}))
		})
		w.Node("client", func(ctx context.Context, n *sim.Node) error {
			client := n.HTTPClient()
			if metered {
				client = n.Metered(client)
			}
			get(ctx, client, "http://server/")
			time.Sleep(time.Second)
			get(ctx, client, "http://server/")
			client.CloseIdleConnections()
			if ws, _, err := websocket.Dial(ctx, "ws://server/ws", &websocket.DialOptions{HTTPClient: client}); err == nil {
				_, _, _ = ws.Read(ctx)
				_ = ws.CloseNow()
			}
			<-ctx.Done()
			return nil
		})
		w.At(5*time.Second, sim.Crash("client"))
		w.At(6*time.Second, sim.Restart("client"))
		w.RunFor(10 * time.Second)
		w.MustHaveBitten("crash")
		return nil
	}
}

// Goal: a run says what each host used of the network, and is the same run whether it is measured or not.
func TestUsage(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 1, Repeat: 2}, asking(true))
	require.NoError(t, res.Err)
	client, server := res.Usage["client"], res.Usage["server"]
	require.EqualValues(t, 6, client.Requests)
	require.EqualValues(t, 2, client.Upgrades)
	require.EqualValues(t, 4, client.Opened, "in each life one connection for both requests, and one for the WebSocket")
	require.EqualValues(t, 4, server.Accepted)
	require.Zero(t, server.Requests)
	require.Greater(t, client.Bytes(), uint64(4*200))
	require.LessOrEqual(t, client.BytesReceived, server.BytesSent)

	unmetered := sim.Run(t, sim.Config{Seed: 1}, asking(false))
	require.NoError(t, unmetered.Err)
	require.Equal(t, unmetered.Trace.Hash(), res.Trace.Hash())
	require.Zero(t, unmetered.Usage["client"].Requests)
	require.Equal(t, client.Counters, unmetered.Usage["client"].Counters)
}
