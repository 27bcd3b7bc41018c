package hop1

import (
	"bufio"
	"io"
	"iter"
	"strings"

	"github.com/tmaxmax/go-sse"
)

// The event stream format of the HTML Living Standard, section 9.2.5 and 9.2.6.

// appendField appends a field, on as many lines as its value has: the standard knows CR, LF and CRLF as
// their ends, and a reader joins the lines of data by LF.
func appendField(dst []byte, name, value string) []byte {
	if strings.Contains(value, "\r") {
		value = strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", "\n"), "\r", "\n")
	}
	for line := range strings.SplitSeq(value, "\n") {
		dst = append(append(append(append(dst, name...), ": "...), line...), '\n')
	}
	return dst
}

// readEvents parses a stream. go-sse does it by the standard, but for three things: it gives events
// without data, which the standard does not dispatch; it takes a byte order mark off that blank lines
// precede, which is part of a field's name, and so makes it an unknown one; and it takes a number with a
// sign for a retry, which its Read does not give anyway. The first two are made good here. An event whose
// data is there but empty is left out too: no frame is empty.
func readEvents(r io.Reader, maxEvent int) iter.Seq2[sse.Event, error] {
	return func(yield func(sse.Event, error) bool) {
		for ev, err := range sse.Read(afterMark(r), &sse.ReadConfig{MaxEventSize: maxEvent}) {
			if err == nil && ev.Data == "" {
				continue
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// afterMark takes the byte order mark off a stream, and puts a comment in its place, after which go-sse does
// not look for one.
func afterMark(r io.Reader) io.Reader {
	const mark = "\xef\xbb\xbf"
	br := bufio.NewReaderSize(r, 16) // reads of more than that go past it
	// If there are not as many bytes, reading says why.
	if head, err := br.Peek(len(mark)); err == nil && string(head) == mark {
		_, _ = br.Discard(len(mark)) // they are there
	}
	return io.MultiReader(strings.NewReader(":\n\n"), br)
}
