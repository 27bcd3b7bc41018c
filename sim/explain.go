package sim

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/explain"
)

// Explain gives what package explain needs to say why the run failed.
func (r *Result) Explain() *explain.Run {
	return &explain.Run{
		History: r.History, Trail: r.Trail, Verdicts: r.Verdicts, Steps: r.Trace.Steps(),
		Step: func(n uint64) (explain.Step, bool) {
			s, ok := r.Trace.At(n)
			return explain.Step(s), ok
		},
	}
}

// Report is what a report says of a run besides what the run knows of itself.
type Report struct {
	// Title says what was run, and Replay is the line that makes the run again.
	Title, Replay string
	// Figures are shown, and Files linked. Those that WriteReport writes come by themselves.
	Figures []explain.Figure
	Files   []string
}

// visualizer is a property that can draw a history, as a page of HTML that is complete in itself.
type visualizer interface {
	Visualize(h *model.History, v model.Verdict, w io.Writer) error
}

// WriteReport writes report.html into a folder, which it makes if need be. If a property is violated, it also
// writes spacetime.svg, the space-time diagram of what led to that, and the pages of those properties that can
// draw what violates them, such as linearizable.html. It returns the files' paths, that of the report first.
func (r *Result) WriteReport(dir string, rep Report) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	files := []string{filepath.Join(dir, "report.html")}
	write := func(name string, f func(io.Writer) error) error {
		name = filepath.Join(dir, name)
		files = append(files, name)
		return writeFile(name, f)
	}
	c := r.Explain().Case()
	if c != nil {
		if err := write("spacetime.svg", c.Diagram().WriteSVG); err != nil {
			return nil, err
		}
	}
	for i, p := range r.properties {
		v, ok := p.(visualizer)
		if !ok || r.Verdicts[i].Outcome != model.Illegal {
			continue
		}
		err := write(strings.ToLower(p.Name())+".html", func(w io.Writer) error { return v.Visualize(r.History, r.Verdicts[i], w) })
		if err != nil {
			return nil, err
		}
	}
	page := explain.Page{Title: rep.Title, Verdicts: r.Verdicts, Case: c, Figures: rep.Figures, Replay: rep.Replay}
	if r.Err != nil {
		page.Err = r.Err.Error()
	}
	if !r.Ok() {
		var steps []Step
		steps, page.Whose = r.lastSteps(c)
		for _, s := range steps {
			page.Last = append(page.Last, s.String())
		}
	}
	for _, f := range r.befell() {
		page.Faults = append(page.Faults, explain.Fault{Text: f.String(), Bites: f.Bites})
	}
	for _, name := range append(rep.Files, files[1:]...) {
		if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
			page.Files = append(page.Files, filepath.ToSlash(rel))
		}
	}
	if err := writeFile(files[0], page.Write); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return files, nil
}
