package model_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// assigned reads a history of assignments, of room "r" unless a line ends with "@" and another's name.
//
//	join e1 | leave e1 | assign e1 | announce e1 e2 | commit e1 e2 | copy a e1
func assigned(t *testing.T, text string) *model.History {
	t.Helper()
	h := &model.History{}
	for line := range strings.SplitSeq(text, "|") {
		line, room, elsewhere := strings.Cut(strings.TrimSpace(line), "@")
		if !elsewhere {
			room = "r"
		}
		words := strings.Fields(line)
		step := uint64(len(h.Events) + 1)
		e := model.Event{Step: step, Time: time.Duration(step), Kind: model.Kind(words[0]), Node: "k", Room: room}
		last := words[len(words)-1]
		switch e.Kind {
		case model.Announce, model.Commit:
			e.Peer, e.Object = words[1], last
		case model.Copy:
			e.ID, e.Peer = words[1], last
		default:
			e.Object = last
		}
		h.Events = append(h.Events, e)
	}
	return h
}

// The rules of assignments, each with histories that keep it and that break it, at which step and why.
func TestValidateAssignments(t *testing.T) {
	const two = "join e1|join e2|assign e1|" // steps 1 to 3
	tests := []struct {
		name, story string
		step        uint64 // 0: accepted
		why         string
	}{
		{"a move", two + "copy a e1|announce e1 e2|copy b e1|copy b e2|commit e1 e2|copy d e2|leave e1", 0, "10 events of 1 rooms"},
		{"a copy that was on the way", two + "announce e1 e2|commit e1 e2|copy b e1", 0, ""},
		{"a move that begins anew", two + "join e3|announce e1 e2|announce e1 e3|commit e1 e3", 0, ""},
		{"a move that is turned round", two + "announce e1 e2|announce e2 e1|copy a e1|copy a e2|commit e2 e1|copy b e1", 0, ""},
		{"there and back", two + "announce e1 e2|commit e1 e2|announce e2 e1|commit e2 e1", 0, ""},
		{"an edge that leaves with its room", two + "leave e1|copy a e1|announce e1 e2|copy b e1|copy b e2|commit e1 e2", 0, ""},
		{"an edge that comes back", two + "leave e2|join e2", 0, ""},
		{"copies to who is no edge, or of a room of nobody's", two + "copy a relay|copy a e2@s", 0, ""},

		{"joined twice", two + "join e2", 4, `edge "e2" joined, but is there since step 2`},
		{"left without being there", two + "leave e3", 4, "is not there"},
		{"announced to one that left", two + "leave e2|announce e1 e2", 5, `to "e2", which is not there`},
		{"assigned twice", two + "assign e2", 4, `room "r" was assigned to "e2", but is "e1"'s since step 3`},
		{"assigned to nobody", two + "assign e9@s", 4, "which is not there"},
		{"announced though it is nobody's", two + "announce e1 e2@s", 4, "was never assigned"},
		{"announced from whom it is not at", two + "announce e2 e1", 4, `is "e1"'s since step 3`},
		{"announced to itself", two + "announce e1 e1", 4, "to itself"},
		{"announced to nobody", two + "announce e1 e9", 4, `to "e9", which is not there`},
		{"not announced", two + "commit e1 e2", 4, "without having been announced to"},
		{"committed twice", two + "announce e1 e2|commit e1 e2|commit e1 e2", 6, "without having been announced to"},
		{"turned round, and committed the first way", two + "announce e1 e2|announce e2 e1|commit e1 e2", 6, `from "e2" to "e1" was announced`},
		{"turned round to an edge that has left", two + "announce e1 e2|leave e1|announce e2 e1", 6, `announced to move from "e2", but is "e1"'s`},
		{"something else announced", two + "join e3|announce e1 e3|commit e1 e2", 6, `from "e1" to "e3" was announced`},
		{"sent to who does not own it", two + "copy a e2", 4, `"k" sent message "a" of room "r" to "e2", but it is "e1"'s since step 3`},
		{"sent to who does not own it any more", two + "announce e1 e2|commit e1 e2|announce e2 e1|commit e2 e1|join e3|announce e1 e3|commit e1 e3|copy a e2", 11, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := model.ValidateAssignments(assigned(t, tt.story))
			want := model.Ok
			if tt.step > 0 {
				want = model.Illegal
			}
			require.Equal(t, want, v.Outcome, v)
			require.Equal(t, tt.step, v.Step, v)
			require.Contains(t, v.Detail, tt.why)
		})
	}
	for _, h := range []*model.History{nil, {}, assigned(t, "join e1")} {
		require.Equal(t, model.Unknown, model.ValidateAssignments(h).Outcome)
	}
	a := model.NewAssignments()
	for _, e := range assigned(t, two+"announce e1 e2").Events {
		require.NoError(t, a.Step(e))
	}
	owner, next := a.Owners("r")
	require.Equal(t, []string{"e1", "e2"}, []string{owner, next})
	owner, next = a.Owners("s")
	require.Equal(t, []string{"", ""}, []string{owner, next})
}
