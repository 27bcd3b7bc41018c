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

// WriteAll draws every figure of a history into a folder, as PNG and SVG, and returns the files' paths.
func WriteAll(dir string, h *model.History) ([]string, error) {
	var files []string
	for _, f := range histories {
		if err := Save(dir, f.name, f.draw(h)); err != nil {
			return files, err
		}
		files = append(files, filepath.Join(dir, f.name+".png"), filepath.Join(dir, f.name+".svg"))
	}
	return files, nil
}
