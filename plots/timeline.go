package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/twohop/twohop/model"
)

// Timeline shows a run as its clients lived through it: over virtual time, the faults, when clients
// lost and regained their connections, and a dot for each delivery at its latency. What clients got
// after an outage stands out as a column of dots, from the oldest message that they had missed (the
// slowest) down to the newest.
func Timeline(h *model.History) *Figure {
	const name = "Deliveries over time"
	if err := model.WellFormed(h); err != nil {
		return failed(name, "This history cannot be drawn: "+err.Error())
	}
	ls := model.Latencies(h)
	if len(ls) == 0 {
		return failed(name, "Nothing to show: no message was delivered.")
	}
	faults := findFaults(h)
	end := curtain(h)
	ds := model.Distributions(ls)
	all := model.Distributions(withoutTransport(ls))[0]
	lanes := connectionLanes(h)
	f := &Figure{
		title: timelineTitle(faults, lanes, end),
		subtitle: fmt.Sprintf("Each dot is one of %s deliveries to %s, at the time it arrived",
			Thousands(len(ls)), count(clients(ls), "client")),
		plot: newPlot(),
	}
	p := f.plot
	timeAxis(&p.X, end)
	scale := latencyAxis(&p.Y, all.Sorted[0], all.Sorted[len(all.Sorted)-1])
	p.Add(grid{}, bands(faults))
	var transports []string
	for _, d := range ds {
		transports = append(transports, d.Transport)
	}
	ink := inks(transports)
	p.Add(dots{ls, transports, ink, scale})
	for _, l := range lanes {
		f.inset = max(f.inset, softStyle.Width(l.label())+laneSpacing-axisWidth(p))
	}
	f.strips = []strip{swatches{ink, ds}, &faultLabels{faults, end, margin + f.inset + axisWidth(p)}}
	for _, l := range lanes {
		l.faults = faults
		f.strips = append(f.strips, l)
	}
	f.strips = append(f.strips, gap(6))
	return f
}

// timelineTitle tells the story in a line.
// curtain is when there is nothing more to see: when the last client has left of itself, if that is how the run
// ends for them, and else the end of the run.
func curtain(h *model.History) time.Duration {
	for i := len(h.Events) - 1; i >= 0; i-- {
		switch e := &h.Events[i]; e.Kind {
		case model.Disconnected:
			if e.Note == model.NoteStopped {
				return e.Time
			}
		case model.RunEnd, model.Level, model.Queue:
			continue
		}
		break
	}
	return h.Events[len(h.Events)-1].Time
}

func timelineTitle(faults []fault, lanes []*lane, end time.Duration) string {
	what := fmt.Sprintf("%s without faults", short(end))
	switch len(faults) {
	case 0:
	case 1:
		what = fit(faults[0].note, titleStyle, width/2)
	default:
		what = count(len(faults), "fault")
	}
	var counts []string
	for _, l := range lanes {
		if l.inTitle {
			counts = append(counts, Thousands(len(l.times))+" "+l.name)
		}
	}
	switch {
	case len(lanes) == 0: // nobody recorded connections
		return what
	case len(counts) == 0:
		return what + ": every connection held"
	}
	return what + ": " + strings.Join(counts, ", ")
}

// dots are the deliveries.
type dots struct {
	all        []model.Latency
	transports []string
	ink        map[string]color.NRGBA
	scale      latencyScale
}

// Plot draws the dots that share a place at the figure's resolution once, in the colour of the first to
// arrive: so where there are more than can be told apart, the transports mix as they do in the data.
func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	const radius, resolution = vg.Length(1.1), vg.Length(1.2)
	byTime := slices.Clone(d.all)
	slices.SortFunc(byTime, func(a, b model.Latency) int { return cmp.Compare(a.Step, b.Step) })
	type place struct{ x, y int }
	taken := map[place]bool{}
	shapes := map[string]*vg.Path{}
	for _, t := range d.transports {
		shapes[t] = &vg.Path{}
	}
	for _, l := range byTime {
		at := vg.Point{X: c.X(p.X.Norm(seconds(l.Delivered))), Y: c.Y(p.Y.Norm(d.scale.value(l.Value())))}
		cell := place{int(math.Round(float64(at.X / resolution))), int(math.Round(float64(at.Y / resolution)))}
		if taken[cell] {
			continue
		}
		taken[cell] = true
		shape := shapes[l.Transport]
		shape.Move(vg.Point{X: at.X + radius, Y: at.Y})
		shape.Arc(at, radius, 0, 2*math.Pi)
		shape.Close()
	}
	for _, t := range d.transports {
		c.SetColor(faded(d.ink[t], 0xb0))
		c.Fill(*shapes[t])
	}
}

// swatches is the legend, in as many rows as it takes.
type swatches struct {
	ink  map[string]color.NRGBA
	rows []model.Distribution
}

const swatchRow = vg.Length(14)

// place gives each entry its text, and its place from the top left within a width.
func (s swatches) place(width vg.Length) (texts []string, at []vg.Point) {
	x, y := vg.Length(0), vg.Length(0)
	for _, d := range s.rows {
		text := fit(fmt.Sprintf("%s (n = %s)", transportName(d.Transport), Thousands(len(d.Sorted))), bodyStyle, width-11)
		if x > 0 && x+11+bodyStyle.Width(text) > width {
			x, y = 0, y+swatchRow
		}
		texts, at = append(texts, text), append(at, vg.Point{X: x, Y: y})
		x += 11 + bodyStyle.Width(text) + 18
	}
	return texts, at
}

func (s swatches) height() vg.Length {
	_, at := s.place(width - 2*margin)
	return at[len(at)-1].Y + 18
}

func (s swatches) draw(c, _ draw.Canvas, _ *plot.Plot) {
	texts, at := s.place(c.Size().X)
	for i, d := range s.rows {
		x, y := c.Min.X+at[i].X, c.Max.Y-at[i].Y
		c.DrawGlyph(draw.GlyphStyle{Color: s.ink[d.Transport], Radius: 3, Shape: draw.CircleGlyph{}}, vg.Point{X: x + 3, Y: y - 8})
		c.FillText(bodyStyle, vg.Point{X: x + 11, Y: y - 11.5}, texts[i])
	}
}

// gap is empty space.
type gap vg.Length

func (g gap) height() vg.Length                 { return vg.Length(g) }
func (gap) draw(_, _ draw.Canvas, _ *plot.Plot) {}

// lane is a row of bars that counts events of one kind over time.
type lane struct {
	name    string
	inTitle bool
	times   []time.Duration
	faults  []fault // to shade
}

// connectionLanes counts what happened to connections. There is a lane for what happened only.
func connectionLanes(h *model.History) []*lane {
	lost := &lane{name: "disconnected", inTitle: true}
	resumed := &lane{name: "resumed", inTitle: true}
	fresh := &lane{name: "connected"}
	told := &lane{name: "told of a gap", inTitle: true}
	for i := range h.Events {
		e := &h.Events[i]
		var l *lane
		switch {
		case e.Kind == model.Disconnected && e.Note != model.NoteStopped:
			l = lost
		case e.Kind == model.Connected && e.Resumed:
			l = resumed
		case e.Kind == model.Connected:
			l = fresh
		case e.Kind == model.Discontinuity:
			l = told
		default:
			continue
		}
		l.times = append(l.times, e.Time)
	}
	return slices.DeleteFunc([]*lane{fresh, lost, resumed, told}, func(l *lane) bool { return len(l.times) == 0 })
}

const (
	laneHeight  = vg.Length(15)
	laneSpacing = vg.Length(8) // between a lane's label and the lane
)

// axisWidth is what the plot's y axis takes up with its labels.
func axisWidth(p *plot.Plot) vg.Length {
	area := vg.Rectangle{Max: vg.Point{X: width - 2*margin, Y: height / 2}}
	return p.DataCanvas(draw.Canvas{Rectangle: area}).Min.X
}

func (*lane) height() vg.Length { return laneHeight }

func (l *lane) label() string { return Thousands(len(l.times)) + " " + l.name }

// draw gives each bar the height of its count, relative to the lane's greatest.
func (l *lane) draw(c, data draw.Canvas, p *plot.Plot) {
	const bar = vg.Length(2)
	drawBands(c, data, p, l.faults)
	c.StrokeLine2(line(0.5, gridInk), data.Min.X, c.Min.Y, data.Max.X, c.Min.Y)
	right(c, data.Min.X-laneSpacing, c.Min.Y, softStyle, l.label())
	counts := map[int]int{}
	most := 0
	for _, t := range l.times {
		bin := int((data.X(p.X.Norm(seconds(t))) - data.Min.X) / bar)
		counts[bin]++
		most = max(most, counts[bin])
	}
	c.SetColor(ink)
	for _, bin := range slices.Sorted(maps.Keys(counts)) {
		x := data.Min.X + vg.Length(bin)*bar
		top := c.Min.Y + max((laneHeight-3)*vg.Length(counts[bin])/vg.Length(most), 1)
		c.Fill(polygon(
			vg.Point{X: x, Y: c.Min.Y}, vg.Point{X: x, Y: top},
			vg.Point{X: x + bar - 0.3, Y: top}, vg.Point{X: x + bar - 0.3, Y: c.Min.Y},
		))
	}
}
