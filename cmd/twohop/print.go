package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/twohop/twohop/scenarios"
)

// printReport prints a run's report for people.
func printReport(out io.Writer, r *scenarios.Report, files []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n\nPROPERTY\tVERDICT\tDETAIL\n", r.Title())
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Property, v.Outcome, v.Detail)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	if err := printTransports(w, r); err != nil {
		return err
	}
	for _, t := range r.Tables {
		if err := printTable(w, t); err != nil {
			return err
		}
	}

	fmt.Fprintf(w, "\npublished\t%d\n", r.Published)
	fmt.Fprintf(w, "delivered\t%d\n", r.Delivered)
	fmt.Fprintf(w, "reconnects\t%d, of which %d resumed\n", r.Reconnects, r.Resumed)
	if r.Discontinuities > 0 {
		fmt.Fprintf(w, "discontinuities\t%d\n", r.Discontinuities)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "fault\t%s at %.6gs", f.Fault, f.AtS)
		if f.UntilS > 0 {
			fmt.Fprintf(w, " until %.6gs", f.UntilS)
		}
		fmt.Fprintln(w)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", warning)
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
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range r.Parts {
		fmt.Fprintln(out)
		if err := printReport(out, p, nil); err != nil {
			return err
		}
	}
	return nil
}

// printTransports prints what each transport did and what it cost.
func printTransports(w *tabwriter.Writer, r *scenarios.Report) error {
	fmt.Fprint(w, "\nDELIVERY LATENCY\tn\tp50\tp90\tp99\tmax\n")
	for _, name := range r.Transports() {
		printQuantiles(w, name, r.LatencyMS[name])
	}
	if err := w.Flush(); err != nil {
		return err
	}

	var used, away []string
	memory := false
	for _, name := range r.Transports() {
		m := r.Metrics[name]
		if m == nil {
			continue
		}
		memory = memory || m.MemoryBytes > 0
		if m.Clients > 0 {
			used = append(used, name)
		}
		if m.OutageMS.N > 0 {
			away = append(away, name)
		}
	}
	if len(used) > 0 {
		fmt.Fprint(w, "\nON THE WIRE\tclients\tbytes/message\tpackets/message\tconnections\tTCP handshakes\tupgrades\tHTTP requests")
		if memory {
			fmt.Fprint(w, "\tmemory/connection (measured)")
		}
		fmt.Fprintln(w)
	}
	for _, name := range used {
		m := r.Metrics[name]
		perMessage := float64(m.Packets) / float64(max(m.Delivered, 1))
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.1f\t%d\t%d\t%d\t%d", name, m.Clients, m.BytesPerMessage, perMessage, m.Connections, m.Handshakes, m.Upgrades, m.Requests)
		if memory {
			fmt.Fprintf(w, "\t%.1f kB", float64(m.MemoryBytes)/1000)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	if len(away) > 0 {
		fmt.Fprint(w, "\nCUT OFF, FROM THE FAULT\tn\tp50\tp90\tp99\tmax\n")
	}
	for _, name := range away {
		printQuantiles(w, name, r.Metrics[name].OutageMS)
	}
	if len(away) > 0 {
		fmt.Fprint(w, "RECONNECT, FROM NOTICING\tn\tp50\tp90\tp99\tmax\n")
	}
	for _, name := range away {
		printQuantiles(w, name, r.Metrics[name].ReconnectMS)
	}
	return w.Flush()
}

func printQuantiles(w io.Writer, name string, q scenarios.Quantiles) {
	fmt.Fprintf(w, "%s\t%d\t%.1f ms\t%.1f ms\t%.1f ms\t%.1f ms\n", name, q.N, q.P50, q.P90, q.P99, q.Max)
}

// printTable prints a table of a scenario's own.
func printTable(w *tabwriter.Writer, t scenarios.Table) error {
	fmt.Fprintf(w, "\n%s\n%s\n", strings.ToUpper(t.Title), strings.Join(t.Head, "\t"))
	for _, row := range t.Rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
