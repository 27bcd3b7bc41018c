package scenarios_test

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
)

var twice = flag.Bool("twice", false, "make every run of a matrix twice, and not only those that stand for their row and column")

// TestMain lets the heap grow to five times what is in use, some hundred megabytes at most, before it is collected.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// repeat is how often a run of a matrix is made: twice if it stands for its row and its column, of which each has one
// that does. With -twice every one does, and with -short none: the tests that are about it, which are called
// …Reproduce, always make theirs twice.
func repeat(stands bool) int {
	if *twice || stands && !testing.Short() {
		return 2
	}
	return 1
}
