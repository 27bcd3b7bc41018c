package hop2

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
)

// loseFolder marks a store's folder as lost. It is emptied when nobody writes to it any more: when the store is
// served next. It reports whether there is anything in it.
func loseFolder(dir string, lost *atomic.Bool) bool {
	lost.Store(true)
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}

// emptyFolder empties a store's folder if it is lost, and tells whether it is.
func emptyFolder(dir string, lost *atomic.Bool) (bool, error) {
	if !lost.CompareAndSwap(true, false) || dir == "" {
		return false, nil
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return true, err
}
