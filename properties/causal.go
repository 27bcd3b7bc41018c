package properties

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twohop/twohop/model"
)

// Causal: no client sees a message before another that it follows from.
//
// Formally: a message n follows m directly if the node that first called publish for n had, by then, a
// Deliver of m or a PublishOK of m of its own; or if n's Deps name m. Following is the transitive closure
// of that, by way of any rooms. For any m and n of one room, of which n follows from m, and for any
// client that has a Deliver of both, its first Deliver of m precedes its first Deliver of n.
//
// A node is a publisher and a client at once if it records both under one name: only then does the
// history show what it had seen when it published.
//
// It does not cover gaps: a client that never gets m may see n ([NoLoss]). Nor does it cover the order
// of one room's messages with another's, what people told one another by other means, unless Deps say
// so, or the order of messages neither of which follows from the other ([TotalOrder]). If no client got
// two messages one of which follows from the other, there is nothing to check, and the verdict is
// Unknown.
func Causal() model.Property { return property{"Causal", checkCausal} }

// causality is what every node knew when it published what.
type causality struct {
	knows map[string][]messageKey                // by node, in order of learning
	past  map[messageKey]past                    // of each message
	first map[subscription]map[messageKey]uint64 // the steps of first deliveries
}

// past is what a message follows from directly: the first so many messages that its publisher knew, and
// those that it names.
type past struct {
	node  string
	known int
	deps  []messageKey
}

func causalityOf(h *model.History) *causality {
	c := &causality{knows: map[string][]messageKey{}, past: map[messageKey]past{}, first: map[subscription]map[messageKey]uint64{}}
	for i := range h.Events {
		e := &h.Events[i]
		m := messageKey{e.Room, e.ID}
		switch e.Kind {
		case model.PublishCall:
			if _, again := c.past[m]; again {
				continue
			}
			p := past{node: e.Node, known: len(c.knows[e.Node])}
			for id := range strings.FieldsSeq(e.Deps) {
				p.deps = append(p.deps, messageKey{e.Room, id})
			}
			c.past[m] = p
		case model.PublishOK:
			if c.past[m].node == e.Node {
				c.knows[e.Node] = append(c.knows[e.Node], m)
			}
		case model.Deliver:
			sub := subscription{e.Node, e.Room}
			if c.first[sub] == nil {
				c.first[sub] = map[messageKey]uint64{}
			}
			if _, again := c.first[sub][m]; !again && e.ID != "" {
				c.first[sub][m] = e.Step
				c.knows[e.Node] = append(c.knows[e.Node], m)
			}
		}
	}
	return c
}

// inversion is a message that a client got too late.
type inversion struct {
	early, late messageKey
	step        uint64 // of the late one's delivery
}

// reading follows one client through its deliveries in one room.
type reading struct {
	c       *causality
	first   map[messageKey]uint64
	cleared map[string]int // by node, how many of the messages that it knew have been looked at
	pairs   int
	worst   *inversion
}

// look looks at what a message that the client gets at a step follows from. What the client has got
// by then is in order, and what it never gets, or not in this room, does not matter, but what that
// follows from does. So each message that a node knew needs to be looked at only once.
func (r *reading) look(m messageKey, step uint64) {
	todo := []messageKey{m}
	visit := func(x messageKey) {
		at, gets := r.first[x]
		switch {
		case x == m:
		case !gets:
			todo = append(todo, x)
		case at > step:
			if r.worst == nil || at < r.worst.step {
				r.worst = &inversion{early: m, late: x, step: at}
			}
			r.pairs++
		default:
			r.pairs++
		}
	}
	named := map[messageKey]bool{} // messages whose Deps have been looked at, so that a circle ends
	for len(todo) > 0 {
		x := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p, published := r.c.past[x]
		if !published {
			continue
		}
		knew := r.c.knows[p.node]
		for i := r.cleared[p.node]; i < p.known; i++ {
			visit(knew[i])
		}
		r.cleared[p.node] = max(r.cleared[p.node], p.known)
		if !named[x] {
			named[x] = true
			for _, d := range p.deps {
				visit(d)
			}
		}
	}
}

func checkCausal(h *model.History) model.Verdict {
	c := causalityOf(h)
	readings := map[subscription]*reading{}
	pairs := 0
	var worst *inversion
	var whose subscription
	for i := range h.Events {
		e := &h.Events[i]
		m, sub := messageKey{e.Room, e.ID}, subscription{e.Node, e.Room}
		if e.Kind != model.Deliver || e.ID == "" || c.first[sub][m] != e.Step {
			continue
		}
		r := readings[sub]
		if r == nil {
			r = &reading{c: c, first: c.first[sub], cleared: map[string]int{}}
			readings[sub] = r
		}
		before := r.pairs
		r.look(m, e.Step)
		pairs += r.pairs - before
		if r.worst != nil && (worst == nil || r.worst.step < worst.step) {
			worst, whose = r.worst, sub
		}
	}
	switch {
	case worst != nil:
		return illegal(worst.step, "%v saw %q after %q, which follows from it: %s", whose, worst.late, worst.early, c.because(worst))
	case pairs == 0:
		return unknown("nothing to check: no client got two messages one of which follows from the other")
	}
	return ok("%d deliveries of a message after one that it follows from", pairs)
}

// because says why the one message follows from the other, if it does directly.
func (c *causality) because(v *inversion) string {
	p := c.past[v.early]
	switch {
	case slices.Contains(p.deps, v.late):
		return "its publisher says so"
	case slices.Contains(c.knows[p.node][:p.known], v.late):
		return fmt.Sprintf("its publisher %q knew it", p.node)
	}
	return "by way of others"
}
