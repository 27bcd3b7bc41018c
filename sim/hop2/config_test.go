package hop2

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// A wrong field is named, with its value.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{"Addr", func(c *Config) { c.Addr = "" }},
		{"History: -1", func(c *Config) { c.History = -1 }},
		{"Remember: -2", func(c *Config) { c.Remember = -2 }},
		{"Inbox: -3", func(c *Config) { c.Inbox = -3 }},
		{"CheckEvery: -1s", func(c *Config) { c.CheckEvery = -time.Second }},
		{"CheckEvery: 1ns", func(c *Config) { c.CheckEvery = 1 }},
		{"Timeout: -1s", func(c *Config) { c.Timeout = -time.Second }},
		{"RememberFor: 99ms", func(c *Config) { c.RememberFor = 99 * time.Millisecond }},
		{`Storage: "tape"`, func(c *Config) { c.Storage = "tape" }},
		{"RetryMin: -1s", func(c *Config) { c.RetryMin = -time.Second }},
		{"RetryMax: 1ms", func(c *Config) { c.RetryMax = time.Millisecond }},
		{`Namespace: "a:b"`, func(c *Config) { c.Namespace = "a:b" }},
		{"Namespace", func(c *Config) { c.Namespace = strings.Repeat("x", 33) }},
	} {
		cfg := Config{Addr: "x:1"}
		c.change(&cfg)
		_, err := New("redis-streams", cfg)
		require.ErrorContains(t, err, c.want)
	}
	_, err := New("carrier pigeon", Config{Addr: "x:1"})
	require.ErrorContains(t, err, `unknown strategy "carrier pigeon"; known are jetstream, kafka, nats, pull, redis-pubsub, redis-streams`)
	for _, name := range Names() {
		s, err := New(name, Config{Addr: "x:1"})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
}

func TestBackoff(t *testing.T) {
	c := Config{Addr: "x:1", RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond}
	require.NoError(t, c.validate())
	for n, want := range map[int]time.Duration{1: 10, 2: 20, 3: 40, 4: 50, 1000: 50} {
		require.Equal(t, want*time.Millisecond, c.backoff(n))
	}
}

// What cannot be published or subscribed to is refused before anything is sent.
func TestInvalid(t *testing.T) {
	s, err := New("redis-streams", Config{Addr: "x:1"})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for _, m := range []model.Message{{Room: "a~", ID: "1"}, {Room: "r"}, {Room: "r", ID: "1", Body: make([]byte, model.MaxBodyLen+1)}} {
		_, err := s.Publish(t.Context(), m)
		require.ErrorIs(t, err, ErrInvalid)
	}
	_, err = s.Subscribe(t.Context(), "..", model.Cursor{})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, `invalid room "..": a URL's path cannot hold it`)
}

// Whatever the broker sends: no panic, and what is accepted is sound.
func FuzzDecodeLive(f *testing.F) {
	f.Add("e1:7 " + encodeRecord(model.Message{ID: "m", Publisher: "p", Body: []byte{0, 255}}))
	f.Add("e1:0 {}")
	f.Add("e1:18446744073709551615 {\"id\":\"x\"}")
	f.Add(":: ")
	f.Add("e1:7")
	f.Add("")
	f.Fuzz(func(t *testing.T, payload string) {
		item, err := decodeLive("r", payload)
		if err != nil {
			return
		}
		require.NotEmpty(t, item.at.Epoch)
		if item.message == nil {
			require.Equal(t, payload, item.at.String())
			return
		}
		m := *item.message
		require.Equal(t, item.at.Seq, m.Seq)
		require.NotZero(t, m.Seq)
		require.NotEmpty(t, m.ID)
		again, err := decodeLive("r", encodeLive(item.at, encodeRecord(m)))
		require.NoError(t, err)
		require.Equal(t, item.at, again.at)
		m2 := *again.message
		m.Body, m2.Body = append([]byte{}, m.Body...), append([]byte{}, m2.Body...)
		require.Equal(t, m, m2)
	})
}

func FuzzDecodePage(f *testing.F) {
	f.Add("e|3|a0|2-0|2-0|{\"id\":\"a\"}|3-0|{\"id\":\"b\"}")
	f.Add("e|0||")
	f.Add("e|3|c")
	f.Add("e|18446744073709551615||")
	f.Add("e|3||4-0|1-1|x")
	f.Fuzz(func(t *testing.T, joined string) {
		p, err := decodePage("r", strings.Split(joined, "|"))
		if err != nil {
			return
		}
		require.NotZero(t, p.first)
		require.LessOrEqual(t, p.first, p.last+1)
		for _, m := range p.messages {
			require.NotZero(t, m.Seq)
			require.LessOrEqual(t, m.Seq, p.last)
		}
		g := merge{progress: progress{at: model.Cursor{Epoch: "e", Seq: 1}}, limit: 4}
		g.ask()
		g.page(p)
		for b, ok := g.pop(); ok; b, ok = g.pop() {
			require.Equal(t, b.Gap == nil, len(b.Messages) > 0)
		}
	})
}
