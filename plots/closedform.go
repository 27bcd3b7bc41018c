package plots

import (
	"fmt"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Point is a latency against another time, such as the interval between polls.
type Point struct{ X, Y time.Duration }

// FormSeries is what was simulated of one quantity, and what its closed form says.
type FormSeries struct {
	Name string
	// Transport gives the colour.
	Transport string
	// Simulated are drawn as dots, and Form as a line through points in ascending order of X. Either may be
	// empty.
	Simulated, Form []Point
}

// FormPlot is a closed form, and simulated points to hold against it.
type FormPlot struct {
	Title, Subtitle string
	// X names the horizontal axis, without its unit, which is milliseconds or seconds.
	X string
	// Series are at least one and at most six.
	Series []FormSeries
	// Low and High, unless empty, are the bounds of all that the closed form allows, which is shaded. They
	// have the same X.
	Low, High []Point
}

const mostSeries = 6

// problem says why it cannot be drawn; "" if it can.
func (f *FormPlot) problem() string {
	points := 0
	for i, s := range f.Series {
		points += len(s.Simulated) + len(s.Form)
		for _, p := range append(append([]Point(nil), s.Simulated...), s.Form...) {
			if p.X < 0 || p.Y < 0 {
				return fmt.Sprintf("Series[%d] has a point at %v, %v; neither may be negative.", i, p.X, p.Y)
			}
		}
	}
	switch {
	case points == 0:
		return "Nothing to show: there are no points."
	case len(f.Series) > mostSeries:
		return fmt.Sprintf("There are %d series; there is room for %d.", len(f.Series), mostSeries)
	case len(f.Low) != len(f.High):
		return fmt.Sprintf("Low has %d points and High %d; they need the same.", len(f.Low), len(f.High))
	}
	return ""
}

// extent is the greatest of each coordinate.
func (f *FormPlot) extent() (x, y time.Duration) {
	take := func(points []Point) {
		for _, p := range points {
			x, y = max(x, p.X), max(y, p.Y)
		}
	}
	for _, s := range f.Series {
		take(s.Simulated)
		take(s.Form)
	}
	take(f.High)
	return max(x, 1), max(y, 1)
}

// ClosedForm draws simulated latencies as dots over the lines of their closed forms.
func ClosedForm(of FormPlot) *Figure {
	if problem := of.problem(); problem != "" {
		return failed("Simulation and closed form", "This cannot be drawn: "+problem)
	}
	f := &Figure{title: of.Title, subtitle: of.Subtitle, plot: newPlot()}
	p := f.plot
	x, y := of.extent()
	xs, ys := timeScale(&p.X, of.X, x), timeScale(&p.Y, "Latency", y)
	p.Add(grid{}, band{of.Low, of.High, xs, ys})
	for i, s := range of.Series {
		p.Add(formLine{s.Form, s.style(i), xs, ys})
	}
	for i, s := range of.Series {
		p.Add(formDots{s.Simulated, s.mark(i), xs, ys})
	}
	f.strips = []strip{formLegend(of.Series), gap(4)}
	return f
}

// timeScale makes a linear axis from zero, in milliseconds or seconds, and gives the unit.
func timeScale(a *plot.Axis, name string, most time.Duration) (unit time.Duration) {
	unit = time.Millisecond
	text := "ms"
	if most > 2*time.Second {
		unit, text = time.Second, "s"
	}
	a.Label.Text = fmt.Sprintf("%s (%s)", name, text)
	a.Min, a.Max = 0, float64(most)/float64(unit)*1.06
	a.Tick.Marker = linearTicks{}
	return unit
}

// style is the stroke of a figure's i-th closed form.
func (s FormSeries) style(i int) draw.LineStyle {
	v := curveStyle(i, inks([]string{s.Transport})[s.Transport])
	v.Width = 1.3
	return v
}

var formShapes = [...]draw.GlyphDrawer{draw.CircleGlyph{}, diamond{}, draw.SquareGlyph{}, draw.PyramidGlyph{}}

// mark is the dot of a figure's i-th simulated series.
func (s FormSeries) mark(i int) draw.GlyphStyle {
	return draw.GlyphStyle{Color: inks([]string{s.Transport})[s.Transport], Radius: 3, Shape: formShapes[i%len(formShapes)]}
}

// place puts a point on the canvas.
func place(c draw.Canvas, p *plot.Plot, at Point, xs, ys time.Duration) vg.Point {
	return vg.Point{
		X: c.X(p.X.Norm(float64(at.X) / float64(xs))),
		Y: c.Y(p.Y.Norm(float64(at.Y) / float64(ys))),
	}
}

func places(c draw.Canvas, p *plot.Plot, all []Point, xs, ys time.Duration) []vg.Point {
	at := make([]vg.Point, len(all))
	for i := range all {
		at[i] = place(c, p, all[i], xs, ys)
	}
	return at
}

// band shades what lies between two lines.
type band struct {
	low, high []Point
	xs, ys    time.Duration
}

func (b band) Plot(c draw.Canvas, p *plot.Plot) {
	if len(b.low) < 2 {
		return
	}
	corners := places(c, p, b.low, b.xs, b.ys)
	for i := len(b.high) - 1; i >= 0; i-- {
		corners = append(corners, place(c, p, b.high[i], b.xs, b.ys))
	}
	c.SetColor(faded(ink, 0x12))
	c.Fill(polygon(corners...))
}

// formLine is a closed form.
type formLine struct {
	points []Point
	style  draw.LineStyle
	xs, ys time.Duration
}

func (l formLine) Plot(c draw.Canvas, p *plot.Plot) {
	if len(l.points) > 1 {
		c.StrokeLines(l.style, places(c, p, l.points, l.xs, l.ys))
	}
}

// formDots are simulated points.
type formDots struct {
	points []Point
	mark   draw.GlyphStyle
	xs, ys time.Duration
}

func (d formDots) Plot(c draw.Canvas, p *plot.Plot) {
	for _, at := range places(c, p, d.points, d.xs, d.ys) {
		drawMark(c, at, d.mark, d.mark.Color)
	}
}

// formLegend names the series, in two columns, and says what is dot and what is line.
type formLegend []FormSeries

func (l formLegend) height() vg.Length { return tableRow*vg.Length((len(l)+1)/2+1) + 6 }

func (l formLegend) draw(c, _ draw.Canvas, _ *plot.Plot) {
	const sample, column = vg.Length(24), vg.Length(256)
	y := c.Max.Y - tableRow
	c.FillText(softStyle, vg.Point{X: c.Min.X, Y: y + 1}, "Dots are simulated, lines are the closed form.")
	for i, s := range l {
		x := c.Min.X + column*vg.Length(i%2)
		if i%2 == 0 {
			y -= tableRow
		}
		if len(s.Form) > 1 {
			c.StrokeLine2(s.style(i), x, y+5, x+sample, y+5)
		}
		if len(s.Simulated) > 0 {
			drawMark(c, vg.Point{X: x + sample/2, Y: y + 5}, s.mark(i), s.mark(i).Color)
		}
		c.FillText(bodyStyle, vg.Point{X: x + sample + 7, Y: y + 1}, fit(s.Name, bodyStyle, column-sample-14))
	}
}
