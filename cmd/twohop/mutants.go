package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/scenarios"
)

// mutantsOptions is the command line of mutants.
type mutantsOptions struct {
	seedsOptions
	only   []string
	seed   uint64
	shrink time.Duration
	out    string
	json   bool
	quiet  bool
}

func mutantsCommand() *cobra.Command {
	var o mutantsOptions
	cmd := &cobra.Command{
		Use:   "mutants",
		Short: "Check the checks: run every deliberate bug until the property that must catch it does",
		Long: "mutants runs each bug of the catalogue, seed after seed, until the property that must catch it does,\n" +
			"reduces the run to what that takes, and then runs the same settings without any bug, in which every\n" +
			"property must hold for all the seeds.\n\n" +
			"All of it takes about an hour on two processors: some ten minutes to catch the bugs and reduce their\n" +
			"runs, the rest for a thousand seeds without any. Ctrl-C ends it, and prints what there is by then.\n" +
			"\"twohop list NAME\" lists a scenario's bugs.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.only, "only", nil, "run only the mutant `NAME`, as scenario/mutant or without the scenario; may be repeated")
	f.Uint64Var(&o.seed, "seed", 1, "the first seed")
	o.seedsFlags(f, 1000, "within how many `N` seeds a mutant must be caught, and how many the settings must pass without")
	f.DurationVar(&o.shrink, "shrink", 20*time.Second, "wall time to reduce each run that caught a mutant; 0 leaves them as they are")
	f.StringVar(&o.out, "out", "", "write a capsule for each mutant that was caught into `DIR`")
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print only what went wrong")
	return cmd
}

func (o *mutantsOptions) validate() error {
	if o.shrink < 0 {
		return fmt.Errorf("--shrink: %v is not allowed: want 0, for not at all, or more", o.shrink)
	}
	if err := o.seedsOptions.validate(); err != nil {
		return err
	}
	return checkWritable(o.out)
}

// hunt is what came of one mutant.
type hunt struct {
	Mutant  string `json:"mutant"`
	Story   string `json:"story"`
	Setting string `json:"setting"`
	Catcher string `json:"catcher"`
	// Caught says that the catcher was violated, by the last of the Seeds that were run, which is Seed. VirtualS
	// is the virtual time of all of them.
	Caught   bool    `json:"caught"`
	Seeds    int     `json:"seeds"`
	Seed     uint64  `json:"seed,omitempty"`
	VirtualS float64 `json:"virtual_s"`
	// Violated are all properties that were, the catcher included, in any of the seeds.
	Violated []string `json:"violated"`
	// Detail is the catcher's, and Schedule and Command the smallest run's that it was found to take.
	Detail   string `json:"detail,omitempty"`
	Schedule string `json:"schedule,omitempty"`
	Command  string `json:"command,omitempty"`
	// Lost are the seeds whose worker crashed or was killed.
	Lost []uint64 `json:"lost,omitempty"`
	// Capsule is the file with the smallest run.
	Capsule string `json:"capsule,omitempty"`

	// Done says that it was not interrupted: if it is not caught then, it has survived.
	Done bool `json:"done"`
}

// control is what came of one setting without a mutant.
type control struct {
	Setting string `json:"setting"`
	Seeds   int    `json:"seeds"`
	Ok      int    `json:"ok"`
	// Vacuous counts the seeds that are not Ok only because a property found nothing to check.
	Vacuous  int       `json:"vacuous"`
	Failures []failure `json:"failures"`
}

// trial is what came of mutants.
type trial struct {
	First    uint64     `json:"first_seed"`
	Seeds    int        `json:"seeds"`
	Mutants  []*hunt    `json:"mutants"`
	Controls []*control `json:"controls"`
	WallS    float64    `json:"wall_s"`
	Partial  bool       `json:"partial,omitempty"`
}

func (o *mutantsOptions) run(stdout, stderr io.Writer) error {
	cases, err := scenarios.FindMutants(o.only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if err := o.validate(); err != nil {
		return err
	}
	interrupt, stop := interruptions(stderr)
	defer stop()
	began := time.Now()
	settings := scenarios.Settings(cases)
	t := &trial{First: o.seed, Seeds: o.seeds}
	for i := range cases {
		t.Mutants = append(t.Mutants, newHunt(&cases[i]))
	}
	for _, s := range settings {
		t.Controls = append(t.Controls, &control{Setting: s.Name, Failures: []failure{}})
	}
	bar := newBar(stderr, len(cases), "with a mutant", o.quiet || o.json)
	err = spread(o.workers, o.limit, len(cases), interrupt, func(w *worker, i int) error {
		defer bar.done()
		return o.hunt(w, &cases[i], t.Mutants[i], interrupt)
	})
	bar.finish()
	if err == nil {
		bar = newBar(stderr, len(settings)*o.seeds, "without", o.quiet || o.json)
		err = o.control(settings, t.Controls, interrupt, bar)
		bar.finish()
	}
	if err != nil {
		return err
	}
	t.Partial = interrupted(interrupt)
	t.WallS = time.Since(began).Seconds()
	if o.json {
		err = writeJSON(stdout, t)
	} else {
		err = t.print(stdout, o.quiet)
	}
	return errors.Join(err, exitFor(t.outcome()))
}

func newHunt(m *scenarios.MutantCase) *hunt {
	return &hunt{Mutant: m.Name(), Story: m.Story, Setting: m.Setting.Name, Catcher: m.Catcher, Violated: []string{}}
}

// spread has workers do n tasks, each once, until one fails or there is an interrupt.
func spread(workers int, limit time.Duration, n int, interrupt <-chan struct{}, do func(w *worker, i int) error) error {
	var mu sync.Mutex // guards next and failed
	next := 0
	var failed error
	take := func(err error) (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
		if failed != nil || next == n || interrupted(interrupt) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			w := &worker{limit: limit}
			defer w.stop()
			for i, ok := take(nil); ok; {
				i, ok = take(do(w, i))
			}
		})
	}
	all.Wait()
	return failed
}

// runIn makes one run in a setting. There is no outcome if an interrupt has cost the worker its life.
func runIn(w *worker, s *scenarios.Setting, mutant string, seed uint64, interrupt <-chan struct{}) (*scenarios.Capsule, *outcome, error) {
	c, err := s.Capsule(mutant, seed)
	if err != nil {
		return nil, nil, err
	}
	out, err := w.run(job{Capsule: c})
	if err != nil || out.Lost != "" && interrupted(interrupt) {
		return nil, nil, err
	}
	return c, out, nil
}

// hunt runs a mutant until it is caught, and reduces the run.
func (o *mutantsOptions) hunt(w *worker, m *scenarios.MutantCase, h *hunt, interrupt <-chan struct{}) error {
	for seed := o.seed; h.Seeds < o.seeds; seed++ {
		if interrupted(interrupt) {
			return nil
		}
		c, out, err := runIn(w, m.Setting, m.Mutant, seed, interrupt)
		if err != nil || out == nil {
			return err
		}
		h.Seeds++
		if out.Report == nil {
			h.Lost = append(h.Lost, seed)
			continue
		}
		h.VirtualS += out.Report.VirtualS
		h.Violated = append(h.Violated, scenarios.Violated(out.Report)...)
		if !m.Caught(out.Report) {
			continue
		}
		h.Caught, h.Seed = true, seed
		c.Property = m.Catcher
		c.Judge(out.Report)
		if o.shrink > 0 {
			if c, _, err = reduce(w, c, o.shrink, interrupt, func(int, *scenarios.Capsule) {}); err != nil {
				return err
			}
		}
		if err := o.keep(h, c); err != nil {
			return err
		}
		break
	}
	slices.Sort(h.Violated)
	h.Violated = slices.Compact(h.Violated)
	h.Done = true
	return nil
}

// keep notes the run that caught a mutant.
func (o *mutantsOptions) keep(h *hunt, c *scenarios.Capsule) error {
	h.Detail, h.Command = c.Detail, c.Command()
	faults := c.Added
	if c.Faults != nil {
		faults = append(slices.Clip(*c.Faults), c.Added...)
	}
	h.Schedule = faults.String()
	if o.out == "" {
		return nil
	}
	h.Capsule = filepath.Join(o.out, strings.ReplaceAll(h.Mutant, "/", "-")+".capsule.json")
	if err := writeCapsule(h.Capsule, c); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return nil
}

// control runs all seeds in all settings without a mutant.
func (o *mutantsOptions) control(settings []*scenarios.Setting, controls []*control, interrupt <-chan struct{}, bar *bar) error {
	var mu sync.Mutex // guards the controls
	return spread(o.workers, o.limit, len(settings)*o.seeds, interrupt, func(w *worker, i int) error {
		s, k := i/o.seeds, i%o.seeds
		c, out, err := runIn(w, settings[s], "", o.seed+uint64(k), interrupt)
		if err != nil || out == nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		bar.done()
		controls[s].count(c, out)
		return nil
	})
}

// count takes note of a run without a mutant.
func (k *control) count(c *scenarios.Capsule, out *outcome) {
	k.Seeds++
	if out.Result == model.Ok {
		k.Ok++
		return
	}
	f := failure{Seed: c.Seed, What: "crashed", Detail: out.Lost, Command: c.Command(), capsule: c}
	if out.Report != nil {
		if vacuous(out.Report) {
			k.Vacuous++
			return
		}
		c.Judge(out.Report)
		f.What, f.Detail = c.Property, c.Detail
		if f.What == "" {
			f.What, f.Detail = "unknown", unknownBecause(out.Report)
		}
	}
	k.Failures = append(k.Failures, f)
}

// vacuous reports whether a run is not Ok only because a property found nothing to check.
func vacuous(r *scenarios.Report) bool {
	for _, v := range r.Verdicts {
		if !v.Ok() && !properties.Vacuous(v) {
			return false
		}
	}
	for _, p := range r.Parts {
		if p.Outcome() != model.Ok && !vacuous(p) {
			return false
		}
	}
	return r.Error == "" && !r.Partial
}

// unknownBecause says why a run's outcome is not known.
func unknownBecause(r *scenarios.Report) string {
	if r.Error != "" {
		return r.Error
	}
	for _, v := range r.Verdicts {
		if v.Outcome == model.Unknown {
			return v.String()
		}
	}
	return "a part of it is not known"
}

// outcome is Illegal if a mutant survived or the system without one violates a property, Unknown if something
// else went wrong.
func (t *trial) outcome() model.Outcome {
	worst := model.Ok
	if t.Partial {
		worst = model.Unknown
	}
	for _, h := range t.Mutants {
		if h.Done && !h.Caught {
			return model.Illegal
		}
	}
	for _, k := range t.Controls {
		for _, f := range k.Failures {
			if f.capsule.Property != "" {
				return model.Illegal
			}
			worst = model.Unknown
		}
	}
	return worst
}
