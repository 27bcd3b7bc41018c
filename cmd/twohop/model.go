package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/model"
)

// modelCommand explores the reference model's protocols in every interleaving.
func modelCommand() *cobra.Command {
	var cfg model.ExploreConfig
	cmd := &cobra.Command{
		Use:   "model [PROTOCOL]",
		Short: "Go through every state that a protocol of the reference model can get into",
		Long: "model goes through every interleaving of a small system's protocol: \"resume\", that of clients who come back, or\n" +
			"\"scaling\", the four-step dance by which rooms go from one edge to another; both without an argument. The state\n" +
			"space grows fast: three clients in resume are too many, and unknown after a minute.\n\n" + exitStatuses,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			protocols := model.ExploreProtocols()
			if len(args) == 1 {
				protocols = args
			} else if cfg.Mutant != "" {
				return fmt.Errorf("--mutant: %q of which protocol? They are %v", cfg.Mutant, protocols)
			}
			for _, name := range []string{"clients", "messages", "faults"} {
				if f := cmd.Flags().Lookup(name); f.Value.String() == "0" { // the model takes it for the default
					return fmt.Errorf("--%s: 0 is not allowed: want 1 or more%s", name, map[string]string{"faults": ", or --calm for none"}[name])
				}
			}
			if cfg.Calm && cmd.Flags().Changed("faults") {
				return fmt.Errorf("--faults: %d is not allowed with --calm, which has none", cfg.Faults)
			}
			return exploreModel(cmd.OutOrStdout(), protocols, cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Mutant, "mutant", "", "leave out or break a part of the protocol, by `NAME`")
	f.IntVar(&cfg.Clients, "clients", 2, "clients")
	f.IntVar(&cfg.Messages, "messages", 3, "messages that are published")
	f.IntVar(&cfg.Faults, "faults", 1, "faults that befall the system at most")
	f.BoolVar(&cfg.Calm, "calm", false, "no faults at all")
	return cmd
}

func exploreModel(out io.Writer, protocols []string, cfg model.ExploreConfig) error {
	worst := model.Ok
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "PROTOCOL\tVERDICT\tSTATES\tTRANSITIONS\tDEPTH\tTIME\n")
	var stories []*model.Counterexample
	for _, protocol := range protocols {
		cfg.Protocol = protocol
		began := time.Now()
		e, err := model.Explore(cfg)
		if err != nil {
			return fmt.Errorf("model: %w", err)
		}
		verdict := model.Ok
		switch {
		case e.Violation != nil:
			verdict, worst = model.Illegal, model.Illegal
			stories = append(stories, e.Violation)
		case !e.Complete:
			verdict = model.Unknown
			if worst == model.Ok {
				worst = model.Unknown
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.1f s\n", protocol, verdict, e.States, e.Transitions, e.Depth, time.Since(began).Seconds())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range stories {
		if _, err := fmt.Fprintf(out, "\n%v", s); err != nil {
			return err
		}
	}
	if cfg.Mutant == "" {
		fmt.Fprint(w, "\nPROTOCOL\tMUTANT\tWHAT IS BROKEN\n")
		for _, protocol := range protocols {
			for _, m := range model.ExploreMutants(protocol) {
				fmt.Fprintf(w, "%s\t%s\t%s\n", protocol, m.Name, m.Summary)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return exitFor(worst)
}
