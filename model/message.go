package model

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Message is one update of a room, as it travels from the publisher over both hops to the clients.
type Message struct {
	Room string `json:"room"`
	// Seq is the message's position in its room's log, counting from 1. A message that has not been
	// appended yet has 0.
	Seq uint64 `json:"seq"`
	// ID is chosen by the publisher, unique in the room: publishing the same ID again appends nothing.
	ID string `json:"id"`
	// Publisher names who published it.
	Publisher string `json:"publisher"`
	Body      []byte `json:"body"`
}

// The limits of what can be published, for both hops.
const (
	// MaxRoomLen is the greatest length of a room's name, in bytes.
	MaxRoomLen = 64
	// MaxNameLen is the greatest length of a message's ID, and of its publisher's name, in bytes.
	MaxNameLen = 128
	// MaxBodyLen is the greatest length of a message's body, in bytes.
	MaxBodyLen = 1 << 20
)

// CheckRoom reports whether room can be the name of a room: 1 to MaxRoomLen characters of
// [A-Za-z0-9_.-], which stand in a URL's path as they are (RFC 3986 section 2.3) and in a broker's
// keys and subjects, but not "." or "..", which a URL's path would swallow.
func CheckRoom(room string) error {
	if len(room) == 0 || len(room) > MaxRoomLen {
		return fmt.Errorf("room %.80q: it has %d bytes; want 1 to %d", room, len(room), MaxRoomLen)
	}
	if room == "." || room == ".." {
		return fmt.Errorf("room %q: a URL's path cannot hold it", room)
	}
	for _, c := range room {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return fmt.Errorf("room %.80q: it has %q; allowed are letters, digits and _ . -", room, c)
		}
	}
	return nil
}

// CheckMessage reports whether m can be published: its room's name by [CheckRoom], an ID, a
// publisher's name, which may be empty, and a body within the limits. Names are UTF-8 without control
// characters.
func CheckMessage(m Message) error {
	if err := CheckRoom(m.Room); err != nil {
		return err
	}
	if m.ID == "" {
		return errors.New("message: it has no id")
	}
	if err := checkName("id", m.ID); err != nil {
		return err
	}
	if err := checkName("publisher", m.Publisher); err != nil {
		return err
	}
	if len(m.Body) > MaxBodyLen {
		return fmt.Errorf("body: it has %d bytes; allowed are %d", len(m.Body), MaxBodyLen)
	}
	return nil
}

func checkName(field, name string) error {
	switch {
	case len(name) > MaxNameLen:
		return fmt.Errorf("%s %.80q: it has %d bytes; allowed are %d", field, name, len(name), MaxNameLen)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s %.80q: it is not UTF-8", field, name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%s %.80q: it has a control character", field, name)
	}
	return nil
}
