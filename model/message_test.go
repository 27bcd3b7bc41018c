package model_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func TestCheckRoom(t *testing.T) {
	for _, room := range []string{"r", "Room_1.a-b", "...", ".a", strings.Repeat("x", model.MaxRoomLen)} {
		require.NoError(t, model.CheckRoom(room))
	}
	for room, want := range map[string]string{
		"":                      "has 0 bytes; want 1 to 64",
		strings.Repeat("x", 65): "has 65 bytes; want 1 to 64",
		".":                     "a URL's path cannot hold it",
		"..":                    "a URL's path cannot hold it",
		"a~":                    `has '~'; allowed are letters, digits and _ . -`,
		"a/b":                   `has '/'`,
		"a b":                   `has ' '`,
		"ä":                     `has 'ä'`,
		"a\n":                   `has '\n'`,
		"{a}":                   `has '{'`,
	} {
		require.ErrorContains(t, model.CheckRoom(room), want, "%q", room)
	}
}

func TestCheckMessage(t *testing.T) {
	good := model.Message{Room: "r", ID: "1"}
	require.NoError(t, model.CheckMessage(good))
	long := strings.Repeat("x", model.MaxNameLen+1)
	for want, change := range map[string]func(*model.Message){
		`room ""`:                          func(m *model.Message) { m.Room = "" },
		"no id":                            func(m *model.Message) { m.ID = "" },
		"has 129 bytes; allowed are 128":   func(m *model.Message) { m.ID = long },
		`id "a\nb": it has a control`:      func(m *model.Message) { m.ID = "a\nb" },
		"not UTF-8":                        func(m *model.Message) { m.Publisher = "\xff" },
		`publisher "x`:                     func(m *model.Message) { m.Publisher = long },
		`publisher "\x00": it has a`:       func(m *model.Message) { m.Publisher = "\x00" },
		"1048577 bytes; allowed are 10485": func(m *model.Message) { m.Body = make([]byte, model.MaxBodyLen+1) },
	} {
		m := good
		change(&m)
		require.ErrorContains(t, model.CheckMessage(m), want)
	}
	good.Body = make([]byte, model.MaxBodyLen)
	good.ID, good.Publisher = long[1:], long[1:]
	require.NoError(t, model.CheckMessage(good))
}

// What is accepted as a room's name goes into URLs, keys and channels without being escaped.
func FuzzCheckRoom(f *testing.F) {
	for _, seed := range []string{"r", "", ".", "..", "a/b", "{r}", "r\x00", "ü", "a b", "a%2Fb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, room string) {
		if model.CheckRoom(room) == nil {
			require.Regexp(t, `^[A-Za-z0-9_.-]{1,64}$`, room)
			require.NotContains(t, []string{".", ".."}, room)
		} else if room != "." && room != ".." {
			require.NotRegexp(t, `^[A-Za-z0-9_.-]{1,64}\z`, room)
		}
	})
}
