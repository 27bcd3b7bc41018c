package hop1

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Goal: of two WebSocket ends one pings, and who has heard of the other does not.
// Method: a peer made by hand counts the pings that come within a minute, while it pings by itself or does not.
func TestWhoPings(t *testing.T) {
	for _, peerPings := range []bool{false, true} {
		t.Run(fmt.Sprintf("server, peer pings=%v", peerPings), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, testServer(t, newMemFeed()))
				var pings atomic.Int64
				conn, _, err := websocket.Dial(t.Context(), w.url+"/rooms/r/ws", &websocket.DialOptions{
					HTTPClient: w.client, OnPingReceived: func(context.Context, []byte) bool { pings.Add(1); return true },
				})
				require.NoError(t, err)
				peer(t, conn, peerPings)
				requirePings(t, &pings, peerPings, time.Second)
			})
		})
		t.Run(fmt.Sprintf("client, peer pings=%v", peerPings), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var pings atomic.Int64
				ended := t.Context()
				w := newWire(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{
						OnPingReceived: func(context.Context, []byte) bool { pings.Add(1); return true },
					})
					if err != nil {
						return
					}
					hello, err := encodeFrame(frame{Type: frameHello, Cursor: model.Cursor{Epoch: "e"}})
					require.NoError(t, err)
					require.NoError(t, conn.Write(ended, websocket.MessageText, hello))
					peer(t, conn, peerPings)
					<-ended.Done()
				}))
				s := &system{feed: newMemFeed(), url: w.url, http: w.client}
				s.join(t, "ws", func(*ClientConfig) {})
				requirePings(t, &pings, peerPings, 1250*time.Millisecond)
			})
		})
	}
}

// peer answers pings over a connection until the test ends, and pings every 900 ms if it is to.
func peer(t *testing.T, conn *websocket.Conn, pings bool) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = conn.CloseNow() })
	go func() {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	go func() {
		for pings && pause(ctx, 900*time.Millisecond) == nil && conn.Ping(ctx) == nil {
		}
	}()
}

// requirePings counts a minute's pings of an end that waits for so long until it pings.
func requirePings(t *testing.T, pings *atomic.Int64, needless bool, every time.Duration) {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	before := pings.Load()
	time.Sleep(time.Minute)
	synctest.Wait()
	if needless {
		require.Zero(t, pings.Load()-before)
		return
	}
	require.InDelta(t, float64(time.Minute/every), pings.Load()-before, 1)
}
