package hop1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Goal: a request that makes no sense is answered before any upgrade or subscription.
func TestMalformedRequest(t *testing.T) {
	feed := newMemFeed()
	h := testServer(t, feed)
	long := strings.Repeat("x", model.MaxRoomLen+1)
	cases := []struct {
		method, room, query, lastID string
		status                      int
		body                        string
	}{
		{"GET", "r", "cursor=nonsense", "", 400, `cursor "nonsense": no colon; want epoch:seq`},
		{"GET", "r", "cursor=e1:-1", "", 400, "not a decimal number"},
		{"GET", "r", "cursor=e1:01", "", 400, "not a decimal number"},
		{"GET", "r", "cursor=e%0A1:1", "", 400, "epoch has"},
		{"GET", "r", "cursor=e1:1", "nonsense", 400, "no colon"},
		{"GET", "r", "cursor=e1:0/m0", "", 400, "an anchor where no message is"},
		{"GET", "r", "", "e1:1/%0A", 400, "control character"},
		{"GET", "a%2Fb", "", "", 400, `has '/'; allowed are`},
		{"GET", "a b", "", "", 400, `has ' '; allowed are`},
		{"GET", "a~b", "", "", 400, `has '~'; allowed are`},
		{"GET", "%2E%2E", "", "", 400, "a URL's path cannot hold it"},
		{"GET", long, "", "", 400, "has 65 bytes; want 1 to 64"},
		{"GET", "nowhere", "", "", 404, "no such room"},
		{"HEAD", "r", "", "", 405, "GET only"},
		{"POST", "r", "", "", 405, ""},
	}
	for _, path := range []string{"ws", "events", "poll", "longpoll"} {
		for _, c := range cases {
			t.Run(path+" "+c.method+" "+c.query+c.lastID+" "+c.body, func(t *testing.T) {
				u := &url.URL{Scheme: "http", Host: "edge", RawQuery: c.query}
				u.Path, u.RawPath = unescaped(t, "/rooms/"+c.room+"/"+path), "/rooms/"+strings.ReplaceAll(c.room, " ", "%20")+"/"+path
				req := httptest.NewRequest(c.method, u.String(), nil)
				if c.lastID != "" {
					req.Header.Set("Last-Event-ID", c.lastID)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, req)
				require.Equal(t, c.status, w.Code)
				require.Contains(t, w.Body.String(), c.body)
			})
		}
	}
	open, closed := feed.subscriptions()
	require.Equal(t, []int{0, 0}, []int{open, closed})
}

func unescaped(t *testing.T, path string) string {
	p, err := url.PathUnescape(path)
	require.NoError(t, err)
	return p
}

// Goal: a feed that cannot be opened is a temporary failure; one that drains says when to come back.
func TestRefusal(t *testing.T) {
	feed := newMemFeed()
	h, err := Handler(ServerConfig{Feed: feed, RetryHint: 1500 * time.Millisecond})
	require.NoError(t, err)
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/rooms/r/events", nil))
		return w
	}
	feed.openErr = fmt.Errorf("edge-1: %w", ErrDraining)
	w := get()
	require.Equal(t, 503, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"), "seconds, rounded up")
	require.Equal(t, "close", w.Header().Get("Connection"))
	feed.openErr = errors.New("store away")
	w = get()
	require.Equal(t, 503, w.Code)
	require.Empty(t, w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), "store away")
}

// Goal: a feed or a server that cannot stream is reported as such, and its subscription is closed.
func TestCannotStream(t *testing.T) {
	feed := newMemFeed()
	feed.rooms["r"].epoch = "bad\nepoch"
	w := httptest.NewRecorder()
	testServer(t, feed).ServeHTTP(w, httptest.NewRequest("GET", "/rooms/r/events", nil))
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), "no cursor")

	feed.rooms["r"].epoch = "e1"
	w = httptest.NewRecorder() // has no write deadlines
	testServer(t, feed).ServeHTTP(w, httptest.NewRequest("GET", "/rooms/r/events", nil))
	require.Equal(t, 500, w.Code)
	w = httptest.NewRecorder()
	testServer(t, feed).ServeHTTP(w, httptest.NewRequest("GET", "/rooms/r/ws", nil))
	require.Equal(t, http.StatusUpgradeRequired, w.Code)
	open, closed := feed.subscriptions()
	require.Equal(t, []int{0, 3}, []int{open, closed})
}

func TestServerConfig(t *testing.T) {
	feed := newMemFeed()
	cases := []struct {
		field string
		cfg   ServerConfig
	}{
		{"Feed", ServerConfig{}},
		{"Heartbeat", ServerConfig{Feed: feed, Heartbeat: -1}},
		{"IdleTimeout", ServerConfig{Feed: feed, Heartbeat: 2, IdleTimeout: 1}},
		{"WriteTimeout", ServerConfig{Feed: feed, WriteTimeout: -1}},
		{"Hold: -1ns; want 0 (meaning 25s), or 1ms to 1h", ServerConfig{Feed: feed, Hold: -1}},
		{"Hold", ServerConfig{Feed: feed, Hold: time.Microsecond}},
		{"Hold", ServerConfig{Feed: feed, Hold: 2 * time.Hour}},
		{"RetryHint", ServerConfig{Feed: feed, RetryHint: -1}},
		{"RetryHint", ServerConfig{Feed: feed, RetryHint: 2 * time.Minute}},
		{"RetrySpread: -1ns", ServerConfig{Feed: feed, RetrySpread: -1}},
		{"RetrySpread: 1m0s; want 0 to 59s", ServerConfig{Feed: feed, RetryHint: time.Second, RetrySpread: time.Minute}},
		{"UserTimeout", ServerConfig{Feed: feed, UserTimeout: -1}},
		{"MaxBody: -1", ServerConfig{Feed: feed, MaxBody: -1}},
		{"MaxBody: 1048577", ServerConfig{Feed: feed, MaxBody: model.MaxBodyLen + 1}},
	}
	for _, c := range cases {
		_, err := Handler(c.cfg)
		require.ErrorContains(t, err, c.field)
	}
}

// Goal: WebSocket frames are as documented, and each end has its close code.
// Method: a client of the library alone.
func TestWebSocketOnTheWire(t *testing.T) {
	cases := []struct {
		end  error
		bye  string
		code websocket.StatusCode
	}{
		{ErrDraining, `{"type":"goodbye","reason":"draining","retry_ms":250}`, 1001},
		{fmt.Errorf("c1: %w", ErrSlowConsumer), `{"type":"goodbye","reason":"slow consumer"}`, 1013},
		{ErrClosed, `{"type":"goodbye","reason":"subscription ended"}`, 1011},
	}
	for _, c := range cases {
		t.Run(c.bye, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				feed := newMemFeed()
				feed.publish(1)
				h, err := Handler(ServerConfig{Feed: feed, Name: "edge-1", RetryHint: 250 * time.Millisecond})
				require.NoError(t, err)
				w := newWire(t, h)
				conn, _, err := websocket.Dial(t.Context(), w.url+"/rooms/r/ws?cursor=e1:1", &websocket.DialOptions{HTTPClient: w.client})
				require.NoError(t, err)
				defer conn.CloseNow()
				read := func() string {
					_, b, err := conn.Read(t.Context())
					require.NoError(t, err)
					return string(b)
				}
				require.Equal(t, `{"type":"hello","cursor":"e1:1","anchor":"m1","resumed":true,"server":"edge-1"}`, read())
				require.Equal(t, `{"type":"message","cursor":"e1:1","message":{"room":"r","seq":1,"id":"m1","publisher":"p","body":"Ym9keSBvZiBtMQ=="}}`, read())
				feed.fail(c.end)
				require.Equal(t, c.bye, read())
				_, _, err = conn.Read(t.Context())
				require.Equal(t, c.code, websocket.CloseStatus(err))
				synctest.Wait()
				open, _ := feed.subscriptions()
				require.Zero(t, open)
			})
		})
	}
}

// Goal: a client may not send messages: it is told so with 1008.
func TestWebSocketRefusesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		w := newWire(t, testServer(t, feed))
		conn, _, err := websocket.Dial(t.Context(), w.url+"/rooms/r/ws", &websocket.DialOptions{HTTPClient: w.client})
		require.NoError(t, err)
		defer conn.CloseNow()
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("hello?")))
		for err == nil {
			_, _, err = conn.Read(t.Context())
		}
		require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
		synctest.Wait()
		open, _ := feed.subscriptions()
		require.Zero(t, open)
	})
}

// Goal: server-sent events are as documented; a browser would keep the ID and honour the retry.
// Method: read lines off a plain GET.
func TestSSEOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		feed.publish(1)
		h, err := Handler(ServerConfig{Feed: feed, Name: "edge-1", RetryHint: 250 * time.Millisecond})
		require.NoError(t, err)
		w := newWire(t, h)
		resp, err := w.client.Get(w.url + "/rooms/r/events?cursor=gone:7")
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
		lines := bufio.NewReader(resp.Body)
		expect := func(want ...string) {
			t.Helper()
			for _, line := range append(want, "") {
				got, err := lines.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, line+"\n", got)
			}
		}
		expect(`event: hello`, `data: {"type":"hello","server":"edge-1"}`)
		expect(`event: discontinuity`, `id: e1:1/m1`, `data: {"type":"discontinuity","cursor":"e1:1","anchor":"m1","reason":"another epoch"}`)
		began := time.Now()
		expect(":")
		expect(":")
		require.Equal(t, 2*(time.Second+beatLag), time.Since(began), "a comment every heartbeat of silence")
		feed.publish(1)
		expect(`event: message`, `id: e1:2/m2`, `data: {"type":"message","cursor":"e1:2","message":{"room":"r","seq":2,"id":"m2","publisher":"p","body":"Ym9keSBvZiBtMg=="}}`)
		feed.fail(ErrDraining)
		expect(`event: goodbye`, `retry: 250`, `data: {"type":"goodbye","reason":"draining","retry_ms":250}`)
		_, err = lines.ReadByte()
		require.ErrorIs(t, err, io.EOF)
	})
}

// Goal: a gap in mid-stream is on the wire as documented, and moves the ID that an EventSource would
// come back with; so is a resume whose anchor the server remembers, but does not keep.
func TestGapOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		feed.edit(func(l *memLog) { l.first, l.trimmed = 8, "m 7" })
		w := newWire(t, testServer(t, feed))
		resp, err := w.client.Get(w.url + "/rooms/r/events?cursor=e1:7/m%25207")
		require.NoError(t, err)
		defer resp.Body.Close()
		conn, _, err := websocket.Dial(t.Context(), w.url+"/rooms/r/ws?cursor=e1:7/m%25207", &websocket.DialOptions{HTTPClient: w.client})
		require.NoError(t, err)
		defer conn.CloseNow()
		lines := bufio.NewReader(resp.Body)
		expect := func(id, want string) {
			t.Helper()
			_, b, err := conn.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, string(b))
			var event string
			for !strings.HasSuffix(event, "\n\n") {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				event += line
			}
			require.Contains(t, event, "\nid: "+id+"\ndata: "+want+"\n\n")
		}
		expect("e1:7/m%207", `{"type":"hello","cursor":"e1:7","anchor":"m 7","resumed":true,"anchored":false,"server":"edge-1"}`)
		feed.set(func() { feed.gap = &Gap{To: at("e2", 3), Anchor: "m3", Why: "the log is gone"} })
		feed.edit(func(l *memLog) { l.epoch, l.first = "e2", 4 })
		expect("e2:3/m3", `{"type":"discontinuity","cursor":"e2:3","anchor":"m3","reason":"the log is gone"}`)
		feed.publish(1)
		expect("e2:4/m4", `{"type":"message","cursor":"e2:4","message":{"room":"r","seq":4,"id":"m4","publisher":"p","body":"Ym9keSBvZiBtNA=="}}`)
	})
}

// Goal: a gap to nowhere ends the connection, instead of a cursor that no client could come back with.
func TestGapToNowhere(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		s, _ := onWire(t, tr)
		s.held(t, tr)
		s.feed.set(func() { s.feed.gap = &Gap{To: at("bad\nepoch", 9), Why: "?"} })
		s.feed.publish(1)
		s.rec.await(t, model.Disconnected, 1)
		s.feed.set(func() { s.feed.gap = nil })
		s.rec.await(t, model.Deliver, 1)
		require.Equal(t, []uint64{1}, s.rec.seqs())
		require.Empty(t, s.rec.of(model.Discontinuity))
		want := "goodbye from the server: subscription ended"
		if !holds(tr) {
			want = "refused with 503: the room cannot be opened: the feed's position is no cursor"
		}
		require.Contains(t, s.rec.of(model.Disconnected)[0].Note, want)
	})
}

// Goal: the newer of two cursors counts, as an EventSource sends them.
func TestLastEventIDGoesFirst(t *testing.T) {
	feed := newMemFeed()
	req := httptest.NewRequest("GET", "/rooms/r/events?cursor=e1:1", nil)
	req.Header.Set("Last-Event-ID", "e1:2")
	testServer(t, feed).ServeHTTP(httptest.NewRecorder(), req)
	require.Equal(t, []model.Cursor{{Epoch: "e1", Seq: 2}}, feed.cursors())
}

// Goal: a server whose base context ends says goodbye on every connection, WebSocket included.
func TestDrainByContext(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		ctx, stop := context.WithCancel(context.Background())
		feed := newMemFeed()
		inner := testServer(t, feed)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			if ctx.Err() != nil {
				cancel() // now, not when AfterFunc's goroutine has its turn
			}
			inner.ServeHTTP(w, r.WithContext(rctx))
		})
		w := newWire(t, h)
		s := &system{feed: feed, url: w.url, http: w.client}
		s.join(t, tr, nil)
		stop()
		gone := s.rec.await(t, model.Disconnected, 1)
		require.Equal(t, "goodbye from the server: draining", gone[0].Note)
		require.ErrorIs(t, s.stop(), context.Canceled)
		time.Sleep(settleOf(tr))
		synctest.Wait()
		open, _ := feed.subscriptions()
		require.Zero(t, open)
	})
}

// Goal: a client stays away for as long as the draining server asked.
func TestRetryHint(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		feed := newMemFeed()
		h, err := Handler(ServerConfig{Feed: feed, RetryHint: 5 * time.Second, WebRTC: webrtcOn(t)})
		require.NoError(t, err)
		w := newWire(t, h)
		s := &system{feed: feed, url: w.url, http: w.client}
		s.join(t, tr, nil)

		s.held(t, tr)
		s.sever(t, tr, ErrDraining)()
		s.rec.await(t, model.Connected, 2)
		away := s.rec.when(model.Connected).Sub(s.rec.when(model.Disconnected))
		require.GreaterOrEqual(t, away, 5*time.Second)
		require.Less(t, away, 5*time.Second+20*time.Millisecond+openingOf(tr))

		s.held(t, tr)
		feed.set(func() { feed.openErr = ErrDraining }) // now it is refused once, with Retry-After
		feed.fail(ErrClosed)
		gone := s.rec.await(t, model.Disconnected, 2)
		require.Len(t, gone, 2)
		time.Sleep(time.Second)
		feed.set(func() { feed.openErr = nil })
		s.rec.await(t, model.Connected, 3)
		away = s.rec.when(model.Connected).Sub(s.rec.when(model.Disconnected))
		require.GreaterOrEqual(t, away, 5*time.Second)
		require.Less(t, away, 5*time.Second+40*time.Millisecond+openingOf(tr))
	})
}
