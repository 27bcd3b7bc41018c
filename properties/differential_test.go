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

// plainStep is the specification of a log in its plainest form: the state is the logs themselves, of one
// epoch after the other, as "epoch id id … | epoch id …". An append is to the last epoch, or begins
// the one that it names. One of unknown outcome may or may not take effect. Exponential, and obvious.
func plainStep(state, in, _ any) []any {
	before, op := state.(string), in.(model.Event)
	ids, last := logIn(before, op.Epoch)
	at := uint64(slices.Index(ids, op.ID) + 1)
	appended := before + " " + op.ID
	if ids == nil {
		appended = before + " | " + op.Epoch + " " + op.ID
	}
	possible := ids == nil || last
	switch {
	case op.Kind == model.Deliver:
		if op.Seq >= 1 && op.Seq <= uint64(len(ids)) && ids[op.Seq-1] == op.ID {
			return []any{before}
		}
		return nil
	case op.Kind == model.PublishOK && at != 0:
		if at == op.Seq {
			return []any{before}
		}
		return nil
	case op.Kind == model.PublishOK:
		if possible && op.Seq == uint64(len(ids)+1) {
			return []any{appended}
		}
		return nil
	case at != 0 || !possible:
		return []any{before}
	default:
		return []any{before, appended}
	}
}

// logIn finds the log of an epoch, nil if it has not begun, and tells whether it is the last.
func logIn(state, epoch string) (ids []string, last bool) {
	logs := strings.Split(state, " | ")
	for i, log := range logs {
		if words := strings.Fields(log); len(words) > 0 && words[0] == epoch {
			return words[1:], i == len(logs)-1
		}
	}
	return nil, false
}

// plainlyLinearizable judges a history of one room by plainStep. A publish tries until it is answered,
// so that it appends to every epoch, with an outcome that is known for one at most.
func plainlyLinearizable(h *model.History) bool {
	nm := porcupine.NondeterministicModel{
		Init: func() []any { return []any{""} },
		Step: plainStep,
	}
	var epochs []string
	for _, e := range h.Events {
		if e.Epoch != "" && !slices.Contains(epochs, e.Epoch) {
			epochs = append(epochs, e.Epoch)
		}
	}
	var ops []porcupine.Operation
	open := map[string][]int{} // by node, ID and epoch, unfinished calls in ops
	for _, e := range h.Events {
		key := e.Node + " " + e.ID + " "
		switch e.Kind {
		case model.PublishCall:
			for _, e.Epoch = range epochs {
				open[key+e.Epoch] = append(open[key+e.Epoch], len(ops))
				ops = append(ops, porcupine.Operation{Input: e, Call: int64(e.Step), Return: 1 << 40})
			}
		case model.PublishOK, model.PublishUnknown:
			for _, epoch := range epochs {
				i := open[key+epoch][0]
				open[key+epoch] = open[key+epoch][1:]
				if epoch == e.Epoch {
					ops[i].Input, ops[i].Return = e, int64(e.Step)
				}
			}
		case model.Deliver:
			ops = append(ops, porcupine.Operation{Input: e, Call: int64(e.Step), Return: int64(e.Step)})
		}
	}
	return porcupine.CheckOperations(nm.ToModel(), ops)
}

// anyLogHistory draws a small history of one room with so many epochs at most, mostly right. It comes
// from a log that is, but who returns or delivers may say any position. Every delivery is to a client of
// its own that connects right at the message, so that only the log's rules are at stake.
func anyLogHistory(rt *rapid.T, epochs, events int) *model.History {
	h := &model.History{}
	logs := [][]string{nil}
	open := map[string]bool{} // unfinished calls, by node and ID
	lie := rapid.IntRange(0, 8)
	name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	index := func(n int, label string) int { return rapid.IntRange(0, n-1).Draw(rt, label) }
	// position says in which epoch a message is: the first that has it, else the newest, or a lie.
	position := func(e *model.Event) {
		epoch := slices.IndexFunc(logs, func(log []string) bool { return slices.Contains(log, e.ID) })
		if epoch < 0 {
			epoch = len(logs) - 1
		}
		if lie.Draw(rt, "lie") == 0 {
			epoch = index(len(logs), "epoch")
		}
		e.Epoch = fmt.Sprintf("e%d", epoch)
		if lie.Draw(rt, "lie") == 0 {
			e.Seq = rapid.Uint64Range(1, 5).Draw(rt, "position")
			return
		}
		if !slices.Contains(logs[epoch], e.ID) {
			logs[epoch] = append(logs[epoch], e.ID)
		}
		e.Seq = uint64(slices.Index(logs[epoch], e.ID) + 1)
	}
	for i := range rapid.IntRange(3, events).Draw(rt, "events") {
		e := model.Event{Node: rapid.SampledFrom([]string{"p", "q"}).Draw(rt, "publisher"), Room: "room-1", ID: name.Draw(rt, "id")}
		key := e.Node + e.ID
		newest := &logs[len(logs)-1]
		switch rapid.SampledFrom([]string{"publish", "publish", "land", "ok", "unknown", "deliver", "lose"}).Draw(rt, "act") {
		case "publish":
			if open[key] {
				continue
			}
			open[key] = true
			e.Kind = model.PublishCall
		case "land":
			if (open["p"+e.ID] || open["q"+e.ID]) && !slices.Contains(*newest, e.ID) {
				*newest = append(*newest, e.ID)
			}
			continue
		case "lose":
			if len(logs) < epochs {
				logs = append(logs, nil)
			}
			continue
		case "ok", "unknown":
			if !open[key] {
				continue
			}
			delete(open, key)
			e.Kind = model.PublishUnknown
			if rapid.IntRange(0, 3).Draw(rt, "known") > 0 {
				e.Kind = model.PublishOK
				position(&e)
			}
		case "deliver":
			if log := logs[index(len(logs), "of")]; len(log) > 0 && lie.Draw(rt, "lie") > 0 {
				e.ID = rapid.SampledFrom(log).Draw(rt, "id")
			}
			e.Kind, e.Node = model.Deliver, fmt.Sprintf("c%d", i)
			position(&e)
			h.Events = append(h.Events, model.Event{Kind: model.Connected, Node: e.Node, Room: e.Room, Epoch: e.Epoch, Seq: e.Seq - 1})
		}
		h.Events = append(h.Events, e)
	}
	renumber(h)
	return h
}

// Three judges of a log, none of which knows of the others, agree on every history: Linearizable, the
// plainest specification there is, and the step machine model.Room, on the step too. With several
// epochs, the plain one may also see that messages which nobody saw must be in two of them in turns.
func TestThreeJudgesAgree(t *testing.T) {
	for _, most := range []struct{ epochs, events int }{{1, 18}, {3, 11}} {
		counts := map[model.Outcome]int{}
		several, shrewd := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			h := anyLogHistory(rt, most.epochs, most.events)
			got := properties.Linearizable().Check(h)
			counts[got.Outcome]++
			if got.Outcome == legal && !strings.HasSuffix(got.Detail, "of 1 logs have a linear order") {
				several++
			}
			plain := plainlyLinearizable(h)
			if got.Outcome != illegal && !plain && most.epochs > 1 {
				shrewd++
			} else {
				require.Equal(rt, plain, got.Outcome != illegal, got)
			}
			room := properties.Conforms().Check(h)
			require.Equal(rt, got.Outcome == illegal, room.Outcome == illegal, "%v, but %v", got, room)
			if got.Outcome == illegal {
				// The room sees what a client's connection says as well, which is the step before.
				require.Contains(rt, []uint64{got.Step, got.Step - 1}, room.Step, "%v, but %v", got, room)
			}
		})
		require.NotZero(t, counts[legal])
		require.NotZero(t, counts[illegal])
		require.LessOrEqual(t, shrewd, (counts[legal]+counts[illegal])/50, "where only the plainest judge sees a contradiction")
		require.Equal(t, most.epochs > 1, several > 0)
		t.Logf("up to %d epochs: outcomes %v, %d Ok with several epochs, %d that only the plainest judge rejects", most.epochs, counts, several, shrewd)
	}
}
