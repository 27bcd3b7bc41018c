package properties_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

func TestFIFO(t *testing.T) {
	judge(t, properties.FIFO(), []judgement{
		{"in order", log3 + "c deliver 1 a|c deliver 2 b|d deliver 2 b|d deliver 3 c", legal, 0, "4 deliveries"},
		{"swapped", log3 + "c deliver 2 b|c deliver 1 a", illegal, 8,
			`client "c" saw "a" after "b", but "p" had published it (step 2) before it called publish for the other (step 3)`},
		{"swapped, not next to one another", log3 + "c deliver 3 c|c deliver 2 b", illegal, 8, `"b" after "c"`},
		{"whatever the positions say", log3 + "c deliver 1 b|c deliver 2 a", illegal, 8, ""},
		{"the third is before the second only", log3 + "c deliver 1 a|c deliver 3 c|c deliver 2 b", illegal, 9, `"b" after "c"`},
		{"repetitions do not matter", log3 + "c deliver 1 a|c deliver 2 b|c deliver 1 a|c deliver 3 c", legal, 0, ""},
		{"gaps do not matter", log3 + "c deliver 1 a|c deliver 3 c", legal, 0, ""},
		{"different publishers", "p publish a|p ok a 1|q publish b|q ok b 2|c deliver 2 b|c deliver 1 a", unknown, 0, "no client got two messages of one publisher"},
		{"overlapping publishes", "p publish a|p publish b|p ok a 1|p ok b 2|c deliver 2 b|c deliver 1 a", legal, 0, ""},
		{"given up before the other", "p publish a|p unknown a|p publish b|p ok b 1|c deliver 1 b|c deliver 2 a", legal, 0, ""},
		{"given up, tried again before the other", "p publish a|p unknown a|p publish a|p ok a 1|p publish b|c deliver 2 b|c deliver 1 a", illegal, 7, ""},
		{"one ID of two publishers", "p publish a|p ok a 1|q publish a|p publish b|p ok b 2|c deliver 2 b|c deliver 1 a", unknown, 0, ""},
		{"rooms are apart", "p publish a|p ok a 1|p publish b@x|p ok b 1@x|c deliver 1 b@x|c deliver 1 a", unknown, 0, ""},
		{"nothing delivered", log3 + "end", unknown, 0, "nothing to check"},
	})
}

func TestCausal(t *testing.T) {
	const asked = "p publish q1|p ok q1 1|d deliver 1 q1|d publish a1|d ok a1 2|" // d has seen q1 when it answers
	judge(t, properties.Causal(), []judgement{
		{"question and answer", asked + "c deliver 1 q1|c deliver 2 a1", legal, 0, "1 deliveries of a message after one that it follows from"},
		{"answer first", asked + "c deliver 2 a1|c deliver 1 q1", illegal, 7,
			`client "c" saw "q1" after "a1", which follows from it: its publisher "d" knew it`},
		{"answer only", asked + "c deliver 2 a1", unknown, 0, "nothing to check"},
		{"answered without having seen it", "p publish q1|p ok q1 1|d publish a1|d ok a1 2|d deliver 1 q1|c deliver 2 a1|c deliver 1 q1", unknown, 0, ""},
		{"a publisher's own", log3 + "c deliver 2 b|c deliver 1 a", illegal, 8, `"p" knew it`},
		{"a publisher's own, overlapping", "p publish a|p publish b|p ok a 1|p ok b 2|c deliver 2 b|c deliver 1 a", unknown, 0, ""},
		{"named", "p publish a|q reply b a|c deliver 2 b|c deliver 1 a", illegal, 4, `"a" after "b", which follows from it: its publisher says so`},
		{"named, of several", "p publish a|q reply b x,a|c deliver 1 a|c deliver 2 b", legal, 0, ""},
		{"named in a circle", "p reply a b|q reply b a|c deliver 1 a|c deliver 2 b", illegal, 4, ""},
		{"named by itself", "p reply a a|c deliver 1 a", unknown, 0, ""},
		{"by way of one that it never gets", "p publish a|p ok a 1@x|p ok a 1|d deliver 1 a|d publish b@x|d ok b 1@x|e deliver 1 b@x|e publish f|e ok f 2|c deliver 2 f|c deliver 1 a",
			illegal, 11, `"a" after "f", which follows from it: by way of others`},
		{"by way of one that it gets", "p publish a|p ok a 1|d deliver 1 a|d publish b|d ok b 2|e deliver 1 b|e publish f|c deliver 2 b|c deliver 1 a|c deliver 3 f", illegal, 9, `"a" after "b"`},
		{"by way of one that it gets in time", "p publish a|p ok a 1|d deliver 1 a|d publish b|e deliver 1 b|e publish f|c deliver 1 a|c deliver 2 b|c deliver 3 f", legal, 0, ""},
		{"the first of two inversions", asked + "c deliver 2 a1|e deliver 2 a1|e deliver 1 q1|c deliver 1 q1", illegal, 8, `client "e"`},
		{"nothing delivered", log3 + "end", unknown, 0, "nothing to check"},
	})
}

func TestTotalOrder(t *testing.T) {
	judge(t, properties.TotalOrder(), []judgement{
		{"agreed", "c deliver 1 a|d deliver 1 a|c deliver 2 b|d deliver 2 b", legal, 0, "4 deliveries agree on one order"},
		{"agreed on what is not the log's", "c deliver 2 b|d deliver 2 b|c deliver 1 a|d deliver 1 a", legal, 0, ""},
		{"two clients disagree", "c deliver 1 a|c deliver 2 b|d deliver 2 b|d deliver 1 a", illegal, 4, `client "d" saw "a" after "b", but client "c" saw "a" before "b"`},
		{"two clients disagree, with another between", "c deliver 1 a|c deliver 2 x|c deliver 3 b|d deliver 3 b|d deliver 1 a", illegal, 5, `client "c" saw "a" before "b"`},
		{"three clients disagree, of whom no two do", "c deliver 1 a|c deliver 2 b|d deliver 2 b|d deliver 3 f|e deliver 3 f|e deliver 1 a", illegal, 6,
			`client "e" saw "a" after "f", but client "c" saw "a" before "b", and client "d" saw "b" before "f"`},
		{"gaps do not matter", "c deliver 1 a|c deliver 2 b|c deliver 3 x|d deliver 1 a|d deliver 3 x", legal, 0, ""},
		{"repetitions do not matter", "c deliver 1 a|c deliver 2 b|c deliver 1 a|d deliver 1 a|d deliver 2 b", legal, 0, ""},
		{"rooms are apart", "c deliver 1 a|c deliver 2 b|d deliver 2 b@x|d deliver 1 a@x", unknown, 0, ""},
		{"nothing in common", "c deliver 1 a|c deliver 2 b|d deliver 1 a|d deliver 3 x", unknown, 0, "no two clients got the same two messages"},
		{"nothing delivered", log3 + "end", unknown, 0, "nothing to check"},
	})
}

// crowd draws the history of a correct system in which everybody reads and writes: nodes get the messages
// of one log in its order, and publish in between. IDs are m1, m2 and so on, in the order of the log.
func crowd(rt *rapid.T) *model.History {
	h := &model.History{}
	nodes := rapid.IntRange(2, 4).Draw(rt, "nodes")
	at := make([]int, nodes)
	n := 0
	add := func(e model.Event) {
		e.Room = "room-1"
		h.Events = append(h.Events, e)
	}
	publish := func(who int) {
		n++
		id, node := fmt.Sprint("m", n), fmt.Sprint("n", who)
		add(model.Event{Kind: model.PublishCall, Node: node, ID: id})
		add(model.Event{Kind: model.PublishOK, Node: node, ID: id, Seq: uint64(n)})
	}
	get := func(who int) {
		at[who]++
		add(model.Event{Kind: model.Deliver, Node: fmt.Sprint("n", who), ID: fmt.Sprint("m", at[who]), Seq: uint64(at[who])})
	}
	publish(0)
	publish(0)
	for range rapid.IntRange(0, 30).Draw(rt, "acts") {
		who := rapid.IntRange(0, nodes-1).Draw(rt, "who")
		if rapid.IntRange(0, 3).Draw(rt, "what") == 0 {
			publish(who)
		} else if at[who] < n {
			get(who)
		}
	}
	for who := range nodes {
		for at[who] < n {
			get(who)
		}
	}
	h.Events = append(h.Events, model.Event{Kind: model.RunEnd})
	renumber(h)
	return h
}

func orders() []model.Property {
	return []model.Property{properties.FIFO(), properties.Causal(), properties.TotalOrder()}
}

// A log that all read in its order keeps every order there is; and so does any part of the run.
func TestOneLogKeepsEveryOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := crowd(rt)
		for _, v := range properties.Check(h, orders()...) {
			require.True(rt, v.Ok(), v)
		}
		h.Events = h.Events[:rapid.IntRange(0, len(h.Events)-1).Draw(rt, "cut")]
		for _, v := range properties.Check(h, orders()...) {
			require.NotEqual(rt, illegal, v.Outcome, v)
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		for _, v := range properties.Check(correctRun(rt), orders()...) {
			require.NotEqual(rt, illegal, v.Outcome, v)
		}
	})
}

// A client that gets two messages the wrong way round breaks the order that they had: always the total
// one, FIFO if one publisher published both, and the causal order if the one follows from the other.
func TestSwappedMessagesBreakTheirOrder(t *testing.T) {
	broken := func(rt *rapid.T) (fifo, causal bool) {
		h := crowd(rt)
		node := "n0"
		is := deliveries(h, func(_ int, e model.Event) bool { return e.Node == node })
		k := rapid.IntRange(0, len(is)-2).Draw(rt, "swap")
		a, b := &h.Events[is[k]], &h.Events[is[k+1]]
		first, second := a.ID, b.ID
		// What the node publishes between the two would follow from the wrong one.
		if slices.ContainsFunc(h.Events[is[k]:is[k+1]], func(e model.Event) bool { return e.Kind == model.PublishCall && e.Node == node }) {
			return false, false
		}
		a.Seq, a.ID, b.Seq, b.ID = b.Seq, b.ID, a.Seq, a.ID
		v := properties.TotalOrder().Check(h)
		require.Equal(rt, illegal, v.Outcome, v)

		publisher := func(id string) (who string, call int) {
			call = slices.IndexFunc(h.Events, func(e model.Event) bool { return e.Kind == model.PublishCall && e.ID == id })
			return h.Events[call].Node, call
		}
		p, _ := publisher(first)
		q, call := publisher(second)
		knew := slices.ContainsFunc(h.Events[:call], func(e model.Event) bool {
			return e.Node == q && e.ID == first && (e.Kind == model.Deliver || e.Kind == model.PublishOK)
		})
		// All else is in order, so that one of the two messages is direct cause of the other or not at all.
		v = properties.FIFO().Check(h)
		require.Equal(rt, p == q, v.Outcome == illegal, v)
		v = properties.Causal().Check(h)
		require.Equal(rt, knew, v.Outcome == illegal, v)
		for _, v := range properties.Check(h, properties.FIFO(), properties.Causal()) {
			if v.Outcome == illegal {
				require.Equal(rt, b.Step, v.Step, v)
			}
		}
		return p == q, knew
	}
	rapid.Check(t, func(rt *rapid.T) { broken(rt) })
	fifos, causals := 0, 0
	examples := rapid.Custom(func(rt *rapid.T) [2]bool { f, c := broken(rt); return [2]bool{f, c} })
	for seed := range 50 {
		e := examples.Example(seed)
		if e[0] {
			fifos++
		}
		if e[1] && !e[0] {
			causals++
		}
	}
	require.NotZero(t, fifos)
	require.NotZero(t, causals, "the causal order is more than FIFO")
}

// obviously judges causal and total order by their definitions, in the plainest way.
func obviously(h *model.History) (causal, total bool) {
	type get struct{ node, id string }
	first := map[get]int{}
	var ids []string
	follows := map[[2]string]bool{} // the second from the first
	knows := map[string][]string{}
	for i, e := range h.Events {
		switch e.Kind {
		case model.PublishCall:
			ids = append(ids, e.ID)
			for _, m := range knows[e.Node] {
				follows[[2]string{m, e.ID}] = true
			}
		case model.PublishOK:
			knows[e.Node] = append(knows[e.Node], e.ID)
		case model.Deliver:
			if _, again := first[get{e.Node, e.ID}]; !again {
				first[get{e.Node, e.ID}] = i
				knows[e.Node] = append(knows[e.Node], e.ID)
			}
		}
	}
	seen := map[[2]string]bool{} // the first before the second, by some client
	for g, i := range first {
		for f, j := range first {
			if g.node == f.node && i < j {
				seen[[2]string{g.id, f.id}] = true
			}
		}
	}
	closure := func(r map[[2]string]bool) {
		for _, k := range ids {
			for _, a := range ids {
				for _, b := range ids {
					if r[[2]string{a, k}] && r[[2]string{k, b}] {
						r[[2]string{a, b}] = true
					}
				}
			}
		}
	}
	closure(follows)
	causal, total = true, true
	for g, i := range first {
		for f, j := range first {
			if g.node == f.node && i < j && follows[[2]string{f.id, g.id}] {
				causal = false
			}
		}
	}
	closure(seen)
	for _, a := range ids {
		total = total && !seen[[2]string{a, a}]
	}
	return causal, total
}

// shuffled draws a history in which clients get messages in any order.
func shuffled(rt *rapid.T) *model.History {
	h := crowd(rt)
	is := deliveries(h, func(int, model.Event) bool { return true })
	for range rapid.IntRange(0, 4).Draw(rt, "swaps") {
		a, b := &h.Events[rapid.SampledFrom(is).Draw(rt, "a")], &h.Events[rapid.SampledFrom(is).Draw(rt, "b")]
		if a.Node == b.Node {
			a.Seq, a.ID, b.Seq, b.ID = b.Seq, b.ID, a.Seq, a.ID
		}
	}
	return h
}

// The properties, which are quick, agree with their definitions, which are not.
func TestOrdersAreWhatTheySay(t *testing.T) {
	agree := func(t require.TestingT, h *model.History) (causal, total bool) {
		causal, total = obviously(h)
		v := properties.Causal().Check(h)
		require.Equal(t, causal, v.Outcome != illegal, v)
		v = properties.TotalOrder().Check(h)
		require.Equal(t, total, v.Outcome != illegal, v)
		return causal, total
	}
	rapid.Check(t, func(rt *rapid.T) { agree(rt, shuffled(rt)) })
	counts := map[[2]bool]int{}
	for seed := range 100 {
		causal, total := agree(t, rapid.Custom(shuffled).Example(seed))
		counts[[2]bool{causal, total}]++
	}
	require.NotZero(t, counts[[2]bool{true, true}])
	require.NotZero(t, counts[[2]bool{true, false}])
	require.NotZero(t, counts[[2]bool{false, false}])
}
