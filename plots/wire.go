package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// WireBar is what the clients of one transport put on the wire and took from it.
type WireBar struct {
	Transport string
	// Messages is how many messages were delivered to them, at least 1.
	Messages int
	// Sent and Received are bytes of IP packets.
	Sent, Received uint64
}

// perMessage is how many bytes there were for each message delivered: those received, and all.
func (b WireBar) perMessage() (received, all float64) {
	n := float64(b.Messages)
	return float64(b.Received) / n, (float64(b.Received) + float64(b.Sent)) / n
}

// BytesPerMessage compares what a delivered message costs on the wire: all that the clients of a transport
// sent and received, by the messages that they got. A bar's dark part is what they received.
func BytesPerMessage(bars []WireBar) *Figure {
	const name = "Bytes on the wire per delivered message"
	if len(bars) == 0 {
		return failed(name, "Nothing to show: there are no transports.")
	}
	for _, b := range bars {
		if b.Messages < 1 {
			return failed(name, fmt.Sprintf("This cannot be drawn: %s has %d messages.", transportName(b.Transport), b.Messages))
		}
	}
	bars = slices.Clone(bars)
	slices.SortStableFunc(bars, func(a, b WireBar) int {
		_, x := a.perMessage()
		_, y := b.perMessage()
		return cmp.Compare(x, y)
	})
	return wireFigure(bars)
}

func wireFigure(bars []WireBar) *Figure {
	_, least := bars[0].perMessage()
	_, most := bars[len(bars)-1].perMessage()
	f := &Figure{
		title:    fmt.Sprintf("A delivered message costs %s bytes with %s", number(least, 1), transportName(bars[0].Transport)),
		subtitle: "IP packets at the clients, by messages delivered: all that was needed to get and keep connections is in it",
		plot:     newPlot(),
	}
	if last := bars[len(bars)-1]; len(bars) > 1 {
		f.title += fmt.Sprintf(", and %s with %s", number(most, 1), transportName(last.Transport))
	}
	p := f.plot
	p.X.Label.Text = "Bytes per delivered message"
	step := roundStep(max(most, 1) * 1.15 / 9)
	p.X.Min, p.X.Max = 0, max(most, 1)*1.15
	p.X.Tick.Marker = steps(step)
	p.Y.Min, p.Y.Max = -0.5, float64(len(bars))-0.5
	var names plot.ConstantTicks
	for i, b := range bars {
		names = append(names, plot.Tick{Value: float64(len(bars) - 1 - i), Label: fit(transportName(b.Transport), bodyStyle, 90)})
	}
	p.Y.Tick.Marker = names
	p.Y.Tick.Length = 0
	p.Add(verticalGrid{}, wireBars(bars))
	f.strips = []strip{shades{}, gap(4)}
	return f
}

// steps marks the multiples of a step.
type steps float64

func (s steps) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	for v := 0.0; v <= hi; v += float64(s) {
		ticks = append(ticks, plot.Tick{Value: v, Label: number(v, float64(s))})
	}
	return ticks
}

// verticalGrid is the grid of a figure whose y axis has names.
type verticalGrid struct{}

func (verticalGrid) Plot(c draw.Canvas, p *plot.Plot) {
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		x := c.X(p.X.Norm(t.Value))
		c.StrokeLine2(line(0.5, gridInk), x, c.Min.Y, x, c.Max.Y)
	}
}

// wireBars are the bars, the first on top.
type wireBars []WireBar

// sentAlpha fades the part of a bar that the clients sent.
const sentAlpha = 0x66

func (bars wireBars) Plot(c draw.Canvas, p *plot.Plot) {
	names := make([]string, len(bars))
	for i, b := range bars {
		names[i] = b.Transport
	}
	slices.Sort(names)
	ink := inks(names)
	for i, b := range bars {
		received, all := b.perMessage()
		at := float64(len(bars) - 1 - i)
		low, high := c.Y(p.Y.Norm(at-0.32)), c.Y(p.Y.Norm(at+0.32))
		bar := func(from, to float64) vg.Path {
			left, right := c.X(p.X.Norm(from)), c.X(p.X.Norm(to))
			return polygon(vg.Point{X: left, Y: low}, vg.Point{X: left, Y: high}, vg.Point{X: right, Y: high}, vg.Point{X: right, Y: low})
		}
		c.SetColor(ink[b.Transport])
		c.Fill(bar(0, received))
		c.SetColor(faded(ink[b.Transport], sentAlpha))
		c.Fill(bar(received, all))
		label := fmt.Sprintf("%s B", number(all, 1))
		x, y := c.X(p.X.Norm(all))+5, (low+high)/2-4
		c.SetColor(color.White)
		c.Fill(polygon(vg.Point{X: x, Y: y - 2}, vg.Point{X: x, Y: y + 9},
			vg.Point{X: x + bodyStyle.Width(label), Y: y + 9}, vg.Point{X: x + bodyStyle.Width(label), Y: y - 2}))
		c.FillText(bodyStyle, vg.Point{X: x, Y: y}, label)
	}
}

// shades is the legend of the bars' parts.
type shades struct{}

func (shades) height() vg.Length { return 18 }

func (shades) draw(c, _ draw.Canvas, _ *plot.Plot) {
	x, y := c.Min.X, c.Max.Y-11.5
	for _, part := range []struct {
		name  string
		alpha uint8
	}{{"received by the client", 0xff}, {"sent by the client", sentAlpha}} {
		c.SetColor(faded(ink, part.alpha))
		c.Fill(polygon(vg.Point{X: x, Y: y}, vg.Point{X: x, Y: y + 8}, vg.Point{X: x + 8, Y: y + 8}, vg.Point{X: x + 8, Y: y}))
		c.FillText(bodyStyle, vg.Point{X: x + 13, Y: y}, part.name)
		x += 13 + bodyStyle.Width(part.name) + 18
	}
}
