package model_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Goal: an outage begins with the fault that may have caused it, or else when the client noticed, and ends
// with the next connection. What a client gave up itself, or never came back from, is none.
func TestOutages(t *testing.T) {
	at := func(s float64, kind model.Kind, client string) model.Event {
		return model.Event{Time: time.Duration(s * float64(time.Second)), Kind: kind, Node: client, Room: "r", Transport: "ws", Peer: "edge-2"}
	}
	events := []model.Event{
		at(1, model.Connected, "cut"), at(1, model.Connected, "unlucky"), at(1, model.Connected, "stopped"),
		at(1, model.Connected, "gone"), at(1, model.Connected, "crashed"), at(1, model.Connected, "well"),
		at(2, model.FaultBegin, ""), // before the last that they heard
		at(3, model.Deliver, "cut"), at(3, model.Discontinuity, "unlucky"),
		at(4, model.Disconnected, "unlucky"),
		at(4.5, model.Connected, "unlucky"),
		at(5, model.FaultBegin, ""), at(5.5, model.FaultBegin, ""),
		at(8, model.Disconnected, "cut"), at(8, model.Disconnected, "stopped"), at(8, model.Disconnected, "gone"),
		at(8.25, model.Connected, "cut"), at(8.25, model.Connected, "stopped"), at(8.5, model.Connected, "crashed"),
		at(9, model.Disconnected, "unlucky"),
		at(9.5, model.Connected, "unlucky"),
	}
	for i := range events {
		e := &events[i]
		e.Step = uint64(i + 1)
		if e.Node == "stopped" && e.Kind == model.Disconnected {
			e.Note = model.NoteStopped
		}
		if e.Node == "unlucky" {
			e.Transport = "sse"
			e.Resumed = e.Kind == model.Connected && e.Time > 2*time.Second
		}
	}
	h := &model.History{Events: events}
	all := model.Outages(h)
	require.Len(t, all, 3, "%+v", all)
	first, second, cut := all[0], all[1], all[2]
	require.Equal(t, model.Outage{
		Transport: "sse", Peer: "edge-2", Client: "unlucky", Room: "r", Resumed: true,
		Step: 11, Began: 4 * time.Second, Noticed: 4 * time.Second, Ended: 4500 * ms,
	}, first)
	require.Equal(t, 500*ms, first.Length())
	require.Equal(t, 5*time.Second, second.Began, "a fault took hold since its last word, whether it was to blame or not")
	require.Equal(t, "cut", cut.Client)
	require.Equal(t, 5*time.Second, cut.Began, "the first of the faults")
	require.Equal(t, 3250*ms, cut.Length())
	require.Equal(t, 250*ms, cut.Reconnect())
	require.False(t, cut.Resumed)
	require.Empty(t, model.Outages(nil))
}
