package plots

import (
	"fmt"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"

	"github.com/twohop/twohop/model"
)

// stalenessEvery is how often the age of what is shown is looked at.
const stalenessEvery = 20 * time.Millisecond

// Staleness shows how old what clients show is, for each transport: which share of the time it is no older than
// what; see [model.Staleness]. A dot marks the median and a diamond the 99th percentile.
func Staleness(h *model.History) *Figure {
	const name = "Staleness"
	if err := model.WellFormed(h); err != nil {
		return failed(name, "This history cannot be drawn: "+err.Error())
	}
	ds := model.Staleness(h, stalenessEvery)
	if len(ds) == 0 {
		return failed(name, "Nothing to show: nothing was delivered while it was being published.")
	}
	var transports []string
	least, greatest := ds[0].Sorted[0], time.Duration(0)
	best, worst := ds[0], ds[0]
	for _, d := range ds {
		transports = append(transports, d.Transport)
		least, greatest = min(least, d.Sorted[0]), max(greatest, d.Quantile(1))
		if d.Quantile(0.99) < best.Quantile(0.99) {
			best = d
		}
		if d.Quantile(0.99) > worst.Quantile(0.99) {
			worst = d
		}
	}
	age := short(worst.Quantile(0.99))
	if fresh := short(best.Quantile(0.99)); fresh != age {
		age = fresh + " to " + age
	}
	f := &Figure{
		title:    "For 99 % of the time, what is shown is at most " + age + " old",
		subtitle: fmt.Sprintf("Time since the latest value that has arrived was published, looked at every %s", short(stalenessEvery)),
		plot:     newPlot(),
	}
	p := f.plot
	scale := latencyAxis(&p.X, least, greatest)
	p.X.Label.Text = strings.Replace(p.X.Label.Text, "Delivery latency", "Age of what is shown", 1)
	p.Y.Label.Text = "Time no staler (%)"
	p.Y.Min, p.Y.Max = 0, 100
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 25, Label: "25"}, {Value: 50, Label: "50"}, {Value: 75, Label: "75"}, {Value: 100, Label: "100"}}
	p.Add(grid{}, level(99))
	ink := inks(transports)
	var curves []curve
	for i, d := range ds {
		curves = append(curves, curve{d, scale, curveStyle(i, ink[d.Transport])})
		p.Add(curves[i])
	}
	for _, v := range curves {
		p.Add(marks{v})
	}
	f.strips = []strip{stalenessTable{curves}}
	return f
}

// stalenessTable is the legend, in this figure's words.
type stalenessTable struct{ quantileTable }

func (t stalenessTable) draw(c, _ draw.Canvas, _ *plot.Plot) { t.drawAs(c, "looks", "stalest") }
