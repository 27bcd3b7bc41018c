package plots

import (
	"fmt"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
)

// LoadPoint is a latency at a load.
type LoadPoint struct {
	// Utilization is what share of the time something is busy, in [0, 2].
	Utilization float64
	Latency     time.Duration
}

// LoadSeries is a latency that was simulated at several loads, and what its closed form says.
type LoadSeries struct {
	Name string
	// Transport gives the colour.
	Transport string
	// Simulated are drawn as dots, and Form as a line through points in ascending order of Utilization. Either
	// may be empty.
	Simulated, Form []LoadPoint
}

// LoadPlot is what a load does to latencies.
type LoadPlot struct {
	Title, Subtitle string
	// Of is what is busy.
	Of string
	// Series are at least one and at most six.
	Series []LoadSeries
}

const mostUtilization = 2

// Load draws latencies against a utilization, with a line where it is 1.
func Load(of LoadPlot) *Figure {
	form := FormPlot{Title: of.Title, Subtitle: of.Subtitle}
	for _, s := range of.Series {
		t := FormSeries{Name: s.Name, Transport: s.Transport}
		for _, side := range []struct {
			of []LoadPoint
			to *[]Point
		}{{s.Simulated, &t.Simulated}, {s.Form, &t.Form}} {
			for _, p := range side.of {
				if !(p.Utilization >= 0 && p.Utilization <= mostUtilization) {
					return failed("Latency against load", fmt.Sprintf("This cannot be drawn: series %.40q has a utilization of %v; want 0 to %d.", s.Name, p.Utilization, mostUtilization))
				}
				*side.to = append(*side.to, Point{percents(p.Utilization), p.Latency})
			}
		}
		form.Series = append(form.Series, t)
	}
	f := ClosedForm(form)
	if f.plot != nil {
		f.plot.X.Label.Text = fmt.Sprintf("Utilization of %s (%%)", of.Of)
		f.plot.X.Max = max(f.plot.X.Max, 103)
		f.plot.Add(fullLoad{})
	}
	return f
}

// percents is a share on an axis of milliseconds, which then counts percents.
func percents(share float64) time.Duration {
	return time.Duration(share * 100 * float64(time.Millisecond))
}

// fullLoad is a line where the utilization is 1.
type fullLoad struct{}

func (fullLoad) Plot(c draw.Canvas, p *plot.Plot) {
	x := c.X(p.X.Norm(100))
	c.StrokeLine2(line(1, softInk), x, c.Min.Y, x, c.Max.Y)
}
