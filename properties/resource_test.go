package properties_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

func TestNoZombie(t *testing.T) {
	judge(t, properties.NoZombie(), []judgement{
		{"back", "e level conns 0|e level conns 9|e level conns 0|end", legal, 0, "1 resources"},
		{"back below", "e level conns 3|e level conns 2|end", legal, 0, ""},
		{"still held", "e level conns 1|e level conns 9|e level conns 2|end", illegal, 3, `"e" holds 2 conns at the end; at step 1, before, it held 1`},
		{"another resource", "e level conns 0|e level subs 0|e level conns 0|e level subs 1|end", illegal, 4, "1 subs"},
		{"another node", "e level conns 0|f level conns 0|f level conns 1|e level conns 0|end", illegal, 3, `"f" holds`},
		{"one node's level is not another's", "e level conns 0|f level conns 5|end", unknown, 0, "nothing to check"},
		{"no end", "e level conns 0|e level conns 5", unknown, 0, "cut short"},
		{"nothing recorded", log3 + "end", unknown, 0, "nothing to check"},
	})
}

// Levels that come back pass, whatever they were meanwhile; one that does not is found.
func TestLevelThatDoesNotComeBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &model.History{}
		level := func(object string, value int64) {
			h.Events = append(h.Events, model.Event{Kind: model.Level, Node: "e", Object: object, Value: value})
		}
		objects := []string{"connections", "rooms", "goroutines"}
		base := map[string]int64{}
		for _, o := range objects {
			base[o] = rapid.Int64Range(0, 5).Draw(rt, "before")
			level(o, base[o])
		}
		for range rapid.IntRange(0, 10).Draw(rt, "changes") {
			level(rapid.SampledFrom(objects).Draw(rt, "of"), rapid.Int64Range(0, 50).Draw(rt, "meanwhile"))
		}
		for _, o := range objects {
			level(o, rapid.Int64Range(0, base[o]).Draw(rt, "after"))
		}
		h.Events = append(h.Events, model.Event{Kind: model.RunEnd})
		renumber(h)
		require.True(rt, properties.NoZombie().Check(h).Ok(), properties.NoZombie().Check(h))
		i := len(h.Events) - 2 - rapid.IntRange(0, len(objects)-1).Draw(rt, "zombie")
		h.Events[i].Value = base[h.Events[i].Object] + 1
		v := properties.NoZombie().Check(h)
		require.Equal(rt, illegal, v.Outcome)
		require.Equal(rt, h.Events[i].Step, v.Step)
	})
}

func TestBoundedQueue(t *testing.T) {
	judge(t, properties.BoundedQueue(0), []judgement{
		{"as declared", "e queue out 5/10|e queue out 10/10|f queue in 3/3", legal, 0, `3 depths, of which the greatest is 10, of queue out of "e"`},
		{"over", "e queue out 5/10|e queue out 11/10", illegal, 2, `queue out of "e" holds 11; it declares to keep to 10`},
		{"no limit", "e queue out 5/10|f queue out 1", illegal, 2, `queue out of "f" declares no limit; it holds 1`},
		{"nothing recorded", log3 + "end", unknown, 0, "nothing to check"},
	})
	judge(t, properties.BoundedQueue(8), []judgement{
		{"within", "e queue out 8|f queue out 5/6", legal, 0, ""},
		{"over", "e queue out 8|e queue out 9", illegal, 2, "holds 9; allowed are 8"},
		{"over, though it declares more", "e queue out 9/10", illegal, 1, "allowed are 8"},
		{"over what it declares", "e queue out 7/6", illegal, 1, "declares to keep to 6"},
	})
	h := story(t, "e queue out 11/10")
	h.Events[0].Peer = "c7"
	require.Contains(t, properties.BoundedQueue(0).Check(h).Detail, `queue out of "e" for "c7" holds 11`)
	v := properties.BoundedQueue(-1).Check(h)
	require.Equal(t, unknown, v.Outcome)
	require.Contains(t, v.Detail, "must not be negative")
}

// Queues that keep to their limits pass; a single depth beyond is found.
func TestQueueBeyondItsLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &model.History{}
		for range rapid.IntRange(1, 20).Draw(rt, "depths") {
			limit := rapid.Int64Range(1, 9).Draw(rt, "limit")
			h.Events = append(h.Events, model.Event{Kind: model.Queue, Node: "e", Object: "out", Limit: limit, Value: rapid.Int64Range(0, limit).Draw(rt, "depth")})
		}
		renumber(h)
		require.True(rt, properties.BoundedQueue(0).Check(h).Ok())
		i := rapid.IntRange(0, len(h.Events)-1).Draw(rt, "which")
		h.Events[i].Value = h.Events[i].Limit + 1
		v := properties.BoundedQueue(0).Check(h)
		require.Equal(rt, illegal, v.Outcome)
		require.Equal(rt, uint64(i+1), v.Step)
	})
}

func TestFanoutBound(t *testing.T) {
	tree := model.Fanout{Branch: 2, Leaves: 4, Hop: 10 * time.Millisecond, PerCopy: time.Millisecond} // depth 2, within 24 ms
	judge(t, properties.FanoutBound(tree, 0), []judgement{
		{"a tree", "o copy a r1|o copy a r2|r1 copy a c1|r1 copy a c2|r2 copy a c3|r2 copy a c4", legal, 0,
			"6 copies of 1 messages: at most 2 by one node, 2 links deep"},
		{"each message on its own", "o copy a r1|o copy a r2|o copy b r1|o copy b r2", legal, 0, "4 copies of 2 messages"},
		{"each room on its own", "o copy a r1|o copy a r2|o copy a r1@x", legal, 0, "2 messages"},
		{"too many", "o copy a r1|o copy a r2|o copy a r3", illegal, 3, `"o" sent 3 copies of message "a" of room "room-1"; allowed are 2`},
		{"the same twice", "o copy a r1|o copy a r1|o copy a r1", illegal, 3, "3 copies"},
		{"too many by a relay", "o copy a r1|r1 copy a c1|r1 copy a c2|r1 copy a c3", illegal, 4, `"r1" sent 3`},
		{"too deep", "o copy a r1|r1 copy a r2|r2 copy a c1", illegal, 3, `message "a" of room "room-1" reached "c1" over 3 links; allowed are 2`},
		{"delivered in time", "c connected 0|o copy a e|wait 20ms|c deliver 1 a", legal, 0, "the last after 21ms"},
		{"delivered late", "c connected 0|o copy a e|wait 24ms|c deliver 1 a", illegal, 3, `client "c" got message "a" of room "room-1" 25ms after the first copy was sent; allowed are 24ms`},
		{"delivered late, having connected since", "o copy a e|c connected 0|wait 30ms|c deliver 1 a", legal, 0, ""},
		{"a repetition is not late", "c connected 0|o copy a e|c deliver 1 a|wait 30ms|c deliver 1 a", legal, 0, ""},
		{"no copies", log3 + "c connected 0|c deliver 1 a", unknown, 0, "nothing to check"},
	})
	// A delivery by a named edge is that edge's copy, unless the copy is recorded.
	from := func(text string, edges ...string) *model.History {
		h := story(t, text)
		for i, edge := range edges {
			h.Events[len(h.Events)-len(edges)+i].Peer = edge
		}
		return h
	}
	p := properties.FanoutBound(tree, 0)
	h := from("o copy a e|c deliver 1 a|d deliver 1 a|f deliver 1 a", "e", "e", "e")
	require.Equal(t, uint64(4), p.Check(h).Step, p.Check(h))
	require.Contains(t, p.Check(h).Detail, `"e" sent 3 copies`)
	h = from("o copy a e|e copy a c|e copy a d|c deliver 1 a|d deliver 1 a", "e", "e")
	require.True(t, p.Check(h).Ok(), p.Check(h))
	require.Contains(t, p.Check(h).Detail, "3 copies")

	v := properties.FanoutBound(model.Fanout{}, 0).Check(h)
	require.Equal(t, unknown, v.Outcome)
	require.Contains(t, v.Detail, "Branch is 0")
	v = properties.FanoutBound(tree, -1).Check(h)
	require.Equal(t, unknown, v.Outcome)
	require.True(t, properties.FanoutBound(tree, math.MaxInt64).Check(h).Ok(), "no overflow")
}

// Goal: the tree of the closed form keeps its bounds, and an origin that sends to all breaks them.
// Method: send a message through the tree by the closed form's own times.
func TestFanoutTreeKeepsItsBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := model.Fanout{
			Branch: rapid.IntRange(2, 5).Draw(rt, "branch"), Leaves: rapid.IntRange(3, 60).Draw(rt, "leaves"),
			Hop: time.Duration(rapid.IntRange(0, 20).Draw(rt, "hop")) * time.Millisecond, PerCopy: time.Millisecond,
		}
		h := fanned(f)
		require.True(rt, properties.FanoutBound(f, 0).Check(h).Ok(), properties.FanoutBound(f, 0).Check(h))
		// The bound is what it says: with a leaf too many below a node, or a copy too late, it is broken.
		last := &h.Events[len(h.Events)-1]
		require.Equal(rt, model.Deliver, last.Kind)
		last.Time += f.Bound() - f.Last() + 1
		v := properties.FanoutBound(f, 0).Check(h)
		require.Equal(rt, last.Step, v.Step, v)
		require.True(rt, properties.FanoutBound(f, 1).Check(h).Ok())

		naive := model.Fanout{Branch: f.Leaves, Leaves: f.Leaves, Hop: f.Hop, PerCopy: f.PerCopy}
		if f.Leaves > f.Branch {
			v = properties.FanoutBound(f, 0).Check(fanned(naive))
			require.Equal(rt, illegal, v.Outcome, v)
			require.Contains(rt, v.Detail, `"n0" sent `)
		}
	})
}

// Rooms that move by a consistent ring keep the rule, and rooms that move by modulo do not.
func TestMinimalMovement(t *testing.T) {
	const two = "k join e1|k join e2|k assign e1@r1|k assign e2@r2|k assign e1@r3|k assign e2@r4|" // steps 1 to 6
	judge(t, properties.MinimalMovement(math.Inf(1)), []judgement{
		{"to the one that joined", two + "k join e3|k commit e1 e3@r1|k commit e2 e3@r2", legal, 0, "2 moves of 4 rooms"},
		{"from the one that left", two + "k leave e2|k commit e2 e1@r2|k commit e2 e1@r4", legal, 0, ""},
		{"there and back", two + "k join e3|k commit e1 e3@r1|k leave e3|k commit e3 e1@r1", legal, 0, ""},
		{"between two that stay", two + "k join e3|k commit e1 e2@r1", illegal, 8, `room "r1" moved from "e1" to "e2", both of which were there before and are there now`},
		{"to one that joined before the room was assigned", two + "k join e3|k commit e1 e3@r1|k join e4|k commit e2 e1@r2", illegal, 10, "both of which"},
		{"to one that left", two + "k leave e2|k commit e1 e2@r1", illegal, 8, "which is not among the edges"},
		{"to nobody", two + "k commit e1 e9@r1", illegal, 7, "which is not among the edges"},
		{"from whom it was not at", two + "k join e3|k commit e2 e3@r1", illegal, 8, `but was assigned to "e1" at step 3`},
		{"back again", two + "k join e3|k commit e1 e3@r1|k commit e3 e1@r1", illegal, 9, "both of which"},
		{"one that left and joined again", two + "k leave e2|k commit e2 e1@r2|k join e2|k commit e1 e2@r2", legal, 0, ""},
		{"turned round", two + "k join e3|k commit e1 e3@r1|k commit e3 e2@r2", legal, 0, "1 moves"},
		{"nothing moved", two + "k join e3", unknown, 0, "nothing to check"},
	})
	judge(t, properties.MinimalMovement(0), []judgement{
		{"its share", two + "k join e3|k commit e1 e3@r1", legal, 0, "0.75 times what is expected"},
		{"more than its share", two + "k join e3|k commit e1 e3@r1|k commit e2 e3@r2", illegal, 9,
			"with it, 2 of 4 rooms have moved because 1 edges joined and 0 left 2; expected are 0.333 of them, allowed 1 times as many"},
		{"two that join at once", two + "k join e3|k join e4|k commit e1 e3@r1|k commit e2 e4@r2", legal, 0, ""},
		{"two that join one after the other", two + "k join e3|k commit e1 e3@r1|k join e4|k commit e2 e4@r2", legal, 0, ""},
		{"one that leaves", two + "k leave e2|k commit e2 e1@r2|k commit e2 e1@r4", legal, 0, "1 times what is expected"},
	})
	for _, slack := range []float64{-1, math.NaN()} {
		require.Equal(t, unknown, properties.MinimalMovement(slack).Check(story(t, two+"k join e3|k commit e1 e3@r1")).Outcome)
	}
}

// However many edges and rooms there are, rooms that move by a consistent ring keep the rule; one room
// that moves between two edges that stay breaks it.
func TestNeedlessMoveIsFound(t *testing.T) {
	p := properties.MinimalMovement(math.Inf(1))
	rapid.Check(t, func(rt *rapid.T) {
		edges := rapid.IntRange(2, 6).Draw(rt, "edges")
		h := reassigned(rapid.IntRange(20, 60).Draw(rt, "rooms"), edges, rendezvous)
		v := p.Check(h)
		require.NotEqual(rt, illegal, v.Outcome, v)
		owners := map[string]string{}
		for _, e := range h.Events {
			if e.Kind == model.Assign || e.Kind == model.Commit {
				owners[e.Room] = e.Object
			}
		}
		room := fmt.Sprint("r", rapid.IntRange(0, 19).Draw(rt, "room"))
		other := "e0"
		if owners[room] == other {
			other = "e1"
		}
		h.Events = append(h.Events, model.Event{Kind: model.Commit, Node: "k", Room: room, Peer: owners[room], Object: other})
		renumber(h)
		v = p.Check(h)
		require.Equal(rt, illegal, v.Outcome, v)
		require.Equal(rt, uint64(len(h.Events)), v.Step, v)
	})
}

// Goal: the closed forms of both ways to assign are told apart.
// Method: 1,000 rooms by rendezvous hashing, which is as consistent as can be, and by modulo.
func TestModuloMovesTooMuch(t *testing.T) {
	consistent, modulo := reassigned(1000, 4, rendezvous), reassigned(1000, 4, byModulo)
	p := properties.MinimalMovement(0.25)
	require.True(t, p.Check(consistent).Ok(), p.Check(consistent))
	require.Equal(t, illegal, p.Check(modulo).Outcome)
	require.Equal(t, illegal, properties.MinimalMovement(math.Inf(1)).Check(modulo).Outcome)
}

func TestDualDelivery(t *testing.T) {
	judge(t, properties.DualDelivery(), []judgement{
		{"both", "k announce e1 e2|s copy a e1|s copy a e2|k commit e1 e2|end", legal, 0, "1 messages, sent while 1 rooms moved, went to both owners"},
		{"both, the second after the commit", "k announce e1 e2|s copy a e1|k commit e1 e2|s copy a e2|end", legal, 0, ""},
		{"before and after", "s copy x e1|k announce e1 e2|s copy a e1|s copy a e2|k commit e1 e2|s copy b e2|end", legal, 0, "1 messages"},
		{"the old one only", "k announce e1 e2|s copy a e1|k commit e1 e2|end", illegal, 2,
			`message "a", sent while its room moved from "e1" to "e2" (announced at step 1), went to "e1" and never to "e2"; so did 1 of 1`},
		{"the new one only", "k announce e1 e2|s copy a e2|k commit e1 e2|end", illegal, 2, `went to "e2" and never to "e1"`},
		{"one of several", "k announce e1 e2|s copy a e1|s copy a e2|s copy b e1|s copy b e2|s copy f e1|end", illegal, 6, "so did 1 of 3"},
		{"not announced", "s copy a e1|k commit e1 e2|s copy b e2|end", illegal, 2, `room "room-1" moved from "e1" to "e2" without having been announced to`},
		{"something else announced", "k announce e1 e3|k commit e1 e2|end", illegal, 2, `but from "e1" to "e3" was announced at step 1`},
		{"committed twice", "k announce e1 e2|k commit e1 e2|k commit e1 e2", illegal, 3, "without having been announced"},
		{"another room does not move", "k announce e1 e2|s copy a e1@x|s copy b e1|s copy b e2|end", legal, 0, "1 messages"},
		{"a copy to somebody else", "k announce e1 e2|s copy a e9|s copy a e1|s copy a e2|end", legal, 0, ""},
		{"abandoned for another", "k announce e1 e2|s copy a e1|s copy a e2|k announce e1 e3|s copy b e1|s copy b e3|k commit e1 e3|end", legal, 0, "2 messages"},
		{"no end", "k announce e1 e2|s copy a e1", unknown, 0, `has gone to "e1" and not yet to "e2"`},
		{"nothing sent", "k announce e1 e2|k commit e1 e2|end", unknown, 0, "no message was sent while a room moved"},
		{"nothing moved", "s copy a e1|end", unknown, 0, "no room moved"},
	})
}

// In a scaling that sends to both, one copy taken away is found.
func TestMissingCopyIsNoDualDelivery(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &model.History{}
		add := func(e model.Event) { e.Room = "room-1"; h.Events = append(h.Events, e) }
		sent := []string{}
		publish := func(owners ...string) {
			id := string(rune('a' + len(sent)))
			for _, o := range owners {
				add(model.Event{Kind: model.Copy, Node: "s", ID: id, Peer: o})
			}
			sent = append(sent, id)
		}
		for range rapid.IntRange(0, 3).Draw(rt, "before") {
			publish("e1")
		}
		add(model.Event{Kind: model.Announce, Node: "k", Peer: "e1", Object: "e2"})
		first := len(h.Events)
		for range rapid.IntRange(1, 5).Draw(rt, "meanwhile") {
			publish("e1", "e2")
		}
		last := len(h.Events)
		add(model.Event{Kind: model.Commit, Node: "k", Peer: "e1", Object: "e2"})
		for range rapid.IntRange(0, 3).Draw(rt, "after") {
			publish("e2")
		}
		h.Events = append(h.Events, model.Event{Kind: model.RunEnd})
		renumber(h)
		require.True(rt, properties.DualDelivery().Check(h).Ok())
		i := rapid.IntRange(first, last-1).Draw(rt, "drop")
		id := h.Events[i].ID
		h.Events = append(h.Events[:i:i], h.Events[i+1:]...)
		renumber(h)
		v := properties.DualDelivery().Check(h)
		require.Equal(rt, illegal, v.Outcome, v)
		require.Contains(rt, v.Detail, `message "`+id+`"`)
	})
}
