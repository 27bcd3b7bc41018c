package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim/hop1"
)

// token lets in who sends one.
func token(r *http.Request) (string, error) {
	if who := r.Header.Get("Authorization"); who != "" {
		return who, nil
	}
	return "", errors.New("who are you?")
}

// The guard is in front of publishing as it is in front of subscribing: of pages of other origins, whatever
// cookies the browser adds, and of whoever has no token. Nothing of theirs is published.
func TestGuardedPublish(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.edge(t, func(c *Config) {
			c.Guard = hop1.Guard{Authenticate: token, Origins: []string{"https://app.example"}}
		})
		hc := w.serve(t, s, "edge:80")
		for _, c := range []struct {
			method, path string
			header       []string
			status       int
		}{
			{"POST", "messages", nil, 401},
			{"POST", "messages", []string{"Authorization", "alice"}, 200},
			{"POST", "messages", []string{"Authorization", "alice", "Origin", "https://app.example"}, 200},
			{"POST", "messages", []string{"Authorization", "alice", "Origin", "https://evil.example"}, 403},
			{"POST", "messages", []string{"Cookie", "session=alice", "Origin", "null"}, 403},
			{"POST", "messages", []string{"Authorization", "alice", "Sec-Fetch-Site", "cross-site"}, 403},
			{"OPTIONS", "messages", []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, 204},
			{"OPTIONS", "messages", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403},
			{"GET", "events", nil, 401},
			{"GET", "ws", nil, 401},
		} {
			req, err := http.NewRequest(c.method, "http://edge:80/rooms/r/"+c.path, strings.NewReader(`{"id":"`+fmt.Sprint(c.header)+`"}`))
			require.NoError(t, err)
			for i := 0; i < len(c.header); i += 2 {
				req.Header.Set(c.header[i], c.header[i+1])
			}
			resp, err := hc.Do(req)
			require.NoError(t, err)
			answer, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, c.status, resp.StatusCode, "%+v: %s", c, answer)
			if c.status < 400 && len(c.header) > 2 && c.header[2] == "Origin" {
				require.Equal(t, "https://app.example", resp.Header.Get("Access-Control-Allow-Origin"))
			}
		}
		require.Equal(t, uint64(2), open(t, s, "r", model.Cursor{}).Start().Cursor.Seq)

		p := hop1.Publisher{Name: "p", BaseURL: "http://edge:80", HTTP: hc}
		_, err := p.Publish(within(t), "r", "x", nil)
		require.ErrorIs(t, err, hop1.ErrUnauthorized)
		p.Header = http.Header{"Authorization": {"alice"}}
		_, err = p.Publish(within(t), "r", "x", nil)
		require.NoError(t, err)
	})
}

// A publisher that uses its client's WebSocket is as good as one that posts: through the drain of its edge,
// which spreads its clients, and a crash of the broker, each message is in the log once, and each client
// gets it once and in order.
func TestPublishOverConnections(t *testing.T) {
	unhurried(t, func(t *testing.T, w *world) {
		spread := func(name string) func(*Config) {
			return func(c *Config) {
				c.Name, c.RetrySpread, c.Compression = name, 50*time.Millisecond, true
				c.Guard.Authenticate = token
			}
		}
		a, b := w.edge(t, spread("a")), w.edge(t, spread("b"))
		w.serve(t, a, "a:80")
		w.serve(t, b, "b:80")
		moved := &http.Client{Transport: &http.Transport{DialContext: movingDial(w, a)}}
		t.Cleanup(moved.CloseIdleConnections)
		var mu sync.Mutex
		h := &model.History{}
		began := time.Now()
		overSocket := 0
		reached := map[string]uint64{}
		observe := func(ev model.Event) {
			mu.Lock()
			defer mu.Unlock()
			ev.Step, ev.Time = uint64(len(h.Events)+1), time.Since(began)
			h.Events = append(h.Events, ev)
			reached[ev.Node] = max(reached[ev.Node], ev.Seq)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running, publishing sync.WaitGroup
		const clients, each = 4, 25
		auth := http.Header{"Authorization": {"alice"}}
		for i := range clients {
			name := fmt.Sprintf("c%d", i)
			c, err := hop1.NewClient(hop1.ClientConfig{
				Name: name, Room: "r", BaseURL: "http://a:80", HTTP: moved, Transport: "ws", Header: auth, Compression: true,
				Backoff: hop1.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond},
				Rand:    rand.New(rand.NewPCG(uint64(i), 0)), Observe: observe,
			})
			require.NoError(t, err)
			running.Go(func() { require.ErrorIs(t, c.Run(ctx), context.Canceled) })
			await(t, func() bool { return a.Stats().Clients == i+1 })
			publishing.Go(func() {
				p := hop1.Publisher{
					Name: "p" + name, BaseURL: "http://a:80", Over: c, Observe: observe, Header: auth,
					HTTP:    &http.Client{Transport: &counted{moved.Transport, &mu, &overSocket}},
					Backoff: hop1.Backoff{Min: time.Millisecond, Max: 10 * time.Millisecond}, AttemptTimeout: 2 * time.Second,
				}
				for j := range each {
					_, err := p.Publish(within(t), "r", fmt.Sprintf("%s-%d", name, j), []byte(strings.Repeat("x", 1000)))
					require.NoError(t, err)
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, a.Shutdown(within(t)))
		publishing.Wait()
		await(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for i := range clients {
				if reached[fmt.Sprintf("c%d", i)] < clients*each {
					return false
				}
			}
			return true
		})
		cancel()
		running.Wait()
		observe(model.Event{Kind: model.RunEnd})
		require.Less(t, overSocket, clients*each, "some went over the sockets, and not by POST")
		if w.net.pipes { // how many do in real time depends on how busy the machine is while there are none
			require.Less(t, overSocket, clients*each/2, "most went over the sockets")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		// Porcupine must not run in a bubble; its question, whether the log is one, Conforms answers too.
		for _, p := range []model.Property{properties.NoLoss(), properties.NoDuplicate(), properties.InOrder(), properties.Conforms()} {
			v := p.Check(h)
			require.True(t, v.Ok(), v.String())
		}
	})
}

// counted counts the requests that are posts.
type counted struct {
	http.RoundTripper
	mu *sync.Mutex
	n  *int
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	*c.n++
	c.mu.Unlock()
	return c.RoundTripper.RoundTrip(r)
}

// The handler sets up its server, through the edge's own.
func TestHandlerConfigures(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.edge(t, nil)
		srv := &http.Server{}
		s.Handler().(interface{ Configure(*http.Server) }).Configure(srv)
		require.NotNil(t, srv.ConnContext)
		require.True(t, srv.Protocols.UnencryptedHTTP2())
	})
}
