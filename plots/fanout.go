package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// FanoutPlot is what a message to many clients costs, against how many there are, by several designs.
type FanoutPlot struct {
	Title, Subtitle string
	// Y names the vertical axis, with its unit. Both axes are logarithmic.
	Y string
	// Series are the designs, one to three.
	Series []FanoutSeries
}

// FanoutSeries is one design.
type FanoutSeries struct {
	Name string
	// Simulated are drawn as dots, and Form, the closed form, as a line through points in ascending order of
	// Clients. Either may be empty.
	Simulated, Form []FanoutPoint
}

// FanoutPoint is a cost with so many clients; both are more than 0.
type FanoutPoint struct {
	Clients int
	Value   float64
}

var fanoutInks = [...]color.NRGBA{transportInk["longpoll"], transportInk["poll"], transportInk["sse"]}

func (f *FanoutPlot) validate() error {
	if len(f.Series) == 0 || len(f.Series) > len(fanoutInks) {
		return fmt.Errorf("fan-out: there are %d Series; want 1 to %d", len(f.Series), len(fanoutInks))
	}
	points := 0
	for _, s := range f.Series {
		for _, p := range append(append([]FanoutPoint(nil), s.Simulated...), s.Form...) {
			points++
			if p.Clients < 1 || !(p.Value > 0) || math.IsInf(p.Value, 0) {
				return fmt.Errorf("fan-out: series %.40q has the value %v for %d clients; both must be more than 0", s.Name, p.Value, p.Clients)
			}
		}
	}
	if points == 0 {
		return fmt.Errorf("fan-out: there are no points")
	}
	return nil
}

// Fanout draws what was simulated as dots over the lines of the closed forms.
func Fanout(of FanoutPlot) *Figure {
	if err := of.validate(); err != nil {
		return failed("Fan-out to many clients", "This cannot be drawn: "+err.Error())
	}
	f := &Figure{title: of.Title, subtitle: of.Subtitle, plot: newPlot()}
	p := f.plot
	least, most := FanoutPoint{math.MaxInt, math.Inf(1)}, FanoutPoint{}
	for _, s := range of.Series {
		for _, points := range [][]FanoutPoint{s.Simulated, s.Form} {
			for _, q := range points {
				least.Clients, most.Clients = min(least.Clients, q.Clients), max(most.Clients, q.Clients)
				least.Value, most.Value = math.Min(least.Value, q.Value), math.Max(most.Value, q.Value)
			}
		}
	}
	logAxis(&p.X, "Clients (log scale)", float64(least.Clients), float64(most.Clients))
	logAxis(&p.Y, of.Y, least.Value, most.Value)
	p.Add(grid{})
	for i, s := range of.Series {
		p.Add(fanoutLine{s.Form, curveStyle(i, fanoutInks[i])})
	}
	for i, s := range of.Series {
		p.Add(fanoutDots{s.Simulated, fanoutMark(i)})
	}
	f.strips = []strip{fanoutLegend(of.Series), gap(4)}
	return f
}

// logAxis makes an axis of decimal logarithms for values between two.
func logAxis(a *plot.Axis, name string, least, most float64) {
	a.Label.Text = name
	a.Min, a.Max = math.Log10(roundDown(least/1.05)), math.Log10(roundStep(most*1.05))
	a.Tick.Marker = logTicks{}
}

// fanoutPlaces puts points on the canvas.
func fanoutPlaces(c draw.Canvas, p *plot.Plot, points []FanoutPoint) []vg.Point {
	at := make([]vg.Point, len(points))
	for i, q := range points {
		at[i] = vg.Point{X: c.X(p.X.Norm(math.Log10(float64(q.Clients)))), Y: c.Y(p.Y.Norm(math.Log10(q.Value)))}
	}
	return at
}

// fanoutLine is a closed form.
type fanoutLine struct {
	points []FanoutPoint
	style  draw.LineStyle
}

func (l fanoutLine) Plot(c draw.Canvas, p *plot.Plot) {
	if len(l.points) > 1 {
		c.StrokeLines(l.style, fanoutPlaces(c, p, l.points))
	}
}

// fanoutDots are simulated points.
type fanoutDots struct {
	points []FanoutPoint
	mark   draw.GlyphStyle
}

func (d fanoutDots) Plot(c draw.Canvas, p *plot.Plot) {
	for _, at := range fanoutPlaces(c, p, d.points) {
		drawMark(c, at, d.mark, d.mark.Color)
	}
}

func fanoutMark(i int) draw.GlyphStyle {
	return draw.GlyphStyle{Color: fanoutInks[i], Radius: 3, Shape: formShapes[i]}
}

// fanoutLegend names the designs in a row, and says what is dot and what is line.
type fanoutLegend []FanoutSeries

func (l fanoutLegend) height() vg.Length { return 2*tableRow + 6 }

func (l fanoutLegend) draw(c, _ draw.Canvas, _ *plot.Plot) {
	const sample, column = vg.Length(24), vg.Length(171)
	y := c.Max.Y - tableRow
	c.FillText(softStyle, vg.Point{X: c.Min.X, Y: y + 1}, "Dots are simulated, lines are the closed form.")
	y -= tableRow
	for i, s := range l {
		x := c.Min.X + column*vg.Length(i)
		if len(s.Form) > 1 {
			style := curveStyle(i, fanoutInks[i])
			c.StrokeLine2(style, x, y+5, x+sample, y+5)
		}
		if len(s.Simulated) > 0 {
			drawMark(c, vg.Point{X: x + sample/2, Y: y + 5}, fanoutMark(i), fanoutInks[i])
		}
		c.FillText(bodyStyle, vg.Point{X: x + sample + 7, Y: y + 1}, fit(s.Name, bodyStyle, column-sample-14))
	}
}
