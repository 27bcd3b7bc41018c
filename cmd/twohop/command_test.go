package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
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

// Goal: a hold that the balancer will not bear is said to be one, before the run, which goes on.
func TestWarning(t *testing.T) {
	const warning = `twohop: warning: hold of 10s, but the balancer's idle time-out is 2s`
	args := []string{"--set", "transport=longpoll", "--set", "idle=2s"}
	status, _, stderr := runChat(t, args...)
	require.Zero(t, status)
	require.Contains(t, stderr, warning)
	status, _, stderr = runChat(t, append(args, "--set", "hold=1s")...)
	require.Zero(t, status)
	require.NotContains(t, stderr, "warning")
}

// Goal: the exit status and the first line say what happened.
func TestExitStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	bad := filepath.Join(t.TempDir(), "bad")
	require.NoError(t, os.WriteFile(bad, []byte("# one\ncrush(edge-1)@5s\n"), 0o666))
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
		{"bad seed", []string{"run", "chat", "--seed", "x"}, 2, `--seed: "x" is not allowed: want a whole number, 0 to 18446744073709551615`},
		{"negative seed", []string{"run", "chat", "--seed", "-1"}, 2, `--seed: "-1" is not allowed`},
		{"no unit", []string{"explore", "chat", "--limit", "5"}, 2, `--limit: "5" is not allowed: want a duration such as 250ms`},
		{"no flag", []string{"run", "chat", "--sed", "5"}, 2, "unknown flag: --sed"},
		{"not a number", []string{"run", "chat", "--set", "rate=NaN"}, 2, `parameter rate: "NaN" is not allowed: want a number, 0.1 to 1000`},
		{"two values", []string{"run", "chat", "--set", "clients=5", "--set", "clients=6"}, 2, "--set clients=6: it is 5 already; want one value"},
		{"empty mutant", []string{"run", "chat", "--mutant", ""}, 2, `--mutant: "" is not allowed: leave it out, or give it a value`},
		{"empty fault", []string{"explore", "chat", "--fault", "heal()@1s", "--fault", ""}, 2, `--fault: "" is not allowed`},
		{"late fault", append([]string{"run", "chat", "--fault", "crash(edge-1)@99h"}, small...), 0, "twohop: warning: crash(edge-1) at 99h0m0s: the run takes 10s, and may be over by then\n"},
		{"bad repeat", []string{"run", "chat", "--repeat", "0"}, 2, "--repeat: 0 is not allowed: want 1 or more"},
		{"bad fault", []string{"run", "chat", "--fault", "crush(edge-1)@5s"}, 2, `--fault crush(edge-1)@5s: faults: line 1, column 1: unknown fault "crush"`},
		{"fault of nobody", append([]string{"run", "chat", "--fault", "crash(edge-9)@2s"}, small...), 2, `crash(edge-9) at 2s: there is no node "edge-9"; the nodes are redis, edge-1`},
		{"fault of no host", append([]string{"run", "chat", "--fault", "pause(x-*)@2s"}, small...), 2, `pause(x-*): netsim: no host is named or matches "x-*"`},
		{"no such faults", []string{"run", "chat", "--faults", "hevy"}, 2, `--faults: "hevy" is none of none, light, heavy`},
		{"bad file of faults", []string{"run", "chat", "--faults", bad}, 2, "line 2, column 1: unknown fault"},
		{"no faults there", []string{"run", "fidelity", "--faults", "light"}, 2, "the scenario fidelity has no faults to choose"},
		{"model", []string{"model", "scaling"}, 0, ""},
		{"model's mutant", []string{"model", "scaling", "--mutant", "no-dual"}, 1, ""},
		{"unknown protocol", []string{"model", "gossip"}, 2, `explore: Protocol: "gossip"; want scaling or resume`},
		{"unknown mutant of a model", []string{"model", "scaling", "--mutant", "x"}, 2, "Mutant"},
		{"mutant of what", []string{"model", "--mutant", "no-dual"}, 2, "of which protocol?"},
		{"no clients in a model", []string{"model", "resume", "--clients", "0"}, 2, "--clients: 0 is not allowed: want 1 or more\n"},
		{"no faults in a model", []string{"model", "resume", "--faults", "0"}, 2, "--faults: 0 is not allowed: want 1 or more, or --calm for none"},
		{"calm with faults", []string{"model", "resume", "--calm", "--faults", "2"}, 2, "--faults: 2 is not allowed with --calm"},
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

// Goal: an exhaustive search prints how many states there are, and the story of a broken protocol.
func TestModel(t *testing.T) {
	_, stdout, _ := run(t, "model", "scaling")
	require.Regexp(t, `scaling +Ok +\d{4,} +\d{4,} `, stdout)
	require.Contains(t, stdout, "no-dual")
	_, stdout, _ = run(t, "model", "scaling", "--mutant", "no-dual")
	require.Contains(t, stdout, "so: client-1 never gets m1")
}

// Goal: a failure says how to see it again.
func TestReplayLine(t *testing.T) {
	_, _, stderr := runChat(t, "--mutant", "no-resume", "--seed", "5")
	require.Contains(t, stderr, "replay: go run ./cmd/twohop run chat --seed 5 --set clients=10 --set rooms=2 --set duration=10s --set rate=3 --mutant no-resume")
	require.Contains(t, stderr, "faults: crash(edge-1) 2.5s–4s")
	require.Regexp(t, `\nlast 20 steps of client-\d+:\n`, stderr)
	require.Regexp(t, `\njourney of room-\d+#\d+ \(message "publisher-\d+-\d+"\) to client-\d+:\n`, stderr)
	require.Contains(t, stderr, "files: the rest with --out DIR")
}

// Goal: with --out, a failure leaves a report, its diagram, and files in which the step of the verdict is.
func TestFailureFiles(t *testing.T) {
	dir := t.TempDir()
	status, _, stderr := runChat(t, "--mutant", "no-resume", "--quiet", "--out", dir)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "files: "+filepath.Join(dir, "report.html")+" · "+filepath.Join(dir, "spacetime.svg"))
	step := regexp.MustCompile(`\n  step (\d+) · t=`).FindStringSubmatch(stderr)
	require.NotNil(t, step)
	for _, name := range []string{"trace.jsonl", "history.jsonl", "result.json", "report.html", "spacetime.svg"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Regexp(t, `\b`+step[1]+`\b`, string(data), name)
	}
	report, err := os.ReadFile(filepath.Join(dir, "report.html"))
	require.NoError(t, err)
	for _, want := range []string{"Journey of room-", "--mutant no-resume", "crash(edge-1) 2.5s–4s", "Figures", "which is past it."} {
		require.True(t, strings.Contains(string(report), want), want)
	}
}

// Goal: faults can be chosen, added, and read from a file; what happened is in the report, and the replay
// line has it all.
func TestChosenFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faults")
	require.NoError(t, os.WriteFile(file, []byte("crash(edge-2)@3s for 1s\nloss(client-*<->lb, 10%)@2s for 3s"), 0o666))
	status, stdout, _ := runChat(t, "--faults", file, "--fault", "pause(edge-1)@5s for 300ms")
	require.Zero(t, status)
	for _, want := range []string{"crash(edge-2) at 3s until 4s", "loss(client-*<->lb, 10%) at 2s until 5s", "pause(edge-1) at 5s until 5.3s"} {
		require.Contains(t, stdout, want)
	}
	require.NotContains(t, stdout, "crash(edge-1)")
	require.NotContains(t, stdout, "undo")

	_, stdout, _ = runChat(t, "--faults", "none")
	require.NotContains(t, stdout, "fault ")
	_, stdout, stderr := runChat(t, "--faults", "heavy", "--seed", "3", "--mutant", "no-dedupe", "--fault", "crash(edge-1)@4s for 1s")
	require.Contains(t, stdout, "fault ")
	require.Contains(t, stderr, "--mutant no-dedupe --faults heavy --fault 'crash(edge-1)@4s for 1s'")
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
	for _, name := range []string{"trace.jsonl", "history.jsonl", "trail.jsonl", "result.json", "report.html"} {
		require.Contains(t, names, name)
	}
	require.Len(t, names, 5+6, "three figures, as PNG and SVG: %q", names)
	for _, name := range []string{"trace.jsonl", "history.jsonl", "trail.jsonl"} {
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
