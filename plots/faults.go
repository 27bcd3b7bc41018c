package plots

import (
	"cmp"
	"image/color"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/twohop/twohop/model"
)

// fault is a span of virtual time in which something was broken.
type fault struct {
	note       string
	begin, end time.Duration
	healed     bool // it ended before the run did
}

// findFaults pairs FaultBegin and FaultEnd by their Note. A fault that does not end lasts as long as
// the history does, and one whose beginning is not there lasts from the start.
func findFaults(h *model.History) []fault {
	var fs []fault
	open := map[string][]int{} // by note, in fs
	for i := range h.Events {
		e := &h.Events[i]
		switch e.Kind {
		case model.FaultBegin:
			open[e.Note] = append(open[e.Note], len(fs))
			fs = append(fs, fault{note: e.Note, begin: e.Time})
		case model.FaultEnd:
			if len(open[e.Note]) == 0 {
				fs = append(fs, fault{note: e.Note, end: e.Time, healed: true})
				continue
			}
			f := &fs[open[e.Note][0]]
			open[e.Note] = open[e.Note][1:]
			f.end, f.healed = e.Time, true
		}
	}
	for i := range fs {
		if !fs[i].healed {
			fs[i].end = h.Events[len(h.Events)-1].Time
		}
	}
	slices.SortStableFunc(fs, func(a, b fault) int { return cmp.Compare(a.begin, b.begin) })
	return fs
}

// bands shades the faults behind the data.
type bands []fault

func (b bands) Plot(c draw.Canvas, p *plot.Plot) { drawBands(c, c, p, b) }

// drawBands shades the faults over the height of c, at the x axis of data. Faults that coincide are shaded once: the
// shade of many would hide what is behind it.
func drawBands(c, data draw.Canvas, p *plot.Plot, faults []fault) {
	shaded := map[[2]vg.Length]bool{}
	for _, f := range faults {
		x0, x1 := f.extent(data, p)
		if shaded[[2]vg.Length{x0, x1}] {
			continue
		}
		shaded[[2]vg.Length{x0, x1}] = true
		c.SetColor(bandInk)
		c.Fill(polygon(
			vg.Point{X: x0, Y: c.Min.Y}, vg.Point{X: x0, Y: c.Max.Y},
			vg.Point{X: x1, Y: c.Max.Y}, vg.Point{X: x1, Y: c.Min.Y},
		))
		c.StrokeLine2(line(0.5, faultInk), x0, c.Min.Y, x0, c.Max.Y)
		if f.healed {
			c.StrokeLine2(line(0.5, faultInk), x1, c.Min.Y, x1, c.Max.Y)
		}
	}
}

// extent is where the fault is on the x axis, at least a hair wide. One that lasts longer than the axis ends with it.
func (f fault) extent(data draw.Canvas, p *plot.Plot) (x0, x1 vg.Length) {
	x0, x1 = data.X(p.X.Norm(seconds(f.begin))), data.X(p.X.Norm(seconds(f.end)))
	return x0, max(min(x1, data.Max.X), x0+0.5)
}

// faultLabels names each fault above its band, in as many rows as it takes for no two to overlap.
type faultLabels struct {
	faults []fault
	end    time.Duration
	left   vg.Length // edge of the data, for a first guess at how many rows it takes
}

const (
	faultRow     = vg.Length(11.5)
	mostRows     = 4
	labelSpacing = vg.Length(6)
)

// label names faults that coincide, in its place.
type label struct {
	fault // the first of them
	names int
	text  string
	x     vg.Length
	row   int
}

// together makes labels of faults, one of those that coincide and have their names side by side within a width.
func together(faults []fault, width vg.Length) (labels []label) {
	for _, f := range faults {
		if n := len(labels) - 1; n >= 0 && labels[n].begin == f.begin && labels[n].end == f.end {
			if text := labels[n].text + ", " + f.note; faultStyle.Width(text) <= width {
				labels[n].text = text
				labels[n].names++
				continue
			}
		}
		labels = append(labels, label{fault: f, names: 1, text: f.note})
	}
	return labels
}

// place gives each label the first row with room for it, as far to the left as its fault begins, or as
// the right edge demands. The faults of those that no row has room for are counted.
func (l *faultLabels) place(left, right vg.Length) (labels []label, unnamed int) {
	var free [mostRows]vg.Length
	for _, lb := range together(l.faults, (right-left)/2) {
		lb.text = fit(lb.text, faultStyle, right-left)
		x := left + (right-left)*vg.Length(seconds(lb.begin)/max(seconds(l.end), 1e-6))
		lb.x = max(left, min(x+2, right-faultStyle.Width(lb.text)))
		for lb.row < mostRows && free[lb.row] > lb.x {
			lb.row++
		}
		if lb.row == mostRows {
			unnamed += lb.names
			continue
		}
		free[lb.row] = lb.x + faultStyle.Width(lb.text) + labelSpacing
		labels = append(labels, lb)
	}
	return labels, unnamed
}

func (l *faultLabels) height() vg.Length {
	labels, unnamed := l.place(l.left, width-margin)
	rows := 0
	for _, lb := range labels {
		rows = max(rows, lb.row+1)
	}
	if unnamed > 0 {
		rows++
	}
	return faultRow * vg.Length(rows)
}

func (l *faultLabels) draw(c, data draw.Canvas, p *plot.Plot) {
	labels, unnamed := l.place(data.Min.X, data.Max.X)
	bottom := func(lb label) vg.Length { return c.Max.Y - faultRow*vg.Length(lb.row+1) }
	for _, lb := range labels {
		x0, _ := lb.extent(data, p)
		c.StrokeLine2(line(0.5, faultInk), x0, c.Min.Y, x0, bottom(lb)+faultRow-2)
	}
	for _, lb := range labels { // over the lines that would run through the text
		y := bottom(lb)
		c.SetColor(color.White)
		c.Fill(polygon(
			vg.Point{X: lb.x - 1, Y: y}, vg.Point{X: lb.x - 1, Y: y + faultRow},
			vg.Point{X: lb.x + faultStyle.Width(lb.text) + 1, Y: y + faultRow}, vg.Point{X: lb.x + faultStyle.Width(lb.text) + 1, Y: y},
		))
		c.FillText(faultStyle, vg.Point{X: lb.x, Y: y + 1.5}, lb.text)
	}
	if unnamed > 0 {
		c.FillText(faultStyle, vg.Point{X: data.Min.X, Y: c.Min.Y + 1.5}, "and "+count(unnamed, "more fault"))
	}
}
