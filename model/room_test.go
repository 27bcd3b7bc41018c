package model_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// story reads a history from lines such as these, one event each, all in room "r" unless they say
// "@other" at the end. A position is "seq" or "epoch:seq". Steps count from 1, and a step takes a
// millisecond.
//
//	p publish a | p ok a 1 | p unknown a | c connected 0 | c resumed 3 | c gone | c deliver e1:1 a | c gap 5 | end
func story(t *testing.T, text string) *model.History {
	t.Helper()
	h := &model.History{}
	for line := range strings.SplitSeq(text, "|") {
		line, room, elsewhere := strings.Cut(strings.TrimSpace(line), "@")
		if !elsewhere {
			room = "r"
		}
		step := uint64(len(h.Events) + 1)
		e := model.Event{Step: step, Time: time.Duration(step) * time.Millisecond, Room: room, Transport: "ws"}
		words := strings.Fields(line)
		var err error
		switch {
		case len(words) == 1 && words[0] == "end":
			e = model.Event{Step: step, Time: e.Time, Kind: model.RunEnd}
		case len(words) < 2:
			err = fmt.Errorf("too few words")
		default:
			e.Node = words[0]
			err = read(&e, words[1], words[2:])
		}
		require.NoError(t, err, "line %q", line)
		h.Events = append(h.Events, e)
	}
	return h
}

// read fills in the event that a verb and its arguments stand for.
func read(e *model.Event, verb string, args []string) error {
	id := func(i int) { e.ID = args[i] }
	position := func(i int) (err error) {
		epoch, seq, named := strings.Cut(args[i], ":")
		if !named {
			epoch, seq = "", args[i]
		}
		e.Epoch = epoch
		e.Seq, err = strconv.ParseUint(seq, 10, 64)
		return err
	}
	switch verb + " " + strconv.Itoa(len(args)) {
	case "publish 1":
		e.Kind = model.PublishCall
		id(0)
	case "ok 2":
		e.Kind = model.PublishOK
		id(0)
		return position(1)
	case "unknown 1":
		e.Kind = model.PublishUnknown
		id(0)
	case "connected 1", "resumed 1":
		e.Kind, e.Resumed = model.Connected, verb == "resumed"
		return position(0)
	case "gone 0":
		e.Kind = model.Disconnected
	case "deliver 2":
		e.Kind = model.Deliver
		id(1)
		return position(0)
	case "gap 1":
		e.Kind = model.Discontinuity
		return position(0)
	default:
		return fmt.Errorf("no verb %q with %d arguments", verb, len(args))
	}
	return nil
}

// The rules of a room, each with histories that keep it and that break it, at which step and why.
func TestValidate(t *testing.T) {
	tests := []struct {
		name, story string
		step        uint64 // 0: accepted
		why         string
	}{
		{"publish and deliver", "p publish a|p ok a 1|c connected 0|c deliver 1 a|end", 0, "4 events of 1 rooms"},
		{"seen before the publish returns", "p publish a|c connected 0|c deliver 1 a|p ok a 1", 0, ""},
		{"two rooms count on their own", "p publish a|p publish b@s|p ok a 1|p ok b 1@s", 0, "4 events of 2 rooms"},
		{"unknown publish fills a hole", "p publish a|p unknown a|q publish b|q ok b 2", 0, ""},
		{"unknown publish seen later", "p publish a|p unknown a|c connected 0|c deliver 1 a", 0, ""},
		{"the same ID again changes nothing", "p publish a|p unknown a|p publish a|p ok a 1|c connected 1", 0, ""},

		{"seen before it is published", "c connected 0|c deliver 1 a|p publish a", 2, `message "a", which nobody has called publish for`},
		{"returned before it is called", "p ok a 1", 1, "nobody has called publish"},
		{"given up before it is called", "p unknown a", 1, "nobody has called publish"},
		{"two messages at a position", "p publish a|q publish b|p ok a 1|q ok b 1", 4, `but message "a" is there`},
		{"a message at two positions", "p publish a|q publish b|p ok a 1|c connected 1|c deliver 2 a", 5, "but that message is at r#1"},
		{"position zero", "p publish a|p ok a 0", 2, "positions count from 1"},
		{"a hole that nothing fills", "p publish a|p ok a 2", 2, "takes 1 messages more than r#0"},
		{"an absurd position", "p publish a|p ok a 18446744073709551615", 2, "publish has been called for 0"},
		{"a position ahead of the log", "p publish a|p ok a 1|c connected 2", 3, `client "c" connected at r#2`},
		{"published after, placed before", "p publish a|q publish b|p ok a 2|q unknown b|s publish c|s ok c 1", 6,
			"filled by step 3 and the message's publish was not called before step 5"},
		{"a filler that turns up elsewhere", "p publish a|q publish b|p ok a 2|s publish c|q ok b 3", 5, "too few messages"},
		{"a filler that turns up just there", "p publish a|q publish b|p ok a 2|s publish c|q ok b 1|s ok c 3", 0, ""},

		{"resumes where it was", "p publish a|p ok a 1|c connected 0|c deliver 1 a|c gone|c resumed 1", 0, ""},
		{"resumes elsewhere", "p publish a|p ok a 1|c connected 0|c gone|c resumed 1", 5, "resumed at r#1, but had got to r#0"},
		{"resumes without having been there", "p publish a|p ok a 1|c resumed 1", 3, "has never been connected"},
		{"delivers without having been there", "p publish a|p ok a 1|c deliver 1 a", 3, "has never been connected"},
		{"announces without having been there", "c gap 0", 1, "has never been connected"},
		{"skips", "p publish a|p ok a 1|p publish b|p ok b 2|c connected 0|c deliver 2 b", 6, "saw r#2, but had got to r#0 only"},
		{"repeats", "p publish a|p ok a 1|c connected 0|c deliver 1 a|c deliver 1 a", 5, "had got to r#1"},
		{"repeats before its start", "p publish a|p ok a 1|c connected 1|c deliver 1 a", 4, "had got to r#1"},
		{"announced jump", "p publish a|p ok a 1|c connected 0|c gone|c connected 1|c gap 1|end", 0, ""},
		{"announced jump, and more", "p publish a|p ok a 1|p publish b|p ok b 2|c connected 0|c connected 1|c gap 2", 0, ""},
		{"announced in part", "p publish a|p ok a 1|p publish b|p ok b 2|c connected 0|c connected 2|c gap 1", 7, "up to r#1, but had connected at r#2"},
		{"discontinuity in a connection", "p publish a|p ok a 1|c connected 0|c gap 1", 0, ""},
		{"discontinuity ahead of the log", "c connected 0|c gap 1", 2, "up to r#1, but"},
		{"silent jump, then a delivery", "p publish a|p ok a 1|p publish b|p ok b 2|c connected 0|c connected 1|c deliver 2 b", 7,
			"jumped from r#0 to r#1 at step 6 without a discontinuity"},
		{"silent jump, then gone", "p publish a|p ok a 1|c connected 0|c connected 1|c gone", 5, "jumped from r#0 to r#1 at step 4"},
		{"silent jump, then another", "p publish a|p ok a 1|c connected 0|c connected 1|c connected 0", 5, "jumped from r#0 to r#1 at step 4"},
		{"silent jump to the end", "p publish a|p ok a 1|c connected 0|d connected 0|d connected 1|c connected 1|end", 7, `client "d" jumped`},
		{"next epoch", "p publish a|p ok a e1:1|c connected e1:0|c deliver e1:1 a|p publish b|p ok b e2:1|c gap e2:0|c deliver e2:1 b|c gone|c resumed e2:1|end", 0, ""},
		{"next epoch, after a new start", "p publish a|p ok a e1:1|c connected e1:1|c gone|c connected e2:0|c gap e2:0|end", 0, ""},
		{"next epoch, its end", "p publish a|p publish b|p ok a e1:1|p ok b e2:1|c connected e1:0|c gap e2:1|end", 0, ""},
		{"the same message in both epochs", "p publish a|c connected e1:0|c deliver e1:1 a|p ok a e2:1|c gap e2:0|c deliver e2:1 a", 0, ""},
		{"an old epoch, told late", "p publish a|p publish b|p ok b e2:1|p ok a e1:1|c connected e1:0|c deliver e1:1 a", 0, ""},
		{"on in the old epoch, where it is cached", "p publish a|p ok a e1:1|c connected e1:0|p publish b|p ok b e2:1|c deliver e1:1 a|c gap e2:0", 0, ""},
		{"two epochs in two rooms", "p publish a|p ok a e1:1|p publish b@s|p ok b e2:1@s|c connected e1:0|c connected e2:0@s", 0, ""},
		{"changes epoch silently", "p publish a|p ok a e1:1|c connected e1:1|p publish b|p ok b e2:1|c deliver e2:1 b", 6,
			`client "c" saw r#e2:1, but had got to r#e1:1 and been told of no discontinuity`},
		{"changes epoch silently, one ahead", "p publish a|p ok a e1:1|c connected e1:1|p publish b|p publish d|p ok b e2:1|c deliver e2:2 d", 7, "told of no discontinuity"},
		{"changes epoch silently, at the same position", "p publish a|p ok a e1:1|p publish b|p ok b e2:1|c connected e1:1|c connected e2:1|p publish d|c deliver e2:2 d", 8,
			"jumped from r#e1:1 to r#e2:1 at step 6 without a discontinuity"},
		{"resumes in another epoch", "p publish a|p ok a e1:1|p publish b|p ok b e2:1|c connected e1:1|c resumed e2:1", 6, "resumed at r#e2:1, but had got to r#e1:1"},
		{"told of the old epoch, connected in the new", "p publish a|p ok a e1:1|c connected e1:0|c connected e2:0|c gap e1:1", 5, "up to r#e1:1, but had connected at r#e2:0"},
		{"new epoch announced in part", "p publish a|p publish b|p ok b e2:2|c connected e1:0|c connected e2:2|c gap e2:1", 6, "up to r#e2:1, but had connected at r#e2:2"},
		{"new epoch, older than announced", "p publish a|c connected e1:0|c connected e2:1|c gap e3:0|end", 0, ""},
		{"back within an epoch", "p publish a|p ok a e1:1|c connected e1:1|c gap e1:0", 4, "sent back from r#e1:1 to r#e1:0, but a log that lost messages begins a new epoch"},
		{"back to an epoch that it left", "p publish a|p ok a e1:1|c connected e1:0|c gap e2:0|c gap e1:0", 5, "sent to r#e1:0, but had left that epoch"},
		{"two messages at a position of an epoch", "p publish a|p publish b|p ok a e1:1|p ok a e2:1|p ok b e2:1", 5, `but message "a" is there`},
		{"a message at two positions of an epoch", "p publish a|p publish b|p ok a e1:1|p ok b e2:1|p ok a e2:2|q ok a e2:3", 6, "but that message is at r#e2:2"},
		{"a hole in the new epoch that nothing fills", "p publish a|p ok a e1:1|p ok a e2:2", 3, "takes 1 messages more than r#e2:0"},
		{"connected ahead of the new epoch", "p publish a|p ok a e1:1|c connected e2:2", 3, "connected at r#e2:2, but that takes 2"},
		{"seen in an epoch before it is published", "p publish a|p ok a e1:1|c connected e2:0|c deliver e2:1 b", 4, "nobody has called publish for"},
		{"two epochs live at once", "p publish a|p ok a e1:1|c connected e2:0|p publish b|p ok b e2:1|p publish d|q ok d e1:2", 7,
			`epochs "e1" and "e2" were appended to in turns: the one was there by step 2 and has a message whose publish was called at step 6, the other by step 3 and at step 4`},
		{"two epochs live at once, seen by a client", "c connected e1:0|d connected e2:0|p publish a|p publish b|c deliver e1:1 a|d deliver e2:1 b", 6, "appended to in turns"},

		{"silent jump back", "p publish a|p ok a 1|c connected 1|c connected 0|c deliver 1 a", 5, "jumped from r#1 to r#0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := model.Validate(story(t, tt.story))
			want := model.Ok
			if tt.step > 0 {
				want = model.Illegal
			}
			require.Equal(t, want, v.Outcome, v)
			require.Equal(t, tt.step, v.Step, v)
			require.Contains(t, v.Detail, tt.why)
			require.Equal(t, "Room", v.Property)
		})
	}
}

// What cannot be judged is Unknown, but does not hide what another room did wrong.
func TestValidateUnknown(t *testing.T) {
	back := "p publish a|p ok a 1|c connected 1|c gone|c connected 0|c gap 0"
	v := model.Validate(story(t, back+"|c deliver 1 b|end"))
	require.Equal(t, model.Unknown, v.Outcome)
	require.Contains(t, v.Detail, `step 6: client "c" was sent back from r#1 to r#0`)
	require.Contains(t, v.Detail, "new epoch")
	require.Zero(t, v.Step)

	v = model.Validate(story(t, "p publish a|p ok a 1|c connected e1:0|c deliver e1:1 zzz|end"))
	require.Equal(t, model.Unknown, v.Outcome)
	require.Contains(t, v.Detail, `Epoch is "e1", but of the events of room "r" before it none named one`)

	v = model.Validate(story(t, back+"|p ok x 1@other"))
	require.Equal(t, model.Illegal, v.Outcome)
	require.Equal(t, uint64(7), v.Step)

	for _, h := range []*model.History{nil, {}, story(t, "end")} {
		require.Equal(t, model.Unknown, model.Validate(h).Outcome)
	}
}

// A rejected event leaves the room as it was, so that the next can be judged.
func TestRoomAfterRejection(t *testing.T) {
	r := model.NewRoom("r")
	for _, e := range story(t, "p publish a|p publish b|c connected 0|p ok a 1|c deliver 1 a").Events {
		require.NoError(t, r.Step(e))
	}
	rejected := []model.Event{
		{Kind: model.Deliver, Node: "c", Room: "r", Seq: 3, ID: "b"},
		{Kind: model.Deliver, Node: "c", Room: "r", Seq: 2, ID: "zzz"},
		{Kind: model.PublishOK, Node: "p", Room: "r", Seq: 1, ID: "b"},
		{Kind: model.PublishOK, Node: "p", Room: "r", Seq: 9, ID: "b"},
		{Kind: model.PublishCall, Node: "p", Room: "elsewhere", ID: "x"},
		{Kind: model.PublishCall, Node: "p", Room: "r"},
		{Kind: "nonsense", Node: "p", Room: "r"},
		{Kind: model.Connected, Node: "c", Room: "r", Seq: 7},
		{Kind: model.Connected, Node: "d", Room: "r", Epoch: "e9", Seq: 7},
		{Kind: model.PublishOK, Node: "p", Room: "r", Epoch: "e9", Seq: 1, ID: "zzz"},
	}
	step := uint64(6)
	for _, e := range rejected {
		e.Step = step
		require.Error(t, r.Step(e), e.Kind)
		step++
	}
	require.ErrorContains(t, r.Step(model.Event{Step: step - 1, Kind: model.RunEnd}), "step 15 after step 15")

	require.Equal(t, uint64(1), r.Len(""))
	id, known := r.At(model.Cursor{Seq: 1})
	require.True(t, known)
	require.Equal(t, "a", id)
	for _, nowhere := range []model.Cursor{{}, {Seq: 2}, {Epoch: "e9", Seq: 1}} {
		_, known = r.At(nowhere)
		require.False(t, known)
	}
	require.Zero(t, r.Len("e9"), "an epoch that was named in a rejected event only does not exist")
	at, has := r.Position("c")
	require.True(t, has)
	require.Equal(t, model.Cursor{Seq: 1}, at)
	_, has = r.Position("nobody")
	require.False(t, has)

	require.NoError(t, r.Step(model.Event{Step: step, Kind: model.FaultBegin}))
	require.NoError(t, r.Step(model.Event{Step: step + 1, Kind: model.Deliver, Node: "c", Room: "r", Seq: 2, ID: "b"}))
	require.NoError(t, r.Step(model.Event{Step: step + 2, Kind: model.RunEnd}))
}

func TestWellFormed(t *testing.T) {
	require.NoError(t, model.WellFormed(story(t, "p publish a|p ok a 1|c connected 0|c deliver 1 a|end")))
	base := model.Event{Step: 1, Kind: model.Deliver, Node: "c", Room: "r"}
	with := func(change func(*model.Event)) model.Event {
		e := base
		e.Step = 2
		change(&e)
		return e
	}
	tests := []struct {
		second model.Event
		want   string
	}{
		{with(func(e *model.Event) { e.Step = 1 }), "Step is 1 after 1"},
		{with(func(e *model.Event) { e.Step = 1 << 63 }), "must not be more than 2^63-1"},
		{with(func(e *model.Event) { e.Time = -1 }), "Time is -1ns after 0s"},
		{with(func(e *model.Event) { e.Kind = "x" }), `Kind is "x"`},
		{with(func(e *model.Event) { e.Node = "" }), "Node is empty"},
		{with(func(e *model.Event) { e.Room = "" }), "Room is empty"},
		{with(func(e *model.Event) { e.Kind = model.PublishOK }), "ID is empty"},
		{model.Event{Step: 2, Kind: model.Copy, Node: "s", Room: "r", ID: "a"}, "copy: Peer is empty"},
		{model.Event{Step: 2, Kind: model.Copy, Node: "s", Room: "r", Peer: "e"}, "copy: ID is empty"},
		{model.Event{Step: 2, Kind: model.Call, Node: "c", ID: "1"}, "call: Object is empty"},
		{model.Event{Step: 2, Kind: model.Call, Node: "c", Object: "seats/x"}, "call: ID is empty"},
		{model.Event{Step: 2, Kind: model.Commit, Node: "k", Object: "e1", Peer: "e2"}, "commit: Room is empty"},
		{model.Event{Step: 2, Kind: model.Join, Object: "e1"}, "join: Node is empty"},
		{model.Event{Step: 2, Kind: model.Queue, Node: "e", Object: "out", Value: -1}, "queue: Value is -1 and Limit 0; neither may be negative"},
		{with(func(e *model.Event) { e.Epoch = "e1" }), `Epoch is "e1", but of the events of room "r" before it none named one`},
	}
	for _, tt := range tests {
		require.ErrorContains(t, model.WellFormed(&model.History{Events: []model.Event{base, tt.second}}), tt.want)
	}
	named := with(func(e *model.Event) { e.Epoch, e.Step = "e1", 1 })
	require.ErrorContains(t, model.WellFormed(&model.History{Events: []model.Event{named, with(func(*model.Event) {})}}),
		`Epoch is "", but of the events of room "r" before it each named one`)
	require.NoError(t, model.WellFormed(&model.History{Events: []model.Event{named,
		with(func(e *model.Event) { e.Kind = model.Disconnected }), // has no position
		{Step: 3, Kind: model.Deliver, Node: "c", Room: "s"},
	}}))
	require.NoError(t, model.WellFormed(&model.History{Events: []model.Event{base,
		{Step: 2, Kind: model.Call, Node: "c", Object: "seats/x", ID: "1"},
		{Step: 3, Kind: model.Copy, Node: "s", Room: "r", ID: "a", Peer: "e"},
		{Step: 4, Kind: model.Level, Node: "e", Object: "connections"},
		{Step: 5, Kind: model.Join, Node: "k", Object: "e1"},
		{Step: 6, Kind: model.Announce, Node: "k", Room: "r", Peer: "e1", Object: "e2"},
	}}))
	end := model.Event{Step: 1, Kind: model.RunEnd}
	require.ErrorContains(t, model.WellFormed(&model.History{Events: []model.Event{end, with(func(*model.Event) {})}}), "after run-end")
	require.ErrorContains(t, model.WellFormed(nil), "no history")

	require.True(t, story(t, "end").Complete())
	require.False(t, (&model.History{Events: []model.Event{end}, Partial: true}).Complete())
	require.False(t, story(t, "p publish a").Complete())
	require.False(t, (*model.History)(nil).Complete())
}

// Whatever comes, the room answers and does not panic, and keeps what it has accepted.
func FuzzRoom(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 1, 1, 3, 2, 0, 5, 2, 1})
	f.Add([]byte{0, 1, 0, 0, 2, 0, 1, 2, 3, 1, 1, 2})
	kinds := []model.Kind{model.PublishCall, model.PublishOK, model.PublishUnknown, model.Connected, model.Disconnected,
		model.Deliver, model.Discontinuity, model.FaultBegin, model.RunEnd, "nonsense"}
	f.Add([]byte{0, 1, 1, 3, 2, 0, 5, 2, 1, 0, 4, 0, 6, 2, 64, 5, 5, 65, 1, 1, 65})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := model.NewRoom("r")
		accepted := map[model.Cursor]string{}
		for i := 0; i+2 < len(data); i += 3 {
			who := data[i+1]
			e := model.Event{
				Step: uint64(i + 1), Kind: kinds[int(data[i])%len(kinds)], Room: "r",
				Node: string('a' + rune(who%3)), ID: string('A' + rune(who/3%8)), Resumed: who >= 128,
				Epoch: []string{"", "e1", "e2", "e3"}[data[i+2]/64], Seq: uint64(data[i+2] % 64),
			}
			if e.Seq > 60 {
				e.Seq = ^uint64(0) - e.Seq + 61
			}
			before := r.Len(e.Epoch)
			if err := r.Step(e); err != nil {
				require.Equal(t, before, r.Len(e.Epoch), "%v: %v", e, err)
				continue
			}
			if e.Kind == model.PublishOK || e.Kind == model.Deliver {
				accepted[e.Cursor()] = e.ID
			}
			for at, id := range accepted {
				got, known := r.At(at)
				require.True(t, known)
				require.Equal(t, id, got)
			}
		}
	})
}
