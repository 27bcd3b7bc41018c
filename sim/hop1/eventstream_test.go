package hop1

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
)

// standardEvents interprets a whole stream as section 9.2.6 of the HTML standard says, sentence by sentence.
// Data that is empty though a field was there is left out, as by readEvents.
func standardEvents(stream string) []sse.Event {
	// "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
	stream = strings.TrimPrefix(stream, "\ufeff")
	// "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED (CRLF) character pair, a
	// single U+000A LINE FEED (LF) character, or a single U+000D CARRIAGE RETURN (CR) character."
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	var events []sse.Event
	data, eventType, lastID := "", "", ""
	for _, line := range lines[:len(lines)-1] { // the last has no end; "any pending data must be discarded"
		if line == "" {
			// "Set the last event ID string of the event source to the value of the last event ID buffer. If
			// the data buffer is an empty string, set the data buffer and the event type buffer to the empty
			// string and return. If the data buffer's last character is a U+000A LINE FEED (LF) character, then
			// remove the last character from the data buffer."
			if data := strings.TrimSuffix(data, "\n"); data != "" {
				events = append(events, sse.Event{LastEventID: lastID, Type: eventType, Data: data})
			}
			data, eventType = "", ""
			continue
		}
		// "If the line starts with a U+003A COLON character (:): ignore the line. If the line contains a
		// colon: collect the characters before the first as field, after it as value. If value starts with a
		// U+0020 SPACE character, remove it. Otherwise: the whole line is the field name, and the empty string
		// the field value."
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			eventType = value
		case "data":
			data += value + "\n"
		case "id": // "If the field value does not contain U+0000 NULL"
			if !strings.Contains(value, "\x00") {
				lastID = value
			}
		}
	}
	return events
}

// parsedEvents reads a stream in the pieces that r gives it in.
func parsedEvents(t testing.TB, r io.Reader, limit int) []sse.Event {
	var events []sse.Event
	for ev, err := range readEvents(r, limit) {
		require.NoError(t, err)
		events = append(events, ev)
	}
	return events
}

// streams are cases of the standard, its own examples among them.
var streams = []string{
	"data: YHOO\ndata: +2\ndata: 10\n\n",
	": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
	"data\n\ndata\ndata\n\ndata:\n",
	"data:test\n\ndata: test\n\n",
	"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
	"data: cr\rid: 7\r\rdata: crlf\r\n\r\ndata: lf\n\n",
	"data: mixed\r\r\ndata: two\n\r\n\r",
	"\ufeffdata: after a mark\n\n",
	"\ufeff\ufeffdata: after two marks\n\ndata: x\n\n",
	"\n\ufeffdata: a mark that is too late\n\ndata: x\n\n",
	"\ufeff\n\n\ufeffdata: also too late\n\ndata: x\n\n",
	"id: 1\nevent: lonely\n\ndata: x\n\n",
	"id: 1\n\nid: 2\x003\ndata: keeps the old one\n\n",
	"event: first\nevent: second\ndata: x\n\ndata: no type\n\n",
	":\n:\n\n: beat\n\ndata: x\n: comment\ndata: y\n\n",
	"Data: case counts\nDATA: x\n data: x\ndata : x\ndatax: x\n\n",
	"retry: 10\ndata: x\n\nretry: 1x\nretry: +1\nretry: -1\n\n",
	"data: never ends",
	"data: never dispatched\n",
	"data: ends\n\ndata: not",
	"data: caf\xe9 \xf0\x28\n\n",
	"\n\n\n\r\r\n\r\n",
	"data:: a\ndata:  : b\n\n",
}

// Goal: streams are read as the standard says, in whichever pieces they come.
// Method: beside a literal reading of the standard; whole, byte by byte, in halves, and with data and end at
// once.
func TestEventStreamStandard(t *testing.T) {
	for _, s := range streams {
		want := standardEvents(s)
		require.Equal(t, want, parsedEvents(t, strings.NewReader(s), 1<<16), "%q", s)
		require.Equal(t, want, parsedEvents(t, iotest.OneByteReader(strings.NewReader(s)), 1<<16), "%q", s)
		require.Equal(t, want, parsedEvents(t, iotest.HalfReader(strings.NewReader(s)), 1<<16), "%q", s)
		require.Equal(t, want, parsedEvents(t, iotest.DataErrReader(strings.NewReader(s)), 1<<16), "%q", s)
	}
	require.Equal(t, []sse.Event{{Data: "YHOO\n+2\n10"}}, standardEvents(streams[0]))
	require.Equal(t, []sse.Event{{LastEventID: "1", Data: "first event"}, {Data: "second event"}, {Data: " third event"}}, standardEvents(streams[1]))
}

// Goal: an event is there as soon as its blank line is: nothing waits for a byte that follows.
func TestEventStreamIsPrompt(t *testing.T) {
	for _, end := range []string{"\n\n", "\r\r", "\r\n\r\n", "\r\n\n"} {
		r, w := io.Pipe()
		got := make(chan string)
		go func() {
			for ev := range readEvents(r, 1<<16) {
				got <- ev.Data
			}
			close(got)
		}()
		for _, data := range []string{"a", "b"} {
			_, err := io.WriteString(w, "data: "+data+end)
			require.NoError(t, err)
			require.Equal(t, data, <-got, "%q", end)
		}
		require.NoError(t, w.Close())
		_, more := <-got
		require.False(t, more)
	}
}

// Goal: whatever a value holds, a reader gets it back, line ends made one.
func TestAppendField(t *testing.T) {
	for value, want := range map[string]string{
		"":            "x: \n",
		"a":           "x: a\n",
		"a\nb":        "x: a\nx: b\n",
		"a\r\nb\rc\n": "x: a\nx: b\nx: c\nx: \n",
		" a: b":       "x:  a: b\n",
	} {
		require.Equal(t, want, string(appendField(nil, "x", value)))
		got := parsedEvents(t, bytes.NewReader(append(appendField([]byte("data: .\n"), "data", value), '\n')), 1<<16)
		require.Equal(t, []sse.Event{{Data: ".\n" + strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", "\n"), "\r", "\n")}}, got)
	}
}

// What is read of any stream is what the standard says, however it is cut.
func FuzzEventStreamStandard(f *testing.F) {
	for _, s := range streams {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, size uint8) {
		want := standardEvents(s)
		require.Equal(t, want, parsedEvents(t, &pieces{strings.NewReader(s), int(size)%7 + 1}, 1<<20))
	})
}

// pieces reads at most n bytes at a time.
type pieces struct {
	r io.Reader
	n int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }

// Goal: what readEvents makes good is still to be made good: when the library does it, this fails.
func TestLibraryDeviates(t *testing.T) {
	for _, s := range []string{
		"id: 1\nevent: lonely\n\ndata: x\n\n",
		"\n\ufeffdata: a mark that is too late\n\ndata: x\n\n",
	} {
		var got []sse.Event
		for ev, err := range sse.Read(strings.NewReader(s), nil) {
			require.NoError(t, err)
			got = append(got, ev)
		}
		require.NotEqual(t, standardEvents(s), got)
	}
}
