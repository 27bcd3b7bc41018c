package properties

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/twohop/twohop/model"
)

// object is the specification of one kind of shared object, one call after another. Objects of a kind
// are named kind/name in a history, such as "seats/flight-7".
type object struct {
	kind string
	// check says why a call, or its result if it has returned, is none of this kind of object.
	check func(op model.Operation, result string, returned bool) error
	// part is which part of the object a call concerns, if parts do not concern one another.
	part func(op model.Operation) string
	init any
	// step says whether a call may have its result in a state, and what the state is then. A call
	// without result may have any: it takes effect if it can. States are compared with ==.
	step     func(state any, c *sharedCall) (legal bool, next any)
	describe func(state any) string
}

// objects are the kinds that there are.
var objects = []object{registryObject, seatsObject, auctionObject}

// findObject gives the kind of that name.
func findObject(kind string) (object, error) {
	var kinds []string
	for _, o := range objects {
		if o.kind == kind {
			return o, nil
		}
		kinds = append(kinds, o.kind)
	}
	return object{}, fmt.Errorf("no kind of shared object %.40q; there are %s", kind, strings.Join(kinds, ", "))
}

// sharedCall is one call of a shared object.
type sharedCall struct {
	node, object string
	op           model.Operation
	result       string
	returned     bool
	call, ret    uint64        // steps; ret is never if it did not return
	called, done time.Duration // virtual times; done is forever if it did not return
}

func (c *sharedCall) String() string {
	text := fmt.Sprintf("%s: %s.%v", c.node, c.object, c.op)
	if !c.returned {
		return text + ", outcome unknown"
	}
	return text + fmt.Sprintf(" = %q", c.result)
}

// callsOf gives the calls of one kind of object up to a step, in order, and the steps at which some
// returned. The error says what is no call of such an object.
func (o *object) callsOf(events []model.Event) (calls []*sharedCall, returns []uint64, err error) {
	type key struct{ object, id string }
	open := map[key]*sharedCall{}
	for i := range events {
		e := &events[i]
		if kind, _, _ := strings.Cut(e.Object, "/"); kind != o.kind {
			continue
		}
		k := key{e.Object, e.ID}
		c := open[k]
		switch e.Kind {
		case model.Call:
			op, err := model.ParseOperation(e.Note)
			if err == nil {
				err = o.check(op, "", false)
			}
			if err == nil && c != nil {
				err = fmt.Errorf("call %q of %s was made before, at step %d", e.ID, e.Object, c.call)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("step %d: %w", e.Step, err)
			}
			c = &sharedCall{node: e.Node, object: e.Object, op: op, call: e.Step, ret: never, called: e.Time, done: forever}
			open[k] = c
			calls = append(calls, c)
		case model.Return, model.ReturnUnknown:
			if c == nil || c.ret != never {
				return nil, nil, fmt.Errorf("step %d: call %q of %s returned, but is not open", e.Step, e.ID, e.Object)
			}
			if e.Kind == model.ReturnUnknown {
				continue
			}
			if err := o.check(c.op, e.Note, true); err != nil {
				return nil, nil, fmt.Errorf("step %d: %w", e.Step, err)
			}
			c.result, c.returned, c.ret, c.done = e.Note, true, e.Step, e.Time
			returns = append(returns, e.Step)
		}
	}
	return calls, returns, nil
}

// partition is the calls that concern one another.
func (o *object) partition(calls []*sharedCall) [][]*sharedCall {
	byPart := map[string][]*sharedCall{}
	var names []string
	for _, c := range calls {
		name := c.object + " " + o.part(c.op)
		if byPart[name] == nil {
			names = append(names, name)
		}
		byPart[name] = append(byPart[name], c)
	}
	slices.Sort(names)
	parts := make([][]*sharedCall, len(names))
	for i, name := range names {
		parts[i] = byPart[name]
	}
	return parts
}

// porcupineModel is Porcupine's model of these calls. It brings its own history. Steps are the times:
// they never tie, so that Porcupine's closed intervals mean what they should.
func (o *object) porcupineModel(calls []*sharedCall) porcupine.Model {
	return porcupine.Model{
		Partition: func([]porcupine.Operation) [][]porcupine.Operation {
			var all [][]porcupine.Operation
			for _, part := range o.partition(calls) {
				lanes := map[string]int{}
				ops := make([]porcupine.Operation, len(part))
				for i, c := range part {
					lane, known := lanes[c.node]
					if !known {
						lane = len(lanes)
						lanes[c.node] = lane
					}
					ops[i] = porcupine.Operation{ClientId: lane, Input: c, Call: int64(c.call), Return: int64(c.ret)}
				}
				all = append(all, ops)
			}
			return all
		},
		Init:              func() any { return o.init },
		Step:              func(state, in, _ any) (bool, any) { return o.step(state, in.(*sharedCall)) },
		DescribeOperation: func(in, _ any) string { return in.(*sharedCall).String() },
		DescribeState:     func(state any) string { return o.describe(state) },
	}
}

// LinearizableOf is [LinearizableRegistry], [LinearizableSeats] or [LinearizableAuction], by the kind
// of the object ("registry", "seats", "auction") and with another limit of wall-clock time, which must
// be positive.
func LinearizableOf(kind string, limit time.Duration) (model.Property, error) {
	o, err := findObject(kind)
	switch {
	case err != nil:
		return nil, fmt.Errorf("LinearizableOf: %w", err)
	case limit <= 0:
		return nil, fmt.Errorf("LinearizableOf: limit is %v; it must be positive", limit)
	}
	return linearizableObject(o, limit), nil
}

func linearizableObject(o object, limit time.Duration) model.Property {
	name := "Linearizable" + strings.ToUpper(o.kind[:1]) + o.kind[1:]
	return drawable{
		property{name, func(h *model.History) model.Verdict { return o.judge(h, time.Now().Add(limit), limit) }},
		func(h *model.History, w io.Writer) error { return VisualizeLinearizableOf(o.kind, h, w) },
	}
}

func (o *object) judge(h *model.History, deadline time.Time, limit time.Duration) model.Verdict {
	calls, returns, err := o.callsOf(h.Events)
	switch {
	case err != nil:
		return unknown("%v", err)
	case len(returns) == 0:
		return unknown("nothing to check: no call of an object %s/… returned", o.kind)
	}
	what := fmt.Sprintf("%d calls, of which %d returned, of %d parts", len(calls), len(returns), len(o.partition(calls)))
	switch o.decide(h.Events, deadline) {
	case porcupine.Unknown:
		return unknown("not decided within %v of wall-clock time: %s", limit, what)
	case porcupine.Ok:
		return ok("%s have a linear order", what)
	}
	// Every prefix of a linearizable history is linearizable, and a call breaks nothing.
	lo, hi, exact := 0, len(returns)-1, true
	for lo < hi && exact {
		mid := lo + (hi-lo)/2
		switch o.decide(upTo(h, returns[mid]), deadline) {
		case porcupine.Ok:
			lo = mid + 1
		case porcupine.Illegal:
			hi = mid
		default:
			exact = false
		}
	}
	reason := o.contradiction(upTo(h, returns[hi]))
	if !exact {
		reason += "; there was no time to find out whether an earlier step breaks it already"
	}
	return illegal(returns[hi], "%s", reason)
}

// decide asks Porcupine. The deadline is wall-clock time.
func (o *object) decide(events []model.Event, deadline time.Time) porcupine.CheckResult {
	calls, _, err := o.callsOf(events)
	left := time.Until(deadline)
	if err != nil || left <= 0 { // which Porcupine would take for no limit
		return porcupine.Unknown
	}
	return porcupine.CheckOperationsTimeout(o.porcupineModel(calls), nil, left)
}

// contradiction says which return fits no order, and what had returned before it.
func (o *object) contradiction(events []model.Event) string {
	step := events[len(events)-1].Step
	calls, _, err := o.callsOf(events)
	if err != nil {
		return err.Error() // which the caller has ruled out
	}
	for _, part := range o.partition(calls) {
		last := slices.IndexFunc(part, func(c *sharedCall) bool { return c.ret == step })
		if last < 0 {
			continue
		}
		before := slices.DeleteFunc(slices.Clone(part), func(c *sharedCall) bool { return c == part[last] || c.ret == never })
		slices.SortFunc(before, func(a, b *sharedCall) int { return cmp.Compare(a.ret, b.ret) })
		const most = 4
		var told []string
		for _, c := range before[max(0, len(before)-most):] {
			told = append(told, fmt.Sprintf("%v (steps %d to %d)", c, c.call, c.ret))
		}
		return fmt.Sprintf("%v (steps %d to %d) fits no order of the calls so far; before it returned: %s",
			part[last], part[last].call, step, cmp.Or(strings.Join(told, "; "), "none"))
	}
	return "no call returned" // which the caller has ruled out
}

// wantArgs says why an operation has not so many arguments.
func wantArgs(op model.Operation, n int) error {
	if len(op.Args) != n {
		return fmt.Errorf("operation %v has %d arguments; want %d", op, len(op.Args), n)
	}
	return nil
}

// wantResult says why a result is none of those that an operation can have, if it has returned.
func wantResult(op model.Operation, result string, returned bool, allowed ...string) error {
	if returned && !slices.Contains(allowed, result) {
		return fmt.Errorf("result %.40q of %v is none of %s", result, op, strings.Join(allowed, ", "))
	}
	return nil
}

// later gives the later of a call's time and the time that has passed already, and whether the call can
// have happened then. As time only passes, it is enough to take the earliest that is possible.
func (c *sharedCall) later(now time.Duration) (at time.Duration, possible bool) {
	at = max(now, c.called)
	return at, c.done >= at
}

// saturatingSum adds times up to forever.
func saturatingSum(a, b time.Duration) time.Duration {
	if b > math.MaxInt64-a {
		return forever
	}
	return a + b
}
