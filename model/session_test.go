package model_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// The rules of sessions, each with histories that keep it and that break it, at which step and why.
func TestValidateSessions(t *testing.T) {
	tests := []struct {
		name, story string
		step        uint64 // 0: accepted
		why         string
	}{
		{"a life", "p publish a|c connected 0|p ok a 1|c deliver 1 a|c gone|c resumed 1|c gap 1|c gone|end", 0, "8 events"},
		{"two rooms", "c connected 0|c connected 0@s|c gone|c deliver 1 a@s", 0, ""},
		{"a client that crashed and started again", "c connected 0|c deliver 1 a|c connected 0|c deliver 1 a", 0, ""},
		{"a publisher that tries twice", "p publish a|p unknown a|p publish a|p ok a 1", 0, ""},
		{"a publisher with two calls open", "p publish a|p publish a|p ok a 1|p ok a 1", 0, ""},

		{"delivered before it is connected", "c deliver 1 a", 1, `client "c" saw r#1, but was not connected`},
		{"delivered after it is gone", "c connected 0|c gone|c deliver 1 a", 3, `client "c" saw r#1, but was not connected`},
		{"delivered in another room", "c connected 0|c deliver 1 a@s", 2, "s#1, but was not connected"},
		{"told after it is gone", "c connected 0|c gone|c gap 2", 3, "was told of a discontinuity up to r#2, but was not connected"},
		{"gone twice", "c connected 0|c gone|c gone", 3, `client "c" was disconnected from room "r", but was not connected`},
		{"answered without a call", "p ok a 1", 1, `publisher "p" was answered for message "a"`},
		{"answered twice", "p publish a|p ok a 1|p unknown a", 3, "no call open"},
		{"another's answer", "p publish a|q ok a 1", 2, `publisher "q"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := model.ValidateSessions(story(t, tt.story))
			want := model.Ok
			if tt.step > 0 {
				want = model.Illegal
			}
			require.Equal(t, want, v.Outcome, v)
			require.Equal(t, tt.step, v.Step, v)
			require.Contains(t, v.Detail, tt.why)
		})
	}
	h := story(t, "c connected 0|c deliver 1 a")
	h.Events[1].Transport = "sse"
	v := model.ValidateSessions(h)
	require.Equal(t, uint64(2), v.Step)
	require.Contains(t, v.Detail, `by transport "sse", but was connected by "ws"`)
	for _, h := range []*model.History{nil, {}, story(t, "end")} {
		require.Equal(t, model.Unknown, model.ValidateSessions(h).Outcome)
	}
	s := model.NewSessions()
	require.NoError(t, s.Step(model.Event{Kind: model.Connected, Node: "c", Room: "r"}))
	require.True(t, s.Connected("c", "r"))
	require.False(t, s.Connected("c", "s"))
}
