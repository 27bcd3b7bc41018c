package hop1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// broker is a log that a server's Publish appends to, each ID once.
type broker struct {
	feed *memFeed
	mu   sync.Mutex
	at   map[string]uint64
	err  error
	hold chan struct{} // nil, or what a publish waits for
	who  []string
}

func newBroker(feed *memFeed) *broker { return &broker{feed: feed, at: map[string]uint64{}} }

func (b *broker) publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	b.mu.Lock()
	hold, err := b.hold, b.err
	b.who = append(b.who, Identity(ctx))
	b.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return model.Cursor{}, ctx.Err()
		}
	}
	if err != nil {
		return model.Cursor{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at[m.ID] == 0 {
		b.feed.edit(func(l *memLog) {
			m.Seq = l.first + uint64(len(l.msgs))
			l.msgs = append(l.msgs, m)
		})
		b.at[m.ID] = m.Seq
	}
	return at("e1", b.at[m.ID]), nil
}

func (b *broker) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// duplexServer serves a feed whose clients may publish; a POST ends the test, where none must come.
func duplexServer(t *testing.T, b *broker, change func(*ServerConfig)) http.Handler {
	cfg := ServerConfig{Feed: b.feed, Name: "edge-1", Publish: b.publish, MaxBody: 1000}
	if change != nil {
		change(&cfg)
	}
	h, err := Handler(cfg)
	require.NoError(t, err)
	return h
}

// joinClient starts a client and gives it, too.
func (s *system) joinClient(t *testing.T, change func(*ClientConfig)) *Client {
	s.rec = newRecorder()
	cfg := ClientConfig{
		Name: "c1", Room: "r", BaseURL: s.url, Transport: "ws", HTTP: s.http,
		Backoff: Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond},
		Rand:    rand.New(rand.NewPCG(1, 2)), Observe: s.rec.observe, WebRTC: webrtcOn(t),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := NewClient(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { require.ErrorIs(t, s.stop(), context.Canceled) })
	s.rec.await(t, model.Connected, 1)
	return c
}

// onlyOver is a publisher that has nothing but its client's connection: its POSTs fail.
func onlyOver(c *Client, rec *recorder) Publisher {
	return Publisher{
		Name: "p1", BaseURL: "http://nowhere", HTTP: &http.Client{Transport: refusing{}}, Over: c, Observe: rec.observe,
		Backoff: Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}, MaxElapsed: 30 * time.Second,
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no way by POST")
}

// eachLane runs a test in both lanes.
func eachLane(t *testing.T, body func(t *testing.T, l lane)) {
	for _, l := range []lane{onLoopback, inBubble} {
		t.Run(l.name, func(t *testing.T) { l.run(t, func(t *testing.T) { body(t, l) }) })
	}
}

// Goal: clients publish and receive over one connection, at a high rate, and the history is that of any
// publisher.
func TestPublishOverWebSocket(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		t.Run(fmt.Sprintf("compression %v", compressed), func(t *testing.T) {
			eachLane(t, func(t *testing.T, l lane) {
				b := newBroker(newMemFeed())
				u, hc := l.serve(t, duplexServer(t, b, func(c *ServerConfig) {
					c.Compression = compressed
					c.Guard.Authenticate = knows
				}))
				s := &system{feed: b.feed, url: u, http: hc}
				c := s.joinClient(t, func(c *ClientConfig) {
					c.Compression = compressed
					c.Header = http.Header{"Authorization": {"Bearer alice"}}
				})
				pub := newRecorder()
				p := onlyOver(c, pub)
				at1, err := p.Publish(t.Context(), "r", "a", []byte("hi"))
				require.NoError(t, err)
				require.Equal(t, at("e1", 1), at1)
				again, err := p.Publish(t.Context(), "r", "a", []byte("hi"))
				require.NoError(t, err)
				require.Equal(t, at1, again)
				require.Equal(t, []model.Event{
					{Kind: model.PublishCall, Node: "p1", Room: "r", ID: "a"},
					{Kind: model.PublishOK, Node: "p1", Room: "r", ID: "a", Epoch: "e1", Seq: 1},
				}, pub.of("")[:2])

				const n = 300
				var wg sync.WaitGroup
				body := []byte(strings.Repeat("compress me ", 80))
				for w := range 10 {
					wg.Go(func() {
						for i := range n / 10 {
							_, err := p.Publish(t.Context(), "r", fmt.Sprintf("%d-%d", w, i), body)
							if err != nil {
								t.Errorf("publish: %v", err)
							}
						}
					})
				}
				wg.Wait()
				s.rec.await(t, model.Deliver, n+1)
				require.Equal(t, simtest.UpTo(1, n+1), s.rec.seqs())
				require.Empty(t, s.rec.of(model.Disconnected))
				require.Equal(t, "alice", b.who[0])
			})
		})
	}
}

// Goal: a publish whose connection breaks before the answer is tried again, under the same ID, over the next
// connection; the log has it once.
func TestPublishSurvivesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(newMemFeed())
		w := newWire(t, duplexServer(t, b, nil))
		s := &system{feed: b.feed, url: w.url, http: w.client}
		c := s.joinClient(t, nil)
		hold := make(chan struct{})
		b.set(func() { b.hold = hold })
		pub := newRecorder()
		p := onlyOver(c, pub)
		done := make(chan error, 1)
		go func() { _, err := p.Publish(context.Background(), "r", "a", nil); done <- err }()
		synctest.Wait() // the server has it, and does not answer
		require.Len(t, b.who, 1)
		w.drop()
		synctest.Wait()
		b.set(func() { b.hold = nil })
		close(hold)
		require.NoError(t, <-done)
		s.rec.await(t, model.Deliver, 1)
		require.Equal(t, []uint64{1}, s.rec.seqs())
		require.Len(t, pub.of(""), 2)
		require.GreaterOrEqual(t, len(b.who), 2)
	})
}

// Goal: what is wrong with a message is final and said; what is wrong with the server is tried again.
func TestPublishOverRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(newMemFeed())
		w := newWire(t, duplexServer(t, b, nil))
		s := &system{feed: b.feed, url: w.url, http: w.client}
		c := s.joinClient(t, nil)
		p := onlyOver(c, newRecorder())
		publish := func(id string, body []byte) error {
			_, err := p.Publish(t.Context(), "r", id, body)
			return err
		}
		require.ErrorContains(t, publish("big", make([]byte, 1001)), "refused with 413: body: it has 1001 bytes; allowed are 1000")
		b.set(func() { b.err = fmt.Errorf("%w: too rude", ErrRejected) })
		require.ErrorContains(t, publish("rude", nil), "refused with 400: message rejected: too rude")
		b.set(func() { b.err = ErrForbidden })
		require.ErrorIs(t, publish("not yours", nil), ErrForbidden)
		b.set(func() { b.err = errors.New("broker away") })
		time.AfterFunc(5*time.Second, func() { b.set(func() { b.err = nil }) })
		began := time.Now()
		require.NoError(t, publish("patient", nil))
		require.GreaterOrEqual(t, time.Since(began), 5*time.Second)
		require.Empty(t, s.rec.of(model.Disconnected))

		// Beyond the frame's limit the connection is gone, with 1009, and the message would not fit the next.
		require.ErrorContains(t, publish("huge", make([]byte, 100_000)), "refused with 413: message too big")
		s.rec.await(t, model.Connected, 2)
		require.Equal(t, "goodbye from the server: message too big", s.rec.of(model.Disconnected)[0].Note)
		require.NoError(t, publish("small", nil))
	})
}

// Goal: a publisher goes by POST where its client's server takes no messages, and where its client is not
// connected by WebSocket.
func TestPublishOverFallsBackToPOST(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		posts := make(chan post, 10)
		streams := testServer(t, newMemFeed()) // does not publish
		w := newWire(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				scripted(t, posts, answer(200, `{"cursor":"e1:1"}`)).ServeHTTP(w, r)
				return
			}
			streams.ServeHTTP(w, r)
		}))
		s := &system{url: w.url, http: w.client}
		c := s.joinClient(t, func(c *ClientConfig) { c.Transport = tr })
		p := onlyOver(c, newRecorder())
		p.BaseURL, p.HTTP = w.url, w.client
		for range 2 {
			_, err := p.Publish(t.Context(), "r", "a", nil)
			require.NoError(t, err)
		}
		require.Len(t, posts, 2)
		require.LessOrEqual(t, len(s.rec.of(model.Disconnected)), 1, "a server that takes no messages is tried once")
	})
}

// talk is a WebSocket client of the library alone.
type talk struct {
	t    *testing.T
	conn *websocket.Conn
}

func dialTalk(t *testing.T, w *wire) *talk {
	conn, _, err := websocket.Dial(t.Context(), w.url+"/rooms/r/ws", &websocket.DialOptions{HTTPClient: w.client})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	k := &talk{t, conn}
	require.Contains(t, k.read(), `"type":"hello"`)
	return k
}

func (k *talk) read() string {
	k.t.Helper()
	_, b, err := k.conn.Read(k.t.Context())
	require.NoError(k.t, err)
	return string(b)
}

func (k *talk) say(text string) {
	k.t.Helper()
	require.NoError(k.t, k.conn.Write(k.t.Context(), websocket.MessageText, []byte(text)))
}

// Goal: publish, ack and nack are as documented.
func TestPublishOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(newMemFeed())
		k := dialTalk(t, newWire(t, duplexServer(t, b, func(c *ServerConfig) { c.RetryHint = 250 * time.Millisecond })))
		k.say(`{"type":"publish","id":"a","publisher":"p","body":"aGk="}`)
		got := map[string]bool{k.read(): true, k.read(): true} // who is first, the ack or the message, is not said
		require.True(t, got[`{"type":"ack","cursor":"e1:1","id":"a"}`], "%v", got)
		require.True(t, got[`{"type":"message","cursor":"e1:1","message":{"room":"r","seq":1,"id":"a","publisher":"p","body":"aGk="}}`], "%v", got)
		k.say(`{"type":"publish","id":"` + strings.Repeat("x", 200) + `"}`)
		require.Contains(t, k.read(), `"status":400}`)
		b.set(func() { b.err = errors.New("away") })
		k.say(`{"type":"publish","id":"b"}`)
		require.Equal(t, `{"type":"nack","reason":"away","retry_ms":250,"id":"b","status":503}`, k.read())
	})
}

// Goal: whatever else a client sends ends its connection, with the close code that says why.
func TestWebSocketGarbage(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   websocket.MessageType
		text   string
		code   websocket.StatusCode
		reason string
	}{
		{"no JSON", websocket.MessageText, `hello?`, 1008, "not a publish frame"},
		{"another frame", websocket.MessageText, `{"type":"hello"}`, 1008, "not a publish frame"},
		{"without id", websocket.MessageText, `{"type":"publish"}`, 1008, "not a publish frame"},
		{"unknown field", websocket.MessageText, `{"type":"publish","id":"a","bdoy":""}`, 1008, "not a publish frame"},
		{"two", websocket.MessageText, `{"type":"publish","id":"a"}{}`, 1008, "not a publish frame"},
		{"binary", websocket.MessageBinary, `{"type":"publish","id":"a"}`, 1008, "not a publish frame"},
		{"too big", websocket.MessageText, `{"type":"publish","id":"a","body":"` + strings.Repeat("A", 1<<20) + `"}`, 1009, "message too big"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(newMemFeed())
				k := dialTalk(t, newWire(t, duplexServer(t, b, nil)))
				go func() { _ = k.conn.Write(context.Background(), c.kind, []byte(c.text)) }() // may be cut off
				require.Equal(t, `{"type":"goodbye","reason":"`+c.reason+`"}`, k.read())
				_, _, err := k.conn.Read(t.Context())
				require.Equal(t, c.code, websocket.CloseStatus(err), err)
				synctest.Wait()
				open, _ := b.feed.subscriptions()
				require.Zero(t, open)
				require.Empty(t, b.who)
			})
		})
	}
}

// Goal: a broker that hangs stops neither pongs nor messages nor the drain; what is too much is refused for
// now; what is under way when the server drains is answered before the goodbye.
func TestSlowBrokerBlocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(newMemFeed())
		k := dialTalk(t, newWire(t, duplexServer(t, b, nil)))
		heard := make(chan string, 1000)
		closed := make(chan websocket.StatusCode, 1)
		go func() {
			for {
				_, b, err := k.conn.Read(context.Background())
				if err != nil {
					closed <- websocket.CloseStatus(err)
					return
				}
				heard <- string(b)
			}
		}()
		hold := make(chan struct{})
		b.set(func() { b.hold = hold })
		for i := range publishWindow + 2 { // one is being published, and one is too many
			k.say(fmt.Sprintf(`{"type":"publish","id":"m%d"}`, i))
		}
		require.Contains(t, <-heard, fmt.Sprintf(`"id":"m%d","status":503`, publishWindow+1))
		b.feed.publish(1)
		require.Contains(t, <-heard, `"type":"message","cursor":"e1:1"`)
		synctest.Wait() // a ping that came while the message was being written would get no pong
		require.NoError(t, k.conn.Ping(t.Context()))
		b.set(func() { b.hold = nil })
		close(hold)
		for acks := 0; acks < publishWindow+1; {
			if next := <-heard; strings.Contains(next, `"ack"`) {
				require.Contains(t, next, fmt.Sprintf(`"id":"m%d"`, acks), "in the order in which they were sent")
				acks++
			}
		}

		hold2 := make(chan struct{})
		b.set(func() { b.hold = hold2 })
		k.say(`{"type":"publish","id":"last"}`)
		synctest.Wait()
		b.feed.fail(ErrDraining)
		synctest.Wait()
		k.say(`{"type":"publish","id":"late"}`)
		synctest.Wait()
		b.set(func() { b.hold = nil })
		close(hold2)
		var rest []string
		for len(rest) == 0 || !strings.Contains(rest[len(rest)-1], "goodbye") {
			if next := <-heard; !strings.Contains(next, `"message"`) {
				rest = append(rest, next)
			}
		}
		require.Len(t, rest, 3)
		require.Contains(t, rest[0], `"id":"late","status":503`)
		require.Equal(t, `{"type":"ack","cursor":"e1:67","id":"last"}`, rest[1])
		require.Equal(t, websocket.StatusGoingAway, <-closed)
	})
}

// Goal: a broker that never answers holds up a drain for WriteTimeout only.
func TestDrainDoesNotWaitForBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(newMemFeed())
		k := dialTalk(t, newWire(t, duplexServer(t, b, func(c *ServerConfig) { c.WriteTimeout = time.Second })))
		b.set(func() { b.hold = make(chan struct{}) })
		k.say(`{"type":"publish","id":"a"}`)
		synctest.Wait()
		began := time.Now()
		b.feed.fail(ErrDraining)
		require.Contains(t, k.read(), "goodbye")
		require.Equal(t, time.Second, time.Since(began))
		_, _, err := k.conn.Read(t.Context())
		require.Error(t, err)
		synctest.Wait()
		open, _ := b.feed.subscriptions()
		require.Zero(t, open)
	})
}

// Goal: with compression the same messages take fewer bytes; it is used only if both ends want it.
// Method: count what comes over the connection.
func TestCompressionSavesBytes(t *testing.T) {
	cost := func(t *testing.T, server, client bool) (bytes int64) {
		synctest.Test(t, func(t *testing.T) {
			feed := newMemFeed()
			h, err := Handler(ServerConfig{Feed: feed, Compression: server})
			require.NoError(t, err)
			w := newWire(t, h)
			counted := &countingTransport{w.client.Transport, 0}
			s := &system{feed: feed, url: w.url, http: &http.Client{Transport: counted}}
			s.joinClient(t, func(c *ClientConfig) { c.Compression = client })
			for i := range 20 {
				body, err := json.Marshal(strings.Repeat("the same again ", 100))
				require.NoError(t, err)
				feed.edit(func(l *memLog) {
					l.msgs = append(l.msgs, model.Message{Room: "r", Seq: uint64(i + 1), ID: fmt.Sprint(i), Body: body})
				})
			}
			s.rec.await(t, model.Deliver, 20)
			require.ErrorIs(t, s.stop(), context.Canceled)
			bytes = counted.n
		})
		return bytes
	}
	plain := cost(t, false, false)
	require.Greater(t, plain, int64(20*1500*4/3))
	require.InDelta(t, plain, cost(t, true, false), 100)
	require.InDelta(t, plain, cost(t, false, true), 100)
	require.Less(t, cost(t, true, true), plain/4)
}

// countingTransport counts what is read off upgraded connections.
type countingTransport struct {
	http.RoundTripper
	n int64
}

type countedBody struct {
	io.ReadWriteCloser
	t *countingTransport
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
			resp.Body = &countedBody{rwc, c}
		}
	}
	return resp, err
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	b.t.n += int64(n) // one goroutine reads
	return n, err
}

// Whatever a client sends, what is taken for a publish frame has an ID, and says the same when it is written
// again.
func FuzzDecodePublish(f *testing.F) {
	for _, s := range []string{
		`{"type":"publish","id":"a","publisher":"p","body":"aGk="}`, `{"type":"publish"}`, `{"type":"hello","id":"a"}`,
		`{"type":"publish","id":"a"}x`, `null`, `[]`, "", `{"type":"publish","id":"a","id":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := decodePublish(b)
		if err != nil {
			return
		}
		require.NotEmpty(t, req.ID)
		again, err := json.Marshal(wirePublish{framePublish, req})
		require.NoError(t, err)
		got, err := decodePublish(again)
		require.NoError(t, err)
		require.Equal(t, req.ID, got.ID)
		require.Equal(t, string(req.Body), string(got.Body))
	})
}

// Goal: both ends write as fast as they can, with pings in between, over a connection that holds
// nothing: neither waits for the other for ever.
// Method: big messages to a client that takes its time, which publishes big ones itself; a ping every 5 ms,
// but never two at the same instant, which are too much for a connection that holds nothing.
func TestBothWritesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(newMemFeed())
		l := simtest.Listen()
		srv := &http.Server{Handler: duplexServer(t, b, func(c *ServerConfig) {
			c.MaxBody, c.Heartbeat, c.IdleTimeout = 20_000, 5*time.Millisecond, 3*time.Second
		})}
		ended := make(chan error, 1)
		go func() { ended <- srv.Serve(l) }()
		t.Cleanup(func() {
			require.NoError(t, srv.Close())
			require.ErrorIs(t, <-ended, http.ErrServerClosed)
		})
		s := &system{feed: b.feed, url: "http://edge", http: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return l.Connect() },
		}}}
		rec := newRecorder()
		c := s.joinClient(t, func(c *ClientConfig) {
			c.Heartbeat, c.IdleTimeout = 5003*time.Microsecond, 3*time.Second
			c.Observe = func(e model.Event) {
				s.rec.observe(e)
				time.Sleep(2 * time.Millisecond)
			}
		})
		p := onlyOver(c, rec)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for j := range 10 {
					if _, err := p.Publish(t.Context(), "r", fmt.Sprintf("%d-%d", i, j), make([]byte, 20_000)); err != nil {
						t.Errorf("publish: %v", err)
					}
				}
			})
		}
		began := time.Now()
		wg.Wait()
		s.rec.await(t, model.Deliver, 200)
		require.Empty(t, s.rec.of(model.Disconnected))
		require.Less(t, time.Since(began), 3*time.Second)
	})
}
