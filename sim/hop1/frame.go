package hop1

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/twohop/twohop/model"
)

// frameType says what a [frame] tells the client. It is also the name of the SSE event.
type frameType string

const (
	// frameHello opens a connection: Server is who serves, Cursor the agreed position, Anchor the ID of the
	// message there, Resumed whether it is the client's own position, Anchorless that the message at it will
	// not be replayed. If the client's cursor could not be honoured, Cursor is zero, and a
	// frameDiscontinuity that has the position follows at once: a connection that breaks in between
	// must not leave the client with a new position and no word of the gap.
	frameHello frameType = "hello"
	// frameMessage carries one message; Cursor is its position.
	frameMessage frameType = "message"
	// frameDiscontinuity moves the client to Cursor, where the message Anchor is; what lay between is out of
	// reach. Reason says why.
	frameDiscontinuity frameType = "discontinuity"
	// frameGoodbye is the last frame: the server closes next. Reason says why; Retry, unless 0, is how
	// long the client should stay away.
	frameGoodbye frameType = "goodbye"
	// frameAck answers a publish over the connection: the message ID stands at Cursor.
	frameAck frameType = "ack"
	// frameNack answers a publish that failed, with what would have been the Status of an HTTP answer. If
	// it is 500 or more the client may try again, after Retry.
	frameNack frameType = "nack"
)

// frame is the unit that transports carry from server to client.
type frame struct {
	Type       frameType
	Cursor     model.Cursor
	Anchor     string // "" if it is not known
	Resumed    bool
	Anchorless bool
	Server     string
	Message    *model.Message
	Reason     string
	Retry      time.Duration // whole milliseconds on the wire
	ID         string        // of the message that is answered for
	Status     int
}

// wireFrame is a frame's JSON form, the same for every transport.
type wireFrame struct {
	Type    frameType `json:"type"`
	Cursor  string    `json:"cursor,omitempty"`
	Anchor  string    `json:"anchor,omitempty"`
	Resumed bool      `json:"resumed,omitempty"`
	// Anchored is there only to say false: without it, a resumed stream begins with its anchor.
	Anchored *bool          `json:"anchored,omitempty"`
	Server   string         `json:"server,omitempty"`
	Message  *model.Message `json:"message,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	RetryMS  int64          `json:"retry_ms,omitempty"`
	ID       string         `json:"id,omitempty"`
	Status   int            `json:"status,omitempty"`
}

// encodeFrame gives the JSON form of a frame, on one line.
func encodeFrame(f frame) ([]byte, error) {
	w := wireFrame{
		Type:    f.Type,
		Cursor:  f.Cursor.String(),
		Anchor:  f.mark().Anchor,
		Resumed: f.Resumed,
		Server:  f.Server,
		Message: f.Message,
		Reason:  f.Reason,
		RetryMS: f.Retry.Milliseconds(),
		ID:      f.ID,
		Status:  f.Status,
	}
	if f.Anchorless {
		w.Anchored = new(bool)
	}
	return json.Marshal(w)
}

// decodeFrame reads the JSON form of a frame and rejects what no server may send. Fields it does not
// know are ignored, so that servers may grow.
func decodeFrame(b []byte) (frame, error) {
	var w wireFrame
	if err := json.Unmarshal(b, &w); err != nil {
		return frame{}, fmt.Errorf("frame: %w", err)
	}
	cursor, err := model.ParseCursor(w.Cursor)
	if err != nil {
		return frame{}, fmt.Errorf("%.40q frame: %w", w.Type, err)
	}
	f := frame{Type: w.Type, Cursor: cursor}
	switch w.Type {
	case frameHello:
		f.Resumed, f.Server = w.Resumed, w.Server
		f.Anchorless = w.Anchored != nil && !*w.Anchored
		return f, f.anchor(w)
	case frameMessage:
		if w.Message == nil {
			return frame{}, errors.New("message frame without a message")
		}
		if w.Message.Seq == 0 || w.Message.Seq != cursor.Seq {
			return frame{}, fmt.Errorf("message frame: message %d at cursor %q", w.Message.Seq, w.Cursor)
		}
		f.Message = w.Message
	case frameDiscontinuity:
		f.Reason = w.Reason
		if err := f.anchor(w); err != nil {
			return frame{}, err
		}
	case frameAck:
		if w.ID == "" || cursor.Seq == 0 {
			return frame{}, fmt.Errorf("ack frame: id %.40q at cursor %q; want a message's", w.ID, w.Cursor)
		}
		f.ID = w.ID
		return f, nil
	case frameNack:
		if w.ID == "" || w.Status < 400 || w.Status > 599 {
			return frame{}, fmt.Errorf("nack frame: id %.40q, status %d; want a message's, and 400 to 599", w.ID, w.Status)
		}
		f.ID, f.Status = w.ID, w.Status
		return f, f.leave(w)
	case frameGoodbye:
		return f, f.leave(w)
	default:
		return frame{}, fmt.Errorf("frame of unknown type %.40q", w.Type)
	}
	if cursor.IsZero() {
		return frame{}, fmt.Errorf("%s frame without a cursor", w.Type)
	}
	return f, nil
}

// anchor takes over the ID of the message at a frame's position. One that could not be sent back is refused.
func (f *frame) anchor(w wireFrame) error {
	if w.Anchor != "" && f.Cursor.Seq == 0 {
		return fmt.Errorf("%s frame: anchor %.40q at cursor %q, where no message is", w.Type, w.Anchor, w.Cursor)
	}
	if err := model.CheckAnchor(w.Anchor); err != nil {
		return fmt.Errorf("%s frame: %w", w.Type, err)
	}
	f.Anchor = w.Anchor
	return nil
}

// claim is what a client that has got to a frame with a position may come back with.
func (f *frame) claim() claim {
	switch {
	case f.Type == frameMessage:
		return claim{Bookmark: bookmark(f.Cursor, f.Message.ID)}
	case f.Type == frameHello && f.Resumed && !f.Anchorless:
		return claim{Bookmark: model.Bookmark{Cursor: f.Cursor}, bare: f.Cursor.Seq > 0} // the anchor follows
	}
	return claim{Bookmark: f.mark()}
}

// mark is the position of a frame that is no message, with its anchor.
func (f *frame) mark() model.Bookmark {
	if f.Cursor.Seq == 0 {
		return model.Bookmark{Cursor: f.Cursor}
	}
	return bookmark(f.Cursor, f.Anchor)
}

// leave takes over what a frame says that has no position, but may ask the client to wait.
func (f *frame) leave(w wireFrame) error {
	if w.RetryMS < 0 || w.RetryMS > maxRetryHint.Milliseconds() {
		return fmt.Errorf("%s frame: retry_ms %d; want 0 to %d", w.Type, w.RetryMS, maxRetryHint.Milliseconds())
	}
	f.Reason, f.Retry, f.Cursor = w.Reason, time.Duration(w.RetryMS)*time.Millisecond, model.Cursor{}
	return nil
}

// appendEvent appends a frame as a server-sent event: its type, its position with the anchor as the event ID,
// its JSON form as the data. JSON has no raw line breaks, so one data line holds it. A browser's EventSource
// keeps the last ID and sends it as Last-Event-ID when it reconnects.
func appendEvent(dst []byte, f frame) ([]byte, error) {
	data, err := encodeFrame(f)
	if err != nil {
		return dst, err
	}
	dst = appendField(dst, "event", string(f.Type))
	if !f.Cursor.IsZero() {
		dst = appendField(dst, "id", f.claim().String())
	}
	if f.Retry > 0 {
		dst = fmt.Appendf(dst, "retry: %d\n", f.Retry.Milliseconds())
	}
	return append(appendField(dst, "data", string(data)), '\n'), nil
}

// decodeEvent reads what appendEvent wrote. The event's ID is not needed: the data has the cursor,
// and the parser reports the last ID seen, not this event's own.
func decodeEvent(ev sse.Event) (frame, error) {
	f, err := decodeFrame([]byte(ev.Data))
	if err != nil {
		return frame{}, err
	}
	if ev.Type != string(f.Type) {
		return frame{}, fmt.Errorf("event %.40q carries a frame of type %q", ev.Type, f.Type)
	}
	return f, nil
}
