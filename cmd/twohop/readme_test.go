package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the README's failure")

// Goal: the failure in the README is the one that its command prints, shortened, and the diagram the one that it
// writes. After a change on purpose: go test ./cmd/twohop -run TestReadmeFailure -update.
func TestReadmeFailure(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the chat")
	}
	const (
		readme  = "../../README.md"
		drawing = "testdata/spacetime.svg"
		command = "run chat --set clients=20 --mutant no-resume --out "
		begin   = "    go run ./cmd/twohop " + command + "out\n\n"
		end     = "\n\n![Space-time diagram"
	)
	dir := filepath.Join(t.TempDir(), "out")
	status, _, stderr := run(t, strings.Fields(command+dir)...)
	require.Equal(t, 1, status)
	got := shortened(strings.ReplaceAll(strings.TrimSpace(stderr), dir, "out"))
	svg, err := os.ReadFile(filepath.Join(dir, "spacetime.svg"))
	require.NoError(t, err)

	data, err := os.ReadFile(readme)
	require.NoError(t, err)
	head, rest, found := strings.Cut(string(data), begin)
	require.True(t, found, "the command is in the README")
	want, tail, found := strings.Cut(rest, end)
	require.True(t, found, "what it prints, and the diagram, are in the README")
	require.Contains(t, tail, "(cmd/twohop/"+drawing+")")
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(head+begin+got+end+tail), 0o666))
		require.NoError(t, os.WriteFile(drawing, svg, 0o666))
		return
	}
	require.Equal(t, want, got)
	golden, err := os.ReadFile(drawing)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(svg))
}

// shortened indents a banner, and leaves out what the README has no room for.
func shortened(banner string) string {
	var lines []string
	steps := false
	for line := range strings.SplitSeq(banner, "\n") {
		listed := steps && strings.HasPrefix(line, "  ")
		steps = listed || strings.HasPrefix(line, "last ")
		if listed {
			continue
		}
		if steps {
			line += " …"
		}
		if strings.HasPrefix(line, "files: ") {
			line = strings.Join(strings.Split(line, " · ")[:4], " · ") + " · …"
		}
		lines = append(lines, "    "+line)
	}
	return strings.Join(lines, "\n")
}
