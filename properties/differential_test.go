package properties_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// plainly judges a history of one room by the specification of a log in its plainest form: it keeps
// every state that the room's logs could be in. At any moment a message that publish has been called for
// may be appended to the newest log, unless it is in it, or a new epoch may begin. What publishers and
// clients are told strikes out the states in which it is not so. Exponential, and obvious.
func plainly(h *model.History) bool {
	var epochs, called []string
	for _, e := range h.Events {
		if e.Epoch != "" && !slices.Contains(epochs, e.Epoch) {
			epochs = append(epochs, e.Epoch)
		}
	}
	possible := map[state]bool{{}: true}
	for _, e := range h.Events {
		switch e.Kind {
		case model.PublishCall:
			called = append(called, e.ID)
			for todo := slices.Collect(maps.Keys(possible)); len(todo) > 0; todo = todo[1:] {
				for _, s := range todo[0].next(epochs, called) {
					if !possible[s] {
						possible[s] = true
						todo = append(todo, s)
					}
				}
			}
		case model.PublishOK, model.Deliver:
			maps.DeleteFunc(possible, func(s state, _ bool) bool { return s.at(e.Epoch, e.Seq) != e.ID })
		}
	}
	return len(possible) > 0
}

// state is a room's logs, at most three, in the order in which they began. IDs are one letter each.
type state [3]struct{ epoch, ids string }

// at gives the ID at a position; "" if there is none.
func (s state) at(epoch string, seq uint64) string {
	for _, log := range s {
		if log.epoch == epoch && seq >= 1 && seq <= uint64(len(log.ids)) {
			return log.ids[seq-1 : seq]
		}
	}
	return ""
}

// next gives the states that may follow when one thing happens.
func (s state) next(epochs, called []string) []state {
	var all []state
	n := slices.IndexFunc(s[:], func(log struct{ epoch, ids string }) bool { return log.epoch == "" })
	if n < 0 {
		n = len(s)
	}
	for _, epoch := range epochs {
		if old := slices.ContainsFunc(s[:], func(log struct{ epoch, ids string }) bool { return log.epoch == epoch }); !old {
			begun := s
			begun[n].epoch = epoch
			all = append(all, begun)
		}
	}
	for _, id := range called {
		if n > 0 && !strings.Contains(s[n-1].ids, id) {
			longer := s
			longer[n-1].ids += id
			all = append(all, longer)
		}
	}
	return all
}

// anyLogHistory draws a small history of one room with so many epochs at most, mostly right. It comes
// from logs that are, but who returns or delivers may say any position. Every delivery is to a client of
// its own that connects right at the message, so that only the log's rules are at stake.
func anyLogHistory(rt *rapid.T, epochs int, ids ...string) *model.History {
	h := &model.History{}
	logs := [][]string{nil}
	open := map[string]bool{} // unfinished calls, by node and ID
	lie := rapid.IntRange(0, 8*epochs)
	name := rapid.SampledFrom(ids)
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
	if rapid.Bool().Draw(rt, "all called") {
		for _, id := range ids {
			open["p"+id] = true
			h.Events = append(h.Events, model.Event{Kind: model.PublishCall, Node: "p", Room: "room-1", ID: id})
		}
	}
	for i := range rapid.IntRange(3, 18).Draw(rt, "events") {
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

// allJudge lets the three judges of a log loose on a history, and requires that they agree, on the step too.
// With several epochs, the plain one may also see that messages which nobody saw must be in two of them
// in turns: then it is shrewd.
func allJudge(t require.TestingT, h *model.History, epochs int) (got model.Verdict, shrewd bool) {
	got = properties.Linearizable().Check(h)
	plain := plainly(h)
	shrewd = got.Outcome != illegal && !plain && epochs > 1
	if !shrewd {
		require.Equal(t, plain, got.Outcome != illegal, got)
	}
	room := properties.Conforms().Check(h)
	require.Equal(t, got.Outcome == illegal, room.Outcome == illegal, "%v, but %v", got, room)
	if got.Outcome == illegal {
		// The room sees what a client's connection says as well, which is the step before.
		require.Contains(t, []uint64{got.Step, got.Step - 1}, room.Step, "%v, but %v", got, room)
	}
	return got, shrewd
}

// idsOf are the IDs of the messages in histories of so many epochs; more would take the plain judge
// too long.
var idsOf = [][]string{1: {"a", "b", "c", "d", "e"}, 2: {"a", "b", "c", "d"}, 3: {"a", "b"}}

// Three judges of a log, none of which knows of the others, agree on every history: Linearizable, the
// plainest specification there is, and the step machine model.Room.
func TestThreeJudgesAgree(t *testing.T) {
	for epochs := 1; epochs < len(idsOf); epochs++ {
		rapid.Check(t, func(rt *rapid.T) { allJudge(rt, anyLogHistory(rt, epochs, idsOf[epochs]...), epochs) })
	}
}

// The histories that they agree on are of all sorts. These are the same ones every time, so that what is
// counted does not hang on luck.
func TestJudgedHistoriesDiffer(t *testing.T) {
	several := 0
	for epochs := 1; epochs < len(idsOf); epochs++ {
		counts := map[model.Outcome]int{}
		shrewd := 0
		histories := rapid.Custom(func(rt *rapid.T) *model.History { return anyLogHistory(rt, epochs, idsOf[epochs]...) })
		for seed := range 200 {
			got, s := allJudge(t, histories.Example(seed), epochs)
			counts[got.Outcome]++
			if s {
				shrewd++
			}
			if got.Outcome == legal && !strings.HasSuffix(got.Detail, "of 1 logs have a linear order") {
				several++
			}
		}
		require.NotZero(t, counts[legal])
		require.NotZero(t, counts[illegal])
		require.LessOrEqual(t, shrewd, (counts[legal]+counts[illegal])/50, "where only the plainest judge sees a contradiction")
		t.Logf("up to %d epochs: outcomes %v, %d that only the plainest judge rejects", epochs, counts, shrewd)
	}
	require.NotZero(t, several, "histories of several epochs that are Ok")
}
