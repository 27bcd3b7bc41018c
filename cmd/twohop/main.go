// Command twohop runs the catalogue's scenarios in virtual time and judges what came of them.
//
//	twohop list [--json]
//	twohop list NAME
//	twohop run NAME [--seed N] [--set key=value]... [--mutant NAME] [--repeat N]
//	                [--check PROPERTY]... [--faults none|light|heavy|FILE] [--fault FAULT]...
//	                [--out DIR] [--pcap FILE] [--json] [--quiet]
//	twohop explore NAME [--seeds N] [--time D] [-j N] [--all] [--limit D] [--out DIR]
//	                and run's --seed, --set, --mutant, --check, --faults, --fault, --json, --quiet
//	twohop shrink FILE [--out FILE] [--time D]
//	twohop replay FILE [--json]
//	twohop model [PROTOCOL] [--mutant NAME] [--clients N] [--messages N] [--faults N]
//	twohop mutants [--only NAME]... [--seeds N] [--seed N] [-j N] [--shrink D] [--limit D] [--out DIR] [--json] [--quiet]
//
// Its exit status is 0 if every property holds, 1 if one is violated, 2 after bad usage or input, and
// 3 if the outcome is unknown or the run does not reproduce itself.
package main

import (
	"flag"
	"os"
	"testing"
)

// main runs the program inside a test: a testing/synctest bubble, which gives virtual time, needs a
// *testing.T, and there is no other way to one.
func main() {
	testing.Init()
	// Parsed by hand, and empty: the command line is not package testing's.
	if err := flag.CommandLine.Parse(nil); err != nil {
		panic(err)
	}
	match := func(string, string) (bool, error) { return true, nil }
	testing.Main(match, []testing.InternalTest{{
		Name: "twohop",
		F:    func(t *testing.T) { os.Exit(execute(t, os.Args[1:], os.Stdout, os.Stderr)) },
	}}, nil, nil)
}
