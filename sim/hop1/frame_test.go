package hop1

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"

	"github.com/twohop/twohop/model"
)

// everyFrame is one of each kind, with all fields.
var everyFrame = []frame{
	{Type: frameHello, Cursor: at("e1", 5), Resumed: true, Server: "edge-1"},
	{Type: frameHello, Cursor: at("e1", 5), Anchor: "m é/5"},
	{Type: frameHello, Cursor: at("e1", 5), Resumed: true, Anchorless: true},
	{Type: frameHello, Server: "edge\n\"1\""},
	{Type: frameMessage, Cursor: at("e1", 6), Message: &model.Message{Room: "r", Seq: 6, ID: "m\r\n6", Publisher: "p", Body: []byte{0, 255, '\n'}}},
	{Type: frameDiscontinuity, Cursor: at("e2", 0), Reason: "line\n\nbreaks"},
	{Type: frameDiscontinuity, Cursor: at("e2", 3), Anchor: "m3", Reason: "trimmed"},
	{Type: frameGoodbye, Reason: "draining", Retry: 250 * time.Millisecond},
	{Type: frameGoodbye},
	{Type: frameAck, Cursor: at("e1", 7), ID: "m7"},
	{Type: frameNack, ID: "m8", Status: 503, Reason: "away", Retry: time.Second},
}

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range everyFrame {
		b, err := encodeFrame(f)
		require.NoError(t, err)
		got, err := decodeFrame(b)
		require.NoError(t, err)
		require.Equal(t, f, got)
	}
	f, err := decodeFrame([]byte(`{"type":"hello","cursor":"e1:5","resumed":true,"anchored":true}`))
	require.NoError(t, err)
	require.False(t, f.Anchorless)
}

// Goal: frames survive an SSE parser, whatever their fields hold, among comments.
func TestEventRoundTrip(t *testing.T) {
	var body []byte
	var err error
	for _, f := range everyFrame {
		body, err = appendEvent(append(body, ":\n\n"...), f)
		require.NoError(t, err)
	}
	var got []frame
	for ev, err := range sse.Read(bytes.NewReader(body), nil) {
		require.NoError(t, err)
		f, err := decodeEvent(ev)
		require.NoError(t, err)
		got = append(got, f)
	}
	require.Equal(t, everyFrame, got)
}

func TestDecodeFrameRefuses(t *testing.T) {
	cases := []struct{ text, err string }{
		{``, "unexpected end"},
		{`null`, "unknown type"},
		{`{"type":"gossip"}`, `unknown type "gossip"`},
		{`{"type":"hello","cursor":"e"}`, "no colon"},
		{`{"type":"message","cursor":"e:1"}`, "without a message"},
		{`{"type":"message","cursor":"e:1","message":{"seq":2}}`, `message 2 at cursor "e:1"`},
		{`{"type":"message","cursor":"e:0","message":{"seq":0}}`, `message 0 at cursor "e:0"`},
		{`{"type":"message","message":{"seq":1}}`, `message 1 at cursor ""`},
		{`{"type":"message","cursor":"e:1","message":{"seq":1,"body":"?"}}`, "base64"},
		{`{"type":"discontinuity"}`, "without a cursor"},
		{`{"type":"discontinuity","cursor":"e:0","anchor":"x"}`, `anchor "x" at cursor "e:0", where no message is`},
		{`{"type":"hello","cursor":"e:1","anchor":"\n"}`, "has a control character"},
		{`{"type":"hello","cursor":"e:1","anchor":"` + strings.Repeat("x", 129) + `"}`, "allowed are 128"},
		{`{"type":"ack","cursor":"e:1"}`, "want a message's"},
		{`{"type":"ack","id":"a"}`, "want a message's"},
		{`{"type":"nack","id":"a"}`, "status 0; want a message's, and 400 to 599"},
		{`{"type":"nack","status":400}`, "want a message's"},
		{`{"type":"nack","id":"a","status":503,"retry_ms":-1}`, "nack frame: retry_ms -1"},
		{`{"type":"goodbye","retry_ms":-1}`, "retry_ms -1"},
		{`{"type":"goodbye","retry_ms":60001}`, "retry_ms 60001"},
	}
	for _, c := range cases {
		_, err := decodeFrame([]byte(c.text))
		require.ErrorContains(t, err, c.err, c.text)
	}
	_, err := decodeEvent(sse.Event{Type: "message", Data: `{"type":"goodbye"}`})
	require.ErrorContains(t, err, `event "message" carries a frame of type "goodbye"`)
}

// A frame that decodes is one that a server could have sent: it encodes, and decodes to itself.
func FuzzDecodeFrame(f *testing.F) {
	for _, fr := range everyFrame {
		b, err := encodeFrame(fr)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"type":"hello","cursor":"e:1","resumed":true,"anchored":null}`))
	f.Add([]byte(`{"type":"message","cursor":"e:18446744073709551615","message":{"seq":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := decodeFrame(b)
		if err != nil {
			return
		}
		again, err := encodeFrame(fr)
		require.NoError(t, err)
		got, err := decodeFrame(again)
		require.NoError(t, err)
		require.Equal(t, fr, got)
	})
}

// Whatever a server streams, the client takes it or drops the connection, and its session's story
// holds.
func FuzzEventStream(f *testing.F) {
	var all []byte
	for _, fr := range everyFrame {
		b, err := appendEvent(nil, fr)
		require.NoError(f, err)
		f.Add(b)
		all = append(all, b...)
	}
	f.Add(all)
	f.Add([]byte("\xef\xbb\xbfid: \x00\nretry: -1\ndata\n\nevent: hello\r\rdata: {}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &session{room: "r"}
		s.begin()
		for ev, err := range readEvents(bytes.NewReader(body), minFrame) {
			if err != nil {
				return
			}
			fr, err := decodeEvent(ev)
			if err != nil {
				return
			}
			before := s.cursor
			events, err := s.take(fr)
			if err != nil {
				require.Equal(t, before, s.cursor)
				return
			}
			for _, e := range events {
				require.True(t, e.Kind != model.Deliver || e.Epoch == before.Epoch && e.Seq == before.Seq+1, "%+v after %v", e, before)
			}
		}
	})
}

// Whatever a client asks for, the server answers, and the feed is only asked for what can exist.
func FuzzRequest(f *testing.F) {
	f.Add("r", "e1:0", "")
	f.Add("r", "", "e1:0")
	f.Add("r", "", "e1:0/")
	f.Add("r", "e1:7/m%207", "e1:7/")
	f.Add("..", "e1:18446744073709551616", "x")
	f.Add("a/b", "\n", "e:1\r\n")
	f.Fuzz(func(t *testing.T, room, cursor, lastID string) {
		feed := newMemFeed()
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: "/rooms/" + room + "/events", RawQuery: url.Values{"cursor": {cursor}}.Encode()}
		r.Header = http.Header{"Last-Event-Id": {lastID}}
		w := httptest.NewRecorder()
		testServer(t, feed).ServeHTTP(w, r)
		require.Contains(t, []int{301, 307, 400, 404, 500}, w.Code) // 500: the recorder cannot stream
		for _, asked := range feed.cursors() {
			require.NoError(t, model.CheckRoom(room))
			back, err := model.ParseCursor(asked.String())
			require.NoError(t, err)
			require.Equal(t, asked, back)
		}
	})
}

// A reply that decodes is the position of a message.
func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(`{"cursor":"e1:1"}`))
	f.Add([]byte(`{"cursor":"e1:0"}`))
	f.Add([]byte(`{"cursor":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, err := decodeReply(b); err == nil {
			require.NotZero(t, at.Seq)
			require.NotEmpty(t, at.Epoch)
		}
	})
}
