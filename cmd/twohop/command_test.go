package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// small makes chat quick enough for tests of the command line.
var small = []string{"--set", "clients=10", "--set", "rooms=2", "--set", "duration=10s", "--set", "rate=3"}

func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = execute(t, args, &out, &errs)
	return status, out.String(), errs.String()
}

func runChat(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return run(t, append(append([]string{"run", "chat"}, small...), args...)...)
}

// Goal: the exit status and the first line say what happened.
func TestExitStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	for _, c := range []struct {
		name   string
		args   []string
		status int
		stderr string
	}{
		{"list", []string{"list"}, 0, ""},
		{"list one", []string{"list", "chat"}, 0, ""},
		{"ok", append([]string{"run", "chat"}, small...), 0, ""},
		{"loss", append([]string{"run", "chat", "--mutant", "no-resume"}, small...), 1, "Illegal: NoLoss: "},
		{"duplicate", append([]string{"run", "chat", "--mutant", "no-dedupe"}, small...), 1, "Illegal: NoDuplicate: "},
		{"no command", []string{"rnu"}, 2, `unknown command "rnu"`},
		{"no scenario", []string{"run"}, 2, "want the name of one scenario, have 0"},
		{"unknown scenario", []string{"run", "chatt"}, 2, `unknown scenario: "chatt"; did you mean chat?`},
		{"unknown listed", []string{"list", "chatt"}, 2, `unknown scenario: "chatt"; did you mean chat?`},
		{"nothing like it", []string{"run", "zebra"}, 2, `unknown scenario: "zebra"; there are chat`},
		{"unknown parameter", []string{"run", "chat", "--set", "cleints=1"}, 2, `unknown parameter of chat: "cleints"; did you mean clients`},
		{"bad value", []string{"run", "chat", "--set", "loss=lots"}, 2, `parameter loss: "lots" is not allowed`},
		{"no value", []string{"run", "chat", "--set", "loss"}, 2, "--set loss: want key=value"},
		{"unknown mutant", []string{"run", "chat", "--mutant", "no-resune"}, 2, `did you mean no-resume`},
		{"bad seed", []string{"run", "chat", "--seed", "x"}, 2, `invalid argument "x" for "--seed"`},
		{"bad repeat", []string{"run", "chat", "--repeat", "0"}, 2, "--repeat: 0 is not allowed: want 1 or more"},
		{"bad capture", []string{"run", "chat", "--pcap", filepath.Join(file, "x")}, 2, "--pcap: "},
		{"bad folder", []string{"run", "chat", "--out", filepath.Join(file, "x")}, 2, "--out: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, stderr := run(t, c.args...)
			require.Equal(t, c.status, status, "%s", stderr)
			require.Contains(t, stderr, c.stderr)
			if c.stderr == "" {
				require.Empty(t, stderr)
			}
		})
	}
}

// Goal: a failure says how to see it again.
func TestReplayLine(t *testing.T) {
	_, _, stderr := runChat(t, "--mutant", "no-resume", "--seed", "5")
	require.Contains(t, stderr, "replay: go run ./cmd/twohop run chat --seed 5 --set clients=10 --set rooms=2 --set duration=10s --set rate=3 --mutant no-resume")
	require.Contains(t, stderr, "faults: crash(edge-1) 2.5s–4s")
	require.Contains(t, stderr, "last 20 steps:")
}

// Goal: --json is one object with everything that other programs rely on.
func TestJSON(t *testing.T) {
	status, stdout, _ := runChat(t, "--json", "--repeat", "2", "--seed", "9")
	require.Zero(t, status)
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	for _, key := range []string{
		"scenario", "seed", "params", "trace_hash", "steps", "virtual_s", "wall_s",
		"published", "delivered", "resumed", "reconnects", "latency_ms", "verdicts",
	} {
		require.Contains(t, r, key)
	}
	require.EqualValues(t, 9, r["seed"])
	require.Equal(t, 10.0, r["params"].(map[string]any)["clients"])
	require.Len(t, r["trace_hash"], 16)
	for _, transport := range []string{"ws", "sse"} {
		q := r["latency_ms"].(map[string]any)[transport].(map[string]any)
		for _, key := range []string{"p50", "p90", "p99", "max"} {
			require.Positive(t, q[key])
		}
	}
	for _, v := range r["verdicts"].([]any) {
		require.Equal(t, "Ok", v.(map[string]any)["verdict"])
		require.NotEmpty(t, v.(map[string]any)["property"])
		require.NotEmpty(t, v.(map[string]any)["detail"])
	}
	status, stdout, _ = run(t, "list", "--json")
	require.Zero(t, status)
	var list []map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	require.NotEmpty(t, list)
	require.Equal(t, "chat", list[0]["name"])
}

// Goal: --out leaves the run's files and figures, and --quiet says nothing.
func TestOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	status, stdout, stderr := runChat(t, "--out", dir, "--quiet")
	require.Zero(t, status)
	require.Empty(t, stdout)
	require.Empty(t, stderr)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		require.NoError(t, err)
		require.Positive(t, info.Size(), e.Name())
	}
	for _, name := range []string{"trace.jsonl", "history.jsonl", "result.json"} {
		require.Contains(t, names, name)
	}
	require.Len(t, names, 3+4, "two figures, as PNG and SVG: %q", names)
	for _, name := range []string{"trace.jsonl", "history.jsonl"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			require.True(t, json.Valid([]byte(line)), "%s: %s", name, line)
		}
	}
}

// Goal: --pcap writes a capture, and the run is the same with and without it.
func TestPcap(t *testing.T) {
	file := filepath.Join(t.TempDir(), "net.pcapng")
	status, with, _ := runChat(t, "--pcap", file, "--json")
	require.Zero(t, status)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Greater(t, len(data), 10000)
	require.Equal(t, []byte{0x0a, 0x0d, 0x0d, 0x0a}, data[:4], "a pcapng file begins with a section header block")
	status, without, _ := runChat(t, "--json")
	require.Zero(t, status)
	hash := func(report string) any {
		var r map[string]any
		require.NoError(t, json.Unmarshal([]byte(report), &r))
		return r["trace_hash"]
	}
	require.Equal(t, hash(without), hash(with))
}

// Goal: the table for people has what they look for.
func TestTable(t *testing.T) {
	status, stdout, _ := runChat(t)
	require.Zero(t, status)
	for _, want := range []string{
		"NoLoss", "NoDuplicate", "InOrder", "Linearizable", "p50", "p90", "p99", "max", "ws ", "sse ",
		"published", "delivered", "reconnects", "resumed", "trace hash", "virtual", "wall", "times real time",
	} {
		require.Contains(t, stdout, want)
	}
}

// Goal: a scenario's own tables are printed, and in the JSON.
func TestTablesOfAScenario(t *testing.T) {
	args := []string{"run", "proxies", "--set", "clients=1", "--set", "duration=10s"}
	status, stdout, stderr := run(t, args...)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "WHAT COMES OF IT\nbalancer ")
	require.Regexp(t, `(?m)^l7-no-upgrade .* fails: refused with 426`, stdout)
	status, stdout, _ = run(t, append(args, "--json")...)
	require.Zero(t, status)
	var r struct{ Tables []struct{ Title string } }
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Len(t, r.Tables, 2)
}
