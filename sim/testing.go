package sim

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/twohop/twohop/model"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 1, "seed of the worlds that sim.Test makes")
	repeatFlag = flag.Int("sim.repeat", 1, "how often sim.Test makes each run, to compare the trace hashes")
	outFlag    = flag.String("sim.out", "", "folder for the trace, history and report of failing worlds")
)

// Test runs f in a world under go test: virtual time, on a simulated network. The test fails if f or
// a node fails, if a property that f asked for by [World.Check] does not hold, if goroutines are left
// behind, or if the run does not reproduce itself. A failure prints the line that replays it.
//
// The flags -sim.seed, -sim.repeat and -sim.out say which seed to run, how often, and where to keep
// what a failing run did.
func Test(t *testing.T, f func(w *World)) {
	t.Helper()
	res := Run(t, Config{Seed: *seedFlag, Repeat: *repeatFlag}, func(w *World) error {
		f(w)
		return nil
	})
	if res.Ok() {
		return
	}
	replay := fmt.Sprintf("go test %s -run '^%s$' -sim.seed=%d", callerPackage(), t.Name(), res.Seed)
	t.Error(res.Banner(res.keep(t, replay), replay))
}

// keep writes the files of a failed run, if -sim.out says where, and gives what its banner says of them.
func (r *Result) keep(t *testing.T, replay string) []string {
	t.Helper()
	if *outFlag == "" {
		return []string{"with -sim.out DIR: report.html, trace.jsonl, …"}
	}
	dir := filepath.Join(*outFlag, strings.ReplaceAll(t.Name(), "/", "_"))
	files, err := r.WriteFiles(dir)
	if err == nil {
		var more []string
		more, err = r.WriteReport(dir, Report{Title: fmt.Sprintf("%s · seed %d", t.Name(), r.Seed), Replay: replay, Files: files})
		files = append(more, files...)
	}
	if err != nil {
		t.Errorf("keeping the run's files: %v", err)
	}
	return files
}

// callerPackage is the import path of the package whose test has called Test.
func callerPackage() string {
	pc, _, _, ok := runtime.Caller(2)
	if !ok {
		return "."
	}
	name := runtime.FuncForPC(pc).Name() // as in example.com/mod/pkg_test.TestX
	slash := strings.LastIndexByte(name, '/')
	path, _, _ := strings.Cut(name[slash+1:], ".")
	return strings.TrimSuffix(name[:slash+1]+path, "_test")
}

// Ok reports whether the run went well and every property holds.
func (r *Result) Ok() bool {
	if r.Err != nil {
		return false
	}
	for _, v := range r.Verdicts {
		if !v.Ok() {
			return false
		}
	}
	return true
}

// WriteFiles writes trace.jsonl, history.jsonl and trail.jsonl into a folder, which it makes if need be, and
// returns their paths.
func (r *Result) WriteFiles(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	var files []string
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"trace.jsonl", r.Trace.WriteJSON},
		{"history.jsonl", func(w io.Writer) error { return WriteHistory(w, r.History) }},
		{"trail.jsonl", func(w io.Writer) error { return WriteHistory(w, &model.History{Events: r.Trail}) }},
	} {
		name := filepath.Join(dir, f.name)
		if err := writeFile(name, f.write); err != nil {
			return files, err
		}
		files = append(files, name)
	}
	return files, nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error says more
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.Close()
}
