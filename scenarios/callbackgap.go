package scenarios

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// CallbackGap shows what happens to the second of two updates in close succession: with long polling it
// waits until the client has asked again, with a transport that pushes it does not. Pairs of updates are
// published with ever more time between them, to clients at Latency one way, at Latency for the round
// trip, and, for comparison, to clients of SSE. [NewCallbackGap] gives it its defaults.
type CallbackGap struct {
	// Latency is that of the links between clients and edge.
	Latency time.Duration
	// Pairs is how many pairs of updates there are of each spacing.
	Pairs int

	plain
	mutant string
}

// NewCallbackGap gives the textbook case: 100 ms.
func NewCallbackGap() *CallbackGap {
	return &CallbackGap{Latency: 100 * time.Millisecond, Pairs: 3}
}

// Name implements [Scenario].
func (*CallbackGap) Name() string { return "callback-gap" }

// Summary implements [Scenario].
func (*CallbackGap) Summary() string {
	return "long polling's callback gap: what the second of two updates takes, against the time between them"
}

// Params implements [Scenario].
func (g *CallbackGap) Params() []Param {
	return []Param{
		{"latency", "delay between clients and edge: one way, and again for the round trip", durationValue{&g.Latency, time.Millisecond, 5 * time.Second}},
		{"pairs", "pairs of updates of each spacing", intValue{&g.Pairs, 1, 1000, "pairs"}},
	}
}

// Mutants implements [Scenario].
func (*CallbackGap) Mutants() []Mutant {
	return []Mutant{{mutantSlowPath, "clients are a fifth further away than they should be", "ClosedForm"}}
}

// Mutate implements [Scenario].
func (g *CallbackGap) Mutate(name string) error { return mutate(g, name, &g.mutant) }

// Properties implements [Scenario].
func (g *CallbackGap) Properties() []model.Property {
	return append(properties.All(), g.ClosedForm())
}

// Length implements [Scenario].
func (g *CallbackGap) Length() time.Duration {
	return g.connecting() + time.Duration(g.Pairs)*g.period() + g.period()
}

// spacings are the times between the updates of a pair, as fractions of Latency.
var spacings = []float64{0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3}

func (g *CallbackGap) spacing(i int) time.Duration {
	return time.Duration(spacings[i] * float64(g.Latency))
}

// connecting is how long clients have to connect, and period the time from one pair to the next.
func (g *CallbackGap) connecting() time.Duration { return time.Second + 6*g.Latency }
func (g *CallbackGap) period() time.Duration     { return time.Second + 10*g.Latency }

// gapSeries are clients at one distance from their edge.
type gapSeries struct {
	name, transport string
	away            time.Duration // one way
}

func (g *CallbackGap) series() []gapSeries {
	return []gapSeries{
		{"one-way", "longpoll", g.Latency},
		{"round-trip", "longpoll", g.Latency / 2},
		{"pushed", "sse", g.Latency},
	}
}

// form is the closed form for clients of a series.
func (s gapSeries) form() model.LongPoll {
	l := model.LongPoll{Before: (&lab{inside: labInside}).before().Mean(), Deliver: s.away}
	if s.transport == "longpoll" {
		l.Request = s.away
	} else {
		l.Deliver, l.Before = 0, l.Before+s.away // nothing waits for anything
	}
	return l
}

func (s gapSeries) room(i int) string { return fmt.Sprintf("%s-%d", s.name, i+1) }

// The IDs of the updates of a pair.
func firstID(pair int) string  { return fmt.Sprintf("%d-first", pair+1) }
func secondID(pair int) string { return fmt.Sprintf("%d-second", pair+1) }

// Run implements [Scenario].
func (g *CallbackGap) Run(w *sim.World) error {
	l := newLab(w)
	for _, s := range g.series() {
		away := s.away
		if g.mutant == mutantSlowPath {
			away += away / 5
		}
		for i := range spacings {
			room := s.room(i)
			l.client("client-"+room, away, 0, hop1.ClientConfig{Room: room, Transport: s.transport})
			l.publisher("publisher-"+room, func(ctx context.Context, n *sim.Node, publish func(room, id string)) {
				wait := g.connecting()
				for pair := range g.Pairs {
					if !sleep(ctx, wait) {
						return
					}
					publish(room, firstID(pair))
					if !sleep(ctx, g.spacing(i)) {
						return
					}
					publish(room, secondID(pair))
					wait = g.period() - g.spacing(i)
				}
			})
			l.owe(2 * g.Pairs)
		}
	}
	l.run(g.Length())
	w.Check(g.Properties()...)
	return nil
}

// gapPoint is what pairs of one spacing took in one series: the median of each update.
type gapPoint struct {
	series        gapSeries
	spacing       time.Duration
	first, second time.Duration
}

// points reads a history.
func (g *CallbackGap) points(h *model.History) []gapPoint {
	type update struct{ room, id string }
	took := make(map[update]time.Duration)
	for _, l := range model.Latencies(h) {
		took[update{l.Room, l.ID}] = l.Value()
	}
	var points []gapPoint
	for _, s := range g.series() {
		for i := range spacings {
			var first, second []time.Duration
			for pair := range g.Pairs {
				a, both := took[update{s.room(i), firstID(pair)}]
				b, also := took[update{s.room(i), secondID(pair)}]
				if both && also {
					first, second = append(first, a), append(second, b)
				}
			}
			if len(first) > 0 {
				points = append(points, gapPoint{s, g.spacing(i), median(first), median(second)})
			}
		}
	}
	return points
}

// median is the middle one, or the lower of two.
func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[(len(ds)-1)/2]
}

// ClosedForm holds what each pair took against [model.LongPoll].
func (g *CallbackGap) ClosedForm() model.Property { return gapForm{g} }

type gapForm struct{ g *CallbackGap }

func (gapForm) Name() string { return "ClosedForm" }

// formSlack is how much longer than by its closed form an update may take: the broker is asked more than
// once, and connections are opened, all within the data centre.
const formSlack = time.Millisecond

func (p gapForm) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: p.Name()}
	if err := model.WellFormed(h); err != nil {
		v.Outcome, v.Detail = model.Unknown, "malformed history: "+err.Error()
		return v
	}
	points := p.g.points(h)
	if want := len(p.g.series()) * len(spacings); len(points) < want {
		v.Outcome, v.Detail = model.Unknown, fmt.Sprintf("only %d of %d pairs have arrived", len(points), want)
		return v
	}
	worst := time.Duration(0)
	for _, at := range points {
		first, second := at.series.form().Pair(at.spacing)
		for _, c := range []struct {
			which     string
			got, want time.Duration
		}{{"first", at.first, first}, {"second", at.second, second}} {
			off := c.got - c.want
			worst = max(worst, time.Duration(math.Abs(float64(off))))
			if off < 0 || off > formSlack {
				v.Outcome = model.Illegal
				v.Detail = fmt.Sprintf("%s, %v apart: the %s update took %v, and by the closed form takes %v, and at most %v more",
					at.series.name, at.spacing, c.which, c.got, c.want, formSlack)
				return v
			}
		}
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("%d spacings and distances, all within %v of the closed form", len(points), worst.Round(10*time.Microsecond))
	return v
}

// title names a series for people.
func (s gapSeries) title() string {
	switch s.name {
	case "one-way":
		return fmt.Sprintf("long polling, %v one way", s.away)
	case "round-trip":
		return fmt.Sprintf("long polling, %v round trip", 2*s.away)
	default:
		return fmt.Sprintf("%s, %v one way", s.transport, s.away)
	}
}

// Tables implements [Tabulator].
func (g *CallbackGap) Tables(h *model.History) []Table {
	points := g.points(h)
	if len(points) == 0 {
		return nil
	}
	head := []string{"apart"}
	rows := make([][]string, len(spacings))
	for i := range rows {
		rows[i] = []string{g.spacing(i).String()}
	}
	for _, s := range g.series() {
		head = append(head, s.title(), "closed form")
		for i := range rows {
			cell := "-"
			if at := slices.IndexFunc(points, func(p gapPoint) bool { return p.series == s && p.spacing == g.spacing(i) }); at >= 0 {
				cell = milliseconds(points[at].first) + ", " + milliseconds(points[at].second)
			}
			first, second := s.form().Pair(g.spacing(i))
			rows[i] = append(rows[i], cell, milliseconds(first)+", "+milliseconds(second))
		}
	}
	return []Table{{Title: "Latency of the first and of the second update", Head: head, Rows: rows}}
}

// Figures implements [Illustrator].
func (g *CallbackGap) Figures(h *model.History) []plots.Named {
	points := g.points(h)
	_, second := g.series()[0].form().Pair(g.spacing(0))
	f := plots.FormPlot{
		Title:    fmt.Sprintf("The second of two updates takes up to %.0f ms with long polling", float64(second)/float64(time.Millisecond)),
		Subtitle: "The second of two updates, from the publisher's call to the client, against the time between them",
		X:        "Time between the two updates",
	}
	for _, s := range g.series() {
		series := plots.FormSeries{Name: s.title(), Transport: s.transport}
		for _, at := range points {
			if at.series == s {
				series.Simulated = append(series.Simulated, plots.Point{X: at.spacing, Y: at.second})
			}
		}
		gap := s.form().Gap()
		for _, x := range []time.Duration{0, gap, max(gap, g.spacing(len(spacings)-1))} {
			_, y := s.form().Pair(x)
			series.Form = append(series.Form, plots.Point{X: x, Y: y})
		}
		f.Series = append(f.Series, series)
	}
	return []plots.Named{{Name: "callback-gap", Figure: plots.ClosedForm(f)}}
}
