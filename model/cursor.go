package model

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxEpochLen is the greatest length of a cursor's epoch, in bytes.
const MaxEpochLen = 32

// Cursor is a position in a room's log: everything up to and including Seq has been seen.
//
// The zero value is no position at all: a subscriber that holds it starts at the log's live end.
type Cursor struct {
	// Epoch names the life of the log that Seq counts in. A log that lost its history begins a new
	// epoch, so that an old cursor cannot be mistaken for a position in the new one. It is 1 to
	// MaxEpochLen characters of [A-Za-z0-9_-].
	Epoch string
	// Seq is the position of the last message seen, counting from 1; 0 is before the first.
	Seq uint64
}

// IsZero reports whether c is no position at all.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String gives the text form "epoch:seq", which [ParseCursor] reads back; "" for the zero cursor.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return c.Epoch + ":" + strconv.FormatUint(c.Seq, 10)
}

// In names the position in a room's log for people, as "room#epoch:seq", or "room#seq" where no epoch
// is known.
func (c Cursor) In(room string) string {
	if c.Epoch == "" {
		return room + "#" + strconv.FormatUint(c.Seq, 10)
	}
	return room + "#" + c.String()
}

// ParseCursor reads the text form of a cursor, as a client sends it in Last-Event-ID. The empty
// string is the zero cursor. Anything that String would not have written is an error.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	epoch, digits, found := strings.Cut(s, ":")
	if !found {
		return Cursor{}, fmt.Errorf("cursor %.80q: no colon; want epoch:seq, such as %q", s, "a1b2:42")
	}
	if err := checkEpoch(epoch); err != nil {
		return Cursor{}, fmt.Errorf("cursor %.80q: %w", s, err)
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || (len(digits) > 1 && digits[0] == '0') {
		return Cursor{}, fmt.Errorf("cursor %.80q: sequence %.40q is not a decimal number from 0 to 2^64-1", s, digits)
	}
	return Cursor{Epoch: epoch, Seq: seq}, nil
}

func checkEpoch(epoch string) error {
	if len(epoch) == 0 || len(epoch) > MaxEpochLen {
		return fmt.Errorf("epoch has %d characters; want 1 to %d", len(epoch), MaxEpochLen)
	}
	for _, r := range epoch {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
		default:
			return fmt.Errorf("epoch has %q; allowed are letters, digits, '_' and '-'", r)
		}
	}
	return nil
}
