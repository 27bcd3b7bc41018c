package scenarios

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
)

// celebritySlack is how much longer than by its closed form an update may take: strategies gather for some ten
// microseconds what happens at one instant, and acknowledgements share the uplinks.
const celebritySlack = time.Millisecond

// spreading is what became of a system's updates.
type spreading struct {
	last    time.Duration // the latest delivery of any update, counted from its first copy
	copies  int           // the most that any node sent of an update
	origin  int           // the most that the broker sent of an update
	busiest float64       // bytes that the busiest server sent for each update
	bounded model.Verdict // FanoutBound of the tree for as many followers
}

// forms is what the closed form says of the same.
type forms struct {
	last    time.Duration
	copies  int
	busiest float64
}

// form gives a design's closed form.
func (c *Celebrity) formOf(design string, clients int) forms {
	tree := c.form(clients)
	hop, per := tree.Hop, tree.PerCopy
	f := forms{}
	switch design {
	case designEdge:
		f.copies, f.last = clients, hop+per+tree.Naive()
	case designBroker:
		edges := (clients + c.Branch - 1) / c.Branch
		each := (clients + edges - 1) / edges
		f.copies = max(edges, each)
		f.last = 2*hop + time.Duration(edges+each)*per
	case designTree:
		for _, n := range tree.Tree() {
			f.copies = max(f.copies, n.Children)
		}
		f.last = tree.Last()
	}
	f.busiest = float64(f.copies * c.copyBytes())
	return f
}

// history is what a history has of the system's room.
func (sys *celebritySystem) history(h *model.History) *model.History {
	own := &model.History{Partial: h.Partial}
	for i := range h.Events {
		if e := &h.Events[i]; e.Room == sys.room() || e.Kind == model.RunEnd {
			own.Events = append(own.Events, *e)
		}
	}
	return own
}

// spreading reads a history.
func (sys *celebritySystem) spreading(h *model.History) spreading {
	own := sys.history(h)
	s := spreading{bounded: properties.FanoutBound(sys.c.form(sys.clients), celebritySlack).Check(own)}
	began := map[string]time.Duration{}
	copies := map[[2]string]int{} // by sender and ID
	for i := range own.Events {
		e := &own.Events[i]
		sender := e.Node
		switch e.Kind {
		case model.Copy:
			if _, known := began[e.ID]; !known {
				began[e.ID] = e.Time
			}
			if e.Node == sys.servers[0] {
				s.origin = max(s.origin, copies[[2]string{sender, e.ID}]+1)
			}
		case model.Deliver:
			sender = e.Peer
			s.last = max(s.last, e.Time-began[e.ID])
		default:
			continue
		}
		copies[[2]string{sender, e.ID}]++
		s.copies = max(s.copies, copies[[2]string{sender, e.ID}])
	}
	for name, n := range sys.after {
		s.busiest = max(s.busiest, float64(n-sys.before[name])/float64(sys.c.Updates))
	}
	return s
}

// own makes a property of this scenario, which judges the systems of the latest run.
func (c *Celebrity) own(name string, of func(design string) bool, check func(sys *celebritySystem, s spreading) (detail string, broken bool)) model.Property {
	systems := c.systems
	return judge{name, func(h *model.History) model.Verdict {
		if len(systems) == 0 || !h.Complete() {
			return model.Verdict{Outcome: model.Unknown, Detail: "the run has not come to its end"}
		}
		var details []string
		for _, sys := range systems {
			if !of(sys.design) {
				continue
			}
			s := sys.spreading(h)
			detail, broken := check(sys, s)
			detail = fmt.Sprintf("%s, %d clients: %s", sys.design, sys.clients, detail)
			if broken {
				return model.Verdict{Outcome: model.Illegal, Step: max(s.bounded.Step, 1), Detail: detail}
			}
			details = append(details, detail)
		}
		return model.Verdict{Outcome: model.Ok, Detail: strings.Join(details, "; ")}
	}}
}

// FanoutBound is [properties.FanoutBound] for every tree, with its closed form.
func (c *Celebrity) FanoutBound() model.Property {
	return c.own("FanoutBound", func(design string) bool { return design == designTree }, func(_ *celebritySystem, s spreading) (string, bool) {
		return s.bounded.Detail, s.bounded.Outcome != model.Ok
	})
}

// NaiveBreaks is the property that the naive designs break [properties.FanoutBound] where their closed form
// says so: where a node has to send more copies than one of the tree may. It is what this scenario is there to
// show.
func (c *Celebrity) NaiveBreaks() model.Property {
	return c.own("NaiveBreaks", func(design string) bool { return design != designTree }, func(sys *celebritySystem, s spreading) (string, bool) {
		breaks := c.formOf(sys.design, sys.clients).copies > c.Branch
		switch {
		case s.bounded.Outcome == model.Unknown:
			return s.bounded.Detail, true
		case breaks != (s.bounded.Outcome == model.Illegal):
			return fmt.Sprintf("a node sent %d copies; FanoutBound should have been broken: %t, and it was %v: %s",
				s.copies, breaks, s.bounded.Outcome, s.bounded.Detail), true
		case breaks:
			return fmt.Sprintf("broken, a node sent %d copies where %d are allowed", s.copies, c.Branch), false
		}
		return fmt.Sprintf("kept, nobody sent more than %d copies", s.copies), false
	})
}

// formTolerance is how far from its closed form a measurement may be, as a share of it: copies differ in length
// by what is around their bodies, and servers have requests and acknowledgements to send, too.
const formTolerance = 0.1

// ClosedForm is the property that each design's last delivery, and what its busiest server sends, are those of
// the closed form. What TCP sends again for no reason ([Celebrity.Warnings]) may come on top.
func (c *Celebrity) ClosedForm() model.Property {
	return c.own("ClosedForm", func(string) bool { return true }, func(sys *celebritySystem, s spreading) (string, bool) {
		f := c.formOf(sys.design, sys.clients)
		detail := fmt.Sprintf("last delivery after %v (closed form %v), %.0f bytes an update by the busiest (%.0f)", s.last, f.last, s.busiest, f.busiest)
		off := func(got, want float64) bool { return math.Abs(got-want) > formTolerance*want }
		more := sys.design == designEdge && c.resends() && s.busiest > f.busiest
		return detail, off(float64(s.last), float64(f.last)) || off(s.busiest, f.busiest) && !more
	})
}

// Tables implements [Tabulator].
func (c *Celebrity) Tables(h *model.History) []Table {
	if len(c.systems) == 0 || !h.Complete() {
		return nil
	}
	t := Table{
		Title: fmt.Sprintf("An update of %d bytes, and at most %d copies by a node of the tree", c.Body, c.Branch),
		Head:  []string{"design", "clients", "copies by the broker", "by the busiest", "its bytes", "closed form", "last delivery", "closed form", "FanoutBound"},
	}
	for _, sys := range c.systems {
		s, f := sys.spreading(h), c.formOf(sys.design, sys.clients)
		t.Rows = append(t.Rows, []string{
			sys.design, fmt.Sprint(sys.clients), fmt.Sprint(s.origin), fmt.Sprint(s.copies), fmt.Sprintf("%.0f", s.busiest), fmt.Sprintf("%.0f", f.busiest),
			milliseconds(s.last), milliseconds(f.last), string(s.bounded.Outcome),
		})
	}
	return []Table{t}
}

// Figures implements [Illustrator].
func (c *Celebrity) Figures(h *model.History) []plots.Named {
	if len(c.systems) == 0 || !h.Complete() {
		return nil
	}
	subtitle := fmt.Sprintf("An update of %d bytes; uplinks of %d Mbit/s, %v one way; nodes of the tree send at most %d copies", c.Body, c.Uplink, c.Latency, c.Branch)
	when := plots.FanoutPlot{Subtitle: subtitle, Y: "Last delivery (ms, log scale)"}
	load := plots.FanoutPlot{Subtitle: subtitle, Y: "Busiest server, for an update (kB, log scale)"}
	const (
		ms = float64(time.Millisecond)
		kB = 1000
	)
	greatest := map[string]spreading{} // by design, for the greatest number of clients
	for _, design := range c.designs() {
		title := map[string]string{designEdge: "one edge sends to all", designBroker: "one broker sends to every edge", designTree: "tree of regional relays"}[design]
		a, b := plots.FanoutSeries{Name: title}, plots.FanoutSeries{Name: title}
		for _, sys := range c.systems {
			if sys.design == design {
				s := sys.spreading(h)
				a.Simulated = append(a.Simulated, plots.FanoutPoint{Clients: sys.clients, Value: float64(s.last) / ms})
				b.Simulated = append(b.Simulated, plots.FanoutPoint{Clients: sys.clients, Value: s.busiest / kB})
				greatest[design] = s
			}
		}
		for _, n := range c.between() {
			f := c.formOf(design, n)
			a.Form = append(a.Form, plots.FanoutPoint{Clients: n, Value: float64(f.last) / ms})
			b.Form = append(b.Form, plots.FanoutPoint{Clients: n, Value: f.busiest / kB})
		}
		when.Series, load.Series = append(when.Series, a), append(load.Series, b)
	}
	when.Title, load.Title = "When the last follower has an update", "What the busiest server sends for an update"
	if tree, edge := greatest[designTree], greatest[designEdge]; tree.last > 0 && edge.last > 0 {
		when.Title = fmt.Sprintf("The last of %s followers has an update after %s ms, not %s", plots.Thousands(c.Clients), whole(float64(tree.last)/ms), whole(float64(edge.last)/ms))
		load.Title = fmt.Sprintf("The busiest server sends %s kB for an update to %s followers, not %s", whole(tree.busiest/kB), plots.Thousands(c.Clients), whole(edge.busiest/kB))
	}
	return []plots.Named{{Name: "celebrity-time", Figure: plots.Fanout(when)}, {Name: "celebrity-egress", Figure: plots.Fanout(load)}}
}

// whole is a number without decimals.
func whole(v float64) string { return plots.Thousands(int(math.Round(v))) }

// between are the numbers of clients from the least tried to the greatest, close enough for a line.
func (c *Celebrity) between() []int {
	sizes := c.sizes()
	least, greatest := sizes[0], sizes[len(sizes)-1]
	var numbers []int
	for n := least; n < greatest; n = max(n+1, n*51/50) {
		numbers = append(numbers, n)
	}
	return append(numbers, greatest)
}
