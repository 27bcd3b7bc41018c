package model

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Bookmark is a [Cursor] with the ID of the message there, its anchor, by which a server that is to go on
// from it sees whether the log is still the one that was read. A cursor alone does not show that: a broker
// that lost the end of a log within an epoch, as at a failover to a copy that lags, fills the same positions
// again with other messages.
//
// The zero value is no position at all.
type Bookmark struct {
	Cursor Cursor
	// Anchor is the ID of the message at Cursor, or what else a server that does not know it told its
	// client to bring in its place. It is "" if nothing is known, and at Seq 0, where no message is.
	Anchor string
}

// String gives the text form, which [ParseBookmark] reads back: "epoch:seq/anchor", the anchor escaped as in a
// URL's path, so that all of it is printable ASCII without quotes, commas or spaces; "epoch:seq/" if nothing
// is known of the message there; "epoch:0" before the first; and "" for the zero bookmark.
func (b Bookmark) String() string {
	if b.Cursor.Seq == 0 {
		return b.Cursor.String()
	}
	return b.Cursor.String() + "/" + url.PathEscape(b.Anchor)
}

// ParseBookmark reads the text form of a bookmark. The anchor may be escaped more than need be; anything else
// that String would not have written is an error, a cursor without a slash among it.
func ParseBookmark(s string) (Bookmark, error) {
	text, escaped, found := strings.Cut(s, "/")
	at, err := ParseCursor(text)
	if err != nil {
		return Bookmark{}, err
	}
	switch {
	case !found && at.Seq > 0:
		return Bookmark{}, fmt.Errorf("bookmark %.80q: no slash; want epoch:seq/anchor, such as %q", s, "a1b2:42/m42")
	case !found:
		return Bookmark{Cursor: at}, nil
	case at.Seq == 0:
		return Bookmark{}, fmt.Errorf("bookmark %.80q: an anchor where no message is; want %q", s, at)
	}
	anchor, err := url.PathUnescape(escaped)
	if err != nil || strings.ContainsAny(escaped, `/", `) {
		return Bookmark{}, errors.Join(fmt.Errorf("bookmark %.80q: the anchor is not escaped as in a URL's path", s), err)
	}
	if err := CheckAnchor(anchor); err != nil {
		return Bookmark{}, fmt.Errorf("bookmark %.80q: %w", s, err)
	}
	return Bookmark{Cursor: at, Anchor: anchor}, nil
}

// CheckAnchor reports whether a text can be a bookmark's anchor: a message's ID by [CheckMessage], or "".
func CheckAnchor(anchor string) error { return checkName("anchor", anchor) }
