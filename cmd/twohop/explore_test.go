package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// TestMain lets the test binary be a worker, as explore starts its own program again.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != workerName {
		debug.SetGCPercent(workerGCPercent)
		os.Exit(m.Run())
	}
	if what := os.Getenv("TWOHOP_BROKEN_WORKER"); what == "hang" {
		time.Sleep(time.Minute)
	} else if what != "" {
		brokenWorker(what)
	}
	main()
}

// brokenWorker answers as a worker does whose program has a flaw: it crashes or loops for ever over seed 2, or violates
// a property that it does not violate the next time.
func brokenWorker(what string) {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var j job
		if err := in.Decode(&j); err != nil {
			os.Exit(0)
		}
		o := &outcome{Result: model.Ok, Report: &scenarios.Report{TraceHash: "same", Runs: max(j.Repeat, 1)}}
		switch {
		case what == "crash" && j.Capsule.Seed == 2:
			fmt.Fprintln(os.Stderr, "out of\nluck")
			os.Exit(7)
		case what == "loop" && j.Capsule.Seed == 2:
			for n := 0; ; n++ {
				_ = n // as user code does whose loop has no end
			}
		case strings.HasPrefix(what, "flaky") && !j.Keep:
			o.Result = model.Illegal
			o.Report.Verdicts = []model.Verdict{{Property: "InOrder", Outcome: model.Illegal, Step: 812, Detail: "31 after 32"}}
			if what == "flaky-process" {
				o.Report.TraceHash = "other"
			}
		case what == "flaky-step" && j.Repeat > 1:
			o.Result, o.Diverged = model.Unknown, true
			o.Report.Error = (&sim.DivergenceError{Run: 3, Hash: 1, Second: 2, Step: 700, First: "step 700 · a", Other: "step 700 · b"}).Error()
		}
		if err := out.Encode(o); err != nil {
			os.Exit(1)
		}
	}
}

// Goal: an endless loop is killed at its limit, and the next run has a process of its own.
// Method: only the loop has a short limit. Whatever a slow machine makes of that, the loop does not end before; the
// others, and the start of their processes, may take their time.
func TestWorkerKillsLoops(t *testing.T) {
	t.Setenv("TWOHOP_BROKEN_WORKER", "loop")
	w := new(worker)
	defer w.stop()
	for _, c := range []struct {
		seed  uint64
		limit time.Duration
		want  outcome
	}{
		{1, time.Minute, outcome{Result: model.Ok}},
		{2, 50 * time.Millisecond, outcome{Result: model.Unknown, Lost: "killed after 50ms without an end"}},
		{3, time.Minute, outcome{Result: model.Ok}},
	} {
		w.limit = c.limit
		out, err := w.run(job{Capsule: &scenarios.Capsule{Seed: c.seed}})
		require.NoError(t, err)
		out.Report = nil
		require.Equal(t, c.want, *out, "seed %d", c.seed)
	}
}

// Goal: a failure that does not recur is flaky, and never a pass; it says what differs, and where.
func TestExploreFlaky(t *testing.T) {
	for what, want := range map[string]string{
		"flaky-step": "and not when it was run again; sim: not reproducible: run 1 has trace hash 0000000000000001, run 3 has 0000000000000002\n" +
			"  first difference at step 700:\n    run 1: step 700 · a\n    run 3: step 700 · b",
		"flaky-process": "30 further runs were all the same, with trace hash same, which in the first was other",
		"flaky-judge":   "30 further runs had the same trace hash, same, as the first",
	} {
		t.Setenv("TWOHOP_BROKEN_WORKER", what)
		status, stdout, _ := run(t, "explore", "chat", "--seeds", "2", "-j", "1", "--out", t.TempDir())
		require.Equal(t, 3, status)
		require.Regexp(t, `flaky +1 +seeds 1\n`, stdout)
		require.Contains(t, stdout, "it violated InOrder once (31 after 32)")
		require.Contains(t, stdout, want)
	}
}

// Goal: seeds run in other processes; a failure is found, kept, reduced and seen again, the same each time.
func TestExploreShrinkReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("dozens of runs")
	}
	dir := t.TempDir()
	status, stdout, stderr := run(t, append([]string{"explore", "chat", "--mutant", "no-dedupe", "--seeds", "4", "--out", dir}, small...)...)
	require.Equal(t, 1, status, stderr)
	require.Contains(t, stdout, "NoDuplicate")
	require.Contains(t, stdout, "to reduce it: go run ./cmd/twohop shrink ")
	require.Regexp(t, `last \d+ steps of client-`, stderr)
	require.Regexp(t, `files: .*chat-\d+/report.html · `, stderr)
	require.Contains(t, stderr, "--faults none --fault ")

	found, err := filepath.Glob(filepath.Join(dir, "chat-*.capsule.json"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	least := filepath.Join(dir, "least.json")
	status, stdout, stderr = run(t, "shrink", found[0], "--out", least, "--time", "2m")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "NoDuplicate: ")
	require.Contains(t, stdout, "--set clients=1 ")
	require.Contains(t, stderr, "files: "+filepath.Join(dir, "least", "report.html"))
	require.Contains(t, stderr, "replay: go run ./cmd/twohop replay "+least)
	c, err := readCapsule(least)
	require.NoError(t, err)
	require.LessOrEqual(t, len(*c.Faults), 1, "one disconnection is enough")

	status, stdout, stderr = run(t, "replay", least, "--out", filepath.Join(dir, "again"))
	require.Equal(t, 1, status)
	require.Contains(t, stdout, "the same in 2 runs")
	require.Contains(t, stderr, "NoDuplicate: "+c.Detail, "the same violation")
	require.Contains(t, stderr, "files: "+filepath.Join(dir, "again", "report.html"))
	status, _, stderr = run(t, strings.Fields("run chat --quiet "+strings.SplitN(unquote(c.Command()), " ", 3)[2])...)
	require.Equal(t, 1, status, "the command line is the same run: %s", stderr)
}

// unquote takes the shell's quotes off a command line whose quoted words have no spaces.
func unquote(line string) string { return strings.ReplaceAll(line, "'", "") }

// Goal: all seeds are counted if asked for; the JSON has it all.
func TestExploreAll(t *testing.T) {
	status, stdout, stderr := run(t, append([]string{"explore", "chat", "--seeds", "3", "--json", "--out", t.TempDir(), "-j", "2"}, small...)...)
	require.Zero(t, status, stderr)
	var e exploration
	require.NoError(t, json.Unmarshal([]byte(stdout), &e))
	require.Equal(t, 3, e.Runs)
	require.Equal(t, 3, e.Ok)
	require.Equal(t, "heavy", e.Faults)
	require.GreaterOrEqual(t, e.VirtualS, 30.0)

	status, stdout, _ = run(t, append([]string{"explore", "chat", "--seeds", "3", "--all", "--mutant", "no-dedupe", "--out", t.TempDir()}, small...)...)
	require.Equal(t, 1, status)
	require.Regexp(t, `NoDuplicate +[23] +seeds 1`, stdout)
}

// Goal: a run that crashes its process, or never ends, is reported with its seed, and the others go on.
func TestExploreSurvivesItsWorkers(t *testing.T) {
	for _, c := range []struct{ what, limit, crashed, want string }{
		{"crash", "1m", "1 +seeds 2", "seed 2: crashed: its process has crashed (exit status 7): out of luck"},
		{"hang", "50ms", "3 +seeds 1, 2, 3", "seed 1: crashed: killed after 50ms without an end"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Setenv("TWOHOP_BROKEN_WORKER", c.what)
			status, stdout, _ := run(t, append([]string{"explore", "chat", "--seeds", "3", "--all", "--limit", c.limit, "--out", t.TempDir()}, small...)...)
			require.Equal(t, 3, status)
			require.Regexp(t, `crashed +`+c.crashed+`\n`, stdout)
			require.Contains(t, stdout, c.want)
		})
	}
}

// Goal: nonsense on the command line, and in capsules, is said to be so.
func TestExploreErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o666))
		return name
	}
	healthy := &scenarios.Capsule{Version: 1, Scenario: "chat", Seed: 1, Params: map[string]string{"clients": "4", "rooms": "1", "duration": "10s"}, Faults: new(sim.Schedule)}
	well := filepath.Join(dir, "well")
	require.NoError(t, writeCapsule(well, healthy))
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"explore"}, 2, "explore: want the name of one scenario"},
		{[]string{"explore", "chatt"}, 2, "did you mean chat?"},
		{[]string{"explore", "chat", "--seeds", "0"}, 2, "--seeds: 0 is not allowed: want 1 or more"},
		{[]string{"explore", "chat", "-j", "0"}, 2, "-j: 0 is not allowed: want 1 to 1024"},
		{[]string{"explore", "chat", "--limit", "0s"}, 2, "--limit: 0s is not allowed"},
		{[]string{"explore", "chat", "--time", "-1s"}, 2, "--time: -1s is not allowed"},
		{[]string{"explore", "chat", "--fault", "x"}, 2, `unknown fault "x"`},
		{[]string{"explore", "chat", "--seeds", "2", "--set", "clients=4", "--set", "duration=10s", "--fault", "crash(edge-9)@2s"}, 2, `crash(edge-9) at 2s: there is no node "edge-9"`},
		{[]string{"replay", file("i", `{"version": 1, "scenario": "chat", "seed": 1, "params": {"clients": "4", "duration": "10s"}, "faults": "pause(x-*)@2s"}`)}, 2, `no host is named or matches "x-*"`},
		{[]string{"shrink", filepath.Join(dir, "i")}, 2, `no host is named or matches "x-*"`},
		{[]string{"shrink"}, 2, "shrink: want the name of one capsule, have 0"},
		{[]string{"shrink", filepath.Join(dir, "none")}, 2, "no such file"},
		{[]string{"shrink", well, "--time", "-1s"}, 2, "--time: -1s is not allowed: want more than 0"},
		{[]string{"shrink", well, "--limit", "0s"}, 2, "--limit: 0s is not allowed: want more than 0"},
		{[]string{"shrink", well, "--out", filepath.Join(well, "x")}, 2, "--out: open "},
		{[]string{"shrink", well, "--out", dir}, 2, "is a directory"},
		{[]string{"explore", "chat", "--out", well}, 2, "--out: mkdir "},
		{[]string{"shrink", well}, 3, "the run violates no property: there is nothing to reduce (Ok"},
		{[]string{"replay", file("a", "{")}, 2, "capsule: corrupted: unexpected end"},
		{[]string{"replay", file("b", `{"version": 7}`)}, 2, "capsule: version 7; this program reads version 1"},
		{[]string{"replay", file("c", `{"version": 1, "scenario": "chatt"}`)}, 2, "did you mean chat?"},
		{[]string{"replay", file("d", `{"version": 1, "scenario": "chat", "faults": "crash(@"}`)}, 2, "line 1, column 6"},
		{[]string{"replay", file("e", `{"version": 1, "scenario": "chat", "luck": 1}`)}, 2, `unknown field "luck"`},
		{[]string{"replay", file("f", `{"version": 1, "scenario": "chat", "params": {"clients": "none"}}`)}, 2, "parameter clients"},
		{[]string{"replay", file("g", `{"version": 1, "scenario": "fidelity", "faults": ""}`)}, 2, "the scenario fidelity has no faults to choose"},
		{[]string{"replay", file("h", `{"version": 1, "scenario": "chat"} x`)}, 2, "capsule: corrupted"},
	} {
		status, _, stderr := run(t, c.args...)
		require.Equal(t, c.status, status, "%v: %s", c.args, stderr)
		require.Contains(t, stderr, c.want)
	}
	status, stdout, _ := run(t, "replay", well)
	require.Zero(t, status)
	require.Contains(t, stdout, string(model.Ok))
}
