package plots

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/twohop/twohop/model"
)

// Comparison is simulated latencies and what they are held against.
type Comparison struct {
	// Subtitle says what was simulated and measured.
	Subtitle string
	// Simulated and each run of Measured are latencies in ascending order.
	Simulated []time.Duration
	Measured  [][]time.Duration
	// Pooled is everything that was measured, in ascending order, and Runs how many runs that was, if it was
	// more than Measured. None and 0 mean that it was not. Without Measured there is no range to shade.
	Pooled []time.Duration
	Runs   int
	// Name is of what was measured, such as "Linux 6.18".
	Name string
	// Noise is the fraction beyond which the measured latencies mean nothing, in (0, 1); 0 means 0.995.
	Noise float64
	// Quantiles are those in the table and marked on the curves, in (0, 1) and ascending; none means 0.5,
	// 0.9, 0.95 and 0.99. There are at most six.
	Quantiles []float64
}

// comparison is a valid Comparison with its defaults, and the two distributions.
type comparison struct {
	Comparison
	simulated, pooled model.Distribution
	runs              []model.Distribution
}

const mostQuantiles = 6

// resolve fills in the defaults and validates. The error names the field.
func (c Comparison) resolve() (*comparison, error) {
	if c.Noise == 0 {
		c.Noise = 0.995
	}
	if len(c.Quantiles) == 0 {
		c.Quantiles = []float64{0.5, 0.9, 0.95, 0.99}
	}
	r := &comparison{Comparison: c, simulated: model.Distribution{Sorted: c.Simulated}}
	last := 0.0
	for _, q := range c.Quantiles {
		if !(q > last && q < 1) {
			return nil, fmt.Errorf("comparison: Quantiles: %v is not allowed; they must ascend in (0, 1)", q)
		}
		last = q
	}
	switch {
	case len(c.Quantiles) > mostQuantiles:
		return nil, fmt.Errorf("comparison: Quantiles: there are %d; the table has room for %d", len(c.Quantiles), mostQuantiles)
	case !(c.Noise > 0 && c.Noise < 1):
		return nil, fmt.Errorf("comparison: Noise is %v; it must lie in (0, 1)", c.Noise)
	case len(c.Simulated) == 0:
		return nil, fmt.Errorf("comparison: Simulated is empty")
	case len(c.Measured) == 0 && len(c.Pooled) == 0:
		return nil, fmt.Errorf("comparison: Measured is empty")
	case c.Runs < 0 || (c.Runs > 0) != (len(c.Pooled) > 0):
		return nil, fmt.Errorf("comparison: Runs is %d with %d latencies in Pooled; they belong together", c.Runs, len(c.Pooled))
	case !slices.IsSorted(c.Pooled):
		return nil, fmt.Errorf("comparison: Pooled is not sorted")
	case !slices.IsSorted(c.Simulated):
		return nil, fmt.Errorf("comparison: Simulated is not sorted")
	}
	for i, run := range c.Measured {
		if len(run) == 0 || !slices.IsSorted(run) {
			return nil, fmt.Errorf("comparison: Measured[%d] is empty or not sorted", i)
		}
		r.runs = append(r.runs, model.Distribution{Sorted: run})
	}
	if c.Runs == 0 {
		r.Runs, r.Pooled = len(c.Measured), slices.Concat(c.Measured...)
		slices.Sort(r.Pooled)
	}
	r.pooled = model.Distribution{Sorted: r.Pooled}
	return r, nil
}

// difference is how much larger the simulated quantile is than the measured one, relative to it.
func (c *comparison) difference(q float64) float64 {
	return float64(c.simulated.Quantile(q))/math.Max(float64(c.pooled.Quantile(q)), 1) - 1
}

// Fidelity draws the distribution of simulated latencies over that of measured ones. The upper axis is
// stretched towards the tail, where lost packets show: equal steps are equal factors of what is left above.
// The shade spans what single measured runs have.
func Fidelity(of Comparison) *Figure {
	c, err := of.resolve()
	if err != nil {
		return failed("Simulated and measured latency", "This cannot be drawn: "+err.Error())
	}
	worst := 0.0
	for _, q := range c.Quantiles {
		worst = max(worst, math.Abs(c.difference(q)))
	}
	f := &Figure{
		title:    fmt.Sprintf("Simulated latency is within %.0f %% of %s at the %s", math.Ceil(100*worst-1e-9), c.Name, listQuantiles(c.Quantiles)),
		subtitle: c.Subtitle,
		plot:     newPlot(),
	}
	p := f.plot
	c.axes(p)
	simInk := transportInk["longpoll"]
	measured := tail{c.pooled, c.Noise, line(2.2, ink)}
	simulated := tail{c.simulated, c.Noise, line(1.7, simInk)}
	simulated.style.Dashes = []vg.Length{6, 3}
	p.Add(grid{}, spread{c.runs, c.Noise}, measured, simulated, quantileMarks{measured, c.Quantiles, 4.5}, quantileMarks{simulated, c.Quantiles, 2.5})
	f.strips = []strip{&comparisonTable{c, measured.style, simulated.style}, gap(2)}
	return f
}

// listQuantiles names quantiles in a sentence.
func listQuantiles(qs []float64) string {
	names := make([]string, len(qs))
	for i, q := range qs {
		names[i] = quantileName(q)
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// quantileName is "median", or a percentile such as p99.
func quantileName(q float64) string {
	if q == 0.5 {
		return "median"
	}
	return fmt.Sprintf("p%g", math.Round(q*1e6)/1e4)
}

// axes sets both axes of the plot.
func (c *comparison) axes(p *plot.Plot) {
	lo := max(millis(min(c.simulated.Quantile(0), c.pooled.Quantile(0))), leastMillis)
	hi := max(millis(max(c.simulated.Quantile(c.Noise), c.pooled.Quantile(c.Noise))), lo)
	for _, r := range c.runs {
		hi = max(hi, millis(r.Quantile(c.Noise)))
	}
	p.X.Label.Text = "Latency (ms, log scale)"
	p.X.Min, p.X.Max = math.Log10(lo/1.08), math.Log10(max(hi*1.08, 2.2*lo))
	p.X.Tick.Marker = denseLogTicks{}
	p.Y.Label.Text = "Messages no slower (%)"
	p.Y.Min, p.Y.Max = 0, stretch(c.Noise)
	var ticks plot.ConstantTicks
	for _, percent := range []float64{0, 50, 90, 95, 99, 99.5, 99.9} {
		if percent <= 100*c.Noise+1e-9 {
			ticks = append(ticks, plot.Tick{Value: stretch(percent / 100), Label: fmt.Sprint(percent)})
		}
	}
	p.Y.Tick.Marker = ticks
}

// stretch puts a fraction on an axis on which each factor of ten of what is left above takes as much room.
func stretch(fraction float64) float64 { return -math.Log10(1 - fraction) }

// denseLogTicks is for an axis of decimal logarithms that spans about a decade or less.
type denseLogTicks struct{}

func (denseLogTicks) Ticks(lo, hi float64) []plot.Tick {
	if hi-lo > 1.2 {
		return logTicks{}.Ticks(lo, hi)
	}
	var ticks []plot.Tick
	for exponent := math.Floor(lo); exponent <= hi; exponent++ {
		for _, m := range []float64{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9} {
			at := exponent + math.Log10(m)
			if at < lo-1e-9 || at > hi+1e-9 {
				continue
			}
			label := ""
			if m != 9 { // it would touch its neighbours
				label = number(m*math.Pow(10, exponent), math.Pow(10, exponent-1))
			}
			ticks = append(ticks, plot.Tick{Value: within(at, lo, hi), Label: strings.TrimSuffix(label, ".0")})
		}
	}
	return ticks
}

// tail is an empirical distribution function on the stretched axis, up to the noise.
type tail struct {
	d     model.Distribution
	noise float64
	style draw.LineStyle
}

// at is where a quantile is drawn.
func (v tail) at(c draw.Canvas, p *plot.Plot, q float64) vg.Point {
	return vg.Point{X: c.X(p.X.Norm(latencyScale{log: true}.value(v.d.Quantile(q)))), Y: c.Y(p.Y.Norm(stretch(q)))}
}

// tailSteps is how many points a curve has: more than the figure's height can tell apart.
const tailSteps = 800

// points are those of the curve, from the bottom to the top.
func (v tail) points(c draw.Canvas, p *plot.Plot) []vg.Point {
	points := make([]vg.Point, 0, tailSteps+1)
	for i := range tailSteps + 1 {
		fraction := 1 - math.Pow(1-v.noise, float64(i)/tailSteps)
		points = append(points, v.at(c, p, fraction))
	}
	return points
}

func (v tail) Plot(c draw.Canvas, p *plot.Plot) { c.StrokeLines(v.style, v.points(c, p)) }

// spread shades what lies between the fastest and the slowest of several runs, at each quantile.
type spread struct {
	runs  []model.Distribution
	noise float64
}

var spreadInk = faded(ink, 0x24)

func (s spread) Plot(c draw.Canvas, p *plot.Plot) {
	var left, right []vg.Point
	for _, r := range s.runs {
		points := tail{d: r, noise: s.noise}.points(c, p)
		if left == nil {
			left, right = points, slices.Clone(points)
		}
		for i := range points {
			left[i].X, right[i].X = min(left[i].X, points[i].X), max(right[i].X, points[i].X)
		}
	}
	if left == nil {
		return
	}
	slices.Reverse(right)
	c.SetColor(spreadInk)
	c.Fill(polygon(append(left, right...)...))
}

// quantileMarks are the marks on a curve, which no curve may cover. The later of two that coincide should
// be the smaller one.
type quantileMarks struct {
	tail
	quantiles []float64
	radius    vg.Length
}

func (m quantileMarks) Plot(c draw.Canvas, p *plot.Plot) {
	for _, q := range m.quantiles {
		if q <= m.noise {
			drawMark(c, m.at(c, p, q), draw.GlyphStyle{Radius: m.radius, Shape: draw.CircleGlyph{}}, m.style.Color)
		}
	}
}

// comparisonTable is the legend, with the quantiles of both and how they differ.
type comparisonTable struct {
	*comparison
	measuredStyle, simulatedStyle draw.LineStyle
}

func (*comparisonTable) height() vg.Length { return 4*tableRow + 8 }

func (t *comparisonTable) draw(c, _ draw.Canvas, _ *plot.Plot) {
	rows := []struct {
		name  string
		style draw.LineStyle
		d     model.Distribution
	}{
		{fmt.Sprintf("%s, %s%s", t.Name, count(t.Runs, "run"), t.ranges()), t.measuredStyle, t.pooled},
		{fmt.Sprintf("simulated, %s", count(len(t.Simulated), "message")), t.simulatedStyle, t.simulated},
	}
	const first, most = vg.Length(235), vg.Length(75) // where the first column ends, and what each takes
	step := min(most, (c.Size().X-first)/vg.Length(max(len(t.Quantiles)-1, 1)))
	column := func(i int) vg.Length { return c.Min.X + first + step*vg.Length(i) }
	y := c.Max.Y - tableRow
	for i, q := range t.Quantiles {
		right(c, column(i), y, softStyle, quantileName(q))
	}
	for i, row := range rows {
		y -= tableRow
		if i == 0 && len(t.runs) > 0 {
			c.SetColor(spreadInk)
			c.Fill(polygon(vg.Point{X: c.Min.X, Y: y + 1}, vg.Point{X: c.Min.X + 24, Y: y + 1},
				vg.Point{X: c.Min.X + 24, Y: y + 9}, vg.Point{X: c.Min.X, Y: y + 9}))
		}
		c.StrokeLine2(row.style, c.Min.X, y+5, c.Min.X+24, y+5)
		c.FillText(bodyStyle, vg.Point{X: c.Min.X + 30, Y: y + 1}, fit(row.name, bodyStyle, 160))
		for i, q := range t.Quantiles {
			right(c, column(i), y, bodyStyle, short(row.d.Quantile(q)))
		}
	}
	y -= tableRow
	c.FillText(softStyle, vg.Point{X: c.Min.X + 30, Y: y + 1}, "difference")
	for i, q := range t.Quantiles {
		right(c, column(i), y, softStyle, fmt.Sprintf("%+.1f %%", 100*t.difference(q)))
	}
}

// ranges says what the shade is, if there is one.
func (t *comparisonTable) ranges() string {
	switch len(t.runs) {
	case 0:
		return ""
	case t.Runs:
		return " and range"
	}
	return fmt.Sprintf(" and range of %d", len(t.runs))
}
