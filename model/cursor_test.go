package model_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func TestCursor(t *testing.T) {
	for text, want := range map[string]model.Cursor{
		"":                             {},
		"e1:0":                         {Epoch: "e1"},
		"_-aZ09:42":                    {Epoch: "_-aZ09", Seq: 42},
		"e:18446744073709551615":       {Epoch: "e", Seq: 1<<64 - 1},
		strings.Repeat("x", 32) + ":1": {Epoch: strings.Repeat("x", 32), Seq: 1},
	} {
		got, err := model.ParseCursor(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for text, want := range map[string]string{
		"e1":                           "no colon",
		":1":                           "epoch has 0 characters",
		strings.Repeat("x", 33) + ":1": "epoch has 33 characters",
		"e.1:1":                        `epoch has '.'`,
		"e:":                           "is not a decimal number",
		"e:01":                         "is not a decimal number",
		"e:+1":                         "is not a decimal number",
		"e:1:2":                        "is not a decimal number",
		"e:18446744073709551616":       "is not a decimal number",
	} {
		_, err := model.ParseCursor(text)
		require.ErrorContains(t, err, want, text)
	}
	require.Equal(t, "r#e1:7", model.Cursor{Epoch: "e1", Seq: 7}.In("r"))
	require.Equal(t, "r#7", model.Cursor{Seq: 7}.In("r"))
	require.Equal(t, "r#0", model.Cursor{}.In("r"))
}

// What parses is what String would have written.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "e1:0", "e1:18446744073709551615", "e1:01", ":", "é:1", "e:1\n", "e1:-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := model.ParseCursor(text); err == nil {
			require.Equal(t, text, c.String())
		}
	})
}
