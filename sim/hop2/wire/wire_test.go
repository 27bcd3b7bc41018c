package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/sim/hop2/wire"
)

func TestCheckOp(t *testing.T) {
	for want, op := range map[string]wire.Op{
		"want one of append, read and leave; it has 0": {},
		"it has no id":                   {Append: &wire.Append{Room: "r"}},
		`room "..": a URL's path`:        {Read: &wire.Read{Room: "..", Limit: 1}},
		`cursor "x": no colon`:           {Read: &wire.Read{Room: "r", From: "x", Limit: 1}},
		"limit: 0; want 1 to 1000":       {Read: &wire.Read{Room: "r"}},
		`stream "a b": it has ' '`:       {Read: &wire.Read{Room: "r", Limit: 1, Stream: "a b"}},
		"it has 65 characters":           {Read: &wire.Read{Room: "r", Limit: 1, Stream: strings.Repeat("s", 65)}},
		"want 1 to 64":                   {Leave: &wire.Leave{Room: "r"}},
		`room "..": a URL's path cannot`: {Leave: &wire.Leave{Room: "..", Stream: "s"}},
		"limit: 1001; want 1 to 1000":    {Read: &wire.Read{Room: "r", Limit: 1001}},
	} {
		require.ErrorContains(t, op.Check(), want)
	}
	both := wire.Op{Append: &wire.Append{Room: "r", ID: "1"}, Read: &wire.Read{Room: "r", Limit: 1}}
	require.Error(t, both.Check())
	both.Read = nil
	require.NoError(t, both.Check())
	require.NoError(t, (&wire.Op{Read: &wire.Read{Room: "r", Limit: 1, Stream: "0aZ_-"}}).Check())
	require.NoError(t, (&wire.Op{Leave: &wire.Leave{Room: "r", Stream: "s"}}).Check())
}

// A service that answers nonsense is found out.
func TestDecodeResults(t *testing.T) {
	read := []wire.Op{{Read: &wire.Read{Room: "r", Limit: 1}}}
	add := []wire.Op{{Append: &wire.Append{Room: "r", ID: "1"}}}
	for _, c := range []struct {
		want, reply string
		ops         []wire.Op
	}{
		{"results:", `nonsense`, read},
		{"something after", `{"results":[]} {}`, read},
		{"there are 0 for 1 operations", `{"results":[]}`, read},
		{"unknown field", `{"result":[]}`, read},
		{"a read has no page", `{"results":[{}]}`, read},
		{"no message's position", `{"results":[{"cursor":"e:0"}]}`, add},
		{"no message's position", `{"results":[{}]}`, add},
		{"no colon", `{"results":[{"cursor":"e"}]}`, add},
		{"page: position", `{"results":[{"page":{"epoch":"","first":1,"last":0}}]}`, read},
		{"page: position", `{"results":[{"page":{"epoch":"e","first":1,"last":18446744073709551615}}]}`, read},
		{"epoch has '!'", `{"results":[{"page":{"epoch":"!","first":1,"last":0}}]}`, read},
		{"oldest message is 0", `{"results":[{"page":{"epoch":"e","first":0,"last":0}}]}`, read},
		{"oldest message is 3", `{"results":[{"page":{"epoch":"e","first":3,"last":1}}]}`, read},
		{"record 2 after 2", `{"results":[{"page":{"epoch":"e","first":1,"last":2,"records":[{"seq":2,"id":"a"},{"seq":2,"id":"b"}]}}]}`, read},
		{"record 3 after 0", `{"results":[{"page":{"epoch":"e","first":1,"last":2,"records":[{"seq":3,"id":"a"}]}}]}`, read},
		{"record 1: message: it has no id", `{"results":[{"page":{"epoch":"e","first":1,"last":2,"records":[{"seq":1}]}}]}`, read},
	} {
		_, err := wire.DecodeResults([]byte(c.reply), c.ops)
		require.ErrorContains(t, err, c.want, c.reply)
	}
	got, err := wire.DecodeResults([]byte(`{"results":[{"error":"no"}]}`), read)
	require.NoError(t, err)
	require.Equal(t, "no", got[0].Error)
}

// What is accepted is what is written.
func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(`{"ops":[{"append":{"room":"r","id":"1","body":"AP8="}},{"read":{"room":"r","from":"e:1","limit":5}}]}`))
	f.Add([]byte(`{"ops":[{"read":{"room":"r","limit":5,"stream":"s"}},{"leave":{"room":"r","stream":"s"}}]}`))
	f.Add([]byte(`{"ops":[{}]}`))
	f.Add([]byte(`{"ops":[]}`))
	f.Add([]byte(`{"ops":null}x`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, err := wire.DecodeBatch(b)
		if err != nil {
			return
		}
		for i := range ops {
			_ = ops[i].Check() // it must not panic
		}
		text, err := json.Marshal(wire.Batch{Ops: ops})
		require.NoError(t, err)
		again, err := wire.DecodeBatch(text)
		require.NoError(t, err)
		second, err := json.Marshal(wire.Batch{Ops: again})
		require.NoError(t, err)
		require.Equal(t, string(text), string(second))
	})
}

// Whatever a service sends: no panic, and a page that is accepted is sound.
func FuzzDecodeResults(f *testing.F) {
	f.Add([]byte(`{"results":[{"page":{"epoch":"e","first":2,"last":3,"records":[{"seq":2,"id":"a"},{"seq":3,"id":"b"}]}}]}`))
	f.Add([]byte(`{"results":[{"page":{"epoch":"e","first":1,"last":0}}]}`))
	f.Add([]byte(`{"results":[{"error":"x"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, err := wire.DecodeResults(b, []wire.Op{{Read: &wire.Read{Room: "r", Limit: 9}}})
		if err != nil || rs[0].Error != "" {
			return
		}
		p := rs[0].Page
		require.NotEmpty(t, p.Epoch)
		require.LessOrEqual(t, p.First, p.Last+1)
		for _, r := range p.Records {
			require.NotZero(t, r.Seq)
			require.NotEmpty(t, r.ID)
		}
	})
}

// Whatever comes on a source's stream: no panic, and what is accepted is a message at a position.
func FuzzDecodeDelivery(f *testing.F) {
	f.Add([]byte(`{"room":"r","epoch":"e","record":{"seq":1,"id":"a","body":"AP8="}}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"room":"r","epoch":"e"}`))
	f.Add([]byte(`{"room":"r","epoch":"!","record":{"seq":1,"id":"a"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := wire.DecodeDelivery(b)
		if err != nil || d.Room == "" {
			return
		}
		require.NotEmpty(t, d.Epoch)
		text, err := json.Marshal(d)
		require.NoError(t, err)
		again, err := wire.DecodeDelivery(text)
		require.NoError(t, err)
		require.Equal(t, d.Room, again.Room)
		if d.Record != nil {
			require.NotZero(t, d.Record.Seq)
			require.Equal(t, d.Record.ID, again.Record.ID)
		}
	})
}
