package model_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func TestBookmarkText(t *testing.T) {
	for text, b := range map[string]model.Bookmark{
		"":                              {},
		"e1:0":                          {Cursor: model.Cursor{Epoch: "e1"}},
		"e1:7/":                         {Cursor: model.Cursor{Epoch: "e1", Seq: 7}},
		"e1:7/m7":                       {Cursor: model.Cursor{Epoch: "e1", Seq: 7}, Anchor: "m7"},
		"e1:7/a:b%20%2F%2C%22%C3%A9%3F": {Cursor: model.Cursor{Epoch: "e1", Seq: 7}, Anchor: `a:b /,"é?`},
	} {
		require.Equal(t, text, b.String())
		got, err := model.ParseBookmark(text)
		require.NoError(t, err)
		require.Equal(t, b, got)
	}
}

func TestParseBookmarkRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"nonsense": "no colon",
		"/m7":      "an anchor where no message is",
		"e1:7":     "no slash; want epoch:seq/anchor",
		"e1:0/":    `an anchor where no message is; want "e1:0"`,
		"e1:0/m1":  "an anchor where no message is",
		"e1:7/a/b": "not escaped as in a URL's path",
		"e1:7/%zz": "not escaped as in a URL's path",
		"e1:7/a b": "not escaped as in a URL's path",
		"e1:7/%0A": "control character",
		"e1:7/%ff": "not UTF-8",
		"e1:07/m7": "not a decimal number",
		"e1:7/" + strings.Repeat("x", model.MaxNameLen+1): "allowed are 128",
	} {
		_, err := model.ParseBookmark(text)
		require.ErrorContains(t, err, want, text)
	}
}

// A bookmark that parses is one that can be written, and reads back the same.
func FuzzParseBookmark(f *testing.F) {
	for _, text := range []string{"", "e1:0", "e1:7/", "e1:7/m7", "e1:7/a%20b", "e1:7", "e1:7/%", "é:1/é"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := model.ParseBookmark(text)
		if err != nil {
			return
		}
		again, err := model.ParseBookmark(b.String())
		require.NoError(t, err)
		require.Equal(t, b, again)
		for _, c := range b.String() {
			require.True(t, c > ' ' && c < 0x7f && c != '"' && c != ',', "%q in %q", c, b)
		}
	})
}
