package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/twohop/twohop/scenarios"
)

// printReport prints a run's report for people.
func printReport(out io.Writer, r *scenarios.Report, files []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	title := fmt.Sprintf("%s · seed %d", r.Scenario, r.Seed)
	if r.Mutant != "" {
		title += " · mutant " + r.Mutant
	}
	if r.Partial {
		title += " · PARTIAL: interrupted"
	}
	fmt.Fprintf(w, "%s\n\nPROPERTY\tVERDICT\tDETAIL\n", title)
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Property, v.Outcome, v.Detail)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Fprint(w, "\nDELIVERY LATENCY\tn\tp50\tp90\tp99\tmax\n")
	for _, name := range r.Transports() {
		q := r.LatencyMS[name]
		fmt.Fprintf(w, "%s\t%d\t%.1f ms\t%.1f ms\t%.1f ms\t%.1f ms\n", name, q.N, q.P50, q.P90, q.P99, q.Max)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(w, "\npublished\t%d\n", r.Published)
	fmt.Fprintf(w, "delivered\t%d\n", r.Delivered)
	fmt.Fprintf(w, "reconnects\t%d, of which %d resumed\n", r.Reconnects, r.Resumed)
	if r.Discontinuities > 0 {
		fmt.Fprintf(w, "discontinuities\t%d\n", r.Discontinuities)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "fault\t%s at %gs", f.Fault, f.AtS)
		if f.UntilS > 0 {
			fmt.Fprintf(w, " until %gs", f.UntilS)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "trace hash\t%s over %d steps", r.TraceHash, r.Steps)
	if r.Runs > 1 && !r.Diverged() {
		if r.Inexact {
			fmt.Fprint(w, "\noutcome\tthe same")
		} else {
			fmt.Fprint(w, ", the same")
		}
		fmt.Fprintf(w, " in %d runs", r.Runs)
	}
	fmt.Fprintf(w, "\ntime\t%.1f s virtual in %.2f s wall", r.VirtualS, r.WallS)
	if r.WallS > 0 {
		fmt.Fprintf(w, ": %.0f times real time", r.VirtualS*float64(r.Runs)/r.WallS)
	}
	fmt.Fprintln(w)
	for i, f := range files {
		label := ""
		if i == 0 {
			label = "files"
		}
		fmt.Fprintf(w, "%s\t%s\n", label, f)
	}
	return w.Flush()
}
