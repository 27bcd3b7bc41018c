package plots

import (
	"fmt"
	"image/color"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ScaleEvents is what happened to clients when servers came and went.
type ScaleEvents struct {
	// Subtitle says what was simulated.
	Subtitle string
	// End is how long the run took; more than 0.
	End time.Duration
	// Marks are the moments at which a server came or went, in order of time; there are two.
	Marks []Mark
	// Series are the systems that are compared, one to three.
	Series []ScaleSeries
}

// Mark is a moment with a name.
type Mark struct {
	At   time.Duration
	Text string
}

// ScaleSeries is one system.
type ScaleSeries struct {
	// Name is the rule by which clients belong to servers.
	Name string
	// Reconnects counts the clients that reconnected, by second.
	Reconnects []int
	// Moved is what share of the clients ended at another server after each of the two changes, and Expected
	// what the closed form says; in [0, 1].
	Moved    [2]float64
	Expected float64
}

// The colours of the systems.
var scaleInks = []color.NRGBA{transportInk["longpoll"], transportInk["sse"], transportInk["ws"]}

func (s *ScaleEvents) validate() error {
	switch {
	case s.End <= 0:
		return fmt.Errorf("scale events: End is %v; it must be positive", s.End)
	case len(s.Series) == 0 || len(s.Series) > len(scaleInks):
		return fmt.Errorf("scale events: there are %d Series; want 1 to %d", len(s.Series), len(scaleInks))
	case len(s.Marks) != 2 || s.Marks[0].At > s.Marks[1].At:
		return fmt.Errorf("scale events: Marks: there are %d, or not in order; want two", len(s.Marks))
	}
	for _, e := range s.Series {
		for _, share := range []float64{e.Moved[0], e.Moved[1], e.Expected} {
			if !(share >= 0 && share <= 1) {
				return fmt.Errorf("scale events: series %.40q: the share %v is not in [0, 1]", e.Name, share)
			}
		}
	}
	return nil
}

// Scaling draws how many clients reconnect each second while servers come and go, and what share of them had
// to, against the closed form.
func Scaling(s ScaleEvents) *Figure {
	if err := s.validate(); err != nil {
		return failed("Clients that reconnect when servers come and go", "This cannot be drawn: "+err.Error())
	}
	f := &Figure{title: s.title(), subtitle: s.Subtitle, plot: newPlot()}
	p := f.plot
	timeAxis(&p.X, s.End)
	greatest := 1
	for _, e := range s.Series {
		for _, n := range e.Reconnects {
			greatest = max(greatest, n)
		}
	}
	step := roundStep(float64(greatest) * 1.1 / 8)
	p.Y.Label.Text = "Reconnects per second"
	p.Y.Min, p.Y.Max = 0, math.Ceil(float64(greatest)*1.1/step)*step
	p.Y.Tick.Marker = linearTicks{}
	p.Add(grid{}, moments(s.Marks))
	for i, e := range s.Series {
		p.Add(rateSteps{e.Reconnects, scaleInks[i], s.End})
	}
	f.strips = append(f.strips, scaleTable(s))
	return f
}

// title says what share each system moved.
func (s *ScaleEvents) title() string {
	text := ""
	for i, e := range s.Series {
		name := e.Name
		switch {
		case i > 0:
			text += ", " + name
		case name != "":
			text += strings.ToUpper(name[:1]) + name[1:] + " moves"
		default:
			text += "It moves"
		}
		text += fmt.Sprintf(" %.0f %%", 100*e.Moved[0])
	}
	return text + " of the clients when a server comes"
}

// moments are vertical lines with their names beside them.
type moments []Mark

func (ms moments) Plot(c draw.Canvas, p *plot.Plot) {
	for _, m := range ms {
		x := c.X(p.X.Norm(seconds(m.At)))
		c.StrokeLine2(line(1, softInk), x, c.Min.Y, x, c.Max.Y)
		c.FillText(softStyle, vg.Point{X: x + 4, Y: c.Max.Y - 11}, m.Text)
	}
}

// rateSteps is a count by second, as a filled outline.
type rateSteps struct {
	counts []int
	ink    color.NRGBA
	end    time.Duration
}

func (s rateSteps) Plot(c draw.Canvas, p *plot.Plot) {
	at := func(second, n int) vg.Point {
		x := math.Min(float64(second), seconds(s.end))
		return vg.Point{X: c.X(p.X.Norm(x)), Y: c.Y(p.Y.Norm(float64(n)))}
	}
	points := []vg.Point{at(0, 0)}
	for second, n := range s.counts {
		points = append(points, at(second, n), at(second+1, n))
	}
	points = append(points, at(len(s.counts), 0))
	c.FillPolygon(faded(s.ink, 0x30), c.ClipPolygonXY(points))
	c.StrokeLines(line(1.4, s.ink), c.ClipLinesXY(points)...)
}

// scaleTable has a row for each system: its colour, and what share of the clients moved.
type scaleTable ScaleEvents

const scaleRow = vg.Length(13)

func (t scaleTable) height() vg.Length { return scaleRow*vg.Length(len(t.Series)+1) + 6 }

func (t scaleTable) draw(c, data draw.Canvas, _ *plot.Plot) {
	columns := []vg.Length{16, 130, 220, 310, 390}
	row := func(i int, cells ...string) {
		y := c.Max.Y - scaleRow*vg.Length(i+1) + 3
		for k, cell := range cells {
			style := bodyStyle
			if i == 0 {
				style = softStyle
			}
			c.FillText(style, vg.Point{X: data.Min.X + columns[k], Y: y}, cell)
		}
	}
	row(0, "clients that moved", t.Marks[0].Text, t.Marks[1].Text, "closed form", "most reconnects/s")
	for i, e := range t.Series {
		y := c.Max.Y - scaleRow*vg.Length(i+2) + 7
		c.StrokeLine2(line(2.2, scaleInks[i]), data.Min.X, y, data.Min.X+11, y)
		peak := 0
		for _, n := range e.Reconnects {
			peak = max(peak, n)
		}
		percent := func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
		row(i+1, e.Name, percent(e.Moved[0]), percent(e.Moved[1]), percent(e.Expected), Thousands(peak))
	}
}
