package coord

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// machine is a registry with a counter for the IDs of requests.
type machine struct {
	*registry
	n int
}

func (m *machine) do(r Request) Reply {
	m.n++
	r.ID = fmt.Sprint(m.n)
	return m.apply(&r)
}

func version(v uint64) *uint64 { return &v }

func TestRegistry(t *testing.T) {
	m := machine{registry: newRegistry()}
	first := m.do(Request{Op: opPut, Key: "a", Value: "1", If: version(0)})
	require.Equal(t, Reply{Done: true, Revision: 1, Items: []Item{{Key: "a", Value: "1", Version: 1}}}, first)
	require.Equal(t, first.Items, m.do(Request{Op: opPut, Key: "a", Value: "2", If: version(0)}).Items, "the present one")
	second := m.do(Request{Op: opPut, Key: "a", Value: "2", If: version(1)})
	require.True(t, second.Done)
	require.Equal(t, second, m.apply(&Request{ID: "3", Op: opPut, Key: "a", Value: "9"}), "done once, by its ID")
	require.False(t, m.do(Request{Op: opDelete, Key: "a", If: version(1)}).Done)
	require.True(t, m.newer("a", 1))
	require.False(t, m.newer("a", 2))
	require.False(t, m.newer("b", 0))
	require.True(t, m.do(Request{Op: opDelete, Key: "a"}).Done)
	require.False(t, m.do(Request{Op: opDelete, Key: "a"}).Done)
	require.True(t, m.newer("a", 2), "that it is gone is news")
	require.False(t, m.get(&Request{ID: "x", Op: opGet, Key: "a"}).Done)
}

func TestLeases(t *testing.T) {
	m := machine{registry: newRegistry()}
	require.Contains(t, m.do(Request{Op: opPut, Key: "a", Lease: "l"}).Error, `there is no lease "l"`)
	require.True(t, m.do(Request{Op: opGrant, Lease: "l", TTL: time.Second}).Done)
	for _, k := range []string{"b", "a", "c"} {
		require.True(t, m.do(Request{Op: opPut, Key: k, Lease: "l"}).Done)
	}
	m.do(Request{Op: opPut, Key: "c"}) // not the lease's any more
	require.True(t, m.do(Request{Op: opGrant, Lease: "l", TTL: time.Second}).Done)
	require.False(t, m.do(Request{Op: opExpire, Lease: "l", Renewal: 1}).Done, "it was renewed")
	require.True(t, m.do(Request{Op: opExpire, Lease: "l", Renewal: 2}).Done)
	require.False(t, m.do(Request{Op: opRevoke, Lease: "l"}).Done)
	items := m.get(&Request{ID: "x", Op: opList}).Items
	require.Len(t, items, 1)
	require.Equal(t, "c", items[0].Key)
}

func TestRequestErrors(t *testing.T) {
	for want, r := range map[string]Request{
		"id: it has 0 bytes":                {},
		"get: it names no key":              {ID: "1", Op: opGet},
		"revoke: it names no lease":         {ID: "1", Op: opRevoke},
		"a lease of 1ns; want 1ms to 24h":   {ID: "1", Op: opGrant, Lease: "l", TTL: 1},
		`op: "dance" is none`:               {ID: "1", Op: "dance"},
		"key: it has 257 bytes":             {ID: "1", Op: opGet, Key: strings.Repeat("k", 257)},
		"lease: it has 257 bytes":           {ID: "1", Op: opGrant, Lease: strings.Repeat("k", 257)},
		"value: it has 1048577 bytes; want": {ID: "1", Op: opPut, Key: "k", Value: strings.Repeat("k", 1<<20+1)},
	} {
		require.ErrorContains(t, r.check(), want)
	}
	require.Contains(t, newRegistry().apply(&Request{ID: "1", Op: opGet, Key: "k"}).Error, "does not write")
}

// The same requests make the same registry, byte for byte, snapshots in between or not; what is remembered
// is bounded.
func TestRegistryReplicates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := newRegistry(), newRegistry()
		name := rapid.StringMatching(`[a-c]`)
		for i := range rapid.IntRange(1, 60).Draw(rt, "requests") {
			r := &Request{
				ID: fmt.Sprint(rapid.IntRange(0, i).Draw(rt, "id")), Op: rapid.SampledFrom([]op{opPut, opDelete, opGrant, opRevoke, opExpire, opGet}).Draw(rt, "op"),
				Key: name.Draw(rt, "key"), Value: name.Draw(rt, "value"), TTL: time.Second, Renewal: rapid.Uint64Range(0, 3).Draw(rt, "renewal"),
				Lease: rapid.SampledFrom([]string{"", "l", "m"}).Draw(rt, "lease"),
			}
			if rapid.Bool().Draw(rt, "conditional") {
				r.If = version(rapid.Uint64Range(0, 9).Draw(rt, "if"))
			}
			require.Equal(rt, a.apply(r), b.apply(r))
			if rapid.Bool().Draw(rt, "snapshot") {
				s, err := a.snapshot()
				require.NoError(rt, err)
				a = newRegistry()
				require.NoError(rt, a.restore(s))
			}
			for _, it := range a.Items {
				require.True(rt, it.Lease == "" || a.Leases[it.Lease].Renewal > 0, "a key outlives its lease")
			}
		}
		sa, err := a.snapshot()
		require.NoError(rt, err)
		sb, err := b.snapshot()
		require.NoError(rt, err)
		require.Equal(rt, string(sb), string(sa))
	})
	m := machine{registry: newRegistry()}
	for range remembered + 10 {
		m.do(Request{Op: opDelete, Key: "a"})
	}
	require.Len(t, m.Answers, remembered)
	require.False(t, slices.Contains(m.Order, "1"))
	require.ErrorContains(t, m.restore([]byte(`{"items":null}`)), "a part is missing")
}

// Whatever comes as a request: no panic, and what is accepted is what is written.
func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"id":"1","op":"put","key":"k","value":"v","if":0}`))
	f.Add([]byte(`{"id":"1","op":"grant","lease":"l","ttl_ns":1000000}`))
	f.Add([]byte(`{"id":"1","op":"watch"} x`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b)
		if err != nil {
			return
		}
		again, err := decodeRequest(encode(r))
		require.NoError(t, err)
		require.Equal(t, encode(r), encode(again))
		g := newRegistry()
		if g.apply(r).Done {
			require.NoError(t, r.check())
		}
	})
}

// Whatever a node answers: no panic, and what is accepted is sound.
func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(`{"done":true,"items":[{"key":"k","value":"v","version":3}],"revision":4}`))
	f.Add([]byte(`{"done":true,"revision":4}`))
	f.Add([]byte(`{"items":[{"version":9}],"revision":4}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReply(b, &Request{Op: opGet, Key: "k"})
		if err == nil && r.Done && r.Error == "" {
			require.Len(t, r.Items, 1)
			require.NotZero(t, r.Items[0].Version)
		}
	})
}
