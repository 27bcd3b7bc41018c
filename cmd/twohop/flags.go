package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// allowed says what values a flag takes, by the type of its value.
var allowed = map[string]string{
	"int":      "a whole number",
	"uint64":   "a whole number, 0 to 18446744073709551615",
	"duration": "a duration such as 250ms or 1m30s",
	"bool":     "true or false",
}

// flagError says what a flag takes, when it was given something else.
func flagError(_ *cobra.Command, err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok || allowed[wrong.GetFlag().Value.Type()] == "" {
		return err
	}
	return fmt.Errorf("--%s: %q is not allowed: want %s", wrong.GetFlag().Name, wrong.GetValue(), allowed[wrong.GetFlag().Value.Type()])
}

// refuseEmpty refuses a flag that was given "", as a variable of a shell is that has no value: it would be as if it had
// not been there.
func refuseEmpty(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.Type() == "string" && f.Value.String() == ""
		if all, several := f.Value.(pflag.SliceValue); several {
			empty = slices.Contains(all.GetSlice(), "")
		}
		if empty {
			err = errors.Join(err, fmt.Errorf("--%s: \"\" is not allowed: leave it out, or give it a value", f.Name))
		}
	})
	return err
}

// warnOfLate tells of faults that the run ends before.
func warnOfLate(stderr io.Writer, s scenarios.Scenario, added sim.Schedule) {
	all := added
	if f, ok := s.(scenarios.Faulty); ok {
		all = append(slices.Clip(all), f.Faults()...)
	}
	for _, f := range all {
		if f.At >= s.Length() {
			fmt.Fprintf(stderr, "twohop: warning: %v at %v: the run takes %v, and may be over by then\n", f.Fault, f.At, s.Length())
		}
	}
}
