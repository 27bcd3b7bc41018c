package scenarios

import (
	"fmt"
	"math"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
)

// ClosedForm holds the mean latency at each load that leaves the card some rest against [model.FanoutQueue].
func (l *BrokerLoad) ClosedForm() model.Property { return loadForm{l} }

type loadForm struct{ l *BrokerLoad }

func (loadForm) Name() string { return "ClosedForm" }

// judgedUtilization is up to where loads are judged: beyond it a run is too short for an average to mean much.
const judgedUtilization = 0.8

func (f loadForm) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: f.Name()}
	if err := model.WellFormed(h); err != nil {
		v.Outcome, v.Detail = model.Unknown, "malformed history: "+err.Error()
		return v
	}
	judged, worst := 0, 0.0
	for _, a := range f.l.loads(h) {
		if a.overloaded() || a.utilization > judgedUtilization || len(a.took.Sorted) == 0 {
			continue
		}
		judged++
		got, want := a.took.Mean(), f.l.mean(a.form, a.utilization)
		worst = max(worst, math.Abs(float64(got-want))/float64(want))
		if off := (got - want).Abs(); off > f.allowed(&a, want) {
			v.Outcome = model.Illegal
			v.Detail = fmt.Sprintf("at a utilization of %.2f the mean latency is %v; the closed form says %v, and %v more or less is allowed",
				a.utilization, got.Round(time.Microsecond), want.Round(time.Microsecond), f.allowed(&a, want).Round(time.Microsecond))
			return v
		}
	}
	if judged < 3 {
		v.Outcome, v.Detail = model.Unknown, fmt.Sprintf("too little to judge: %d loads up to a utilization of %v; it takes 3", judged, judgedUtilization)
		return v
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("%d loads, their mean latencies within %.0f %% of the closed form", judged, 100*worst)
	return v
}

// allowed is how far a mean may be off: a tenth, for what the closed form leaves out, and four standard errors.
// The waits of messages one after the other are not independent: n of them tell as much as
// n·(1-ρ)²/(1+ρ) would that are.
func (f loadForm) allowed(a *brokerLoad, want time.Duration) time.Duration {
	n := float64(len(a.took.Sorted)) / float64(f.l.Edges)
	wait := float64(a.form.Delay(a.utilization) - a.form.Delay(0))
	independent := n * (1 - a.utilization) * (1 - a.utilization) / (1 + a.utilization)
	return want/10 + time.Duration(4*wait/math.Sqrt(max(independent, 1)))
}

// Figures implements [Illustrator].
func (l *BrokerLoad) Figures(h *model.History) []plots.Named {
	mean := plots.LoadSeries{Name: "mean", Transport: l.Hop2}
	tail := plots.LoadSeries{Name: "99th percentile", Transport: l.Hop2}
	var service time.Duration
	loads := l.loads(h)
	shown := 0
	for _, a := range loads {
		if a.overloaded() || len(a.took.Sorted) == 0 {
			continue
		}
		shown++
		service += a.form.Service
		mean.Simulated = append(mean.Simulated, plots.LoadPoint{Utilization: a.utilization, Latency: a.took.Mean()})
		tail.Simulated = append(tail.Simulated, plots.LoadPoint{Utilization: a.utilization, Latency: a.took.Quantile(0.99)})
	}
	if shown > 0 {
		q := model.FanoutQueue{Copies: l.Edges, Service: service / time.Duration(shown)}
		for u := 0.0; u <= 0.97; u += 0.01 {
			mean.Form = append(mean.Form, plots.LoadPoint{Utilization: u, Latency: l.mean(q, u)})
		}
	}
	return []plots.Named{{Name: "broker-load", Figure: plots.Load(plots.LoadPlot{
		Title:    "A broker's network card is a queue: latency leaves the ground long before it is full",
		Subtitle: fmt.Sprintf("%s to %d edges through %g Mbit/s. Line: the closed form of an M/D/1 queue", l.Hop2, l.Edges, l.Uplink),
		Of:       "the broker's network card",
		Series:   []plots.LoadSeries{mean, tail},
	})}}
}
