package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// StrategyRow is what one way to move messages from a broker to servers took and cost.
type StrategyRow struct {
	Name string
	// Median and P99 are latencies, P99 not below Median, which is at least 0.
	Median, P99 time.Duration
	// Bytes and Packets are what the broker sent and received for each message; at least 0.
	Bytes, Packets float64
	// Back is how long it took, once the broker was there again, until all were served again; at least 0. Lost means
	// that some never were.
	Back time.Duration
	Lost bool
}

// StrategyPlot compares strategies.
type StrategyPlot struct {
	Subtitle string
	// Limit is the latency that there should not be more of; more than 0.
	Limit time.Duration
	// Outage says that the broker was away, so that Back and Lost are to be shown.
	Outage bool
	// Rows are one to ten, in the order in which they are drawn, from top to bottom.
	Rows []StrategyRow
}

const mostStrategies = 10

func (s *StrategyPlot) problem() string {
	if len(s.Rows) == 0 {
		return "Nothing to show: there are no strategies."
	}
	if len(s.Rows) > mostStrategies {
		return fmt.Sprintf("There are %d strategies; there is room for %d.", len(s.Rows), mostStrategies)
	}
	if s.Limit <= 0 {
		return fmt.Sprintf("Limit is %v; it must be positive.", s.Limit)
	}
	for _, r := range s.Rows {
		switch {
		case r.Median < 0 || r.P99 < r.Median:
			return fmt.Sprintf("%.40s has a median of %v and a P99 of %v; want 0 or more, and no less than that.", r.Name, r.Median, r.P99)
		case !finite(r.Bytes) || !finite(r.Packets):
			return fmt.Sprintf("%.40s has %v Bytes and %v Packets; want 0 or more.", r.Name, r.Bytes, r.Packets)
		case r.Back < 0:
			return fmt.Sprintf("%.40s was Back after %v; want 0 or more.", r.Name, r.Back)
		}
	}
	return ""
}

func finite(v float64) bool { return v >= 0 && v <= math.MaxFloat64/1e9 }

// Strategies draws, side by side, what each strategy adds to the latency, what it costs at the broker, and how long it
// takes to recover from the broker's restart.
func Strategies(s StrategyPlot) *Figure {
	if problem := s.problem(); problem != "" {
		return failed("Strategies compared", "This cannot be drawn: "+problem)
	}
	f := &Figure{title: s.title(), subtitle: s.Subtitle, strips: []strip{limitLegend{s.Limit}, gap(6)}}
	latency := s.panel()
	s.latencyAxis(&latency.X)
	var names plot.ConstantTicks
	for i, r := range s.Rows {
		names = append(names, plot.Tick{Value: s.place(i), Label: fit(r.Name, bodyStyle, 80)})
	}
	latency.Y.Tick.Marker = names
	latency.Add(whiskers{&s})
	cost := s.bars("At the broker, by message (bytes)", func(r StrategyRow) barRow {
		return barRow{value: r.Bytes, label: number(r.Bytes, 1) + " B", below: packets(r.Packets)}
	})
	f.plot, f.beside = latency, []*plot.Plot{cost}
	if s.Outage {
		f.beside = append(f.beside, s.bars("All served again after (s)", func(r StrategyRow) barRow {
			if r.Lost {
				return barRow{label: "not all"}
			}
			return barRow{value: r.Back.Seconds(), label: short(r.Back)}
		}))
	}
	return f
}

func packets(n float64) string {
	if step := 0.1; n < 100 {
		return number(n, step) + " packets"
	}
	return number(n, 1) + " packets"
}

// title says what the strategies add to the latency.
func (s *StrategyPlot) title() string {
	within := 0
	worst := time.Duration(0)
	for _, r := range s.Rows {
		if r.P99 < s.Limit {
			within++
			worst = max(worst, r.P99)
		}
	}
	switch {
	case within == 0:
		return fmt.Sprintf("No strategy delivers 99 of 100 messages within %s", short(s.Limit))
	case within == len(s.Rows):
		return fmt.Sprintf("Every strategy delivers 99 of 100 messages within %s", short(worst))
	}
	return fmt.Sprintf("%d of %d strategies deliver 99 of 100 messages within %s", within, len(s.Rows), short(worst))
}

// place is a row's on the y axis.
func (s *StrategyPlot) place(i int) float64 { return float64(len(s.Rows) - 1 - i) }

// panel is a plot with a row for each strategy.
func (s *StrategyPlot) panel() *plot.Plot {
	p := newPlot()
	p.Y.Min, p.Y.Max = -0.5, float64(len(s.Rows))-0.5
	p.Y.Tick.Marker, p.Y.Tick.Length = plot.ConstantTicks{}, 0
	p.Add(verticalGrid{})
	return p
}

// latencyAxis spans whole powers of ten.
func (s *StrategyPlot) latencyAxis(a *plot.Axis) {
	least, most := millis(s.Limit), millis(s.Limit)
	for _, r := range s.Rows {
		least, most = min(least, max(millis(r.Median), leastMillis)), max(most, millis(r.P99))
	}
	a.Label.Text = "Added latency (ms, log scale)"
	a.Min, a.Max = math.Floor(math.Log10(least/1.3)), math.Ceil(math.Log10(most*1.3))
	a.Tick.Marker = powerTicks{}
}

// powerTicks labels the powers of ten on an axis of decimal logarithms, every other one if there are many.
type powerTicks struct{}

func (powerTicks) Ticks(lo, hi float64) []plot.Tick {
	step := math.Max(1, math.Ceil((hi-lo)/4))
	var ticks []plot.Tick
	for at := math.Ceil(lo); at <= hi; at += step {
		v := math.Pow(10, at)
		ticks = append(ticks, plot.Tick{Value: at, Label: number(v, v)})
	}
	return ticks
}

// The inks of what is within the limit, and of what is not.
var (
	withinInk = transportInk["sse"]
	beyondInk = transportInk["longpoll"]
)

func (s *StrategyPlot) ink(r StrategyRow) color.NRGBA {
	if r.P99 < s.Limit {
		return withinInk
	}
	return beyondInk
}

// whiskers go from each row's median to its 99th percentile, with a dashed line at the limit.
type whiskers struct{ *StrategyPlot }

func (s whiskers) Plot(c draw.Canvas, p *plot.Plot) {
	at := func(d time.Duration) vg.Length { return c.X(p.X.Norm(math.Log10(max(millis(d), leastMillis)))) }
	limit := at(s.Limit)
	c.StrokeLine2(limitLine, limit, c.Min.Y, limit, c.Max.Y)
	for i, r := range s.Rows {
		y, ink := c.Y(p.Y.Norm(s.place(i))), s.ink(r)
		left, right := at(r.Median), at(r.P99)
		c.StrokeLine2(line(2, ink), left, y, right, y)
		drawMark(c, vg.Point{X: right, Y: y}, draw.GlyphStyle{Radius: p99Mark.Radius, Shape: p99Mark.Shape}, ink)
		drawMark(c, vg.Point{X: left, Y: y}, draw.GlyphStyle{Radius: medianMark.Radius, Shape: medianMark.Shape}, ink)
		label := short(r.P99)
		width := bodyStyle.Width(label)
		written(c, vg.Point{X: min(max(right-width/2, c.Min.X+2), c.Max.X-width), Y: y + 7}, bodyStyle, label)
	}
}

// written sets a text, and keeps what is behind it away.
func written(c draw.Canvas, at vg.Point, style text.Style, s string) {
	c.SetColor(color.White)
	right := at.X + style.Width(s)
	c.Fill(polygon(vg.Point{X: at.X - 2, Y: at.Y - 2}, vg.Point{X: at.X - 2, Y: at.Y + 8}, vg.Point{X: right + 2, Y: at.Y + 8}, vg.Point{X: right + 2, Y: at.Y - 2}))
	c.FillText(style, at, s)
}

var limitLine = draw.LineStyle{Width: 1, Color: faultInk, Dashes: []vg.Length{4, 3}}

// barRow is a bar with its label, and a soft one below that.
type barRow struct {
	value        float64
	label, below string
}

// bars is a panel with a bar for each row, and room for the labels beside them.
func (s *StrategyPlot) bars(name string, of func(StrategyRow) barRow) *plot.Plot {
	p := s.panel()
	rows := make([]barRow, len(s.Rows))
	for i, r := range s.Rows {
		rows[i] = of(r)
	}
	most := slices.MaxFunc(rows, func(a, b barRow) int { return cmp.Compare(a.value, b.value) }).value
	if most == 0 {
		most = 1
	}
	p.X.Label.Text = name
	p.X.Min, p.X.Max = 0, most*1.8
	p.X.Tick.Marker = steps(roundStep(most * 1.8 / 3.5))
	p.Add(barPanel{s, rows})
	return p
}

type barPanel struct {
	*StrategyPlot
	rows []barRow
}

func (b barPanel) Plot(c draw.Canvas, p *plot.Plot) {
	half := min(8, 0.3*c.Size().Y/vg.Length(len(b.rows)))
	for i, r := range b.rows {
		y := c.Y(p.Y.Norm(b.place(i)))
		left, right := c.X(p.X.Norm(0)), c.X(p.X.Norm(r.value))
		c.SetColor(b.ink(b.Rows[i]))
		c.Fill(polygon(vg.Point{X: left, Y: y - half}, vg.Point{X: left, Y: y + half}, vg.Point{X: right, Y: y + half}, vg.Point{X: right, Y: y - half}))
		if r.below == "" {
			written(c, vg.Point{X: right + 6, Y: y - 3}, bodyStyle, r.label)
			continue
		}
		written(c, vg.Point{X: right + 6, Y: y - 9}, softStyle, r.below)
		written(c, vg.Point{X: right + 6, Y: y + 2}, bodyStyle, r.label)
	}
}

// limitLegend says what the marks and the dashed line are.
type limitLegend struct{ limit time.Duration }

func (limitLegend) height() vg.Length { return tableRow }

func (l limitLegend) draw(c, data draw.Canvas, _ *plot.Plot) {
	x, y := data.Min.X, c.Max.Y-tableRow
	entry := func(width vg.Length, sample func(x vg.Length), text string) {
		sample(x + width/2)
		c.FillText(bodyStyle, vg.Point{X: x + width + 4, Y: y + 1}, text)
		x += width + 4 + bodyStyle.Width(text) + 16
	}
	mark := func(g draw.GlyphStyle) func(vg.Length) {
		return func(x vg.Length) { drawMark(c, vg.Point{X: x, Y: y + 5}, g, softInk) }
	}
	entry(8, mark(medianMark), "median")
	entry(8, mark(p99Mark), "99th percentile, and its value")
	entry(18, func(x vg.Length) { c.StrokeLine2(limitLine, x-9, y+5, x+9, y+5) }, short(l.limit))
}
