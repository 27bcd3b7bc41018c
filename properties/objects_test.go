package properties_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

func TestLinearizableRegistry(t *testing.T) {
	const k = "registry/room-1 "
	judge(t, properties.LinearizableRegistry(), []judgement{
		{"put and get", "a calls " + k + "1 put(x)|a told " + k + "1 ok|b calls " + k + "2 get()|b told " + k + "2 x", legal, 0, "2 calls, of which 2 returned, of 1 parts have a linear order"},
		{"nothing there", "b calls " + k + "2 get()|b told " + k + "2 nothing", legal, 0, ""},
		{"a stale read", "a calls " + k + "1 put(x)|a told " + k + "1 ok|a calls " + k + "2 put(y)|a told " + k + "2 ok|b calls " + k + "3 get()|b told " + k + "3 x", illegal, 6,
			`b: registry/room-1.get() = "x" (steps 5 to 6) fits no order of the calls so far; before it returned: a: registry/room-1.put(x) = "ok" (steps 1 to 2); a: registry/room-1.put(y) = "ok" (steps 3 to 4)`},
		{"a read that overlaps may be old", "a calls " + k + "1 put(x)|b calls " + k + "2 get()|a told " + k + "1 ok|b told " + k + "2 nothing", legal, 0, ""},
		{"one after another may not go back", "a calls " + k + "1 put(x)|b calls " + k + "2 get()|b told " + k + "2 x|b calls " + k + "3 get()|b told " + k + "3 nothing", illegal, 5, ""},
		{"swap", "a calls " + k + "1 cas(\"\",x)|a told " + k + "1 ok|b calls " + k + "2 cas(\"\",y)|b told " + k + "2 no", legal, 0, ""},
		{"both swap", "a calls " + k + "1 cas(\"\",x)|b calls " + k + "2 cas(\"\",y)|a told " + k + "1 ok|b told " + k + "2 ok", illegal, 4, ""},
		{"neither swaps", "a calls " + k + "1 cas(\"\",x)|b calls " + k + "2 cas(\"\",y)|a told " + k + "1 no|b told " + k + "2 no", illegal, 4, `before it returned: a: registry/room-1.cas("", x) = "no" (steps 1 to 3)`},
		{"a lost call that took effect", "a calls " + k + "1 put(x)|a lost " + k + "1|b calls " + k + "2 get()|b told " + k + "2 x", legal, 0, ""},
		{"a lost call that did not", "a calls " + k + "1 put(x)|a lost " + k + "1|b calls " + k + "2 get()|b told " + k + "2 nothing", legal, 0, ""},
		{"a lost call that takes effect late", "a calls " + k + "1 put(x)|a lost " + k + "1|b calls " + k + "2 get()|b told " + k + "2 nothing|b calls " + k + "3 get()|b told " + k + "3 x", legal, 0, ""},
		{"a lost call that takes effect and is undone", "a calls " + k + "1 put(x)|a lost " + k + "1|b calls " + k + "2 get()|b told " + k + "2 x|b calls " + k + "3 get()|b told " + k + "3 nothing", illegal, 6, ""},
		{"keys are apart", "a calls registry/x 1 put(x)|a told registry/x 1 ok|b calls registry/y 1 get()|b told registry/y 1 nothing", legal, 0, "of 2 parts"},

		{"lease", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|b calls " + k + "2 acquire(b,5s)|b told " + k + "2 held|b calls " + k + "3 holder()|b told " + k + "3 a", legal, 0, ""},
		{"two hold it", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|wait 4s|b calls " + k + "2 acquire(b,5s)|b told " + k + "2 ok", illegal, 4, ""},
		{"it is over", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|wait 5s|b calls " + k + "2 acquire(b,5s)|b told " + k + "2 ok|a calls " + k + "3 renew(a)|a told " + k + "3 lost", legal, 0, ""},
		{"over, and nobody knows", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|wait 5s|b calls " + k + "2 acquire(b,5s)|b told " + k + "2 held", legal, 0, ""},
		{"renewed", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|wait 4s|a calls " + k + "2 renew(a)|a told " + k + "2 ok|wait 4s|b calls " + k + "3 acquire(b,5s)|b told " + k + "3 ok", illegal, 6, ""},
		{"renewed by one who has it not", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|b calls " + k + "2 renew(b)|b told " + k + "2 ok", illegal, 4, ""},
		{"lost too early", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|wait 1s|a calls " + k + "2 renew(a)|a told " + k + "2 lost", illegal, 4, ""},
		{"released", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|a calls " + k + "2 release(a)|a told " + k + "2 ok|b calls " + k + "3 acquire(b,5s)|b told " + k + "3 ok", legal, 0, ""},
		{"nobody holds it, too early", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|b calls " + k + "2 holder()|b told " + k + "2 nothing", illegal, 4, ""},
		{"refused though free", "b calls " + k + "2 acquire(b,5s)|b told " + k + "2 held", illegal, 2, ""},
		{"taken by a lost call, too early", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|b calls " + k + "2 acquire(b,5s)|b lost " + k + "2|a calls " + k + "3 holder()|a told " + k + "3 b", illegal, 6, ""},
		{"taken by a lost call, when it was over", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|b calls " + k + "2 acquire(b,5s)|b lost " + k + "2|wait 5s|a calls " + k + "3 holder()|a told " + k + "3 b", legal, 0, ""},
		{"time that has passed for one has passed for all", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|c calls " + k + "2 holder()|wait 5s|b calls " + k + "3 acquire(b,5s)|b told " + k + "3 ok|c told " + k + "2 b", legal, 0, ""},
		{"the value and the lease are apart", "a calls " + k + "1 acquire(a,5s)|a told " + k + "1 ok|a calls " + k + "2 get()|a told " + k + "2 nothing", legal, 0, "of 2 parts"},

		{"another kind of object", "a calls seats/x 1 look(1)|a told seats/x 1 nothing", unknown, 0, "nothing to check: no call of an object registry/… returned"},
		{"no such operation", "a calls " + k + "1 increment()", unknown, 0, "step 1: a registry has no operation increment()"},
		{"too few arguments", "a calls " + k + "1 cas(x)", unknown, 0, "operation cas(x) has 1 arguments; want 2"},
		{"no operation at all", "a calls " + k + "1 get", unknown, 0, "no parenthesis"},
		{"no lease time", "a calls " + k + "1 acquire(a,soon)", unknown, 0, `ttl "soon"; want a positive duration`},
		{"no such result", "a calls " + k + "1 put(x)|a told " + k + "1 maybe", unknown, 0, `step 2: result "maybe" of put(x) is none of ok`},
		{"no result", "a calls " + k + "1 put(x)|a told " + k + "1 nothing", unknown, 0, `result "" of put(x)`},
		{"a return without a call", "a told " + k + "1 ok", unknown, 0, `call "1" of registry/room-1 returned, but is not open`},
		{"two returns", "a calls " + k + "1 put(x)|a told " + k + "1 ok|a told " + k + "1 ok", unknown, 0, "step 3"},
		{"two calls", "a calls " + k + "1 put(x)|a calls " + k + "1 put(x)", unknown, 0, "was made before, at step 1"},
	})
}

func TestLinearizableSeats(t *testing.T) {
	const k = "seats/flight-7 "
	judge(t, properties.LinearizableSeats(), []judgement{
		{"one each", "a calls " + k + "1 reserve(12A,ann)|b calls " + k + "2 reserve(12B,bob)|a told " + k + "1 ok|b told " + k + "2 ok", legal, 0, "of 2 parts"},
		{"sold twice", "a calls " + k + "1 reserve(12A,ann)|b calls " + k + "2 reserve(12A,bob)|a told " + k + "1 ok|b told " + k + "2 ok", illegal, 4, `b: seats/flight-7.reserve(12A, bob) = "ok"`},
		{"sold to neither", "a calls " + k + "1 reserve(12A,ann)|a told " + k + "1 taken", illegal, 2, ""},
		{"the second is refused", "a calls " + k + "1 reserve(12A,ann)|b calls " + k + "2 reserve(12A,bob)|a told " + k + "1 taken|b told " + k + "2 ok", legal, 0, ""},
		{"the first is refused, before the second has called", "a calls " + k + "1 reserve(12A,ann)|a told " + k + "1 taken|b calls " + k + "2 reserve(12A,bob)|b told " + k + "2 ok", illegal, 2, ""},
		{"again the same", "a calls " + k + "1 reserve(12A,ann)|a told " + k + "1 ok|a calls " + k + "2 reserve(12A,ann)|a told " + k + "2 ok", legal, 0, ""},
		{"cancelled", "a calls " + k + "1 reserve(12A,ann)|a told " + k + "1 ok|a calls " + k + "2 cancel(12A,ann)|a told " + k + "2 ok|b calls " + k + "3 reserve(12A,bob)|b told " + k + "3 ok", legal, 0, ""},
		{"cancelled by another", "a calls " + k + "1 reserve(12A,ann)|a told " + k + "1 ok|b calls " + k + "2 cancel(12A,bob)|b told " + k + "2 ok", illegal, 4, ""},
		{"looks free though it is sold", "a calls " + k + "1 reserve(12A,ann)|a told " + k + "1 ok|b calls " + k + "2 look(12A)|b told " + k + "2 nothing", illegal, 4, ""},
		{"reserved for nobody", "a calls " + k + "1 reserve(12A,\"\")", unknown, 0, "nobody has no name"},
		{"no such operation", "a calls " + k + "1 upgrade(12A)", unknown, 0, "a seat map has no operation upgrade(12A)"},
		{"nothing returned", "a calls " + k + "1 reserve(12A,ann)|end", unknown, 0, "nothing to check"},
	})
}

func TestLinearizableAuction(t *testing.T) {
	const k = "auction/lot-3 "
	judge(t, properties.LinearizableAuction(), []judgement{
		{"the highest wins", "a calls " + k + "1 bid(ann,5)|a told " + k + "1 ok|b calls " + k + "2 bid(bob,7)|b told " + k + "2 ok|x calls " + k + "3 close()|x told " + k + "3 bob_7|a calls " + k + "4 bid(ann,9)|a told " + k + "4 closed", legal, 0, "4 calls"},
		{"a lower bid taken", "a calls " + k + "1 bid(ann,5)|a told " + k + "1 ok|b calls " + k + "2 bid(bob,4)|b told " + k + "2 ok", illegal, 4, ""},
		{"two equal bids taken", "a calls " + k + "1 bid(ann,5)|b calls " + k + "2 bid(bob,5)|a told " + k + "1 ok|b told " + k + "2 ok", illegal, 4, ""},
		{"of two at once, either may be first", "a calls " + k + "1 bid(ann,5)|b calls " + k + "2 bid(bob,7)|b told " + k + "2 ok|a told " + k + "1 low", legal, 0, ""},
		{"a higher bid refused", "a calls " + k + "1 bid(ann,5)|a told " + k + "1 low", illegal, 2, ""},
		{"the lower wins", "a calls " + k + "1 bid(ann,5)|b calls " + k + "2 bid(bob,7)|a told " + k + "1 ok|b told " + k + "2 ok|x calls " + k + "3 close()|x told " + k + "3 ann_5", illegal, 6, ""},
		{"taken after the close", "x calls " + k + "1 close()|x told " + k + "1 nothing|a calls " + k + "2 bid(ann,5)|a told " + k + "2 ok", illegal, 4, ""},
		{"refused as closed before the close", "a calls " + k + "1 bid(ann,5)|a told " + k + "1 closed|x calls " + k + "2 close()|x told " + k + "2 nothing", illegal, 2, ""},
		{"a lost bid wins", "a calls " + k + "1 bid(ann,5)|a lost " + k + "1|x calls " + k + "2 close()|x told " + k + "2 ann_5", legal, 0, ""},
		{"a lost bid does not win", "a calls " + k + "1 bid(ann,5)|a lost " + k + "1|x calls " + k + "2 close()|x told " + k + "2 nothing", legal, 0, ""},
		{"sees the past", "a calls " + k + "1 bid(ann,5)|a told " + k + "1 ok|b calls " + k + "2 look()|b told " + k + "2 nothing", illegal, 4, ""},
		{"no amount", "a calls " + k + "1 bid(ann,0)", unknown, 0, `amount "0"; want a whole number`},
		{"no such operation", "a calls " + k + "1 cheat()", unknown, 0, "an auction has no operation cheat()"},
	})
}

// objectRun draws the history of a shared object that is right: each call takes effect at one moment
// between its call and its return, if it has one. now is kept at the time of the latest event.
func objectRun(rt *rapid.T, object string, calls []model.Operation, apply func(op model.Operation) string, now *time.Duration) *model.History {
	type open struct {
		id, result string
		op         model.Operation
		done       bool
	}
	h := &model.History{}
	var pending []*open
	next := 0
	for range rapid.IntRange(1, 30).Draw(rt, "acts") {
		*now = time.Duration(len(h.Events)) * time.Millisecond // as renumber has it
		switch act := rapid.IntRange(0, 3).Draw(rt, "act"); {
		case act == 0 && len(pending) < 5 || len(pending) == 0:
			next++
			o := &open{id: fmt.Sprint(next), op: rapid.SampledFrom(calls).Draw(rt, "op")}
			pending = append(pending, o)
			h.Events = append(h.Events, model.Event{Kind: model.Call, Node: "n" + o.id, Object: object, ID: o.id, Note: o.op.String()})
		case act == 1:
			if o := rapid.SampledFrom(pending).Draw(rt, "takes effect"); !o.done {
				o.result, o.done = apply(o.op), true
			}
		default:
			i := rapid.IntRange(0, len(pending)-1).Draw(rt, "returns")
			o := pending[i]
			pending = append(pending[:i:i], pending[i+1:]...)
			e := model.Event{Kind: model.Return, Node: "n" + o.id, Object: object, ID: o.id}
			if act == 3 && rapid.Bool().Draw(rt, "lost") {
				e.Kind = model.ReturnUnknown
			} else if !o.done {
				o.result = apply(o.op)
			}
			if e.Kind == model.Return {
				e.Note = o.result
			}
			h.Events = append(h.Events, e)
		}
	}
	renumber(h)
	return h
}

// seatMap and lot are the objects themselves.
func seatMap() func(op model.Operation) string {
	whose := map[string]string{}
	return func(op model.Operation) string {
		seat := op.Args[0]
		switch {
		case op.Name == "look":
			return whose[seat]
		case op.Name == "reserve" && (whose[seat] == "" || whose[seat] == op.Args[1]):
			whose[seat] = op.Args[1]
			return "ok"
		case op.Name == "cancel" && whose[seat] == op.Args[1]:
			whose[seat] = ""
			return "ok"
		case op.Name == "cancel":
			return "lost"
		}
		return "taken"
	}
}

func lot() func(op model.Operation) string {
	best, amount, closed := "", 0, false
	return func(op model.Operation) string {
		var n int
		if op.Name != "bid" {
			closed = closed || op.Name == "close"
			return best
		}
		_, _ = fmt.Sscan(op.Args[1], &n) // the amounts below are numbers
		switch {
		case closed:
			return "closed"
		case n <= amount:
			return "low"
		}
		best, amount = op.Args[0]+" "+op.Args[1], n
		return "ok"
	}
}

func cell() func(op model.Operation) string {
	value := ""
	return func(op model.Operation) string {
		switch {
		case op.Name == "get":
			return value
		case op.Name == "put":
			value = op.Args[0]
		case value != op.Args[0]:
			return "no"
		default:
			value = op.Args[1]
		}
		return "ok"
	}
}

// sharedObjects has for each kind its property, some calls, the object itself, and results of nowhere.
var sharedObjects = []struct {
	object   string
	property model.Property
	calls    []model.Operation
	make     func() func(model.Operation) string
	lie      func(op model.Operation, result string) string // a result that no call can have led to; the right one if there is none
}{
	{"seats/x", properties.LinearizableSeats(), []model.Operation{model.Op("reserve", "1", "ann"), model.Op("reserve", "1", "bob"), model.Op("reserve", "2", "ann"), model.Op("cancel", "1", "ann"), model.Op("look", "1")},
		seatMap, func(op model.Operation, result string) string {
			if op.Name == "look" {
				return "zoe"
			}
			return result
		}},
	{"auction/x", properties.LinearizableAuction(), []model.Operation{model.Op("bid", "ann", "3"), model.Op("bid", "bob", "5"), model.Op("bid", "cid", "4"), model.Op("look"), model.Op("close")},
		lot, func(op model.Operation, result string) string {
			if op.Name == "bid" {
				return result
			}
			return "nobody 99"
		}},
	{"registry/x", properties.LinearizableRegistry(), []model.Operation{model.Op("put", "a"), model.Op("put", "b"), model.Op("cas", "a", "b"), model.Op("cas", "", "a"), model.Op("get")},
		cell, func(op model.Operation, result string) string {
			if op.Name == "get" {
				return "never written"
			}
			return result
		}},
}

// Objects that are right are linearizable, and so is any part of their history. A read that says what no
// order explains is found, at its step.
func TestSharedObjects(t *testing.T) {
	for _, o := range sharedObjects {
		t.Run(o.object, func(t *testing.T) {
			lied := func(rt *rapid.T) bool {
				h := objectRun(rt, o.object, o.calls, o.make(), new(time.Duration))
				v := o.property.Check(h)
				require.NotEqual(rt, illegal, v.Outcome, v)
				cut := &model.History{Events: h.Events[:rapid.IntRange(0, len(h.Events)).Draw(rt, "cut")]}
				require.NotEqual(rt, illegal, o.property.Check(cut).Outcome)
				ops := map[string]model.Operation{}
				for i, e := range h.Events {
					if e.Kind == model.Call {
						var err error
						ops[e.ID], err = model.ParseOperation(e.Note)
						require.NoError(rt, err)
					}
					if e.Kind != model.Return {
						continue
					}
					if lie := o.lie(ops[e.ID], e.Note); lie != e.Note {
						h.Events[i].Note = lie
						v := o.property.Check(h)
						require.Equal(rt, illegal, v.Outcome, v)
						require.Equal(rt, e.Step, v.Step, v)
						return true
					}
				}
				return false
			}
			rapid.Check(t, func(rt *rapid.T) { lied(rt) })
			found := 0
			for seed := range 30 {
				if rapid.Custom(lied).Example(seed) {
					found++
				}
			}
			require.NotZero(t, found, "histories with a read that lies")
		})
	}
}

// A seat map that checks before it takes, without a lock, sells a seat twice now and then; the property
// finds it.
func TestSeatMapWithoutLockIsFound(t *testing.T) {
	sold := func(rt *rapid.T) model.Outcome {
		whose, looked := "", map[string]string{}
		h := &model.History{}
		left := map[string]int{"ann": 2, "bob": 2, "cid": 2}
		for len(left) > 0 {
			who := rapid.SampledFrom([]string{"ann", "bob", "cid"}).Draw(rt, "who")
			switch left[who] {
			case 2: // it calls, and looks whether the seat is free
				h.Events = append(h.Events, model.Event{Kind: model.Call, Node: who, Object: "seats/x", ID: who, Note: model.Op("reserve", "1", who).String()})
				looked[who] = whose
				left[who] = 1
			case 1: // it takes the seat if it was free then
				result := "taken"
				if looked[who] == "" {
					result, whose = "ok", who
				}
				h.Events = append(h.Events, model.Event{Kind: model.Return, Node: who, Object: "seats/x", ID: who, Note: result})
				delete(left, who)
			}
		}
		renumber(h)
		return properties.LinearizableSeats().Check(h).Outcome
	}
	counts := map[model.Outcome]int{}
	for seed := range 50 {
		counts[rapid.Custom(sold).Example(seed)]++
	}
	require.NotZero(t, counts[illegal])
	require.NotZero(t, counts[legal])
}

// hard is a history that takes a search long: many calls that overlap, and a read that fits none of
// their orders.
func hard(n int) *model.History {
	h := &model.History{}
	add := func(kind model.Kind, id int, note string) {
		h.Events = append(h.Events, model.Event{Kind: kind, Node: fmt.Sprint("n", id), Object: "registry/x", ID: fmt.Sprint(id), Note: note})
	}
	for i := range n {
		add(model.Call, i, model.Op("cas", fmt.Sprint(i%7), fmt.Sprint((i+1)%5)).String())
		add(model.Call, n+i, model.Op("put", fmt.Sprint(i%7)).String())
	}
	add(model.Call, 3*n, "get()")
	for i := range n {
		add(model.Return, i, "no")
		add(model.Return, n+i, "ok")
	}
	add(model.Return, 3*n, "never")
	renumber(h)
	return h
}

// A search that takes too long is given up: the verdict is Unknown, which never passes.
func TestLinearizableObjectsWithinLimit(t *testing.T) {
	p, err := properties.LinearizableOf("registry", 50*time.Millisecond)
	require.NoError(t, err)
	start := time.Now()
	v := p.Check(hard(60))
	require.Equal(t, unknown, v.Outcome, v)
	require.Contains(t, v.Detail, "not decided within 50ms of wall-clock time: 121 calls")
	require.Less(t, time.Since(start), time.Minute)

	_, err = properties.LinearizableOf("registry", 0)
	require.EqualError(t, err, "LinearizableOf: limit is 0s; it must be positive")
	_, err = properties.LinearizableOf("abacus", time.Second)
	require.EqualError(t, err, `LinearizableOf: no kind of shared object "abacus"; there are registry, seats, auction`)
}

// The pages show the operations, and the faults over them.
func TestVisualizeFaults(t *testing.T) {
	var page strings.Builder
	h := story(t, "p publish a|fault crash(edge-1)|p ok a 1|heal crash(edge-1)|fault loss(a->b)|c deliver 1 a|end")
	require.NoError(t, properties.VisualizeLinearizable(h, &page))
	for _, want := range []string{"append(\\\"a\\\")", `"Tag":"crash"`, `"Description":"crash(edge-1)"`, "from step 2, t=2ms to step 4, t=4ms", `"Tag":"loss"`, "from step 5, t=5ms to the end"} {
		require.Contains(t, page.String(), want)
	}
	page.Reset()
	seats := story(t, "a calls seats/x 1 reserve(12A,ann)|fault crash(db)|b calls seats/x 2 reserve(12A,bob)|a told seats/x 1 ok|b told seats/x 2 ok|end")
	require.NoError(t, properties.VisualizeLinearizableOf("seats", seats, &page))
	require.Contains(t, page.String(), "reserve(12A, bob)")
	require.Contains(t, page.String(), "crash(db)")
	require.ErrorContains(t, properties.VisualizeLinearizableOf("abacus", seats, &page), "no kind of shared object")
	require.ErrorContains(t, properties.VisualizeLinearizableOf("seats", nil, &page), "malformed history")
	require.ErrorContains(t, properties.VisualizeLinearizableOf("seats", story(t, "a calls seats/x 1 x()"), &page), "no operation x()")
}

// leases is a lease that ends by itself a part of its ttl after it was granted or renewed: all of it, if
// it is right.
func leases(part float64) func(op model.Operation, now time.Duration) string {
	holder, over, ttl := "", time.Duration(0), time.Duration(0)
	extend := func(now time.Duration) { over = now + time.Duration(part*float64(ttl)) }
	return func(op model.Operation, now time.Duration) string {
		if holder != "" && now >= over {
			holder = ""
		}
		switch op.Name {
		case "holder":
			return holder
		case "acquire":
			if holder != "" && holder != op.Args[0] {
				return "held"
			}
			holder = op.Args[0]
			ttl, _ = time.ParseDuration(op.Args[1]) // those below are durations
			extend(now)
		case "renew":
			if holder != op.Args[0] {
				return "lost"
			}
			extend(now)
		case "release":
			if holder != op.Args[0] {
				return "lost"
			}
			holder = ""
		}
		return "ok"
	}
}

// Leases that last their time are linearizable, whatever overlaps and is lost; leases that end too early
// are found out.
func TestLeases(t *testing.T) {
	ops := []model.Operation{model.Op("acquire", "a", "8ms"), model.Op("acquire", "b", "8ms"), model.Op("renew", "a"), model.Op("release", "b"), model.Op("holder")}
	run := func(part float64) func(rt *rapid.T) model.Verdict {
		return func(rt *rapid.T) model.Verdict {
			now, apply := time.Duration(0), leases(part)
			h := objectRun(rt, "registry/x", ops, func(op model.Operation) string { return apply(op, now) }, &now)
			return properties.LinearizableRegistry().Check(h)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		v := run(1)(rt)
		require.NotEqual(rt, illegal, v.Outcome, v)
	})
	counts := map[model.Outcome]int{}
	for seed := range 100 {
		counts[rapid.Custom(run(0.2)).Example(seed).Outcome]++
	}
	require.NotZero(t, counts[illegal])
	require.NotZero(t, counts[legal])
}
