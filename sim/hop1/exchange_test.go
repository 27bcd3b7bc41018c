package hop1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// get makes a request without a network, and gives the answer.
func get(h http.Handler, target, tag string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	line1 = `{"type":"message","cursor":"e1:1","message":{"room":"r","seq":1,"id":"m1","publisher":"p","body":"Ym9keSBvZiBtMQ=="}}`
	line2 = `{"type":"message","cursor":"e1:2","message":{"room":"r","seq":2,"id":"m2","publisher":"p","body":"Ym9keSBvZiBtMg=="}}`
)

// Goal: answers are as documented: what is new and nothing else, or 304; the anchor to who comes without it,
// unless a tag proves it; another log, or a gap, whatever the tag.
func TestAnswersOnTheWire(t *testing.T) {
	feed := newMemFeed()
	feed.publish(2)
	h := testServer(t, feed)
	first := get(h, "/rooms/r/poll?cursor=e1:1", "")
	tag1, tag2 := `"e1:1/m1"`, `"e1:2/m2"`
	require.Equal(t, tag2, first.Header().Get("ETag"))
	require.Equal(t, "application/x-ndjson", first.Header().Get("Content-Type"))
	require.Equal(t, "private, no-cache", first.Header().Get("Cache-Control"))

	resumed := func(seq int) string {
		return fmt.Sprintf(`{"type":"hello","cursor":"e1:%d","anchor":"m%[1]d","resumed":true,"server":"edge-1"}`, seq)
	}
	bare := func(seq int) string {
		return strings.Replace(resumed(seq), `"resumed":true`, `"resumed":true,"anchored":false`, 1)
	}
	gap := func(why string) []string {
		return []string{`{"type":"hello","server":"edge-1"}`, `{"type":"discontinuity","cursor":"e1:2","anchor":"m2","reason":"` + why + `"}`}
	}
	cases := []struct {
		name, cursor, tag string
		status            int
		lines             []string
		etag              string
	}{
		{"new client", "", "", 200, []string{`{"type":"hello","cursor":"e1:2","anchor":"m2","server":"edge-1"}`}, tag2},
		{"resumes", "e1:1/m1", "", 200, []string{bare(1), line2}, tag2},
		{"goes on", "e1:1/m1", tag1, 200, []string{bare(1), line2}, tag2},
		{"nothing new", "e1:2/m2", tag2, 304, nil, tag2},
		{"nothing new, but a first answer", "e1:2/m2", "", 200, []string{bare(2)}, tag2},
		{"nothing new, but a tag of elsewhere", "e1:2/m2", tag1, 200, []string{bare(2)}, tag2},
		{"another log", "e1:2/x2", `"e1:2/x2"`, 200, gap(`the log differs: message 2 is \"m2\" here and was \"x2\"`), tag2},
		{"does not know what it had", "e1:2/", `"e1:2/"`, 200, gap("not to be compared: the client was not told of message 2"), tag2},

		{"bare: resumes", "e1:1", "", 200, []string{resumed(1), line1, line2}, tag2},
		{"bare: goes on", "e1:1", tag1, 200, []string{bare(1), line2}, tag2},
		{"bare: goes on, weakly", "e1:1", `"x", W/` + tag1, 200, []string{bare(1), line2}, tag2},
		{"bare: nothing new", "e1:2", tag2, 304, nil, tag2},
		{"bare: nothing new for anybody", "e1:2", "*", 304, nil, tag2},
		{"bare: nothing new, but a first answer", "e1:2", "", 200, []string{resumed(2), line2}, tag2},
		{"bare: another log", "e1:2", `"e1:2/x2"`, 200, []string{resumed(2), line2}, tag2},
		{"bare: a tag of elsewhere", "e1:2", tag1, 200, []string{resumed(2), line2}, tag2},
		{"before the first", "e1:0", `"e1:0"`, 200, []string{`{"type":"hello","cursor":"e1:0","resumed":true,"server":"edge-1"}`, line1, line2}, tag2},
		{"out of reach", "e0:7/m7", `"e0:7/m7"`, 200, gap("another epoch"), tag2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := get(h, "/rooms/r/poll?cursor="+c.cursor, c.tag)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.etag, w.Header().Get("ETag"))
			body := ""
			if len(c.lines) > 0 {
				body = strings.Join(c.lines, "\n") + "\n"
			}
			require.Equal(t, body, w.Body.String())
			held := get(h, "/rooms/r/longpoll?hold=0&cursor="+c.cursor, c.tag)
			require.Equal(t, c.status, held.Code)
			require.Equal(t, body, held.Body.String(), "a long poll that is not held is a poll")
		})
	}
	feed.edit(func(l *memLog) { l.first, l.msgs = 3, nil })
	for _, cursor := range []string{"e1:2", "e1:2/m2"} {
		w := get(h, "/rooms/r/poll?cursor="+cursor, tag2)
		require.Equal(t, 200, w.Code)
		require.Contains(t, w.Body.String(), "not to be compared: message 2 is not known here any more")
	}
	feed.edit(func(l *memLog) { l.trimmed = "m2" })
	require.Equal(t, 304, get(h, "/rooms/r/poll?cursor=e1:2/m2", tag2).Code, "its ID is all that it takes")
	open, closed := feed.subscriptions()
	require.Zero(t, open)
	require.Positive(t, closed)
}

// Goal: an answer that is lost, wholly or from any byte on, loses nothing and repeats nothing.
// Method: one connection breaks after n bytes of a body, for every n; with -1, before its head.
func TestLostAnswer(t *testing.T) {
	for _, tr := range []string{"longpoll", "poll"} {
		t.Run(tr, func(t *testing.T) {
			length, step := 0, 1
			if testing.Short() {
				step = 10
			}
			for n := -1; n <= length; n += step {
				synctest.Test(t, func(t *testing.T) {
					feed, broken := newMemFeed(), false
					inner := testServer(t, feed)
					w := newWire(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						full := httptest.NewRecorder()
						inner.ServeHTTP(full, r)
						maps.Copy(rw.Header(), full.Header())
						body := full.Body.Bytes()
						news := bytes.Contains(body, []byte(`"e1:3"`)) && !broken
						if !news {
							rw.WriteHeader(full.Code)
							_, _ = rw.Write(body)
							return
						}
						broken, length = true, len(body)
						if n < 0 {
							panic(http.ErrAbortHandler)
						}
						rw.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
						rw.WriteHeader(full.Code)
						_ = http.NewResponseController(rw).Flush()
						_, _ = rw.Write(body[:n])
						panic(http.ErrAbortHandler)
					}))
					s := &system{feed: feed, url: w.url, http: w.client}
					s.join(t, tr, nil)
					feed.publish(1)
					s.rec.await(t, model.Deliver, 1)
					synctest.Wait()
					feed.publish(3)
					s.rec.await(t, model.Deliver, 4)
					require.True(t, broken)
					require.Equal(t, simtest.UpTo(1, 4), s.rec.seqs())
					require.Empty(t, s.rec.of(model.Discontinuity))
					if n >= 0 { // without a head, net/http asks again by itself
						require.Len(t, s.rec.of(model.Disconnected), 1)
						require.Contains(t, s.rec.of(model.Disconnected)[0].Note, "the answer broke off: ")
					}
				})
			}
			require.Greater(t, length, 300)
		})
	}
}

// Goal: what no server may answer ends the connection; the client says what it was, delivers nothing of
// it and comes back for what it lacks.
// Method: the second answer is a bad one.
func TestBadAnswers(t *testing.T) {
	hello := `{"type":"hello","cursor":"e1:1","resumed":true}`
	cases := []struct {
		body, note string
	}{
		{"", "the answer ended before it gave a position"},
		{"{", "frame: unexpected end"},
		{"[]", "frame: json: cannot unmarshal"},
		{line2, "an answer that begins with message; want hello"},
		{`{"type":"hello"}`, "the answer ended before it gave a position"},
		{`{"type":"hello"}` + "\n" + line2, "message where a discontinuity must follow"},
		{`{"type":"hello","cursor":"e1:0","resumed":true}`, "the server started at e1:0, not at e1:1"},
		{`{"type":"hello","cursor":"e1:1"}`, "the server started at e1:1, not at e1:1"},
		{hello + "\n" + line2, "resumed at e1:1 without its anchor: the first message is e1:2"},
		{hello + "\n" + line1 + "\n" + hello, "a second hello"},
		{hello + "\n" + line1 + "\n" + strings.ReplaceAll(line2, "2", "3"), "hole: message 3 after 1"},
		{hello + "\n\n", "frame: unexpected end"},
		{hello + strings.Repeat(" ", 1<<20), "a frame of more than 1048576 bytes"},
		{`{"type":"goodbye","reason":"tired"}`, "goodbye from the server: tired"},
	}
	for _, c := range cases {
		for _, tr := range []string{"longpoll", "poll"} {
			t.Run(tr+" "+c.note, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					feed, requests := newMemFeed(), 0
					inner := testServer(t, feed)
					w := newWire(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						if requests++; requests != 3 {
							inner.ServeHTTP(rw, r)
							return
						}
						rw.Header().Set("Content-Type", lineType)
						_, _ = io.WriteString(rw, c.body)
					}))
					s := &system{feed: feed, url: w.url, http: w.client}
					s.join(t, tr, func(c *ClientConfig) { c.Poll.Interval = time.Second })
					feed.publish(1)
					s.rec.await(t, model.Deliver, 1)
					gone := s.rec.await(t, model.Disconnected, 1)
					require.Contains(t, gone[0].Note, c.note)
					feed.publish(1)
					s.rec.await(t, model.Deliver, 2)
					require.Equal(t, simtest.UpTo(1, 2), s.rec.seqs())
				})
			})
		}
	}
}

// Goal: an answer that is none of this protocol's is not taken for one.
func TestAnswerNeedsItsType(t *testing.T) {
	for _, tr := range []string{"longpoll", "poll"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "<html>welcome to the hotel</html>")
			}))
			c, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: tr, HTTP: w.client})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorContains(t, c.Run(ctx), `content type "text/html; charset=utf-8"; want application/x-ndjson`)
		})
	}
}

// parrot answers each request with the same answer, three times, and fails then.
type parrot struct {
	status    int
	tag, kind string
	body      []byte
	asked     int
}

func (s *parrot) RoundTrip(*http.Request) (*http.Response, error) {
	if s.asked++; s.asked > 3 {
		return nil, errors.New("that is all")
	}
	return &http.Response{
		StatusCode: s.status, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(bytes.NewReader(s.body)),
		Header: http.Header{"Etag": {s.tag}, "Content-Type": {s.kind}},
	}, nil
}

// Whatever a server answers, the client takes it or drops the connection, its session's story holds, and
// the next request has the session's cursor.
func FuzzAnswer(f *testing.F) {
	var all []byte
	for _, fr := range everyFrame {
		b, err := encodeFrame(fr)
		require.NoError(f, err)
		all = append(append(all, b...), '\n')
	}
	f.Add(200, `"e1:1/"`, lineType, all)
	f.Add(200, "", lineType, []byte(`{"type":"hello","cursor":"e1:0"}`+"\n"+line1+"\n"+line2))
	f.Add(200, "x", lineType+"; charset=utf-8", []byte(`{"type":"hello","cursor":"e1:1","resumed":true}`+"\n"+line1+"\n"+line2))
	f.Add(304, "\x00", "", []byte("{}"))
	f.Add(503, "", "text/html", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, tag, kind string, body []byte) {
		cfg := ClientConfig{
			Room: "r", BaseURL: "http://edge", Transport: "poll", MaxFrame: minFrame, Poll: Polling{Interval: time.Millisecond},
			HTTP: &http.Client{Transport: &parrot{status: status, tag: tag, kind: kind, body: body}}, Rand: rand.New(rand.NewPCG(1, 1)),
		}
		require.NoError(t, cfg.validate())
		s := &session{room: "r"}
		st, err := dialPoll(t.Context(), &cfg, s.begin())
		if err != nil {
			return
		}
		defer st.close()
		for {
			fr, err := st.next(t.Context())
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
			if s.phase == streaming {
				require.Equal(t, bookmark(s.cursor, s.lastID), st.(*pollStream).at)
			}
		}
	})
}

// Whatever a polling client asks for, the server answers, and for no longer than it may be held.
func FuzzPollRequest(f *testing.F) {
	f.Add("e1:0", "0", `"e1:0/"`)
	f.Add("e1:2", "1", "*")
	f.Add("e1:2/m2", "1", `"e1:2/m2"`)
	f.Add("e1:1/", "1", "")
	f.Add("", "", "")
	f.Add("e1:3", "-1", `W/"`)
	f.Add("e1:1", "99999999999999999999", `"e1:1/af63bd4c8601b7df", ,`)
	f.Fuzz(func(t *testing.T, cursor, hold, tag string) {
		feed := newMemFeed()
		feed.publish(2)
		h, err := Handler(ServerConfig{Feed: feed, Hold: time.Millisecond})
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: "/rooms/r/longpoll", RawQuery: url.Values{"cursor": {cursor}, "hold": {hold}}.Encode()}
		r.Header = http.Header{"If-None-Match": {tag}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Contains(t, []int{200, 304, 400}, w.Code)
		require.Equal(t, w.Code == 400, w.Header().Get("ETag") == "")
		if w.Code == 304 {
			require.NotEmpty(t, tag)
			require.Empty(t, w.Body.String())
		}
		open, _ := feed.subscriptions()
		require.Zero(t, open)
	})
}
