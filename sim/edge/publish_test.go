package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// post publishes by hand, and gives the answer.
func post(t *testing.T, hc *http.Client, url, body string) (status int, header http.Header, answer string) {
	t.Helper()
	resp, err := hc.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, strings.TrimSpace(string(b))
}

// A good request is answered with the message's position; the same ID again with the same.
func TestPublish(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.edge(t, nil)
		hc := w.serve(t, s, "edge:80")
		sub := open(t, s, "r", model.Cursor{})
		epoch := sub.Start().Cursor.Epoch
		for _, c := range []struct{ body, want string }{
			{`{"id":"a","publisher":"p","body":"aGVsbG8="}`, "1"},
			{`{"id":"a","publisher":"p","body":"aGVsbG8="}`, "1"},
			{`{"id":"b"}`, "2"},
			{` {"id":"c","body":"\/\/\/\/"} ` + "\n", "3"},
		} {
			status, header, answer := post(t, hc, "http://edge:80/rooms/r/messages", c.body)
			require.Equal(t, http.StatusOK, status, answer)
			require.Equal(t, "application/json", header.Get("Content-Type"))
			require.JSONEq(t, fmt.Sprintf(`{"cursor":"%s:%s"}`, epoch, c.want), answer)
		}
		var got []model.Message
		for len(got) < 3 {
			b, err := sub.Next(within(t), nil)
			require.NoError(t, err)
			got = append(got, b.Messages...)
		}
		require.Equal(t, model.Message{Room: "r", Seq: 1, ID: "a", Publisher: "p", Body: []byte("hello")}, got[0])
		require.Equal(t, model.Message{Room: "r", Seq: 2, ID: "b"}, got[1])
		require.Equal(t, []byte{255, 255, 255}, got[2].Body)
	})
}

// Whatever is wrong with a request is answered with 400 and said; nothing is published.
func TestPublishBadInput(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.edge(t, func(c *Config) { c.MaxBody = 100 })
		hc := w.serve(t, s, "edge:80")
		long := strings.Repeat("x", 200)
		for _, c := range []struct{ room, body, want string }{
			{"r", ``, "the request is not what it should be"},
			{"r", `{`, "the request is not what it should be"},
			{"r", `[]`, "the request is not what it should be"},
			{"r", `null`, "it has no id"},
			{"r", `{}`, "it has no id"},
			{"r", `{"id":7}`, "the request is not what it should be"},
			{"r", `{"id":"a","bdoy":""}`, `unknown field "bdoy"`},
			{"r", `{"id":"a","body":"no base64!"}`, "illegal base64"},
			{"r", `{"id":"a"} {"id":"b"}`, "something after"},
			{"r", `{"id":"a"}]`, "something after"},
			{"r", `{"id":"` + long + `"}`, "it has 200 bytes; allowed are 128"},
			{"r", `{"id":"a\n"}`, "control character"},
			{"r", `{"id":"a","publisher":"` + long + `"}`, "it has 200 bytes; allowed are 128"},
			{"r", `{"id":"a","body":"` + strings.Repeat("AAAA", 34) + `"}`, "body: it has 102 bytes; allowed are 100"},
			{"r", `{"id":"a","body":"` + strings.Repeat("AAAA", 5000) + `"}`, "it has more than 4296 bytes; allowed are 100"},
			{"a~b", `{"id":"a"}`, "allowed are letters"},
			{"a%2Fb", `{"id":"a"}`, "allowed are letters"},
			{"%2E%2E", `{"id":"a"}`, "URL's path"},
			{"%C3%BC", `{"id":"a"}`, "allowed are letters"},
			{strings.Repeat("r", 65), `{"id":"a"}`, "want 1 to 64"},
		} {
			status, _, answer := post(t, hc, "http://edge:80/rooms/"+c.room+"/messages", c.body)
			require.Equal(t, http.StatusBadRequest, status, "%s %.60s: %s", c.room, c.body, answer)
			require.Contains(t, answer, c.want)
		}
		require.Zero(t, open(t, s, "r", model.Cursor{}).Start().Cursor.Seq)
		status, _, _ := post(t, hc, "http://edge:80/rooms/r/elsewhere", `{"id":"a"}`)
		require.Equal(t, http.StatusNotFound, status)
	})
}

// When the broker is out of reach, publishers are asked to come again; so they are by a server that
// drains, which also closes their connection.
func TestPublishUnavailable(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.edge(t, func(c *Config) { c.PublishTimeout, c.RetryHint = 100*time.Millisecond, 1500*time.Millisecond })
		hc := w.serve(t, s, "edge:80")
		w.crash()
		status, header, answer := post(t, hc, "http://edge:80/rooms/r/messages", `{"id":"a"}`)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "2", header.Get("Retry-After"))
		require.Contains(t, answer, "broker unavailable")

		require.NoError(t, s.Shutdown(within(t)))
		resp, err := hc.Post("http://edge:80/rooms/r/messages", "application/json", strings.NewReader(`{"id":"a"}`))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.Equal(t, "2", resp.Header.Get("Retry-After"))
		require.True(t, resp.Close)
	})
}

// Shutdown waits for publishes under way, but not for a publisher that never finishes its request.
func TestShutdownWhilePublishing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.edge(t, nil)
		w.serve(t, s, "edge:80")
		c, err := w.net.dial(t.Context(), "", "edge:80")
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST /rooms/r/messages HTTP/1.1\r\nHost: edge\r\nContent-Length: 10\r\n\r\n{")
		require.NoError(t, err)
		synctest.Wait()
		began := time.Now()
		answered := make(chan string)
		go func() {
			b, _ := io.ReadAll(c) // the server closes the connection, in whichever way
			answered <- string(b)
		}()
		require.NoError(t, s.Shutdown(within(t)))
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Contains(t, <-answered, "400 Bad Request")
	})
}

// Clients of both transports and a publisher, on two edges, through a crash of the broker and the drain
// of an edge: each client gets each message once and in order.
func TestEndToEnd(t *testing.T) {
	unhurried(t, func(t *testing.T, w *world) {
		a, b := w.edge(t, func(c *Config) { c.Name = "a" }), w.edge(t, func(c *Config) { c.Name = "b" })
		hc := w.serve(t, a, "a:80")
		w.serve(t, b, "b:80")
		moved := &http.Client{Transport: &http.Transport{DialContext: movingDial(w, a)}}
		t.Cleanup(moved.CloseIdleConnections)
		const messages, clients = 60, 8
		run := startClients(t, clients, messages, "http://a:80", moved)
		store := hop2.NewRedisStore()
		w.broker(t, store) // a broker with an empty log: who has connected is told

		pub := hop1.Publisher{Name: "p", BaseURL: "http://a:80", HTTP: hc, Backoff: hop1.Backoff{Min: time.Millisecond, Max: 10 * time.Millisecond}}
		for i := range messages {
			switch i {
			case messages / 3:
				w.broker(t, store)
			case messages * 2 / 3:
				pub.BaseURL = "http://b:80"
				require.NoError(t, a.Shutdown(within(t)))
			}
			_, err := pub.Publish(within(t), "r", fmt.Sprint(i), fmt.Appendf(nil, "body %d", i))
			require.NoError(t, err)
		}
		run.check(t)
	})
}

// movingDial dials edge a until that drains, then edge b, as a balancer would.
func movingDial(w *world, a *Server) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if a.alive.Err() != nil {
			addr = "b:80"
		}
		return w.net.dial(ctx, network, addr)
	}
}

// clientRun is some clients, and what they observed.
type clientRun struct {
	messages int
	mu       sync.Mutex
	events   map[string][]model.Event
	done     map[string]chan struct{} // closed at the last message
}

func startClients(t *testing.T, clients, messages int, url string, hc *http.Client) *clientRun {
	run := &clientRun{messages: messages, events: map[string][]model.Event{}, done: map[string]chan struct{}{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	connected := make(chan struct{}, 1000)
	// A peer connection has sockets of its own, which in a bubble would be real ones.
	transports := slices.DeleteFunc(hop1.Transports(), func(name string) bool { return name == "webrtc" })
	for i := range clients {
		name := fmt.Sprintf("c%d", i)
		run.done[name] = make(chan struct{})
		c, err := hop1.NewClient(hop1.ClientConfig{
			Name: name, Room: "r", BaseURL: url, HTTP: hc, Transport: transports[i%len(transports)],
			Backoff: hop1.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond},
			Rand:    rand.New(rand.NewPCG(uint64(i), 0)),
			Observe: func(ev model.Event) {
				run.observe(name, ev)
				if ev.Kind == model.Connected {
					connected <- struct{}{}
				}
			},
		})
		require.NoError(t, err)
		wg.Go(func() { require.ErrorIs(t, c.Run(ctx), context.Canceled) })
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	for range clients {
		<-connected
	}
	return run
}

func (r *clientRun) observe(name string, ev model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[name] = append(r.events[name], ev)
	if ev.Kind == model.Deliver && ev.Seq == uint64(r.messages) {
		close(r.done[name])
	}
}

// check waits until each client has the last message, and looks at what it got.
func (r *clientRun) check(t *testing.T) {
	for name, done := range r.done {
		select {
		case <-done:
		case <-within(t).Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Failf(t, "messages are missing", "%s: %+v", name, r.events[name])
		}
		r.mu.Lock()
		var seqs []uint64
		gaps := 0
		for _, ev := range r.events[name] {
			switch ev.Kind {
			case model.Deliver:
				seqs = append(seqs, ev.Seq)
				require.Equal(t, fmt.Sprint(ev.Seq-1), ev.ID)
			case model.Discontinuity:
				gaps++
			}
		}
		r.mu.Unlock()
		require.Equal(t, simtest.UpTo(1, uint64(r.messages)), seqs)
		require.Equal(t, 1, gaps, "of the log that was empty")
	}
}

// Clients of several transports on two edges while the broker loses all its data, twice: what they and the
// publisher saw keeps to the specification, across epochs, and no client has to reconnect for it.
func TestBrokerLosesItsData(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hc := w.serve(t, w.edge(t, func(c *Config) { c.Name = "a" }), "a:80")
		w.serve(t, w.edge(t, func(c *Config) { c.Name = "b" }), "b:80")
		transports := []string{"longpoll", "poll", "sse", "ws"}
		clients := 2 * len(transports)
		var mu sync.Mutex
		h := &model.History{}
		reached := map[string]model.Cursor{}
		began := time.Now()
		observe := func(ev model.Event) {
			mu.Lock()
			defer mu.Unlock()
			ev.Step, ev.Time = uint64(len(h.Events)+1), time.Since(began)
			h.Events = append(h.Events, ev)
			if ev.Kind == model.Connected || ev.Kind == model.Deliver {
				reached[ev.Node] = ev.Cursor()
			}
		}
		all := func(at model.Cursor) func() bool {
			return func() bool {
				mu.Lock()
				defer mu.Unlock()
				here := 0
				for _, c := range reached {
					if c.Seq == at.Seq && (at.Epoch == "" || c.Epoch == at.Epoch) {
						here++
					}
				}
				return here == clients
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i := range clients {
			c, err := hop1.NewClient(hop1.ClientConfig{
				Name: fmt.Sprintf("c%d", i), Room: "r", BaseURL: []string{"http://a:80", "http://b:80"}[i/len(transports)], HTTP: hc,
				Transport: transports[i%len(transports)], Poll: hop1.Polling{Interval: 20 * time.Millisecond}, Rand: rand.New(rand.NewPCG(uint64(i), 0)), Observe: observe,
			})
			require.NoError(t, err)
			wg.Go(func() { require.ErrorIs(t, c.Run(ctx), context.Canceled) })
		}
		await(t, all(model.Cursor{}))
		pub := hop1.Publisher{Name: "p", BaseURL: "http://a:80", HTTP: hc, Observe: observe, Backoff: hop1.Backoff{Min: time.Millisecond}}
		for life := range 3 {
			if life > 0 {
				w.broker(t, hop2.NewRedisStore())
			}
			var at model.Cursor
			for i := range 5 {
				var err error
				at, err = pub.Publish(within(t), "r", fmt.Sprintf("%d-%d", life, i), []byte("x"))
				require.NoError(t, err)
			}
			await(t, all(at))
		}
		cancel()
		wg.Wait()
		observe(model.Event{Kind: model.RunEnd})
		for _, v := range properties.Check(h) {
			require.True(t, v.Ok(), v)
		}
		counts := map[model.Kind]int{}
		for _, ev := range h.Events {
			counts[ev.Kind]++
			require.True(t, ev.Kind != model.Disconnected || ev.Note == model.NoteStopped, "%+v", ev)
		}
		require.Equal(t, map[model.Kind]int{
			model.Connected: clients, model.Disconnected: clients, model.Discontinuity: 2 * clients, model.Deliver: 15 * clients,
			model.PublishCall: 15, model.PublishOK: 15, model.RunEnd: 1,
		}, counts)

		// The same run, had one client not been told.
		i := slices.IndexFunc(h.Events, func(ev model.Event) bool { return ev.Kind == model.Discontinuity })
		h.Events = slices.Delete(h.Events, i, i+1)
		require.Equal(t, model.Illegal, properties.Conforms().Check(h).Outcome)
	})
}

// The same seed gives the same bytes on every connection, of clients, publishers and the edge, however the
// scheduler interleaves goroutines that wake at one instant, through a crash of the broker.
func TestSameBytes(t *testing.T) {
	runs := 8
	if testing.Short() {
		runs = 3
	}
	var first map[string][]string
	for range runs {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, &network{pipes: true})
			traffic := sameRun(t, w)
			if first == nil {
				first = traffic
				require.Len(t, first, 8, "programs' connections: six clients, a publisher, the edge")
			}
			for name := range first {
				require.Lenf(t, traffic[name], len(first[name]), "%s: connections", name)
				for i, want := range first[name] {
					got, at := traffic[name][i], 0
					for at < min(len(want), len(got)) && want[at] == got[at] {
						at++
					}
					around := func(s string) string { return s[max(0, at-80):min(len(s), at+80)] }
					require.Equalf(t, around(want), around(got), "%s: stream %d differs from byte %d on", name, i, at)
				}
			}
		})
	}
}

func sameRun(t *testing.T, w *world) map[string][]string {
	hop, err := hop2.New("redis-streams", hop2.Config{Addr: "broker:6379", Dial: w.net.tap("edge"), Rand: rand.New(rand.NewPCG(1, 2))})
	require.NoError(t, err)
	s := w.edge(t, func(c *Config) { c.Strategy = hop })
	w.serve(t, s, "edge:80")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 6 {
		name := fmt.Sprintf("c%d", i)
		tr := &http.Transport{DialContext: w.net.tap(name)}
		c, err := hop1.NewClient(hop1.ClientConfig{
			Name: name, Room: fmt.Sprintf("r%d", i%2), BaseURL: "http://edge:80", Transport: "sse",
			HTTP: &http.Client{Transport: tr}, Rand: rand.New(rand.NewPCG(uint64(i), 0)),
		})
		require.NoError(t, err)
		wg.Go(func() { require.ErrorIs(t, c.Run(ctx), context.Canceled); tr.CloseIdleConnections() })
	}
	tr := &http.Transport{DialContext: w.net.tap("p")}
	pub := hop1.Publisher{Name: "p", BaseURL: "http://edge:80", HTTP: &http.Client{Transport: tr}, Rand: rand.New(rand.NewPCG(9, 9))}
	for i := range 40 {
		time.Sleep(100*time.Millisecond + time.Microsecond)
		if i == 20 {
			w.broker(t, hop2.NewRedisStore())
		}
		_, err := pub.Publish(within(t), fmt.Sprintf("r%d", i%2), fmt.Sprint(i), []byte("x"))
		require.NoError(t, err)
	}
	time.Sleep(950 * time.Millisecond) // not when a heartbeat is due
	cancel()
	wg.Wait()
	tr.CloseIdleConnections()
	require.NoError(t, s.Shutdown(within(t)))
	require.NoError(t, hop.Close())
	return w.net.traffic()
}

// Whatever is posted: no panic, and what is accepted can be published.
func FuzzDecodeMessage(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","publisher":"p","body":"aGVsbG8="}`, `{"id":"a"}{}`, `{"ID":"A","body":null}`, `nul`, `{"id":"\u0000"}`, "\xff",
	} {
		f.Add("r", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, room string, b []byte) {
		m, err := decodeMessage(room, b, 64)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NoError(t, model.CheckMessage(m))
		require.LessOrEqual(t, len(m.Body), 64)
		again, err := json.Marshal(hop1.PublishRequest{ID: m.ID, Publisher: m.Publisher, Body: m.Body})
		require.NoError(t, err)
		m2, err := decodeMessage(room, again, 64)
		require.NoError(t, err)
		require.True(t, m.ID == m2.ID && m.Publisher == m2.Publisher && bytes.Equal(m.Body, m2.Body))
	})
}
