package plots

import (
	"fmt"
	"image/color"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/twohop/twohop/model"
)

// DeliveryCDF shows which share of the deliveries took no longer than what, for each transport: the
// time from the publisher's call to the client's application, outages included. A dot marks the
// median and a diamond the 99th percentile.
func DeliveryCDF(h *model.History) *Figure {
	const name = "Delivery latency"
	if err := model.WellFormed(h); err != nil {
		return failed(name, "This history cannot be drawn: "+err.Error())
	}
	ls := model.Latencies(h)
	if len(ls) == 0 {
		return failed(name, "Nothing to show: no message was delivered.")
	}
	ds := model.Distributions(ls)
	all := model.Distributions(withoutTransport(ls))[0]
	f := &Figure{
		title: fmt.Sprintf("Half of all deliveries took at most %s, one in a hundred more than %s",
			short(all.Quantile(0.5)), short(all.Quantile(0.99))),
		subtitle: fmt.Sprintf("Deliveries to %s, from the publisher's call to the client's application", count(clients(ls), "client")),
		plot:     newPlot(),
	}

	p := f.plot
	scale := latencyAxis(&p.X, all.Sorted[0], all.Sorted[len(all.Sorted)-1])
	p.Y.Label.Text = "Deliveries no slower (%)"
	p.Y.Min, p.Y.Max = 0, 100
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 25, Label: "25"}, {Value: 50, Label: "50"}, {Value: 75, Label: "75"}, {Value: 100, Label: "100"}}
	p.Add(grid{}, level(99))
	var transports []string
	for _, d := range ds {
		transports = append(transports, d.Transport)
	}
	ink := inks(transports)
	var curves []curve
	for i, d := range ds {
		curves = append(curves, curve{d, scale, curveStyle(i, ink[d.Transport])})
		p.Add(curves[i])
	}
	for _, v := range curves {
		p.Add(marks{v})
	}
	f.strips = []strip{quantileTable(curves)}
	return f
}

// withoutTransport makes one distribution of all.
func withoutTransport(ls []model.Latency) []model.Latency {
	all := make([]model.Latency, len(ls))
	for i, l := range ls {
		l.Transport = ""
		all[i] = l
	}
	return all
}

func clients(ls []model.Latency) int {
	seen := map[string]bool{}
	for _, l := range ls {
		seen[l.Client] = true
	}
	return len(seen)
}

// transportName is what a figure calls a transport.
func transportName(t string) string {
	if t == "" {
		return "(no transport)"
	}
	return t
}

// level is a dotted line at a percentage.
type level float64

func (l level) Plot(c draw.Canvas, p *plot.Plot) {
	y := c.Y(p.Y.Norm(float64(l)))
	s := line(0.6, softInk)
	s.Dashes = []vg.Length{1, 2}
	c.StrokeLine2(s, c.Min.X, y, c.Max.X, y)
}

// curveStyle is the stroke of a figure's i-th curve. Where curves coincide, the gaps in the later ones
// let the earlier ones be seen.
func curveStyle(i int, ink color.NRGBA) draw.LineStyle {
	dashes := [][]vg.Length{nil, {6, 3}, {2.5, 2.5}, {9, 2.5, 2, 2.5}, {1.2, 2}, {12, 3}, {6, 2, 1.2, 2, 1.2, 2}, {4, 1.2}}
	s := line(1.7, ink)
	if i == 0 {
		s.Width = 2.2
	}
	s.Dashes = dashes[i%len(dashes)]
	return s
}

// curve is the empirical distribution function: a staircase that rises by 1/n at each latency.
type curve struct {
	d     model.Distribution
	scale latencyScale
	style draw.LineStyle
}

// Plot leaves out the stairs that are too small to be seen.
func (v curve) Plot(c draw.Canvas, p *plot.Plot) {
	const visible = vg.Length(0.2)
	n := len(v.d.Sorted)
	x := func(d time.Duration) vg.Length { return c.X(p.X.Norm(v.scale.value(d))) }
	y := func(rank int) vg.Length { return c.Y(p.Y.Norm(100 * float64(rank) / float64(n))) }
	last := vg.Point{X: x(v.d.Sorted[0]), Y: y(0)}
	stairs := []vg.Point{last}
	for i, d := range v.d.Sorted {
		next := vg.Point{X: x(d), Y: y(i + 1)}
		if i < n-1 && next.X-last.X < visible && next.Y-last.Y < visible {
			continue
		}
		stairs = append(stairs, vg.Point{X: next.X, Y: last.Y}, next)
		last = next
	}
	stairs = append(stairs, vg.Point{X: c.Max.X, Y: last.Y})
	c.StrokeLines(v.style, stairs)
}

// The marks of the median and of the 99th percentile.
var (
	medianMark = draw.GlyphStyle{Radius: 3, Shape: draw.CircleGlyph{}}
	p99Mark    = draw.GlyphStyle{Radius: 4, Shape: diamond{}}
)

// marks are the marks on a curve, which no curve may cover.
type marks struct{ curve }

func (m marks) Plot(c draw.Canvas, p *plot.Plot) {
	for _, q := range []struct {
		q    float64
		mark draw.GlyphStyle
	}{{0.5, medianMark}, {0.99, p99Mark}} {
		at := vg.Point{X: c.X(p.X.Norm(m.scale.value(m.d.Quantile(q.q)))), Y: c.Y(p.Y.Norm(100 * q.q))}
		drawMark(c, at, q.mark, m.style.Color)
	}
}

// drawMark sets a mark off from what is behind it.
func drawMark(c draw.Canvas, at vg.Point, mark draw.GlyphStyle, ink color.Color) {
	halo := mark
	halo.Radius++
	halo.Color, mark.Color = color.White, ink
	c.DrawGlyph(halo, at)
	c.DrawGlyph(mark, at)
}

// diamond is a square on its corner.
type diamond struct{}

func (diamond) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	c.SetColor(s.Color)
	c.Fill(polygon(
		vg.Point{X: at.X - s.Radius, Y: at.Y}, vg.Point{X: at.X, Y: at.Y + s.Radius},
		vg.Point{X: at.X + s.Radius, Y: at.Y}, vg.Point{X: at.X, Y: at.Y - s.Radius},
	))
}

func polygon(corners ...vg.Point) vg.Path {
	var p vg.Path
	p.Move(corners[0])
	for _, c := range corners[1:] {
		p.Line(c)
	}
	p.Close()
	return p
}

// quantileTable is the legend: each transport's stroke, and its numbers.
type quantileTable []curve

const tableRow = vg.Length(12.5)

func (t quantileTable) height() vg.Length { return tableRow*vg.Length(len(t)+1) + 8 }

func (t quantileTable) draw(c, _ draw.Canvas, _ *plot.Plot) { t.drawAs(c, "deliveries", "slowest") }

// drawAs says what was counted, and what the greatest is called.
func (t quantileTable) drawAs(c draw.Canvas, counted, greatest string) {
	columns := []struct {
		name  string
		right vg.Length // edge of the numbers, from the left
		mark  draw.GlyphStyle
		value func(model.Distribution) string
	}{
		{counted, 165, draw.GlyphStyle{}, func(d model.Distribution) string { return Thousands(len(d.Sorted)) }},
		{"median", 240, medianMark, func(d model.Distribution) string { return short(d.Quantile(0.5)) }},
		{"99th percentile", 340, p99Mark, func(d model.Distribution) string { return short(d.Quantile(0.99)) }},
		{greatest, 405, draw.GlyphStyle{}, func(d model.Distribution) string { return short(d.Quantile(1)) }},
	}
	y := c.Max.Y - tableRow
	for _, col := range columns {
		right(c, c.Min.X+col.right, y, softStyle, col.name)
		if col.mark.Shape != nil {
			drawMark(c, vg.Point{X: c.Min.X + col.right - softStyle.Width(col.name) - 8, Y: y + 5}, col.mark, softInk)
		}
	}
	for _, v := range t {
		y -= tableRow
		c.StrokeLine2(v.style, c.Min.X, y+5, c.Min.X+24, y+5)
		c.FillText(bodyStyle, vg.Point{X: c.Min.X + 30, Y: y + 1}, fit(transportName(v.d.Transport), bodyStyle, 82))
		for _, col := range columns {
			right(c, c.Min.X+col.right, y, bodyStyle, col.value(v.d))
		}
	}
}

// right sets a text that ends at x.
func right(c draw.Canvas, x, y vg.Length, style text.Style, s string) {
	style.XAlign = draw.XRight
	c.FillText(style, vg.Point{X: x, Y: y + 1}, s)
}
