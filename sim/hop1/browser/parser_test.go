package browser

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// parse gives all events of a stream, and the parser after it.
func parse(r io.Reader) ([]Event, *parser, error) {
	p := newParser(r, 1000, "")
	var events []Event
	for {
		ev, err := p.next()
		if err != nil {
			return events, p, err
		}
		events = append(events, ev)
	}
}

// Goal: streams are read to the letter of the HTML standard, sections 9.2.5 and 9.2.6, whose examples are the
// first ones.
func TestParser(t *testing.T) {
	message := func(data ...string) []Event {
		var events []Event
		for _, d := range data {
			events = append(events, Event{Type: "message", Data: d})
		}
		return events
	}
	for _, c := range []struct {
		stream string
		want   []Event
	}{
		{"data: YHOO\ndata: +2\ndata: 10\n\n", message("YHOO\n+2\n10")},
		{": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n", []Event{
			{"message", "first event", "1"}, {"message", "second event", ""},
		}},
		{"data\n\ndata\ndata\n\ndata:", message("", "\n")},
		{"data:test\n\ndata: test\n\n", message("test", "test")},

		{"", nil},
		{"\n\n\n", nil},
		{"\ufeffdata: a\n\n", message("a")},
		{"\ufeff\ufeffdata: a\n\n", nil},
		{"data: a\n\n\ufeffdata: b\n\n", message("a")},
		{"data: a\r\ndata: b\rdata: c\ndata: d\r\n\r\n", message("a\nb\nc\nd")},
		{"data: a\r\rdata: b\r\n\ndata: c\n\r", message("a", "b", "c")},
		{"event: x\n\ndata: a\n\n", message("a")},
		{"event: x\ndata: a\n\ndata: b\n\n", []Event{{"x", "a", ""}, {"message", "b", ""}}},
		{"event: x\nevent:\ndata: a\n\n", message("a")},
		{"id: 7\n\ndata: a\n\nid: 8\x00\ndata: b\n\n", []Event{{"message", "a", "7"}, {"message", "b", "7"}}},
		{"id: 7\nid:\ndata: a\n\n", message("a")},
		{"Data: a\ndata : b\n data: c\nunknown: d\ndata: e\n\n", message("e")},
		{"data: \xff\xfe\n\n", message("\ufffd")},
		{"data: a\x00b\n\n", message("a\x00b")},
		{"data:: a\n\n", message(": a")},
	} {
		events, _, err := parse(strings.NewReader(c.stream))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, c.want, events, "%q", c.stream)
	}
	for stream, want := range map[string]time.Duration{
		"retry: 1500\n\n": 1500 * time.Millisecond, "retry:0\n": 0, "retry: 007\n": 7 * time.Millisecond,
		"retry:\n": -1, "retry\n": -1, "retry: 1.5\n": -1, "retry: -1\n": -1, "retry:  1\n": -1, "retry: ١\n": -1,
		"retry: 10\nretry: x\n": 10 * time.Millisecond, "retry: 99999999999999999999\n": (1<<31 - 1) * time.Millisecond,
	} {
		_, p, _ := parse(strings.NewReader(stream))
		require.Equal(t, want, p.retry, "%q", stream)
	}
}

// Goal: an event is there as soon as its last byte is, whichever way its lines end.
func TestParserDoesNotWait(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n"} {
		r, w := io.Pipe()
		go func() { _, _ = io.WriteString(w, "data: a"+end+end) }() // and nothing more
		p := newParser(r, 1000, "")
		ev, err := p.next()
		require.NoError(t, err)
		require.Equal(t, "a", ev.Data)
		require.NoError(t, r.Close())
	}
}

// Goal: what an event may cost is bounded, be it one line or many.
func TestParserLimit(t *testing.T) {
	for _, stream := range []string{
		"data: " + strings.Repeat("x", 1000), strings.Repeat("data: x\n", 500), ":" + strings.Repeat("x", 1000),
	} {
		_, _, err := parse(strings.NewReader(stream))
		require.ErrorIs(t, err, errTooLarge)
	}
	events, _, err := parse(strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 900)+"\n\n", 10)))
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, events, 10)
}

// Whatever comes, the parser ends, takes it the same in one piece and byte by byte, and the same with CRLF, CR
// and LF at the lines' ends.
func FuzzParser(f *testing.F) {
	for _, seed := range []string{
		"data: a\nid: 1\nevent: x\n\n", "\ufeffdata: a\r\n\r\n", "retry: 10\n\ndata\n\n", ":c\rdata: a\r\rdata:\xff\n\n", "id:\x00\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, p, err := parse(bytes.NewReader(stream))
		again, q, errAgain := parse(iotest.OneByteReader(bytes.NewReader(stream)))
		require.Equal(t, whole, again)
		require.Equal(t, err, errAgain)
		require.Equal(t, [2]any{p.retry, p.dispatchedID}, [2]any{q.retry, q.dispatchedID})
		for _, ev := range whole {
			require.NotEmpty(t, ev.Type)
			require.False(t, strings.ContainsAny(ev.Type+ev.LastEventID, "\r\n") || strings.Contains(ev.Data, "\r"))
		}
		if bytes.Contains(stream, []byte("\r")) || !errors.Is(err, io.EOF) {
			return
		}
		for _, end := range []string{"\r\n", "\r"} {
			other, _, _ := parse(bytes.NewReader(bytes.ReplaceAll(stream, []byte("\n"), []byte(end))))
			require.True(t, slices.Equal(whole, other), "%q: %q and, with %q, %q", stream, whole, end, other)
		}
	})
}
