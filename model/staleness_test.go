package model_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Goal: the age of what is shown grows until something newer comes; what was overtaken does not make it older.
func TestStaleness(t *testing.T) {
	const ms = time.Millisecond
	var h model.History
	add := func(at time.Duration, e model.Event) {
		e.Time, e.Step = at, uint64(len(h.Events)+1)
		h.Events = append(h.Events, e)
	}
	publish := func(at time.Duration, id string) {
		add(at, model.Event{Kind: model.PublishCall, Node: "p", Room: "r", ID: id})
	}
	deliver := func(at time.Duration, id, transport string) {
		add(at, model.Event{Kind: model.Deliver, Node: "c", Room: "r", ID: id, Transport: transport})
	}
	publish(0, "a")
	deliver(10*ms, "a", "fast")
	publish(20*ms, "b")
	deliver(25*ms, "a", "slow")
	deliver(30*ms, "b", "fast")
	deliver(31*ms, "nobody published this", "fast")
	publish(40*ms, "c")
	deliver(40*ms, "a", "fast") // overtaken
	deliver(50*ms, "b", "late") // after the last publish
	require.Equal(t, []model.Distribution{
		{Transport: "fast", Sorted: []time.Duration{10 * ms, 10 * ms, 20 * ms, 20 * ms}}, // at 10, 20, 30 and 40 ms
		{Transport: "slow", Sorted: []time.Duration{25 * ms, 35 * ms}},
	}, model.Staleness(&h, 10*ms))
	require.Empty(t, model.Staleness(nil, ms))
	require.Empty(t, model.Staleness(&h, 0))
}
