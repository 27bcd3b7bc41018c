package scenarios

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/explain"
)

// Title says what was run, such as "chat · seed 7 · mutant no-resume".
func (r *Report) Title() string {
	title := fmt.Sprintf("%s · seed %d", r.Scenario, r.Seed)
	if r.Mutant != "" {
		title += " · mutant " + r.Mutant
	}
	if r.Partial {
		title += " · PARTIAL: interrupted"
	}
	return title
}

// Write writes what there is to see of the run into a folder: trace, history and trail, the figures, and a report
// with them, which explains a violation; those of the parts go into folders of their names. replay is the line that
// makes the run again, and files are others to be linked. It returns the files' paths, that of the report
// first.
func (r *Report) Write(dir, replay string, files ...string) ([]string, error) {
	written, err := r.result.WriteFiles(dir)
	if err != nil {
		return nil, err
	}
	own := r.Figures()
	drawn, err := plots.WriteAll(dir, r.result.History, own...)
	if err != nil {
		return nil, err
	}
	page := sim.Report{Title: r.Title(), Replay: replay, Files: append(files, written...)}
	for _, f := range append(plots.All(r.result.History), own...) {
		if f.Figure.Problem() != "" {
			continue
		}
		var svg bytes.Buffer
		if err := f.Figure.WriteSVG(&svg); err != nil {
			return nil, err
		}
		page.Figures = append(page.Figures, explain.Figure{Name: f.Figure.Title(), SVG: svg.Bytes()})
	}
	all, err := r.result.WriteReport(dir, page)
	if err != nil {
		return nil, err
	}
	all = append(append(all, written...), drawn...)
	for _, p := range r.Parts {
		ofPart, err := p.Write(filepath.Join(dir, p.Scenario), replay)
		if err != nil {
			return nil, err
		}
		all = append(all, ofPart...)
	}
	return all, nil
}
