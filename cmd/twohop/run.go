package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// runOptions is the command line of run.
type runOptions struct {
	name   string
	seed   uint64
	sets   []string
	mutant string
	check  []string
	faults string
	fault  []string
	repeat int
	out    string
	pcap   string
	json   bool
	quiet  bool
}

func runCommand(t *testing.T) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Run a scenario and judge it",
		Long: "run runs a scenario once, in virtual time, and judges it by its properties. \"twohop list\" has the scenarios,\n" +
			"\"twohop list NAME\" one's parameters, for --set, and bugs, for --mutant.\n\n" + exitStatuses,
		Args: oneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(t, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "what all luck of the run is derived from")
	o.scenarioFlags(f)
	f.IntVar(&o.repeat, "repeat", 1, "run the same seed `N` times and compare the trace hashes")
	f.StringVar(&o.out, "out", "", "write trace, history, result and figures into `DIR`")
	f.StringVar(&o.pcap, "pcap", "", "write the packets that were sent to `FILE`, as pcapng for Wireshark")
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print only failures")
	return cmd
}

// exitStatuses explains them, for help.
const exitStatuses = "The exit status is 0 if every property holds, 1 if one is violated, 2 after bad usage or input, and 3 if the\n" +
	"outcome is unknown or the run does not reproduce itself."

func oneScenario(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: want the name of one scenario, have %d; the scenarios are %s", cmd.Name(), len(args), strings.Join(scenarios.Names(), ", "))
	}
	return nil
}

// scenarioFlags are the flags that say what is run.
func (o *runOptions) scenarioFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.sets, "set", nil, "set a parameter, as `key=value`; may be repeated")
	f.StringVar(&o.mutant, "mutant", "", "run with a deliberate bug, by `NAME`")
	f.StringArrayVar(&o.check, "check", nil, "judge by a `PROPERTY` besides the scenario's own, such as 'Staleness(5s)'; may be repeated")
	f.StringVar(&o.faults, "faults", "", "replace the scenario's faults: none, light, heavy, or those in `FILE`")
	f.StringArrayVar(&o.fault, "fault", nil, "add a `FAULT`, such as 'crash(edge-1)@5s for 3s'; may be repeated")
}

// run runs the scenario. Its errors are those of usage; what came of the run is an exitError.
func (o *runOptions) run(t *testing.T, stdout, stderr io.Writer) error {
	s, err := o.scenario()
	if err != nil {
		return err
	}
	added, err := o.addedFaults()
	if err != nil {
		return err
	}
	besides, err := scenarios.FindProperties(o.check)
	if err != nil {
		return fmt.Errorf("--check: %w", err)
	}
	if o.repeat < 1 {
		return fmt.Errorf("--repeat: %d is not allowed: want 1 or more", o.repeat)
	}
	if err := checkWritable(o.out); err != nil {
		return err
	}
	capture, err := o.createCapture()
	if err != nil {
		return err
	}
	if w, ok := s.(scenarios.Warner); ok {
		for _, warning := range w.Warnings() {
			fmt.Fprintln(stderr, "twohop: warning:", warning)
		}
	}
	warnOfLate(stderr, s, added)
	interrupt, stop := interruptions(stderr)
	defer stop()
	bar := newProgress(stderr, s, o)
	cfg := sim.Config{Seed: o.seed, Faults: added, Repeat: o.repeat, Interrupt: interrupt, Progress: bar.update}
	if capture != nil {
		cfg.Capture = capture
	}
	report, res := scenarios.Execute(t, s, o.mutant, cfg, besides...)
	bar.finish()
	if wrong, ok := errors.AsType[*sim.FaultError](res.Err); ok {
		return errors.Join(wrong, o.discard(capture))
	}

	var files []string
	if capture != nil {
		if err := capture.Close(); err != nil {
			return fmt.Errorf("--pcap: %w", err)
		}
		files = append(files, o.pcap)
	}
	if o.out != "" {
		written, err := o.write(s, report, files)
		if err != nil {
			return err
		}
		files = append(written, files...)
	}
	switch {
	case o.json:
		err = writeJSON(stdout, report)
	case !o.quiet:
		err = printReport(stdout, report, files)
	}
	if err != nil {
		return err
	}
	outcome := report.Outcome()
	if outcome != model.Ok {
		if o.out == "" {
			files = append(files, noFiles)
		}
		o.explain(stderr, s, report, files)
	}
	return exitFor(outcome)
}

// noFiles stands among a failure's files if they were not asked for.
const noFiles = "the rest with --out DIR: report.html, trace.jsonl, …"

// explain says what failed, and how to see it again.
func (o *runOptions) explain(stderr io.Writer, s scenarios.Scenario, report *scenarios.Report, files []string) {
	parts := 0
	for _, p := range report.Parts {
		if p.Outcome() != model.Ok {
			parts++
			ofPart := []string{noFiles}
			if o.out != "" {
				ofPart = []string{filepath.Join(o.out, p.Scenario, "report.html")}
			}
			fmt.Fprintf(stderr, "part %s: %s\n", p.Scenario, p.Result().Banner(ofPart, o.replay(s)))
		}
	}
	if res := report.Result(); parts == 0 || !res.Ok() {
		fmt.Fprintf(stderr, "%s\n", res.Banner(files, o.replay(s)))
	}
}

// scenario finds the scenario and sets its parameters and mutant.
func (o *runOptions) scenario() (scenarios.Scenario, error) {
	s, err := scenarios.New(o.name)
	if err != nil {
		return nil, err
	}
	given := map[string]string{}
	for _, set := range o.sets {
		key, value, found := strings.Cut(set, "=")
		if !found {
			return nil, fmt.Errorf("--set %s: want key=value, such as %s=%v", set, s.Params()[0].Name, s.Params()[0].Value)
		}
		if before, twice := given[key]; twice {
			return nil, fmt.Errorf("--set %s: it is %s already; want one value", set, before)
		}
		given[key] = value
		if err := scenarios.Set(s, key, value); err != nil {
			return nil, err
		}
	}
	if o.mutant != "" {
		if err := s.Mutate(o.mutant); err != nil {
			return nil, err
		}
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if o.faults != "" {
		if err := scenarios.ChooseFaults(s, o.faults, o.seed); err != nil {
			return nil, fmt.Errorf("--faults: %w", err)
		}
	}
	return s, nil
}

// addedFaults reads the faults of --fault.
func (o *runOptions) addedFaults() (all sim.Schedule, err error) {
	for _, text := range o.fault {
		s, err := sim.ParseSchedule(text)
		if err != nil {
			return nil, fmt.Errorf("--fault %s: %w", text, err)
		}
		all = append(all, s...)
	}
	return all, nil
}

// replay is the command line that makes this run again.
func (o *runOptions) replay(s scenarios.Scenario) string {
	line := fmt.Sprintf("go run ./cmd/twohop run %s --seed %d", s.Name(), o.seed)
	for _, set := range o.sets {
		line += " --set " + scenarios.ShellQuote(set)
	}
	if o.mutant != "" {
		line += " --mutant " + o.mutant
	}
	for _, text := range o.check {
		line += " --check " + scenarios.ShellQuote(text)
	}
	if o.faults != "" {
		line += " --faults " + scenarios.ShellQuote(o.faults)
	}
	for _, fault := range o.fault {
		line += " --fault " + scenarios.ShellQuote(fault)
	}
	return line
}

// checkWritable makes the output folder, and finds out whether files can be written there.
func checkWritable(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("--out: cannot write there: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// discard removes a capture of a run that was not to be.
func (o *runOptions) discard(capture *os.File) error {
	if capture == nil {
		return nil
	}
	return errors.Join(capture.Close(), os.Remove(o.pcap))
}

// createCapture creates the file that packets are to be written to; nil if there is none.
func (o *runOptions) createCapture() (*os.File, error) {
	if o.pcap == "" {
		return nil, nil
	}
	f, err := os.Create(o.pcap)
	if err != nil {
		return nil, fmt.Errorf("--pcap: %w", err)
	}
	return f, nil
}

// write writes everything about the run into the output folder, and returns the files' names.
func (o *runOptions) write(s scenarios.Scenario, report *scenarios.Report, more []string) ([]string, error) {
	files, err := report.Write(o.out, o.replay(s), more...)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	result := filepath.Join(o.out, "result.json")
	f, err := os.Create(result)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if err := errors.Join(writeJSON(f, report), f.Close()); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return append(files, result), nil
}

// interruptions returns a channel that is closed at the first Ctrl-C; at the second the program ends
// at once.
func interruptions(stderr io.Writer) (interrupt <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	first, done := make(chan struct{}), make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if n > 0 {
				os.Exit(exitUnknown)
			}
			fmt.Fprintln(stderr, "\ntwohop: interrupted; ending the run (again to quit at once)")
			close(first)
		}
	}()
	return first, func() {
		signal.Stop(signals)
		close(done)
	}
}
