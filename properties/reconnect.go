package properties

import (
	"cmp"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

// Reconnect: a client that lost its connection is connected again within a bound.
//
// Formally: after every Disconnected whose Note is not [model.NoteStopped], a Connected of the same client
// and room comes before a time without any fault longer than the bound has passed. Times are virtual.
//
// Time in which a fault is on does not count, and the clock starts anew when the last one lets go: a
// system is live once it is well. [ReconnectThroughout] excuses nothing, which is what to ask for where
// a fault leaves a way.
//
// It does not cover a client's first connection, how long a client took to notice that its connection
// was dead, or whether it resumed ([HonestRecovery], [NoLoss]). With no connection lost, or none that
// was away for any time without a fault, there is nothing to check, and the verdict is Unknown. So it
// is for a bound that is not positive.
func Reconnect(bound time.Duration) model.Property {
	return property{"Reconnect", func(h *model.History) model.Verdict { return checkReconnect(h, bound, calmOf(h)) }}
}

// ReconnectThroughout is [Reconnect] without excuse for faults.
func ReconnectThroughout(bound time.Duration) model.Property {
	return property{"ReconnectThroughout", func(h *model.History) model.Verdict { return checkReconnect(h, bound, calm{}) }}
}

func checkReconnect(h *model.History, bound time.Duration, c calm) model.Verdict {
	if why := checkBound(bound); why != "" {
		return unknown("%s", why)
	}
	lost := map[subscription]*model.Event{}
	judged := 0
	longest := time.Duration(0)
	judge := func(sub subscription, e *model.Event) model.Verdict {
		took := c.longest(lost[sub].Time, e.Time)
		if took > bound {
			return illegal(e.Step, "%v of room %q lost its connection at step %d, and was away for %v%s; allowed are %v",
				sub, sub.room, lost[sub].Step, took, c.clause(), bound)
		}
		longest = max(longest, took)
		return model.Verdict{}
	}
	for i := range h.Events {
		e := &h.Events[i]
		sub := subscription{e.Node, e.Room}
		switch {
		case e.Kind == model.Disconnected && e.Note != model.NoteStopped:
			lost[sub] = e
		case e.Kind == model.Connected && lost[sub] != nil:
			if v := judge(sub, e); v.Outcome == model.Illegal {
				return v
			}
			judged++
			delete(lost, sub)
		}
	}
	var away []subscription
	for sub := range lost {
		away = append(away, sub)
	}
	slices.SortFunc(away, func(a, b subscription) int { return cmp.Compare(lost[a].Step, lost[b].Step) })
	for _, sub := range away {
		if v := judge(sub, &h.Events[len(h.Events)-1]); v.Outcome == model.Illegal {
			return v
		}
	}
	if len(away) > 0 {
		sub := away[0]
		return unknown("%v of room %q lost its connection at step %d and is away to the end, %v%s; that is less than %v",
			sub, sub.room, lost[sub].Step, c.longest(lost[sub].Time, h.Events[len(h.Events)-1].Time), c.clause(), bound)
	}
	if judged == 0 {
		return unknown("nothing to check: no connection was lost")
	}
	return ok("%d lost connections, the slowest made again within %v%s; allowed are %v", judged, longest, c.clause(), bound)
}
