package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

func oneCapsule(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: want the name of one capsule, have %d", cmd.Name(), len(args))
	}
	return nil
}

func readCapsule(name string) (*scenarios.Capsule, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	c, err := scenarios.ReadCapsule(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// shrinkOptions is the command line of shrink.
type shrinkOptions struct {
	out         string
	time, limit time.Duration
	quiet       bool
}

func shrinkCommand() *cobra.Command {
	var o shrinkOptions
	cmd := &cobra.Command{
		Use:   "shrink FILE",
		Short: "Reduce a failing run's faults, parameters and length to what the failure takes",
		Long: "shrink makes the run of a capsule again and again, each time with something less of it, and keeps what still\n" +
			"violates the same property. The result is a capsule, too. Its exit status is 0 then, and 3 if the run does not\n" +
			"violate anything.",
		Args: oneCapsule,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.shrink(args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "write the result to `FILE`; without it, FILE with .min before its ending")
	f.DurationVar(&o.time, "time", 5*time.Minute, "wall time after which the smallest so far is the result")
	f.DurationVar(&o.limit, "limit", time.Minute, "wall time after which a run is killed, and does not count as a failure")
	f.BoolVar(&o.quiet, "quiet", false, "print only the result's name")
	return cmd
}

// checkCreatable finds out whether a file can be written, and leaves one that is there as it is.
func checkCreatable(name string) error {
	_, missing := os.Stat(name)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	err = f.Close()
	if errors.Is(missing, os.ErrNotExist) {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func (o *shrinkOptions) shrink(name string, stdout, stderr io.Writer) error {
	c, err := readCapsule(name)
	if err != nil {
		return err
	}
	switch {
	case o.time <= 0:
		return fmt.Errorf("--time: %v is not allowed: want more than 0", o.time)
	case o.limit <= 0:
		return fmt.Errorf("--limit: %v is not allowed: want more than 0", o.limit)
	}
	if o.out == "" {
		o.out = capsuleBase(name) + ".min.capsule.json"
	}
	// Reducing takes minutes: what cannot be kept is not begun.
	if err := checkCreatable(o.out); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	w := &worker{limit: o.limit}
	defer w.stop()
	out, err := w.run(job{Capsule: c})
	if err != nil {
		return err
	}
	if out.Refused != "" {
		return fmt.Errorf("%s: %s", name, out.Refused)
	}
	if !out.illegal(c.Property) {
		why := "no property"
		if c.Property != "" {
			why = "no longer " + c.Property
		}
		fmt.Fprintf(stderr, "twohop: %s: the run violates %s: there is nothing to reduce (%v %s)\n", name, why, out.Result, out.Lost)
		return exitError(exitUnknown)
	}
	c.Judge(out.Report)
	interrupt, stop := interruptions(stderr)
	defer stop()
	least, runs, err := reduce(w, c, o.time, interrupt, func(runs int, smaller *scenarios.Capsule) {
		if !o.quiet {
			fmt.Fprintf(stderr, "%4d runs: %s\n", runs, smaller.Command())
		}
	})
	if err != nil {
		return err
	}
	if err := writeCapsule(o.out, least); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if o.quiet {
		_, err = fmt.Fprintln(stdout, o.out)
		return err
	}
	shown, err := w.run(job{Capsule: least, Keep: true, Dir: capsuleBase(o.out), Replay: replayLine(o.out)})
	if err != nil {
		return err
	}
	if shown.Banner != "" {
		fmt.Fprintf(stderr, "%s\n", shown.Banner)
	}
	_, err = fmt.Fprintf(stdout, "%s\n  %s\nafter %d runs: %s\nto see it: %s\n",
		least.Command(), least.Property+": "+least.Detail, runs, o.out, replayLine(o.out))
	return err
}

// capsuleBase is a capsule's path without its ending: that of the folder with what there is to see of its run.
func capsuleBase(name string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".json"), ".capsule")
	if base == name {
		base += ".run"
	}
	return base
}

func replayLine(capsule string) string {
	return "go run ./cmd/twohop replay " + scenarios.ShellQuote(capsule)
}

// reduce looks for the smallest capsule that violates the property of one that does, on a worker, for so much
// wall time at most. progress is told of each that is smaller.
func reduce(w *worker, c *scenarios.Capsule, limit time.Duration, interrupt <-chan struct{}, progress func(runs int, smaller *scenarios.Capsule)) (least *scenarios.Capsule, runs int, err error) {
	end := time.Now().Add(limit)
	violates := func(smaller *scenarios.Capsule) bool {
		runs++
		out, failed := w.run(job{Capsule: smaller})
		if failed != nil {
			err = failed
			return false
		}
		if !out.illegal(c.Property) {
			return false
		}
		smaller.Property = c.Property
		smaller.Judge(out.Report)
		progress(runs, smaller)
		return true
	}
	done := func() bool { return err != nil || interrupted(interrupt) || time.Now().After(end) }
	least = c.Shrink(violates, done)
	return least, runs, err
}

// interrupted reports whether a channel is closed.
func interrupted(interrupt <-chan struct{}) bool {
	select {
	case <-interrupt:
		return true
	default:
		return false
	}
}

func replayCommand(t *testing.T) *cobra.Command {
	var asJSON bool
	var dir string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Make the run of a capsule again",
		Args:  oneCapsule,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := readCapsule(args[0])
			if err != nil {
				return err
			}
			if err := checkWritable(dir); err != nil {
				return err
			}
			report, res, err := c.Run(t, sim.Config{Repeat: 2})
			if err != nil {
				return err
			}
			if wrong, ok := errors.AsType[*sim.FaultError](res.Err); ok {
				return fmt.Errorf("%s: %w", args[0], wrong)
			}
			replay, files := replayLine(args[0]), []string{noFiles}
			if dir != "" {
				if files, err = report.Write(dir, replay); err != nil {
					return fmt.Errorf("--out: %w", err)
				}
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report, nil)
			}
			if err != nil || report.Outcome() == model.Ok {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", res.Banner(files, replay))
			return exitFor(report.Outcome())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON object")
	cmd.Flags().StringVar(&dir, "out", "", "write trace, history, figures and a report into `DIR`")
	return cmd
}
