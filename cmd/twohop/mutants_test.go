package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: a mutant is caught in another process, its run is reduced and kept, and the settings without it pass.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	dir := t.TempDir()
	status, stdout, stderr := run(t, "mutants", "--only", "no-jitter", "--only", "order/round-robin", "--seeds", "2", "--shrink", "100ms", "--out", dir)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "chat/no-jitter: caught by ReconnectRate after 1 seeds")
	require.Contains(t, stdout, "order/round-robin: caught by FIFO after 1 seeds")
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
	require.Contains(t, stdout, "lost      the runs of seeds [1 2] crashed or were killed")
	require.Contains(t, stdout, "an edge that drains: seed 1: crashed: its process has crashed")
}
