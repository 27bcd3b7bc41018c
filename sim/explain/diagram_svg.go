package explain

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"
)

// The measures of a diagram, in pixels of 1/96 inch.
const (
	svgMargin   = 16.0
	svgTimes    = 150.0 // the columns of steps and times
	svgTexts    = 530.0 // the column of what happened
	svgRow      = 21.0
	svgBreak    = 17.0 // a row that says that time has passed
	svgLaneMin  = 58.0
	svgLaneMost = 120.0
	svgLanes    = 560.0 // the width that lanes share, if they need not be wider
	svgChar     = 6.4   // the mean width of a character of 11 pixels
	svgTextMost = 80    // characters of what happened, and of it in bold print
	svgBoldMost = 70
)

var tones = [...]struct{ ink, text string }{
	toneQuiet: {"#b4b4b4", "#8a8a8a"},
	tonePlain: {"#555555", "#444444"},
	toneLoud:  {"#0072b2", "#004f7c"},
	toneFault: {"#b03030", "#b03030"},
}

// layout is where things are.
type layout struct {
	d            *Diagram
	lane         float64 // between two lanes
	top          float64 // of the first row
	y            []float64
	width, texts float64
	bottom       float64
	tilted       bool // the names of the lanes are
}

func (d *Diagram) layout() *layout {
	l := &layout{d: d}
	l.lane = min(svgLaneMost, max(svgLaneMin, svgLanes/float64(max(len(d.Lanes), 1))))
	longest := 0
	for _, name := range d.Lanes {
		longest = max(longest, utf8.RuneCountInString(name))
	}
	l.tilted = float64(longest)*svgChar*1.1+8 > l.lane
	l.top = svgMargin + 68
	if l.tilted {
		l.top += min(float64(longest), 26) * svgChar * 0.5
	}
	y := l.top + svgRow/2
	for _, r := range d.rows {
		if r.before > 0 || r.left > 0 {
			y += svgBreak
		}
		l.y = append(l.y, y)
		y += svgRow
	}
	l.bottom = y - svgRow/2
	l.texts = svgMargin + svgTimes + l.lane*float64(len(d.Lanes)) + 14
	l.width = l.texts + svgTexts + svgMargin
	return l
}

func (l *layout) x(lane int) float64 { return svgMargin + svgTimes + l.lane*(float64(lane)+0.5) }

// WriteSVG writes the diagram as an SVG document, complete in itself.
func (d *Diagram) WriteSVG(w io.Writer) error {
	l := d.layout()
	const foot = 34
	height := l.bottom + foot + svgMargin
	s := &svg{}
	s.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="Liberation Sans,Arial,Helvetica,sans-serif" font-size="11">`+"\n",
		l.width, height, l.width, height)
	s.printf(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	s.text(svgMargin, svgMargin+12, `font-size="15" font-weight="bold" fill="#222222"`, d.Title, int((l.width-2*svgMargin)/9.8))
	s.text(svgMargin, svgMargin+30, `fill="#666666"`, "What led to it. Time runs down, a line an event, not to scale. Arrows are messages; a crossed one did not arrive.", 0)
	l.drawLanes(s)
	l.drawBands(s)
	l.drawRows(s)
	for _, t := range []tone{toneQuiet, tonePlain, toneFault, toneLoud} { // the loudest on top
		for _, a := range d.arrows {
			if a.tone == t {
				l.drawArrow(s, a)
			}
		}
	}
	l.drawLegend(s, l.bottom+foot-6)
	s.printf("</svg>\n")
	_, err := w.Write(s.b.Bytes())
	return err
}

// drawLanes draws a line for each host, with its name on top, and the heads of the columns.
func (l *layout) drawLanes(s *svg) {
	for i, name := range l.d.Lanes {
		x := l.x(i)
		s.line(x, l.top-6, x, l.bottom, `stroke="#cccccc"`)
		if l.tilted {
			s.text(x-2, l.top-12, fmt.Sprintf(`fill="#222222" font-weight="bold" transform="rotate(-30 %.1f %.1f)"`, x-2, l.top-12), name, 26)
		} else {
			s.text(x, l.top-14, `fill="#222222" font-weight="bold" text-anchor="middle"`, name, 26)
		}
	}
	s.text(svgMargin+48, l.top-14, `fill="#666666" text-anchor="end"`, "step", 0)
	s.text(svgMargin+svgTimes-22, l.top-14, `fill="#666666" text-anchor="end"`, "t (s)", 0)
	s.text(l.texts, l.top-14, `fill="#666666"`, "what happened", 0)
}

// drawBands shades faults.
func (l *layout) drawBands(s *svg) {
	for _, b := range l.d.bands {
		x, half := l.x(b.lane), min(l.lane*0.42, 34)
		y0, y1 := l.y[b.from]-svgRow/2+2, l.y[b.to]+svgRow/2-2
		s.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#b03030" fill-opacity="0.13" stroke="#b03030" stroke-opacity="0.5"/>`+"\n", x-half, y0, 2*half, y1-y0)
		most := int((y1 - y0 - 8) / svgChar)
		if most >= min(utf8.RuneCountInString(b.text), 14) {
			s.text(x-half+10, y0+5, fmt.Sprintf(`fill="#b03030" transform="rotate(90 %.1f %.1f)" dominant-baseline="auto"`, x-half+4, y0+5), b.text, most)
		}
	}
}

// drawRows writes when and what each row is, and marks where.
func (l *layout) drawRows(s *svg) {
	for i, r := range l.d.rows {
		y := l.y[i]
		if r.before > 0 || r.left > 0 {
			what := fmt.Sprintf("⋮ %s", roughly(r.before))
			if r.left > 0 {
				what = fmt.Sprintf("⋮ %d events left out", r.left)
			}
			s.text(svgMargin+svgTimes-22, y-svgRow/2-svgBreak/2+4, `fill="#999999" text-anchor="end" font-style="italic"`, what, 0)
		}
		t := tones[r.tone]
		weight, most := "", svgTextMost
		if r.broken || r.tone == toneLoud {
			weight, most = ` font-weight="bold"`, svgBoldMost
		}
		s.line(svgMargin+svgTimes-14, y, l.texts-6, y, `stroke="#eeeeee"`)
		s.text(svgMargin+48, y+4, `fill="#999999" text-anchor="end"`, fmt.Sprint(r.step), 0)
		s.text(svgMargin+svgTimes-22, y+4, `fill="#444444" text-anchor="end"`, fmt.Sprintf("%.6f", r.time.Seconds()), 0)
		s.text(l.texts, y+4, fmt.Sprintf(`fill="%s"%s`, t.text, weight), r.text, most)
		if r.broken {
			s.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="none" stroke="#b03030" stroke-width="1.5" rx="3"/>`+"\n",
				svgMargin, y-svgRow/2+1, l.width-2*svgMargin, svgRow-2)
		}
		if r.lane < 0 {
			continue
		}
		x := l.x(r.lane)
		if r.cross {
			l.cross(s, x, y, 5, t.ink)
			continue
		}
		s.printf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, t.ink)
	}
}

func (*layout) cross(s *svg, x, y, r float64, ink string) {
	s.line(x-r, y-r, x+r, y+r, fmt.Sprintf(`stroke="%s" stroke-width="2"`, ink))
	s.line(x-r, y+r, x+r, y-r, fmt.Sprintf(`stroke="%s" stroke-width="2"`, ink))
}

// drawArrow draws a message. A lost one ends on half its way.
func (l *layout) drawArrow(s *svg, a arrow) {
	x0, y0, x1, y1 := l.x(a.fromLane), l.y[a.fromRow], l.x(a.toLane), l.y[a.toRow]
	if a.lost {
		x1, y1 = x0+(x1-x0)*0.6, y0+svgRow*0.7
	}
	t := tones[a.tone]
	style := fmt.Sprintf(`stroke="%s"`, t.ink)
	if a.tone == toneLoud {
		style += ` stroke-width="2"`
	}
	if a.dashed {
		style += ` stroke-dasharray="4 3"`
	}
	length := math.Hypot(x1-x0, y1-y0)
	ux, uy := (x1-x0)/length, (y1-y0)/length
	tipX, tipY := x1-ux*3.5, y1-uy*3.5
	s.line(x0, y0, tipX-ux*6, tipY-uy*6, style)
	s.printf(`<path d="M%.1f %.1fL%.1f %.1fL%.1f %.1fZ" fill="%s"/>`+"\n",
		tipX, tipY, tipX-ux*8-uy*3.2, tipY-uy*8+ux*3.2, tipX-ux*8+uy*3.2, tipY-uy*8-ux*3.2, t.ink)
	if a.lost {
		l.cross(s, x0+(x1-x0)*0.55, y0+(y1-y0)*0.55, 6, tones[toneFault].ink)
	}
}

// drawLegend says what the looks mean.
func (l *layout) drawLegend(s *svg, y float64) {
	x := svgMargin
	for _, e := range []struct {
		ink, dash, text string
	}{
		{tones[toneLoud].ink, "", "the message it is about"},
		{tones[toneQuiet].ink, "", "other messages, and answers"},
		{tones[tonePlain].ink, "4 3", "connected, or told of a gap"},
		{tones[tonePlain].ink, "", "what overtook it, or packets"},
		{tones[toneFault].ink, "", "faults, lost packets and the violation"},
	} {
		s.line(x, y-4, x+22, y-4, fmt.Sprintf(`stroke="%s" stroke-width="2" stroke-dasharray="%s"`, e.ink, e.dash))
		s.text(x+28, y, `fill="#666666"`, e.text, 0)
		x += 28 + float64(utf8.RuneCountInString(e.text))*svgChar + 20
	}
}

// roughly writes a duration with three digits.
func roughly(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// svg is a document that is being written.
type svg struct{ b bytes.Buffer }

func (s *svg) printf(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }

func (s *svg) line(x0, y0, x1, y1 float64, style string) {
	s.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x0, y0, x1, y1, style)
}

// text writes a text of at most so many characters, 0 for any. A text that was cut has the whole as its title.
func (s *svg) text(x, y float64, style, text string, most int) {
	cut := text
	if n := utf8.RuneCountInString(text); most > 0 && n > most {
		cut = string([]rune(text)[:max(most-1, 1)]) + "…"
	}
	s.printf(`<text x="%.1f" y="%.1f" %s>`, x, y, style)
	s.escape(cut)
	if cut != text {
		s.printf("<title>")
		s.escape(text)
		s.printf("</title>")
	}
	s.printf("</text>\n")
}

func (s *svg) escape(text string) {
	_ = xml.EscapeText(&s.b, []byte(text)) // a bytes.Buffer takes everything
}
