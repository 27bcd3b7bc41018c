package properties

import (
	"time"

	"github.com/twohop/twohop/model"
)

// calm is the times of a run that count: all of it, or those in which no fault is on.
type calm struct {
	storms  []storm // in order, apart from one another
	excuses bool
}

// clause says in a verdict which time is meant.
func (c calm) clause() string {
	if c.excuses {
		return " without a fault"
	}
	return ""
}

// storm is a time in which at least one fault is on.
type storm struct{ from, to time.Duration }

// forever is the end of a fault that nothing ended.
const forever = time.Duration(1<<63 - 1)

// calmOf finds the times without a fault. A fault is told by its Note; what ends without having begun is
// left out.
func calmOf(h *model.History) calm {
	c := calm{excuses: true}
	on := map[string]int{}
	faults := 0
	for i := range h.Events {
		switch e := &h.Events[i]; {
		case e.Kind == model.FaultBegin:
			if faults == 0 {
				c.storms = append(c.storms, storm{e.Time, forever})
			}
			on[e.Note]++
			faults++
		case e.Kind == model.FaultEnd && on[e.Note] > 0:
			on[e.Note]--
			if faults--; faults == 0 {
				c.storms[len(c.storms)-1].to = e.Time
			}
		}
	}
	return c
}

// longest is the longest time without a fault between two times.
func (c calm) longest(from, to time.Duration) time.Duration {
	longest := time.Duration(0)
	for _, s := range c.storms {
		if s.from >= to {
			break
		}
		longest = max(longest, s.from-from)
		from = max(from, s.to)
	}
	return max(longest, to-from)
}
