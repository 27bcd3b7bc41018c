package properties_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// plainStep is the specification of an append-only log in its plainest form: the state is the log
// itself, and an append of unknown outcome may or may not take effect. Exponential, and obvious.
func plainStep(state, in, _ any) []any {
	log, op := state.(string), in.(model.Event)
	ids := strings.Fields(log)
	at := uint64(slices.Index(ids, op.ID) + 1)
	switch {
	case op.Kind == model.Deliver:
		if op.Seq >= 1 && op.Seq <= uint64(len(ids)) && ids[op.Seq-1] == op.ID {
			return []any{log}
		}
		return nil
	case op.Kind == model.PublishOK && at != 0:
		if at == op.Seq {
			return []any{log}
		}
		return nil
	case op.Kind == model.PublishOK:
		if op.Seq == uint64(len(ids)+1) {
			return []any{log + " " + op.ID}
		}
		return nil
	case at != 0:
		return []any{log}
	default:
		return []any{log, log + " " + op.ID}
	}
}

// plainlyLinearizable judges a history of one room by plainStep.
func plainlyLinearizable(h *model.History) bool {
	nm := porcupine.NondeterministicModel{
		Init: func() []any { return []any{""} },
		Step: plainStep,
	}
	var ops []porcupine.Operation
	open := map[string][]int{} // by node and ID, unfinished calls in ops
	for _, e := range h.Events {
		key := e.Node + " " + e.ID
		switch e.Kind {
		case model.PublishCall:
			open[key] = append(open[key], len(ops))
			ops = append(ops, porcupine.Operation{Input: e, Call: int64(e.Step), Return: 1 << 40})
		case model.PublishOK:
			i := open[key][0]
			open[key] = open[key][1:]
			ops[i].Input, ops[i].Return = e, int64(e.Step)
		case model.PublishUnknown:
			open[key] = open[key][1:]
		case model.Deliver:
			ops = append(ops, porcupine.Operation{Input: e, Call: int64(e.Step), Return: int64(e.Step)})
		}
	}
	return porcupine.CheckOperations(nm.ToModel(), ops)
}

// anyLogHistory draws a small history of one room, mostly right. It comes from a log that is, but who
// returns or delivers may say any position. Every delivery is to a client of its own that connects
// right at the message, so that only the log's rules are at stake.
func anyLogHistory(rt *rapid.T) *model.History {
	h := &model.History{}
	var log []string
	open := map[string]bool{} // unfinished calls, by node and ID
	lie := rapid.IntRange(0, 8)
	name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	position := func(id string) uint64 {
		if lie.Draw(rt, "lie") == 0 {
			return rapid.Uint64Range(1, 5).Draw(rt, "position")
		}
		if !slices.Contains(log, id) {
			log = append(log, id)
		}
		return uint64(slices.Index(log, id) + 1)
	}
	for i := range rapid.IntRange(3, 18).Draw(rt, "events") {
		e := model.Event{Node: rapid.SampledFrom([]string{"p", "q"}).Draw(rt, "publisher"), Room: "room-1", ID: name.Draw(rt, "id")}
		key := e.Node + e.ID
		switch rapid.SampledFrom([]string{"publish", "publish", "land", "ok", "unknown", "deliver"}).Draw(rt, "act") {
		case "publish":
			if open[key] {
				continue
			}
			open[key] = true
			e.Kind = model.PublishCall
		case "land":
			if (open["p"+e.ID] || open["q"+e.ID]) && !slices.Contains(log, e.ID) {
				log = append(log, e.ID)
			}
			continue
		case "ok", "unknown":
			if !open[key] {
				continue
			}
			delete(open, key)
			e.Kind = model.PublishUnknown
			if rapid.IntRange(0, 3).Draw(rt, "known") > 0 {
				e.Kind, e.Seq = model.PublishOK, position(e.ID)
			}
		case "deliver":
			if len(log) > 0 && lie.Draw(rt, "lie") > 0 {
				e.ID = rapid.SampledFrom(log).Draw(rt, "id")
			}
			e.Kind, e.Node, e.Seq = model.Deliver, fmt.Sprintf("c%d", i), position(e.ID)
			h.Events = append(h.Events, model.Event{Kind: model.Connected, Node: e.Node, Room: e.Room, Seq: e.Seq - 1})
		}
		h.Events = append(h.Events, e)
	}
	renumber(h)
	return h
}

// Three judges of a log, none of which knows of the others, agree on every history: Linearizable, the
// plainest specification there is, and the step machine model.Room, on the step too.
func TestThreeJudgesAgree(t *testing.T) {
	counts := map[model.Outcome]int{}
	rapid.Check(t, func(rt *rapid.T) {
		h := anyLogHistory(rt)
		got := properties.Linearizable().Check(h)
		counts[got.Outcome]++
		plain := plainlyLinearizable(h)
		require.Equal(rt, plain, got.Outcome != illegal, got)
		room := properties.Conforms().Check(h)
		require.Equal(rt, got.Outcome == illegal, room.Outcome == illegal, "%v, but %v", got, room)
		if got.Outcome == illegal {
			// The room sees what a client's connection says as well, which is the step before.
			require.Contains(rt, []uint64{got.Step, got.Step - 1}, room.Step, "%v, but %v", got, room)
		}
	})
	require.NotZero(t, counts[legal])
	require.NotZero(t, counts[illegal])
	t.Logf("outcomes: %v", counts)
}
