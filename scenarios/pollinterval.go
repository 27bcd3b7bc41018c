package scenarios

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// PollInterval shows what polling costs in latency: clients poll at several intervals, updates happen at
// random times, and each waits for the next poll. [NewPollInterval] gives it its defaults.
type PollInterval struct {
	// Interval is the longest of the intervals; the others are halves of it, quarters and so on.
	Interval time.Duration
	// Intervals says whether all of a client's intervals are the same, "steady", or "jittered" as
	// [hop1.Polling] says.
	Intervals string
	// Clients is how many clients there are for each interval. They begin at random times.
	Clients int
	// Rate is how many updates there are per second on average (a Poisson process).
	Rate float64
	// Latency is that of the links between clients and edge, one way.
	Latency time.Duration
	// Duration is for how long updates happen.
	Duration time.Duration

	mutant string
}

// NewPollInterval gives intervals up to 4 s.
func NewPollInterval() *PollInterval {
	return &PollInterval{
		Interval: 4 * time.Second, Intervals: steady, Clients: 8, Rate: 3,
		Latency: 40 * time.Millisecond, Duration: time.Minute,
	}
}

// The values of Intervals.
const (
	steady   = "steady"
	jittered = "jittered"
)

// Name implements [Scenario].
func (*PollInterval) Name() string { return "poll-interval" }

// Summary implements [Scenario].
func (*PollInterval) Summary() string {
	return "polling's latency against its interval, over the closed form: uniform from nothing to the interval"
}

// Params implements [Scenario].
func (p *PollInterval) Params() []Param {
	return []Param{
		{"interval", "the longest interval between polls; the others are halves of it, quarters and so on", durationValue{&p.Interval, 10 * time.Millisecond, time.Hour}},
		{"intervals", "whether a client's intervals are all the same", choiceValue{&p.Intervals, []string{steady, jittered}}},
		{"clients", "clients for each interval", intValue{&p.Clients, 1, 1000, "clients"}},
		{"rate", "updates, at random times", floatValue{&p.Rate, 0.1, 100, "updates/s"}},
		{"latency", "one-way delay between clients and edge", durationValue{&p.Latency, 0, 5 * time.Second}},
		{"duration", "virtual time in which updates happen", durationValue{&p.Duration, time.Second, time.Hour}},
	}
}

// mutantInStep is a mutant of PollInterval.
const mutantInStep = "in-step"

// Mutants implements [Scenario].
func (*PollInterval) Mutants() []Mutant {
	return []Mutant{
		{mutantSlowPath, "clients are a fifth further away than they should be", "ClosedForm"},
		{mutantInStep, "clients poll in step with each other and with the updates", "ClosedForm"},
	}
}

// Mutate implements [Scenario].
func (p *PollInterval) Mutate(name string) error { return mutate(p, name, &p.mutant) }

// Properties implements [Scenario].
func (p *PollInterval) Properties() []model.Property { return append(properties.All(), p.ClosedForm()) }

// Length implements [Scenario].
func (p *PollInterval) Length() time.Duration { return p.connecting() + p.Duration + p.Interval }

// connecting is how long clients have to connect.
func (p *PollInterval) connecting() time.Duration { return time.Second + p.Interval + 6*p.Latency }

// halvings is how often the longest interval is halved.
const halvings = 4

// interval is the i-th, the shortest first.
func (p *PollInterval) interval(i int) time.Duration { return p.Interval >> (halvings - i) }

// Validate implements [Scenario].
func (p *PollInterval) Validate() error {
	if least := (2*p.Latency + time.Millisecond) << halvings; p.Interval < least {
		return fmt.Errorf("parameter interval: %v is not allowed: want at least %v, so that the shortest interval, a %dth of it, is longer than a round trip", p.Interval, least, 1<<halvings)
	}
	return nil
}

// Configure implements [Scenario].
func (*PollInterval) Configure(*sim.Config) {}

// pollRoom is where all updates are published.
const pollRoom = "updates"

func pollClient(interval, i int) string { return fmt.Sprintf("client-%d-%d", interval+1, i+1) }

// Run implements [Scenario].
func (p *PollInterval) Run(w *sim.World) error {
	l := newLab(w)
	away := p.Latency
	if p.mutant == mutantSlowPath {
		away += away / 5
	}
	for i := range halvings + 1 {
		for c := range p.Clients {
			name := pollClient(i, c)
			wait := time.Duration(w.Rand("start of " + name).Int64N(int64(p.interval(i))))
			if p.mutant == mutantInStep {
				wait = 0
			}
			l.client(name, away, wait, hop1.ClientConfig{
				Room: pollRoom, Transport: "poll",
				Poll: hop1.Polling{Interval: p.interval(i), Steady: p.Intervals == steady},
				// An answer takes a round trip, and nothing is lost.
				Heartbeat: time.Second, IdleTimeout: 10*time.Second + 4*p.Latency, DialTimeout: 10*time.Second + 6*p.Latency,
			})
		}
	}
	l.publisher("publisher", func(ctx context.Context, n *sim.Node, publish func(room, id string)) {
		luck := n.Rand("publisher")
		if !sleep(ctx, p.connecting()) {
			return
		}
		for i := 1; n.Now() < p.connecting()+p.Duration; i++ {
			publish(pollRoom, fmt.Sprintf("update-%d", i))
			l.owe(p.Clients * (halvings + 1))
			wait := time.Duration(-math.Log(1-luck.Float64()) / p.Rate * float64(time.Second))
			if p.mutant == mutantInStep {
				wait = p.interval(0)
			}
			if !sleep(ctx, wait) {
				return
			}
		}
	})
	l.run(p.Length())
	w.Check(p.Properties()...)
	return nil
}

// form is the closed form for the i-th interval.
func (p *PollInterval) form(i int) model.Poll {
	f := model.Poll{Path: (&lab{inside: labInside}).before(), Period: model.Leg{Latency: p.interval(i)}}
	f.Path.Deliver.Latency = p.Latency
	if p.Intervals == jittered {
		f.Period.Jitter = p.interval(i) / 10
	}
	return f
}

// distributions are the latencies of each interval.
func (p *PollInterval) distributions(h *model.History) []model.Distribution {
	intervals := make(map[string]string)
	for i := range halvings + 1 {
		for c := range p.Clients {
			intervals[pollClient(i, c)] = fmt.Sprint(i)
		}
	}
	ls := model.Latencies(h)
	for i := range ls {
		ls[i].Transport = intervals[ls[i].Client]
	}
	return model.Distributions(ls) // in order of i, which has one digit
}

// ClosedForm holds the latencies of each interval against [model.Poll]: all within its bounds, and their
// distribution near its own.
func (p *PollInterval) ClosedForm() model.Property { return pollForm{p} }

type pollForm struct{ p *PollInterval }

func (pollForm) Name() string { return "ClosedForm" }

// leastUpdates is how many updates the property wants to see before it judges.
const leastUpdates = 30

func (f pollForm) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: f.Name()}
	if err := model.WellFormed(h); err != nil {
		v.Outcome, v.Detail = model.Unknown, "malformed history: "+err.Error()
		return v
	}
	ds := f.p.distributions(h)
	if len(ds) < halvings+1 {
		v.Outcome, v.Detail = model.Unknown, fmt.Sprintf("clients of %d of %d intervals got something", len(ds), halvings+1)
		return v
	}
	worst := 0.0
	for i, d := range ds {
		form := f.p.form(i)
		updates := len(d.Sorted) / f.p.Clients
		if updates < leastUpdates {
			v.Outcome, v.Detail = model.Unknown, fmt.Sprintf("too little to judge: %d updates; it takes %d", updates, leastUpdates)
			return v
		}
		least, greatest := form.Bounds()
		first, last := d.Sorted[0], d.Sorted[len(d.Sorted)-1]
		if first < least || last > greatest+formSlack {
			v.Outcome = model.Illegal
			v.Detail = fmt.Sprintf("polling every %v took %v to %v; the closed form allows %v to %v, and at most %v more", f.p.interval(i), first, last, least, greatest, formSlack)
			return v
		}
		// The updates are independent of each other, the clients that get one of them are not.
		off, allowed := kolmogorov(d, form), 2/math.Sqrt(float64(updates))
		worst = max(worst, off)
		if off > allowed {
			v.Outcome = model.Illegal
			v.Detail = fmt.Sprintf("polling every %v: the distribution is %.2f from the closed form's; allowed is %.2f with %d updates", f.p.interval(i), off, allowed, updates)
			return v
		}
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("%d intervals, all within the closed form's bounds and %.3f of its distribution", len(ds), worst)
	return v
}

// kolmogorov is Kolmogorov's distance between what was simulated and a closed form: the greatest difference of
// their distribution functions.
func kolmogorov(d model.Distribution, form model.Poll) float64 {
	n, most := float64(len(d.Sorted)), 0.0
	for i, l := range d.Sorted {
		at := form.CDF(l)
		most = max(most, math.Abs(at-float64(i)/n), math.Abs(at-float64(i+1)/n))
	}
	return most
}

// pollQuantiles are those in the figure.
var pollQuantiles = []struct {
	q    float64
	name string
}{{0.99, "99th percentile"}, {0.9, "90th percentile"}, {0.5, "median"}, {0.1, "10th percentile"}}

// Tables implements [Tabulator].
func (p *PollInterval) Tables(h *model.History) []Table {
	ds := p.distributions(h)
	if len(ds) < halvings+1 {
		return nil
	}
	t := Table{Title: "Latency by interval", Head: []string{"interval", "n", "mean", "closed form", "p50", "closed form", "p99", "closed form"}}
	for i, d := range ds {
		form := p.form(i)
		t.Rows = append(t.Rows, []string{
			p.interval(i).String(), fmt.Sprint(len(d.Sorted)), milliseconds(d.Mean()), milliseconds(form.Mean()),
			milliseconds(d.Quantile(0.5)), milliseconds(form.Quantile(0.5)), milliseconds(d.Quantile(0.99)), milliseconds(form.Quantile(0.99)),
		})
	}
	return []Table{t}
}

// Figures implements [Illustrator].
func (p *PollInterval) Figures(h *model.History) []plots.Named {
	ds := p.distributions(h)
	f := plots.FormPlot{
		Title:    "Polling adds half its interval on average, and all of it at worst",
		Subtitle: "From the publisher's call to the client. Shaded is what the closed form allows: " + p.shape(),
		X:        "Interval between polls",
	}
	for _, q := range pollQuantiles {
		s := plots.FormSeries{Name: q.name, Transport: "poll"}
		if len(ds) == halvings+1 {
			for i, d := range ds {
				s.Simulated = append(s.Simulated, plots.Point{X: p.interval(i), Y: d.Quantile(q.q)})
				s.Form = append(s.Form, plots.Point{X: p.interval(i), Y: p.form(i).Quantile(q.q)})
			}
		}
		f.Series = append(f.Series, s)
	}
	for i := range halvings + 1 {
		least, greatest := p.form(i).Bounds()
		f.Low = append(f.Low, plots.Point{X: p.interval(i), Y: least})
		f.High = append(f.High, plots.Point{X: p.interval(i), Y: greatest})
	}
	return []plots.Named{{Name: "poll-interval", Figure: plots.ClosedForm(f)}}
}

// shape describes the closed form's wait.
func (p *PollInterval) shape() string {
	if p.Intervals == jittered {
		return "a wait for what is left of an interval"
	}
	return "a wait uniform from 0 to the interval"
}
