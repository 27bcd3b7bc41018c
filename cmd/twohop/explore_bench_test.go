package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkExplore is the search for failures in a small chat, 20 clients in 4 rooms with two messages a second
// in all, over a minute of virtual time under heavy faults: how many times faster than real time it is, with
// the start of its processes. An op is a seed.
func BenchmarkExplore(b *testing.B) {
	const chat = "explore chat --faults heavy --set clients=20 --set rooms=4 --set publishers=2 --set rate=1 --set duration=60s"
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			args := append(strings.Fields(chat), "--seeds", strconv.Itoa(b.N), "-j", strconv.Itoa(workers), "--json", "--out", b.TempDir())
			b.ResetTimer()
			var stdout, stderr bytes.Buffer
			status := execute(nil, args, &stdout, &stderr) // every run is another process's
			b.StopTimer()
			require.Zero(b, status, stderr.String())
			var e exploration
			require.NoError(b, json.Unmarshal(stdout.Bytes(), &e))
			require.Equal(b, b.N, e.Ok)
			b.ReportMetric(e.VirtualS/b.Elapsed().Seconds(), "times-real-time")
		})
	}
}
