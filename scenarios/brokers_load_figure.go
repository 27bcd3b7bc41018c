package scenarios

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
)

// Figures implements [Illustrator].
func (l *BrokerLoad) Figures(h *model.History) []plots.Named {
	mean := plots.LoadSeries{Name: "mean; line: an M/D/1 queue in the long run", Transport: l.Hop2}
	tail := plots.LoadSeries{Name: "99th percentile", Transport: l.Hop2}
	same := plots.LoadSeries{Name: "the same queue, fed at the moments of this run", Transport: l.Hop2}
	var service, rest time.Duration
	loads := l.loads(h)
	path := l.path(loads, asMeasured)
	shown := 0
	for i, a := range loads {
		if a.overloaded() || len(a.took.Sorted) == 0 {
			continue
		}
		shown++
		service, rest = service+a.form.Service, rest+a.form.Rest
		mean.Simulated = append(mean.Simulated, plots.LoadPoint{Utilization: a.utilization, Latency: a.took.Mean()})
		tail.Simulated = append(tail.Simulated, plots.LoadPoint{Utilization: a.utilization, Latency: a.took.Quantile(0.99)})
		same.Form = append(same.Form, plots.LoadPoint{Utilization: a.utilization, Latency: path[i].mean})
	}
	slices.SortFunc(same.Form, func(a, b plots.LoadPoint) int { return cmp.Compare(a.Utilization, b.Utilization) })
	if n := time.Duration(shown); n > 0 {
		q := model.FanoutQueue{Copies: l.Edges, Service: service / n, Rest: rest / n}
		for u := 0.0; u <= 0.97; u += 0.01 {
			mean.Form = append(mean.Form, plots.LoadPoint{Utilization: u, Latency: l.mean(q, u)})
		}
	}
	return []plots.Named{{Name: "broker-load", Figure: plots.Load(plots.LoadPlot{
		Title:    "A broker's network card is a queue: latency leaves the ground long before it is full",
		Subtitle: fmt.Sprintf("%s to %d edges through %g Mbit/s", l.Hop2, l.Edges, l.Uplink),
		Of:       "the broker's network card",
		Series:   []plots.LoadSeries{mean, tail, same},
	})}}
}
