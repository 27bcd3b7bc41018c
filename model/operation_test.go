package model_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func TestOperation(t *testing.T) {
	for _, tt := range []struct {
		op   model.Operation
		text string
	}{
		{model.Op("get"), "get()"},
		{model.Op("cas", "edge-1", "edge-2"), "cas(edge-1, edge-2)"},
		{model.Op("acquire", "edge-1", "1.5s"), "acquire(edge-1, 1.5s)"},
		{model.Op("put", ""), `put("")`},
		{model.Op("put", `a, "b")`), `put("a, \"b\")")`},
	} {
		require.Equal(t, tt.text, tt.op.String())
		got, err := model.ParseOperation(tt.text)
		require.NoError(t, err)
		require.Equal(t, tt.op, got)
	}
	got, err := model.ParseOperation(`cas(  a ,"b"  )`)
	require.NoError(t, err)
	require.Equal(t, model.Op("cas", "a", "b"), got)

	for text, want := range map[string]string{
		"":             "it has no name",
		"get":          "no parenthesis",
		"9(a)":         `has '9'`,
		"get(":         "byte 5: want an argument",
		"get(a":        "byte 6: want a comma",
		"get(a,)":      "byte 7: want an argument",
		"get(a b)":     "byte 7: want a comma",
		"get(a) ":      "byte 6: want a comma",
		`get("a)`:      "byte 5: the quoted argument does not end",
		"get(a, ü)":    "byte 8: want an argument",
		"get((a))":     "byte 5: want an argument",
		"get(a))":      "byte 6: want a comma",
		"get-it now()": `has ' '`,
	} {
		_, err := model.ParseOperation(text)
		require.ErrorContains(t, err, want, "%q", text)
	}
}

// Whatever is read reads the same when it has been written.
func FuzzParseOperation(f *testing.F) {
	for _, text := range []string{"get()", "cas(a, b)", `put("x, y")`, `put("\x00")`, "get(", "a(,)", `a("`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := model.ParseOperation(text)
		if err != nil {
			return
		}
		again, err := model.ParseOperation(o.String())
		require.NoError(t, err)
		require.Equal(t, o, again)
	})
}
