package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
)

// exploreOptions is the command line of explore.
type exploreOptions struct {
	runOptions
	seedsOptions
	time time.Duration
	all  bool
}

func exploreCommand() *cobra.Command {
	var o exploreOptions
	cmd := &cobra.Command{
		Use:   "explore NAME",
		Short: "Run many seeds of a scenario, each with faults of its own, in search of a failure",
		Long: "explore runs a scenario with one seed after the other, in worker processes. A scenario whose faults can be chosen\n" +
			"has heavy ones unless --faults says otherwise, drawn for each seed from what it promises to survive. The first\n" +
			"failure is kept as a capsule, which \"twohop shrink\" reduces and \"twohop replay\" makes again.\n\n" + exitStatuses,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.explore(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	o.scenarioFlags(f)
	f.Uint64Var(&o.seed, "seed", 1, "the first seed")
	o.seedsFlags(f, 100, "how many `N` seeds to run")
	f.DurationVar(&o.time, "time", 0, "begin no run after so much wall time; 0 means no limit")
	f.BoolVar(&o.all, "all", false, "run all seeds and count the failures, rather than stop at the first")
	f.StringVar(&o.out, "out", ".", "write the first failure's capsule, and a folder with the report on it, into `DIR`")
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print only failures")
	return cmd
}

// validate checks what belongs to explore alone.
func (o *exploreOptions) validate() error {
	if o.time < 0 {
		return fmt.Errorf("--time: %v is not allowed: want 0, for no limit, or more", o.time)
	}
	return o.seedsOptions.validate()
}

// failure is a run that was not Ok.
type failure struct {
	Seed uint64 `json:"seed"`
	// What is the property that it violates, or "crashed", "flaky" or "unknown".
	What   string `json:"what"`
	Detail string `json:"detail"`
	// Command is the command line that makes the run, without the program's name.
	Command string `json:"command,omitempty"`

	capsule *scenarios.Capsule
	banner  string
	hash    string // of the run's trace
}

// exploration is what came of explore.
type exploration struct {
	Scenario string    `json:"scenario"`
	Faults   string    `json:"faults,omitempty"`
	First    uint64    `json:"first_seed"`
	Runs     int       `json:"runs"`
	Ok       int       `json:"ok"`
	Failures []failure `json:"failures"`
	Workers  int       `json:"workers"`
	VirtualS float64   `json:"virtual_s"`
	WallS    float64   `json:"wall_s"`
	Partial  bool      `json:"partial,omitempty"`
	// Capsule is the file with the first failure.
	Capsule string `json:"capsule,omitempty"`
}

func (o *exploreOptions) explore(stdout, stderr io.Writer) error {
	if err := o.validate(); err != nil {
		return err
	}
	s, err := o.scenario()
	if err != nil {
		return err
	}
	if _, faulty := s.(scenarios.Faulty); faulty && o.faults == "" {
		o.faults = "heavy"
	}
	if _, err := scenarios.FindProperties(o.check); err != nil {
		return fmt.Errorf("--check: %w", err)
	}
	added, err := o.addedFaults()
	if err != nil {
		return err
	}
	if err := checkWritable(o.out); err != nil {
		return err
	}
	warnOfLate(stderr, s, added)
	interrupt, stop := interruptions(stderr)
	defer stop()
	e, err := o.search(interrupt, newBar(stderr, o.seeds, o.name, o.quiet || o.json))
	if err != nil {
		return err
	}
	for i := range e.Failures {
		if f := &e.Failures[i]; f.What != "crashed" {
			if err := o.confirm(f); err != nil {
				return err
			}
			break
		}
	}
	return o.conclude(e, stdout, stderr)
}

// search runs the seeds on the workers. What it finds is in order of seed.
func (o *exploreOptions) search(interrupt <-chan struct{}, bar *bar) (*exploration, error) {
	e := &exploration{Scenario: o.name, Faults: o.faults, First: o.seed, Workers: o.workers, Failures: []failure{}}
	began := time.Now()
	var mu sync.Mutex // guards what follows, and e
	next, enough := uint64(0), false
	var broken error
	take := func() (seed uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		select {
		case <-interrupt:
			e.Partial = true
		default:
			e.Partial = e.Partial || o.time > 0 && time.Since(began) >= o.time && next < uint64(o.seeds)
		}
		if enough || e.Partial || broken != nil || next == uint64(o.seeds) {
			return 0, false
		}
		next++
		return o.seed + next - 1, true
	}
	var all sync.WaitGroup
	for range o.workers {
		all.Go(func() {
			w := &worker{limit: o.limit}
			defer w.stop()
			for seed, ok := take(); ok; seed, ok = take() {
				capsule, out, err := o.runSeed(w, seed)
				mu.Lock()
				if err != nil {
					broken = err
				} else if !e.count(capsule, out) && !o.all {
					enough = true
				}
				bar.done()
				mu.Unlock()
			}
		})
	}
	all.Wait()
	bar.finish()
	e.WallS = time.Since(began).Seconds()
	slices.SortFunc(e.Failures, func(a, b failure) int { return cmp.Compare(a.Seed, b.Seed) })
	return e, broken
}

func (o *exploreOptions) runSeed(w *worker, seed uint64) (*scenarios.Capsule, *outcome, error) {
	one := o.runOptions
	one.seed = seed
	s, err := one.scenario() // with faults of the seed's own
	if err != nil {
		return nil, nil, err
	}
	added, err := one.addedFaults()
	if err != nil {
		return nil, nil, err
	}
	capsule, err := scenarios.NewCapsule(s, o.mutant, seed, added)
	if err != nil {
		return nil, nil, err
	}
	capsule.Check = o.check
	out, err := w.run(job{Capsule: capsule})
	if err == nil && out.Refused != "" {
		err = fmt.Errorf("seed %d: %s", seed, out.Refused)
	}
	return capsule, out, err
}

// count takes note of a run, and reports whether it was Ok.
func (e *exploration) count(capsule *scenarios.Capsule, out *outcome) bool {
	e.Runs++
	if out.Report != nil {
		e.VirtualS += out.Report.VirtualS
		capsule.Judge(out.Report)
	}
	f := failure{Seed: capsule.Seed, What: capsule.Property, Detail: capsule.Detail, Command: capsule.Command(), capsule: capsule}
	if out.Report != nil {
		f.hash = out.Report.TraceHash
	}
	switch {
	case out.Result == model.Ok:
		e.Ok++
		return true
	case out.Lost != "":
		f.What, f.Detail = "crashed", out.Lost
	case f.What == "":
		f.What, f.Detail = "unknown", unknownBecause(out.Report)
	}
	e.Failures = append(e.Failures, f)
	return false
}

// flakyRuns is how often a failure that did not recur is made again, in search of the step that differs.
const flakyRuns = 30

// confirm makes a failed run again, with its steps. If it does not fail in the same way, it is flaky, and it is
// made some times more to find the first step that differs.
func (o *exploreOptions) confirm(f *failure) error {
	w := &worker{limit: o.limit}
	defer w.stop()
	out, err := w.run(job{Capsule: f.capsule, Keep: true, Dir: o.base(f), Replay: "go run ./cmd/twohop " + f.capsule.Command()})
	if err != nil {
		return err
	}
	f.banner = out.Banner
	if f.capsule.Property == "" || out.illegal(f.capsule.Property) {
		return nil
	}
	w.limit *= flakyRuns
	again, err := w.run(job{Capsule: f.capsule, Keep: true, Repeat: flakyRuns})
	if err != nil {
		return err
	}
	f.What = "flaky"
	f.Detail = fmt.Sprintf("it violated %s once (%s), and not when it was run again; %s",
		f.capsule.Property, f.capsule.Detail, f.differs(again))
	f.capsule.Property, f.capsule.Detail = "", ""
	return nil
}

// differs says where further runs of a flaky failure differ.
func (f *failure) differs(again *outcome) string {
	switch {
	case again.Lost != "":
		return again.Lost
	case again.Diverged:
		return again.Report.Error
	case again.Report.TraceHash != f.hash:
		return fmt.Sprintf("%d further runs were all the same, with trace hash %s, which in the first was %s: look for what depends on what the process had done before",
			again.Report.Runs, again.Report.TraceHash, f.hash)
	}
	return fmt.Sprintf("%d further runs had the same trace hash, %s, as the first: look for what is judged, and is not in the trace",
		again.Report.Runs, f.hash)
}

// base is the path that the files of a failure begin with: its capsule's, and the folder of the rest.
func (o *exploreOptions) base(f *failure) string {
	return filepath.Join(o.out, fmt.Sprintf("%s-%d", o.name, f.Seed))
}

// conclude writes and prints what came of it.
func (o *exploreOptions) conclude(e *exploration, stdout, stderr io.Writer) error {
	if len(e.Failures) > 0 {
		f := &e.Failures[0]
		e.Capsule = o.base(f) + ".capsule.json"
		if err := writeCapsule(e.Capsule, f.capsule); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	var err error
	switch {
	case o.json:
		err = writeJSON(stdout, e)
	case !o.quiet || len(e.Failures) > 0:
		err = e.print(stdout)
	}
	if err != nil {
		return err
	}
	for _, f := range e.Failures {
		if f.banner != "" {
			fmt.Fprintf(stderr, "%s\n", f.banner)
		}
	}
	return exitFor(e.outcome())
}

// outcome is Illegal if a property was violated, Unknown if something else went wrong or nothing was run.
func (e *exploration) outcome() model.Outcome {
	worst := model.Ok
	if e.Runs == 0 {
		worst = model.Unknown
	}
	for _, f := range e.Failures {
		if f.capsule.Property != "" {
			return model.Illegal
		}
		worst = model.Unknown
	}
	return worst
}

func (e *exploration) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	title := fmt.Sprintf("%s · %d seeds from %d", e.Scenario, e.Runs, e.First)
	if e.Faults != "" {
		title += " · faults " + e.Faults
	}
	if e.Partial {
		title += " · PARTIAL"
	}
	fmt.Fprintf(w, "%s\n\nOk\t%d\n", title, e.Ok)
	kinds := map[string][]string{}
	var order []string
	for _, f := range e.Failures {
		if kinds[f.What] == nil {
			order = append(order, f.What)
		}
		kinds[f.What] = append(kinds[f.What], fmt.Sprint(f.Seed))
	}
	const most = 10
	for _, kind := range order {
		seeds := kinds[kind]
		list := strings.Join(seeds[:min(len(seeds), most)], ", ")
		if len(seeds) > most {
			list += ", …"
		}
		fmt.Fprintf(w, "%s\t%d\tseeds %s\n", kind, len(seeds), list)
	}
	fmt.Fprintf(w, "time\t%.0f s virtual in %.2f s wall: %.0f times real time, in %d processes\n",
		e.VirtualS, e.WallS, e.VirtualS/max(e.WallS, 1e-9), e.Workers)
	if err := w.Flush(); err != nil || len(e.Failures) == 0 {
		return err
	}
	f := &e.Failures[0]
	_, err := fmt.Fprintf(out, "\nseed %d: %s: %s\ncapsule: %s\nto reduce it: go run ./cmd/twohop shrink %s\n",
		f.Seed, f.What, f.Detail, e.Capsule, scenarios.ShellQuote(e.Capsule))
	return err
}

func writeCapsule(name string, c *scenarios.Capsule) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(c.Write(file), file.Close())
}
