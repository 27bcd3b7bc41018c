package plots

import (
	"path/filepath"

	"github.com/twohop/twohop/model"
)

// histories are the figures that every run's history has, in the order in which they are written.
var histories = []struct {
	name string
	draw func(*model.History) *Figure
}{
	{"timeline", Timeline},
	{"delivery-cdf", DeliveryCDF},
}

// Named is a figure with the name of its files, as [Save] takes it.
type Named struct {
	Name   string
	Figure *Figure
}

// All draws every figure that a history has.
func All(h *model.History) []Named {
	var figures []Named
	for _, f := range histories {
		figures = append(figures, Named{f.name, f.draw(h)})
	}
	return figures
}

// WriteAll draws every figure that a history has into a folder, and those that are given besides, as PNG
// and SVG. It returns the files' paths.
func WriteAll(dir string, h *model.History, more ...Named) ([]string, error) {
	var files []string
	for _, f := range append(All(h), more...) {
		if err := Save(dir, f.Name, f.Figure); err != nil {
			return files, err
		}
		files = append(files, filepath.Join(dir, f.Name+".png"), filepath.Join(dir, f.Name+".svg"))
	}
	return files, nil
}
