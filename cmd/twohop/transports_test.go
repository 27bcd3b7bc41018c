package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/sim/hop1"
)

// fewTransports makes the comparison quick enough for tests of the command line.
var fewTransports = []string{
	"run", "transports", "--set", "clients=10", "--set", "rooms=1", "--set", "duration=10s", "--set", "hold=2s",
	"--set", "rate=3", "--set", "memory=0",
}

// Goal: the comparison's table, figures and result have every transport, and its parts.
func TestCompareTransports(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the comparison and its parts, and draws them")
	}
	dir := t.TempDir()
	status, stdout, stderr := run(t, append(fewTransports, "--out", dir)...)
	require.Zero(t, status, "%s", stderr)
	require.Empty(t, stderr)
	for _, want := range []string{
		"DELIVERY LATENCY", "ON THE WIRE", "bytes/message", "TCP handshakes", "upgrades", "HTTP requests", "CUT OFF, FROM THE FAULT",
		"RECONNECT, FROM NOTICING", "callback-gap · seed 1", "poll-interval · seed 1", "ClosedForm", "100.2 ms, 290.2 ms", "LATENCY BY INTERVAL",
	} {
		require.Contains(t, stdout, want)
	}
	require.NotContains(t, stdout, "memory", "it was not measured")
	for _, name := range []string{
		"bytes-per-message.png", "callback-gap.png", "poll-interval.svg", "delivery-cdf.png",
		"callback-gap/history.jsonl", "poll-interval/trace.jsonl", "result.json",
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Positive(t, info.Size(), name)
	}
	data, err := os.ReadFile(filepath.Join(dir, "result.json"))
	require.NoError(t, err)
	var result struct {
		Metrics map[string]map[string]any
		Parts   []map[string]any
	}
	require.NoError(t, json.Unmarshal(data, &result))
	for _, transport := range hop1.Transports() {
		m := result.Metrics[transport]
		for _, key := range []string{
			"clients", "delivered", "bytes_sent", "bytes_received", "packets", "bytes_per_message", "connections",
			"tcp_handshakes", "http_requests",
		} {
			require.Positive(t, m[key], "%s of %s", key, transport)
		}
		require.Contains(t, m, "websocket_upgrades")
		require.Contains(t, m, "reconnect_ms")
		require.Contains(t, m, "outage_ms")
		require.NotContains(t, m, "memory_bytes_per_connection")
	}
	require.Len(t, result.Parts, 2)
	require.Equal(t, "callback-gap", result.Parts[0]["scenario"])
	require.NotEmpty(t, result.Parts[0]["tables"])
}

// Goal: memory is in the table if it was measured.
func TestMemoryIsMeasured(t *testing.T) {
	measured := slices.Replace(slices.Clone(fewTransports), len(fewTransports)-1, len(fewTransports), "memory=10")
	status, stdout, stderr := run(t, append(measured, "--set", "transport=sse")...)
	require.Zero(t, status, "%s", stderr)
	require.Regexp(t, `memory/connection \(measured\)\nsse .* \d+\.\d kB\n`, stdout)
}

// Goal: a hold that the balancer cuts short is warned of, on stderr and in the result, by both values.
func TestHoldWarning(t *testing.T) {
	status, stdout, stderr := run(t, append(fewTransports, "--set", "transport=longpoll", "--set", "idle=1s", "--json")...)
	require.Zero(t, status, "%s", stderr)
	require.Regexp(t, `^twohop: warning: .*\b2s\b.*\b1s\b`, stderr)
	var result struct{ Warnings []string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	require.Len(t, result.Warnings, 1)
	require.Contains(t, stderr, result.Warnings[0])
}

// Goal: parameters that cannot be are refused with what is allowed, before anything runs; a failing part
// fails the whole.
func TestTransportsExitStatus(t *testing.T) {
	const interval = `parameter interval: "0s" is not allowed: want a duration such as 250ms or 1m30s, 10ms to 1h0m0s`
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"run", "transports", "--set", "interval=0s"}, 2, interval},
		{[]string{"run", "poll-interval", "--set", "interval=0s"}, 2, interval},
		{[]string{"run", "poll-interval", "--set", "interval=100ms"}, 2, "parameter interval: 100ms is not allowed: want at least 1.296s"},
		{[]string{"run", "transports", "--set", "transport=telegraph"}, 2, `parameter transport: "telegraph" is not allowed: want one of all | longpoll | poll | sse`},
		{[]string{"run", "transports", "--set", "clients=1"}, 2, "parameter clients: 1 is not allowed: want at least"},
		{[]string{"run", "callback-gap", "--mutant", "slow-path"}, 1, "Illegal: ClosedForm: "},
		{[]string{"run", "poll-interval", "--mutant", "in-step"}, 1, "Illegal: ClosedForm: polling every 250ms"},
		{append(fewTransports, "--mutant", "no-dedupe"), 1, "Illegal: NoDuplicate: "},
	} {
		if testing.Short() && c.status != 2 {
			continue
		}
		status, _, stderr := run(t, c.args...)
		require.Equal(t, c.status, status, "%q: %s", c.args, stderr)
		require.Contains(t, stderr, c.stderr)
	}
}
