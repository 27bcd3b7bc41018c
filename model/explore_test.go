package model_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "rewrite it with go test ./model -update, if the change is meant")
}

// holds explores protocols that keep their promise, and compares the numbers of states with a file.
func holds(t *testing.T, file string, configs ...model.ExploreConfig) {
	counts := ""
	for _, cfg := range configs {
		x, err := model.Explore(cfg)
		require.NoError(t, err)
		require.Nil(t, x.Violation, "%+v: %v", cfg, x.Violation)
		require.True(t, x.Complete)
		counts += fmt.Sprintf("%s, %d clients, 2 edges, 3 messages, %d faults: %d states, %d transitions, depth %d\n",
			cfg.Protocol, cfg.Clients, cfg.Faults, x.States, x.Transitions, x.Depth)
	}
	golden(t, file, counts)
}

// Goal: the two protocols keep their promises in every interleaving.
// Method: two clients, two edges, three messages and a fault, or a little more or less; every state that
// can be reached, whose number is written down.
func TestProtocolsHold(t *testing.T) {
	holds(t, "explore/counts.txt",
		model.ExploreConfig{Protocol: "scaling", Clients: 2, Calm: true},
		model.ExploreConfig{Protocol: "scaling", Clients: 2, Faults: 1},
		model.ExploreConfig{Protocol: "scaling", Clients: 3, Faults: 1},
		model.ExploreConfig{Protocol: "scaling", Clients: 2, Faults: 2},
		model.ExploreConfig{Protocol: "resume", Clients: 2, Calm: true},
		model.ExploreConfig{Protocol: "resume", Clients: 1, Faults: 1},
	)
}

func TestResumeHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("a million states")
	}
	holds(t, "explore/counts-resume.txt", model.ExploreConfig{Protocol: "resume", Clients: 2, Faults: 1})
}

// Goal: each part of the protocols is needed.
// Method: leave it out, and let the search tell the shortest way to a loss or a duplicate.
func TestEachPartIsNeeded(t *testing.T) {
	for _, protocol := range model.ExploreProtocols() {
		for _, m := range model.ExploreMutants(protocol) {
			t.Run(protocol+"/"+m.Name, func(t *testing.T) {
				require.Equal(t, protocol, m.Protocol)
				cfg := model.ExploreConfig{Protocol: protocol, Mutant: m.Name}
				if protocol == "resume" {
					cfg.Clients = 1 // another would have to come to rest, too, in the story
				}
				x, err := model.Explore(cfg)
				require.NoError(t, err)
				require.False(t, x.Complete)
				require.NotNil(t, x.Violation, m.Summary)
				require.NotEmpty(t, x.Violation.Reason)
				golden(t, "explore/"+protocol+"-"+m.Name+".txt", m.Summary+"\n\n"+x.Violation.String())
			})
		}
	}
}

func TestExploreConfig(t *testing.T) {
	for want, cfg := range map[string]model.ExploreConfig{
		`explore: Protocol: "nonsense"; want scaling or resume`:                                                 {Protocol: "nonsense"},
		`explore: Protocol: ""; want scaling or resume`:                                                         {},
		"explore: Clients: 4; want 1 to 3, or 0 for 2":                                                          {Protocol: "resume", Clients: 4},
		"explore: Messages: -1; want 1 to 4, or 0 for 3":                                                        {Protocol: "resume", Messages: -1},
		"explore: Faults: 4; want 1 to 3, or 0 for 1":                                                           {Protocol: "scaling", Faults: 4},
		"explore: MaxStates: -1; want 1 to 1073741824, or 0 for 20000000":                                       {Protocol: "scaling", MaxStates: -1},
		`explore: Mutant: "no-anchor"; want "", no-announce, no-move, no-dual, no-commit, no-drain, no-confirm`: {Protocol: "scaling", Mutant: "no-anchor"},
	} {
		_, err := model.Explore(cfg)
		require.EqualError(t, err, want)
	}
	x, err := model.Explore(model.ExploreConfig{Protocol: "scaling", MaxStates: 100})
	require.NoError(t, err)
	require.False(t, x.Complete, "a search that was cut short has not shown anything")
	require.Nil(t, x.Violation)
	require.Greater(t, x.States, 100)
	require.Empty(t, model.ExploreMutants("nonsense"))
}

func BenchmarkExplore(b *testing.B) {
	states := 0
	for b.Loop() {
		x, err := model.Explore(model.ExploreConfig{Protocol: "scaling", Clients: 3})
		if err != nil || !x.Complete {
			b.Fatal(err, x.Violation)
		}
		states += x.States
	}
	b.ReportMetric(float64(states)/b.Elapsed().Seconds(), "states/s")
}

func ExampleExplore() {
	x, err := model.Explore(model.ExploreConfig{Protocol: "scaling", Mutant: "no-move"})
	if err != nil {
		panic(err)
	}
	fmt.Print(x.Violation)
	// Output:
	//  1. the coordinator announces that the room moves from edge-1 to edge-2
	//  2. the coordinator commits: edge-2 owns the room
	//  3. the source learns of the commit
	//  4. m1 is published, and sent to edge-2
	//  5. edge-2 receives m1
	// so: client-1 never gets m1: it is at edge-1, and nothing more happens
}
