package model

import (
	"cmp"
	"slices"
	"time"
)

// Staleness says how old what clients show is, by transport, sorted by its name: for every client and room, from
// its first delivery until the last publish there, it looks every so often how long ago the latest message that
// was delivered had been published. That is what counts where only the latest value matters, such as a
// cursor: it has the time between messages in it, and that of those which were lost. What was delivered later
// than a message published after it does not count. every must be positive.
func Staleness(h *History, every time.Duration) []Distribution {
	if h == nil || every <= 0 {
		return nil
	}
	type message struct{ room, id string }
	type view struct{ client, room, transport string }
	published, last := map[message]time.Duration{}, map[string]time.Duration{}
	arrivals := map[view][]Latency{}
	for i := range h.Events {
		e := &h.Events[i]
		switch e.Kind {
		case PublishCall:
			if m := (message{e.Room, e.ID}); last[e.Room] == 0 || published[m] == 0 {
				published[m], last[e.Room] = e.Time, e.Time
			}
		case Deliver:
			if at, known := published[message{e.Room, e.ID}]; known {
				v := view{e.Node, e.Room, e.Transport}
				arrivals[v] = append(arrivals[v], Latency{Published: at, Delivered: e.Time})
			}
		}
	}
	ages := map[string][]time.Duration{}
	for v, got := range arrivals {
		ages[v.transport] = append(ages[v.transport], agesOf(got, last[v.room], every)...)
	}
	var ds []Distribution
	for transport, sorted := range ages {
		if len(sorted) == 0 {
			continue
		}
		slices.Sort(sorted)
		ds = append(ds, Distribution{transport, sorted})
	}
	slices.SortFunc(ds, func(a, b Distribution) int { return cmp.Compare(a.Transport, b.Transport) })
	return ds
}

// agesOf looks at one view; what it got is in order of delivery.
func agesOf(got []Latency, until, every time.Duration) []time.Duration {
	var ages []time.Duration
	latest, next := got[0].Published, 0
	for at := got[0].Delivered; at <= until; at += every {
		for ; next < len(got) && got[next].Delivered <= at; next++ {
			latest = max(latest, got[next].Published)
		}
		ages = append(ages, at-latest)
	}
	return ages
}
