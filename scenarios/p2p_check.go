package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// within gives the part of a history that is about some rooms, with the faults and the end.
func within(h *model.History, rooms func(string) bool) *model.History {
	part := &model.History{Partial: h.Partial}
	for _, e := range h.Events {
		if e.Room == "" || rooms(e.Room) {
			part.Events = append(part.Events, e)
		}
	}
	return part
}

// cursorsOf is the part of a history that is about cursors.
func cursorsOf(h *model.History) *model.History {
	return within(h, func(room string) bool { return strings.HasPrefix(room, "cursor-") })
}

// ofDocument is a property of the document's log. Cursors are not meant to have it: they may get lost.
type ofDocument struct{ model.Property }

// Check implements [model.Property].
func (d ofDocument) Check(h *model.History) model.Verdict {
	if err := model.WellFormed(h); err != nil {
		return model.Verdict{Property: d.Name(), Outcome: model.Unknown, Detail: "malformed history: " + err.Error()}
	}
	return d.Property.Check(within(h, func(room string) bool { return room == documentRoom }))
}

// pairs is the property that every two peers meet: directly where their NATs let them, else by the relay, and
// with a stated failure if there is none.
type pairs struct{ p P2P }

// Name implements [model.Property].
func (pairs) Name() string { return "Pairs" }

// meeting is what became of a pair.
type meeting struct {
	called, opened time.Duration
	kinds          string // of the addresses, as the one that called sees them
	ends           int    // that have opened it
	failed         string
	step           uint64
}

// meetings gives what became of each pair that was called.
func meetings(h *model.History) map[string]*meeting {
	all := make(map[string]*meeting)
	for i := range h.Events {
		e := &h.Events[i]
		if e.Room != pairsRoom {
			continue
		}
		m := all[e.ID]
		if m == nil {
			m = &meeting{}
			all[e.ID] = m
		}
		m.step = e.Step
		switch e.Kind {
		case model.PublishCall:
			m.called = e.Time
		case model.PublishUnknown:
			m.failed = e.Note
		case model.Deliver:
			m.ends++
			m.opened = max(m.opened, e.Time)
			if caller, _, _ := strings.Cut(e.ID, "+"); strings.HasPrefix(e.Node, caller+"-with-") {
				m.kinds = e.Note
			}
		}
	}
	return all
}

// Check implements [model.Property].
func (c pairs) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: c.Name(), Outcome: model.Unknown}
	if err := model.WellFormed(h); err != nil {
		v.Detail = "malformed history: " + err.Error()
		return v
	}
	if !h.Complete() {
		v.Detail = "the run is not complete"
		return v
	}
	all := meetings(h)
	counts := make(map[string]int)
	var opened []time.Duration
	for i := 1; i <= c.p.Peers; i++ {
		for j := i + 1; j <= c.p.Peers; j++ {
			m := all[pairID(i, j)]
			if m == nil {
				v.Detail = fmt.Sprintf("%s was never called", pairID(i, j))
				return v
			}
			if why := c.wrong(m, c.p.access(i), c.p.access(j)); why != "" {
				v.Outcome, v.Step = model.Illegal, m.step
				v.Detail = fmt.Sprintf("%s, of %s and %s: %s", pairID(i, j), c.p.access(i), c.p.access(j), why)
				return v
			}
			if m.failed != "" {
				counts["failed as they must"]++
				continue
			}
			counts[m.kinds]++
			opened = append(opened, m.opened-m.called)
		}
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("%d pairs", c.p.Peers*(c.p.Peers-1)/2)
	for _, kinds := range slices.Sorted(maps.Keys(counts)) {
		v.Detail += fmt.Sprintf(", %d %s", counts[kinds], kinds)
	}
	if len(opened) > 0 {
		slices.Sort(opened)
		d := model.Distribution{Sorted: opened}
		v.Detail += fmt.Sprintf("; open after %v at the median, %v at most",
			d.Quantile(0.5).Round(time.Millisecond), d.Quantile(1).Round(time.Millisecond))
	}
	return v
}

// wrong says what is wrong with what became of a pair, if anything.
func (c pairs) wrong(m *meeting, a, b string) string {
	direct, relay := punches(a, b), c.p.TURN == "on"
	switch {
	case !direct && !relay && m.failed == "":
		return fmt.Sprintf("no failure was told, though neither a direct path nor a relay exists (%d ends are open)", m.ends)
	case !direct && !relay:
		return ""
	case m.failed != "":
		return "it failed: " + m.failed
	case m.ends != 2:
		return fmt.Sprintf("%d ends have opened it; want 2", m.ends)
	case !direct && !strings.Contains(m.kinds, "relay"):
		return fmt.Sprintf("it goes from %s, though only a relay can reach", m.kinds)
	case direct && c.p.Loss == 0 && strings.Contains(m.kinds, "relay"):
		return fmt.Sprintf("it goes from %s, though a direct path exists", m.kinds)
	}
	return ""
}

// latestWins is the property that a cursor never goes back to where it was before: each peer shows positions of
// another in the order in which they were sent, leaving out what was overtaken; over a reliable channel it ends
// at the last.
type latestWins struct{}

// Name implements [model.Property].
func (latestWins) Name() string { return "LatestWins" }

// stalenessEvery is how often the age of a shown cursor is looked at.
const stalenessEvery = 20 * time.Millisecond

// Check implements [model.Property].
func (c latestWins) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: c.Name(), Outcome: model.Unknown}
	if err := model.WellFormed(h); err != nil {
		v.Detail = "malformed history: " + err.Error()
		return v
	}
	type view struct{ node, room string }
	shown, sent := make(map[view]uint64), make(map[string]uint64)
	for i := range h.Events {
		e := &h.Events[i]
		switch {
		case !strings.HasPrefix(e.Room, "cursor-"):
		case e.Kind == model.PublishCall:
			sent[e.Room]++
		case e.Kind == model.Deliver:
			at := view{e.Node, e.Room}
			if e.Seq <= shown[at] || e.Seq > sent[e.Room] {
				v.Outcome, v.Step = model.Illegal, e.Step
				v.Detail = fmt.Sprintf("%s shows position %d of %s after %d, of %d that were sent", e.Node, e.Seq, e.Room, shown[at], sent[e.Room])
				return v
			}
			shown[at] = e.Seq
		}
	}
	if !h.Complete() {
		v.Detail = "the run is not complete"
		return v
	}
	for at, seq := range shown {
		if strings.HasPrefix(at.room, cursorRoom(reliable, "")) && seq != sent[at.room] {
			v.Outcome = model.Illegal
			v.Step = h.Events[len(h.Events)-1].Step
			v.Detail = fmt.Sprintf("%s ends at position %d of %s, of %d that were sent", at.node, seq, at.room, sent[at.room])
			return v
		}
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("%d views of cursors", len(shown))
	for _, d := range model.Staleness(cursorsOf(h), stalenessEvery) {
		v.Detail += fmt.Sprintf("; %s: age %v at the median, %v at p99", d.Transport,
			d.Quantile(0.5).Round(time.Millisecond), d.Quantile(0.99).Round(time.Millisecond))
	}
	return v
}

// outcome is what repetitions of a run must agree on; see [P2P.Outcome].
func (p *P2P) outcome(h *model.History) []string {
	lines := endings(within(h, func(room string) bool { return room == documentRoom }))
	all := meetings(h)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		m := all[id]
		what := "direct"
		switch {
		case m.failed != "":
			what = "failed"
		case strings.Contains(m.kinds, "relay"):
			what = "relayed"
		}
		lines = append(lines, fmt.Sprintf("%s is %s, open at %d ends", id, what, m.ends))
	}
	last := make(map[string]uint64)
	for i := range h.Events {
		if e := &h.Events[i]; e.Kind == model.Deliver && strings.HasPrefix(e.Room, cursorRoom(reliable, "")) {
			last[e.Node+" sees "+e.Room] = e.Seq
		}
	}
	for _, view := range slices.Sorted(maps.Keys(last)) {
		lines = append(lines, fmt.Sprintf("%s at %d", view, last[view]))
	}
	return lines
}
