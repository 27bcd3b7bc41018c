package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/scenarios"
)

func listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the scenarios, or one scenario's parameters and mutants",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list := scenarios.All()
			if len(args) == 1 {
				s, err := scenarios.New(args[0])
				if err != nil {
					return err
				}
				list = []scenarios.Scenario{s}
			}
			switch {
			case asJSON && len(args) == 1:
				return writeJSON(cmd.OutOrStdout(), describe(list[0]))
			case asJSON:
				all := make([]scenarioJSON, len(list))
				for i, s := range list {
					all[i] = describe(s)
				}
				return writeJSON(cmd.OutOrStdout(), all)
			case len(args) == 1:
				return listOne(cmd.OutOrStdout(), list[0])
			default:
				return listAll(cmd.OutOrStdout(), list)
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listAll(out io.Writer, list []scenarios.Scenario) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\n", s.Name(), s.Summary())
	}
	return w.Flush()
}

func listOne(out io.Writer, s scenarios.Scenario) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s: %s\n\nPARAMETER\tDEFAULT\tUNIT\tRANGE\tMEANING\n", s.Name(), s.Summary())
	for _, p := range s.Params() {
		fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%s\n", p.Name, p.Value, p.Value.Unit(), p.Value.Range(), p.Help)
	}
	fmt.Fprint(w, "\nMUTANT\tCAUGHT BY\tBUG\n")
	for _, m := range s.Mutants() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", m.Name, m.Catcher, m.Summary)
	}
	return w.Flush()
}

// scenarioJSON is a scenario as "list --json" prints it.
type scenarioJSON struct {
	Name    string       `json:"name"`
	Summary string       `json:"summary"`
	Params  []paramJSON  `json:"params"`
	Mutants []mutantJSON `json:"mutants"`
}

type paramJSON struct {
	Name    string `json:"name"`
	Default any    `json:"default"`
	Unit    string `json:"unit"`
	Range   string `json:"range"`
	Help    string `json:"help"`
}

type mutantJSON struct {
	Name    string `json:"name"`
	Catcher string `json:"caught_by"`
	Summary string `json:"summary"`
}

func describe(s scenarios.Scenario) scenarioJSON {
	j := scenarioJSON{Name: s.Name(), Summary: s.Summary(), Params: []paramJSON{}, Mutants: []mutantJSON{}}
	for _, p := range s.Params() {
		j.Params = append(j.Params, paramJSON{p.Name, p.Value.JSON(), p.Value.Unit(), p.Value.Range(), p.Help})
	}
	for _, m := range s.Mutants() {
		j.Mutants = append(j.Mutants, mutantJSON{m.Name, m.Catcher, m.Summary})
	}
	return j
}

func writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
