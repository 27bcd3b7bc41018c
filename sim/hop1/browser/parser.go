package browser

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// parser reads an event stream as the HTML standard has it (sections 9.2.5 and 9.2.6).
type parser struct {
	r     *bufio.Reader
	limit int
	begun bool // the first line has been read
	// afterCR: a line ended with a CR, and an LF that follows belongs to it. It must not be waited for.
	afterCR bool

	line         []byte
	id           string
	kind         string
	data         strings.Builder
	dispatchedID string
	retry        time.Duration // what the stream asked for last; negative if it did not
}

var errTooLarge = errors.New("event too large")

func newParser(r io.Reader, limit int, lastEventID string) *parser {
	return &parser{r: bufio.NewReader(r), limit: limit, id: lastEventID, dispatchedID: lastEventID, retry: -1}
}

// next gives the next event with data. An event that the end of the stream cuts short is none.
func (p *parser) next() (Event, error) {
	for {
		if err := p.readLine(); err != nil {
			return Event{}, err
		}
		if len(p.line) > 0 {
			p.field()
			continue
		}
		p.dispatchedID = p.id
		ev := Event{Type: p.kind, Data: strings.TrimSuffix(p.data.String(), "\n"), LastEventID: p.id}
		empty := p.data.Len() == 0
		p.kind = ""
		p.data.Reset()
		if empty {
			continue
		}
		if ev.Type == "" {
			ev.Type = "message"
		}
		return ev, nil
	}
}

// byteOrderMark may stand at the very beginning.
var byteOrderMark = []byte("\ufeff")

// readLine reads up to a CR, LF or CRLF, or fails.
func (p *parser) readLine() error {
	p.line = p.line[:0]
	for {
		b, err := p.r.ReadByte()
		if err != nil {
			return err
		}
		skip := p.afterCR && b == '\n'
		p.afterCR = b == '\r'
		switch {
		case skip:
		case b == '\n' || b == '\r':
			if !p.begun {
				p.begun = true
				p.line = bytes.TrimPrefix(p.line, byteOrderMark)
			}
			return nil
		case len(p.line)+p.data.Len() >= p.limit:
			return errTooLarge
		default:
			p.line = append(p.line, b)
		}
	}
}

// field takes a line that is not empty. One that begins with a colon is a comment.
func (p *parser) field() {
	name, value, _ := bytes.Cut(p.line, []byte(":"))
	text := strings.ToValidUTF8(string(bytes.TrimPrefix(value, []byte(" "))), "\ufffd")
	switch string(name) {
	case "event":
		p.kind = text
	case "data":
		p.data.WriteString(text)
		p.data.WriteByte('\n')
	case "id":
		if !strings.Contains(text, "\x00") {
			p.id = text
		}
	case "retry":
		p.setRetry(text)
	}
}

// setRetry takes a number of milliseconds, of ASCII digits only.
func (p *parser) setRetry(text string) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return
	}
	ms, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		ms = 1<<31 - 1 // it is too large, and so is this: 24 days
	}
	p.retry = time.Duration(ms) * time.Millisecond
}
