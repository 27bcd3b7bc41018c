package sim

import (
	"flag"
	"fmt"
	"testing"

	"github.com/twohop/twohop/netsim"
)

// Search says what [Explore] runs. Its zero value is 100 seeds from 1, without faults.
type Search struct {
	// Seeds is how many seeds to run, from First on. 0 means 100, and First 0 means 1.
	Seeds int
	First uint64
	// Hazards are what may befall each run, as hard as Intensity says and within Window; see [DrawFaults].
	Hazards   []Hazard
	Intensity Intensity
	Window    Window
}

// Explore runs f in many worlds, each with a seed and faults of its own, and fails the test at the first that
// fails, with the smallest schedule of faults that it takes and the line that replays it. The line takes
// the flags of [Test], of which -sim.seed says to run that seed only.
func Explore(t *testing.T, s Search, f func(w *World)) {
	t.Helper()
	seeds, first := s.Seeds, s.First
	if seeds == 0 {
		seeds = 100
	}
	if first == 0 {
		first = 1
	}
	if seedGiven() {
		seeds, first = 1, *seedFlag
	}
	run := func(seed uint64, faults Schedule) *Result {
		return Run(t, Config{Seed: seed, Faults: faults, Repeat: *repeatFlag}, func(w *World) error {
			f(w)
			return nil
		})
	}
	for i := range uint64(seeds) {
		seed := first + i
		faults := DrawFaults(netsim.NewRand(seed, "faults"), s.Hazards, s.Intensity, s.Window)
		res := run(seed, faults)
		if res.Ok() {
			continue
		}
		least := faults.Shrink(func(fewer Schedule) bool { return run(seed, fewer).failsLike(res) })
		if r := run(seed, least); r.failsLike(res) {
			res = r
		}
		replay := fmt.Sprintf("go test %s -run '^%s$' -sim.seed=%d", callerPackage(), t.Name(), seed)
		t.Errorf("seed %d fails; the faults it takes: %s\n%s", seed, orNone(least), res.Banner(res.keep(t, replay), replay))
		return
	}
}

// seedGiven reports whether the command line says which seed to run.
func seedGiven() (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "sim.seed" })
	return given
}

func orNone(s Schedule) string {
	if len(s) == 0 {
		return "none"
	}
	return s.String()
}

// failsLike reports whether a run fails as another does: by a property that the other violates too, or, if it
// violates none, by an error.
func (r *Result) failsLike(other *Result) bool {
	violated := false
	for _, v := range other.Verdicts {
		if v.Ok() {
			continue
		}
		violated = true
		for _, w := range r.Verdicts {
			if w.Property == v.Property && w.Outcome == v.Outcome {
				return true
			}
		}
	}
	return !violated && (r.Err != nil) == (other.Err != nil) && !r.Ok()
}
