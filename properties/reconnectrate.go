package properties

import (
	"time"

	"github.com/twohop/twohop/model"
)

// ReconnectRate: clients that lost their connections do not come back all at once.
//
// Formally: of the Connected events that name one Peer, each of a client and room that was connected before, no
// more than limit fall within any window, whose length is that of half-open intervals of virtual time.
//
// It does not cover attempts that failed, which no history shows, nor how soon clients come back ([Reconnect]).
// With no client that came back there is nothing to check, and the verdict is Unknown. So it is for a limit or a
// window that is not positive.
func ReconnectRate(limit int, window time.Duration) model.Property {
	return property{"ReconnectRate", func(h *model.History) model.Verdict { return checkReconnectRate(h, limit, window) }}
}

func checkReconnectRate(h *model.History, limit int, window time.Duration) model.Verdict {
	if limit <= 0 || window <= 0 {
		return unknown("%d in %v: the limit and the window must be positive", limit, window)
	}
	before := map[subscription]bool{}
	recent := map[string][]time.Duration{} // by peer, when clients came back, within a window of the last
	total, most := 0, 0
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind != model.Connected {
			continue
		}
		sub := subscription{e.Node, e.Room}
		if !before[sub] {
			before[sub] = true
			continue
		}
		total++
		times := append(recent[e.Peer], e.Time)
		for times[0] <= e.Time-window {
			times = times[1:]
		}
		recent[e.Peer] = times
		most = max(most, len(times))
		if len(times) > limit {
			return illegal(e.Step, "%v is the %d. that came back to %q within %v, since t=%v; allowed are %d",
				sub, len(times), e.Peer, window, times[0], limit)
		}
	}
	if total == 0 {
		return unknown("nothing to check: nobody came back")
	}
	return ok("%d came back, at most %d within %v to one server; allowed are %d", total, most, window, limit)
}
