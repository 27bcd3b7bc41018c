package plots

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a picture ready to be drawn. A figure that has nothing to show says so in its place.
type Figure struct {
	title, subtitle string
	strips          []strip // between the subtitle and the plot, from top to bottom
	plot            *plot.Plot
	beside          []*plot.Plot // further plots to the right, with data as wide and as high as its own
	inset           vg.Length    // how far the plot keeps from the left, for what strips write there
	problem         string       // why there is no plot; then plot is nil
}

// strip is a row above the plot. It may use the plot's x axis.
type strip interface {
	height() vg.Length
	// draw gets its own area, as wide as the figure, and the area that the plot's data is drawn in.
	draw(c, data draw.Canvas, p *plot.Plot)
}

// failed is a figure that could not be made.
func failed(title, problem string) *Figure { return &Figure{title: title, problem: problem} }

// Title is the headline, which says what there is to see.
func (f *Figure) Title() string { return f.title }

// Problem says why there is nothing to see; "" if there is.
func (f *Figure) Problem() string { return f.problem }

// WritePNG writes the figure as a PNG of 1,440 by 922 pixels.
func (f *Figure) WritePNG(w io.Writer) error {
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(pngDPI), vgimg.UseBackgroundColor(color.White))
	f.draw(draw.New(c))
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(w); err != nil {
		return fmt.Errorf("figure %q: png: %w", f.title, err)
	}
	return nil
}

// WriteSVG writes the figure as an SVG document of 540 by 346 points.
func (f *Figure) WriteSVG(w io.Writer) error {
	c := vgsvg.New(width, height)
	f.draw(draw.New(c))
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	if err == nil {
		// A viewer without the font should take one that is as wide, and not its own default.
		_, err = w.Write(bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
			[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	}
	if err != nil {
		return fmt.Errorf("figure %q: svg: %w", f.title, err)
	}
	return nil
}

// Save writes a figure to name.png and name.svg in the folder dir, which must exist. The name is a
// file's name without a folder or ending. Files that are there are replaced.
func Save(dir, name string, f *Figure) error {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("save figure: name %.80q is not the name of a file", name)
	}
	for ending, write := range map[string]func(io.Writer) error{".png": f.WritePNG, ".svg": f.WriteSVG} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+ending), b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("save figure: %w", err)
		}
	}
	return nil
}

func (f *Figure) draw(c draw.Canvas) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, margin, -margin, margin, -margin)

	text := func(s string, size vg.Length, print func(vg.Point)) {
		if s != "" {
			c.Max.Y -= size
			print(vg.Point{X: c.Min.X, Y: c.Max.Y})
		}
	}
	text(f.title, 13, func(at vg.Point) { c.FillText(titleStyle, at, fit(f.title, titleStyle, c.Size().X)) })
	text(f.subtitle, 15, func(at vg.Point) { c.FillText(subtitleStyle, at, fit(f.subtitle, subtitleStyle, c.Size().X)) })
	c.Max.Y -= 8

	if f.plot == nil {
		f.drawProblem(c)
		return
	}
	area := draw.Crop(c, f.inset, 0, 0, 0)
	for _, s := range f.strips {
		area.Max.Y -= s.height()
	}
	areas := f.columns(area)
	data := f.plot.DataCanvas(areas[0])
	for _, s := range f.strips {
		own := c
		own.Min.Y = c.Max.Y - s.height()
		s.draw(own, data, f.plot)
		c.Max.Y = own.Min.Y
	}
	for i, p := range append([]*plot.Plot{f.plot}, f.beside...) {
		p.Draw(areas[i])
	}
}

// columnGap is how far plots that stand beside each other keep apart.
const columnGap = vg.Length(18)

// columns shares the width among the plots, so that the data of all have the same.
func (f *Figure) columns(area draw.Canvas) []draw.Canvas {
	plots := append([]*plot.Plot{f.plot}, f.beside...)
	frames := make([]vg.Length, len(plots)) // what axes take besides the data
	free := area.Size().X - columnGap*vg.Length(len(plots)-1)
	for i, p := range plots {
		frames[i] = area.Size().X - p.DataCanvas(area).Size().X
		free -= frames[i]
	}
	areas := make([]draw.Canvas, len(plots))
	left := area.Min.X
	for i := range plots {
		areas[i] = area
		areas[i].Min.X = left
		areas[i].Max.X = left + frames[i] + free/vg.Length(len(plots))
		left = areas[i].Max.X + columnGap
	}
	return areas
}

// drawProblem frames the place of the plot, and says in it why it is empty.
func (f *Figure) drawProblem(c draw.Canvas) {
	c.StrokeLines(line(0.6, gridInk), []vg.Point{
		c.Min, {X: c.Min.X, Y: c.Max.Y}, c.Max, {X: c.Max.X, Y: c.Min.Y}, c.Min,
	})
	style := textStyle(11, softInk)
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	c.FillText(style, c.Center(), fit(f.problem, style, c.Size().X-2*margin))
}
