package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
)

// Goal: a mutant is caught in another process, its run is reduced and kept, and the settings without it pass.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	dir := t.TempDir()
	status, stdout, stderr := run(t, "mutants", "--only", "no-jitter", "--only", "order/round-robin", "--seeds", "2", "--shrink", "100ms", "--out", dir)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "chat/no-jitter: caught by ReconnectRate after 1 seed ")
	require.Contains(t, stdout, "order/round-robin: caught by FIFO after 1 seed ")
	require.Contains(t, stdout, "2 of 2 mutants caught")
	require.Regexp(t, `an edge that drains +2 +2 +0 +0\n`, stdout)

	status, _, stderr = run(t, "replay", filepath.Join(dir, "chat-no-jitter.capsule.json"))
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "Illegal: ReconnectRate: ")
}

// Goal: a mutant that is not caught is a failure, and says how long it was tried.
func TestMutantSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	status, stdout, _ := run(t, "mutants", "--only", "stale-reads", "--seeds", "1", "--json")
	require.Equal(t, 1, status)
	var got trial
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Len(t, got.Mutants, 1)
	require.False(t, got.Mutants[0].Caught)
	require.Equal(t, 1, got.Mutants[0].Seeds)
	require.Equal(t, 1, got.Controls[0].Ok)
}

// Goal: bad usage exits 2 and says what is wrong.
func TestMutantsUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--only", "no-jiter"}, `--only: unknown mutant: "no-jiter"; did you mean no-jitter?`},
		{[]string{"--seeds", "0"}, "--seeds: 0 is not allowed: want 1 or more"},
		{[]string{"-j", "0"}, "-j: 0 is not allowed: want 1 to 1024"},
		{[]string{"--limit", "0s"}, "--limit: 0s is not allowed: want more than 0"},
		{[]string{"--shrink", "-1s"}, "--shrink: -1s is not allowed"},
		{[]string{"--out", "/dev/null/x"}, "--out: "},
		{[]string{"chat"}, `unknown command "chat"`},
	} {
		status, _, stderr := run(t, append([]string{"mutants"}, c.args...)...)
		require.Equal(t, 2, status, c.args)
		require.Contains(t, stderr, c.want)
	}
	for _, command := range []string{"run", "explore"} {
		status, _, stderr := run(t, command, "chat", "--check", "Stalenes(5s)")
		require.Equal(t, 2, status)
		require.Contains(t, stderr, `--check: no property "Stalenes"`)
	}
}

// Goal: a run that is lost is not a survivor's.
func TestMutantsLoseWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	t.Setenv("TWOHOP_BROKEN_WORKER", "crash")
	status, stdout, _ := run(t, "mutants", "--only", "no-jitter", "--seeds", "2", "--shrink", "0s")
	require.Equal(t, 1, status, "it was not caught")
	require.Contains(t, stdout, "lost      the runs of seeds [2] crashed or were killed")
	require.Contains(t, stdout, "an edge that drains: seed 2: crashed: its process has crashed")
}

// Goal: a terminal's Ctrl-C, which goes to workers too, costs no run.
func TestWorkerOutlivesInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	cases, err := scenarios.FindMutants([]string{"order/round-robin"})
	require.NoError(t, err)
	w := &worker{limit: time.Minute}
	defer w.stop()
	for seed := range uint64(2) {
		c, err := cases[0].Setting.Capsule("", seed+1)
		require.NoError(t, err)
		out, err := w.run(job{Capsule: c})
		require.NoError(t, err)
		require.Empty(t, out.Lost)
		require.NoError(t, w.process.Process.Signal(os.Interrupt))
	}
}

// Goal: what an interrupted trial has is printed, and is no survivor; what it has not begun is a number.
func TestMutantsInterrupted(t *testing.T) {
	tried := &trial{Seeds: 9, Partial: true, Controls: []*control{{Setting: "a chat", Seeds: 3, Ok: 2, Vacuous: 1}}, Mutants: []*hunt{
		{Mutant: "chat/a", Catcher: "NoLoss", Caught: true, Done: true, Seeds: 2}, {Mutant: "chat/b", Seeds: 4}, {Mutant: "chat/c"},
	}}
	require.Equal(t, model.Unknown, tried.outcome())
	var out strings.Builder
	require.NoError(t, tried.print(&out, false))
	require.Contains(t, out.String(), "chat/b: not caught when interrupted, after 4 seeds\n")
	require.Contains(t, out.String(), "1 of 3 mutants caught, 1 not begun when interrupted\n")
	require.Regexp(t, `a chat +3 +2 +1 +0\n\(Nothing to check: `, out.String())
	require.Contains(t, out.String(), "PARTIAL: interrupted")
	require.NotContains(t, out.String(), "chat/c")
}
