package plots

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"
	"time"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The size of every figure, in points of 1/72 inch: the text width of a page, at 10:6.4.
const (
	width  = vg.Length(540)
	height = vg.Length(346)
	margin = vg.Length(14)
)

// pngDPI makes the PNG twice as fine as a screen of 96 dots per inch.
const pngDPI = 192

// Ink, from what speaks to what only helps.
var (
	ink      = color.NRGBA{0x22, 0x22, 0x22, 0xff}
	softInk  = color.NRGBA{0x66, 0x66, 0x66, 0xff}
	gridInk  = color.NRGBA{0xe4, 0xe4, 0xe4, 0xff}
	faultInk = color.NRGBA{0xb0, 0x30, 0x30, 0xff}
	bandInk  = color.NRGBA{0xb0, 0x30, 0x30, 0x1c}
)

// The palette of Okabe and Ito ("Color Universal Design", 2008), which people with any kind of colour
// vision can tell apart, with a grey in place of its yellow, which is too faint on white. A transport has the same
// colour in every figure; names that are not ours share those that no transport of the figure has.
var (
	transportInk = map[string]color.NRGBA{
		"poll":     {0xe6, 0x9f, 0x00, 0xff},
		"longpoll": {0xd5, 0x5e, 0x00, 0xff},
		"sse":      {0x00, 0x72, 0xb2, 0xff},
		"ws":       {0x00, 0x9e, 0x73, 0xff},
		"webrtc":   {0xcc, 0x79, 0xa7, 0xff},
	}
	otherInks = []color.NRGBA{
		{0x56, 0xb4, 0xe9, 0xff}, {0x22, 0x22, 0x22, 0xff}, {0x99, 0x99, 0x99, 0xff},
		transportInk["longpoll"], transportInk["ws"], transportInk["poll"], transportInk["sse"], transportInk["webrtc"],
	}
)

// inks gives each transport its colour. The names must be sorted. Up to eight have colours of their own.
func inks(transports []string) map[string]color.NRGBA {
	m := map[string]color.NRGBA{}
	free := slices.Clone(otherInks)
	for _, t := range transports {
		if c, known := transportInk[t]; known {
			m[t] = c
			free = slices.DeleteFunc(free, func(other color.NRGBA) bool { return other == c })
		}
	}
	others := 0
	for _, t := range transports {
		if _, known := m[t]; !known {
			m[t] = free[others%len(free)]
			others++
		}
	}
	return m
}

func faded(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

// textStyle is sans-serif text, from its left on the baseline.
func textStyle(size vg.Length, c color.Color) text.Style {
	return text.Style{
		Color:   c,
		Font:    font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		XAlign:  draw.XLeft,
		YAlign:  draw.YBottom,
		Handler: plot.DefaultTextHandler,
	}
}

var (
	titleStyle    = bold(textStyle(13, ink))
	subtitleStyle = textStyle(9.5, softInk)
	bodyStyle     = textStyle(9, ink)
	softStyle     = textStyle(9, softInk)
	faultStyle    = textStyle(8.5, faultInk)
)

func bold(s text.Style) text.Style {
	s.Font.Weight = xfont.WeightBold
	return s
}

// line is a stroke of that width in points.
func line(width vg.Length, c color.Color) draw.LineStyle {
	return draw.LineStyle{Width: width, Color: c}
}

// newPlot is an empty plot in the style of the house. Its titles are the figure's.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding = 0
		a.LineStyle = line(0.6, softInk)
		a.Label.Padding = 5
		xa, ya := a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign
		a.Label.TextStyle = textStyle(10, ink)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = xa, ya
		xa, ya = a.Tick.Label.XAlign, a.Tick.Label.YAlign
		a.Tick.Label = textStyle(9, ink)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = xa, ya
		a.Tick.LineStyle = line(0.6, softInk)
		a.Tick.Length = 4
	}
	return p
}

// grid draws a faint line for each labelled tick.
type grid struct{}

func (grid) Plot(c draw.Canvas, p *plot.Plot) {
	s := line(0.5, gridInk)
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if x := c.X(p.X.Norm(t.Value)); !t.IsMinor() && c.ContainsX(x) {
			c.StrokeLine2(s, x, c.Min.Y, x, c.Max.Y)
		}
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if y := c.Y(p.Y.Norm(t.Value)); !t.IsMinor() && c.ContainsY(y) {
			c.StrokeLine2(s, c.Min.X, y, c.Max.X, y)
		}
	}
}

// count writes a number with its thousands apart, such as 12,345, and the noun that it counts.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Thousands(n) + " " + noun
}

// Thousands writes a number, 0 or more, with its thousands apart, as figures do: 12,345.
func Thousands(n int) string {
	digits := fmt.Sprint(n)
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return strings.Join(groups, ",")
}

// short writes a duration in one unit, with three significant digits: 470 µs, 62.5 ms, 3.01 s.
func short(d time.Duration) string {
	units := []struct {
		unit time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}}
	for _, u := range units {
		// 999.5 and up would round to four digits of the smaller unit.
		if v := float64(d) / float64(u.unit); v >= 0.9995 {
			digits := max(0, 2-int(math.Floor(math.Log10(v)+1e-3)))
			return fmt.Sprintf("%.*f %s", digits, v, u.name)
		}
	}
	return fmt.Sprintf("%d ns", d.Nanoseconds())
}

// fit shortens a text until it is no wider than that.
func fit(s string, style text.Style, width vg.Length) string {
	if style.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && style.Width(string(runes)+"…") > width {
		runes = runes[:len(runes)-1]
	}
	if len(runes) == 0 {
		return ""
	}
	return string(runes) + "…"
}
