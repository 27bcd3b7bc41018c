package properties

import (
	"cmp"
	"slices"

	"github.com/twohop/twohop/model"
)

// NoZombie: when all is over, resources are back at the level where they were before.
//
// Formally: for every node and resource (Object) with at least two Level events, the Value of the last is
// not greater than that of the first. So a world records each level once before anything happens, and
// again when its clients have left and every time-out has had its time.
//
// It does not cover levels in between ([BoundedQueue]), or resources that nobody records: a goroutine
// that does not end fails the run itself. A history that was cut short is Unknown, and so is one in
// which no level was recorded twice.
func NoZombie() model.Property { return property{"NoZombie", checkNoZombie} }

// holding is a resource of a node.
type holding struct{ node, object string }

func checkNoZombie(h *model.History) model.Verdict {
	first, last := map[holding]*model.Event{}, map[holding]*model.Event{}
	var again []holding // those with two levels at least
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind != model.Level {
			continue
		}
		k := holding{e.Node, e.Object}
		if first[k] == nil {
			first[k] = e
			continue
		}
		if last[k] == nil {
			again = append(again, k)
		}
		last[k] = e
	}
	slices.SortFunc(again, func(a, b holding) int { return cmp.Compare(last[a].Step, last[b].Step) })
	switch {
	case len(again) == 0:
		return unknown("nothing to check: no level of a resource was recorded twice")
	case !h.Complete():
		return unknown("the run was cut short: what is still held may yet be given back")
	}
	for _, k := range again {
		if before, after := first[k].Value, last[k].Value; after > before {
			return illegal(last[k].Step, "%q holds %d %s at the end; at step %d, before, it held %d", k.node, after, k.object, first[k].Step, before)
		}
	}
	return ok("%d resources are back at the level where they were", len(again))
}
