package explain

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/twohop/twohop/model"
)

// The places of lanes, from left to right, as messages travel.
const (
	placePublisher = iota
	placeSource
	placeEdge
	placeOther
	placeClient
)

// lanes gives each host that has a part in the diagram a lane.
func (b *builder) lanes(d *Diagram) {
	places := map[string]int{}
	put := func(host string, place int) {
		if host == "" {
			return
		}
		if known, ok := places[host]; !ok || known == placeOther {
			places[host] = place
		}
	}
	for _, it := range b.items {
		e := it.event
		if e == nil {
			put(it.host, placeOther)
			put(it.peer, placeOther)
			continue
		}
		switch e.Kind {
		case model.FaultBegin, model.FaultEnd, model.RunEnd:
		case model.PublishCall, model.PublishOK, model.PublishUnknown:
			put(e.Node, placePublisher)
		case model.Append, model.Receive:
			put(e.Node, placeEdge)
			put(e.Peer, placeSource)
		case model.Copy:
			put(e.Node, placeEdge)
			put(e.Peer, placeClient)
		case model.Connected, model.Disconnected, model.Deliver, model.Discontinuity:
			put(e.Node, placeClient)
			put(e.Peer, placeEdge)
		default:
			put(e.Node, placeOther)
		}
	}
	d.Lanes = slices.SortedFunc(maps.Keys(places), func(a, c string) int {
		return cmp.Or(cmp.Compare(places[a], places[c]), natural(a, c))
	})
	for i, host := range d.Lanes {
		d.lane[host] = i
	}
}

// natural compares names so that edge-2 is before edge-10.
func natural(a, b string) int {
	cut := func(s string) (string, int) {
		i := len(s)
		for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
			i--
		}
		return s[:i], len(s) - i
	}
	stemA, digitsA := cut(a)
	stemB, digitsB := cut(b)
	return cmp.Or(strings.Compare(stemA, stemB), cmp.Compare(digitsA, digitsB), strings.Compare(a, b))
}

// bands finds the faults that were in force on the lanes meanwhile. A fault whose text names none of the lanes is
// on none.
func (b *builder) bands(d *Diagram) {
	if len(d.rows) == 0 {
		return
	}
	begin, end := d.rows[0], d.rows[len(d.rows)-1]
	open := map[string][]int{} // by note, in all
	type span struct {
		note     string
		from, to model.Event
		ended    bool
	}
	var all []span
	for _, e := range b.c.run.History.Events {
		switch e.Kind {
		case model.FaultBegin:
			open[e.Note] = append(open[e.Note], len(all))
			all = append(all, span{note: e.Note, from: e})
		case model.FaultEnd:
			if is := open[e.Note]; len(is) > 0 {
				all[is[0]].to, all[is[0]].ended = e, true
				open[e.Note] = is[1:]
			}
		}
	}
	for _, s := range all {
		if s.from.Step > end.step || s.ended && s.to.Step < begin.step {
			continue
		}
		from, to := 0, len(d.rows)-1
		for i, r := range d.rows {
			if r.step <= s.from.Step {
				from = i
			}
			if s.ended && r.step >= s.to.Step && i < to {
				to = i
			}
		}
		for i, host := range d.Lanes {
			if names(s.note, host) {
				d.bands = append(d.bands, band{lane: i, from: from, to: to, text: s.note})
			}
		}
	}
}

// names reports whether the text of a fault, such as partition(edge-*|redis), names a host.
func names(fault, host string) bool {
	_, args, found := strings.Cut(fault, "(")
	if !found {
		return false
	}
	words := strings.FieldsFunc(args, func(r rune) bool { return strings.ContainsRune(" ,|()<>→↔", r) })
	for _, w := range words {
		w = strings.TrimSuffix(w, "-") // of an arrow
		if ok, err := path.Match(w, host); ok && err == nil {
			return true
		}
	}
	return false
}
