package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/model"
)

// The exit statuses.
const (
	exitOk      = 0
	exitIllegal = 1
	exitUsage   = 2
	exitUnknown = 3
)

// exitError ends the program with a status. What there was to say has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exitFor is the status that tells of an outcome.
func exitFor(o model.Outcome) error {
	switch o {
	case model.Ok:
		return nil
	case model.Illegal:
		return exitError(exitIllegal)
	default:
		return exitError(exitUnknown)
	}
}

// execute runs the command line and returns the exit status.
func execute(t *testing.T, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "twohop",
		Short:         "Deterministic simulation of real-time-update systems",
		Long:          "twohop runs real transports and brokers on a simulated network in virtual time,\ninjects faults, and judges whether what the system promises holds.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		PersistentPreRunE: refuseEmpty,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetArgs(args)
	root.SetIn(os.Stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(listCommand(), runCommand(t), exploreCommand(), shrinkCommand(), replayCommand(t), modelCommand(), mutantsCommand(), workerCommand(t))
	err := root.Execute()
	if err == nil {
		return exitOk
	}
	if status, ok := errors.AsType[exitError](err); ok {
		return int(status)
	}
	_, _ = fmt.Fprintf(stderr, "twohop: %v\n", err) // nowhere is left to report a failure to
	return exitUsage
}
