package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// print prints a trial for people; if quietly, only what went wrong.
func (t *trial) print(out io.Writer, quiet bool) error {
	if err := t.printMutants(out, quiet); err != nil {
		return err
	}
	if !quiet {
		if err := t.printCatchers(out); err != nil {
			return err
		}
	}
	return t.printControls(out, quiet)
}

// seedCount says how many seeds.
func seedCount(n int) string {
	if n == 1 {
		return "1 seed"
	}
	return fmt.Sprintf("%d seeds", n)
}

func (t *trial) printMutants(out io.Writer, quiet bool) error {
	caught, notBegun := 0, 0
	for _, h := range t.Mutants {
		switch {
		case h.Caught:
			caught++
			if quiet {
				continue
			}
			faults := h.Schedule
			if faults == "" {
				faults = "no fault"
			}
			_, _ = fmt.Fprintf(out, "%s: caught by %s after %s and %.0f s of virtual time\n  bug       %s\n  found     %s\n  schedule  %s\n  run       go run ./cmd/twohop %s\n",
				h.Mutant, h.Catcher, seedCount(h.Seeds), h.VirtualS, h.Story, h.Detail, faults, h.Command)
		case h.Done:
			_, _ = fmt.Fprintf(out, "%s: SURVIVED %d seeds and %.0f s of virtual time: %s was never violated\n  bug       %s\n",
				h.Mutant, h.Seeds, h.VirtualS, h.Catcher, h.Story)
		case h.Seeds == 0:
			notBegun++
		default:
			_, _ = fmt.Fprintf(out, "%s: not caught when interrupted, after %s\n", h.Mutant, seedCount(h.Seeds))
		}
		if len(h.Lost) > 0 {
			_, _ = fmt.Fprintf(out, "  lost      the runs of seeds %v crashed or were killed\n", h.Lost)
		}
		if h.Capsule != "" && !quiet {
			_, _ = fmt.Fprintf(out, "  capsule   %s\n", h.Capsule)
		}
	}
	if quiet {
		return nil
	}
	more := ""
	if notBegun > 0 {
		more = fmt.Sprintf(", %d not begun when interrupted", notBegun)
	}
	_, err := fmt.Fprintf(out, "\n%d of %d mutants caught%s\n", caught, len(t.Mutants), more)
	return err
}

// printCatchers prints which property caught which mutants.
func (t *trial) printCatchers(out io.Writer) error {
	by := map[string][]string{}
	for _, h := range t.Mutants {
		for _, name := range h.Violated {
			by[name] = append(by[name], h.Mutant)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nPROPERTY\tCATCHES\n")
	for _, name := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(w, "%s\t%d: %s\n", name, len(by[name]), strings.Join(by[name], ", "))
	}
	return w.Flush()
}

// printControls prints how the settings did without a mutant.
func (t *trial) printControls(out io.Writer, quiet bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	vacuous := false
	if !quiet {
		fmt.Fprint(w, "\nWITHOUT A MUTANT\tSEEDS\tOK\tNOTHING TO CHECK\tFAILED\n")
		for _, k := range t.Controls {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", k.Setting, k.Seeds, k.Ok, k.Vacuous, len(k.Failures))
			vacuous = vacuous || k.Vacuous > 0
		}
		if vacuous {
			fmt.Fprint(w, "(Nothing to check: the faults of these seeds brought nothing about that one of the properties judges, such as a lost connection.)\n")
		}
	}
	for _, k := range t.Controls {
		for i, f := range k.Failures {
			if i == 5 {
				fmt.Fprintf(w, "%s: and %d more\n", k.Setting, len(k.Failures)-i)
				break
			}
			fmt.Fprintf(w, "%s: seed %d: %s: %s\n  go run ./cmd/twohop %s\n", k.Setting, f.Seed, f.What, f.Detail, f.Command)
		}
	}
	if !quiet {
		fmt.Fprintf(w, "\n%.0f s of wall time", t.WallS)
		if t.Partial {
			fmt.Fprint(w, " · PARTIAL: interrupted")
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
