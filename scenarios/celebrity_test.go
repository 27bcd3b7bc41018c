package scenarios_test

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// smallCelebrity is the catalogue's comparison with a few hundred clients.
func smallCelebrity() *scenarios.Celebrity {
	c := scenarios.NewCelebrity()
	c.Clients, c.Sizes, c.Branch = 210, 2, 6
	return c
}

// Goal: the tree keeps its bound and the naive designs break it, as their closed forms say; the broker's work
// does not depend on the number of followers; the run reproduces itself, and the figures show it.
// Method: the catalogue's comparison with fewer clients, twice.
func TestCelebrity(t *testing.T) {
	if testing.Short() {
		t.Skip("TestCelebrityDesigns has the same with fewer clients")
	}
	c := smallCelebrity()
	require.NoError(t, c.Validate())
	require.Empty(t, c.Warnings())
	report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 1, Repeat: 2})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.Zero(t, report.Reconnects)
	require.Equal(t, 3*3*(210+70), report.Delivered)

	require.Len(t, report.Tables, 1)
	table := report.Tables[0]
	require.Len(t, table.Rows, 6)
	column := func(row []string, name string) int {
		n, err := strconv.Atoi(row[slices.Index(table.Head, name)])
		require.NoError(t, err)
		return n
	}
	for _, row := range table.Rows {
		require.Len(t, row, len(table.Head))
		clients, broker, busiest := column(row, "clients"), column(row, "copies by the broker"), column(row, "by the busiest")
		bound := "Illegal"
		switch row[0] {
		case "edge":
			require.Equal(t, []int{1, clients}, []int{broker, busiest}, row)
		case "broker":
			require.Equal(t, []int{(clients + 5) / 6, (clients + 5) / 6}, []int{broker, busiest}, row)
		case "tree":
			bound = "Ok"
			require.LessOrEqual(t, max(broker, busiest), 6, row)
		}
		require.Equal(t, bound, row[slices.Index(table.Head, "FanoutBound")], row)
	}
	last := func(row int) time.Duration {
		ms, err := strconv.ParseFloat(table.Rows[row][slices.Index(table.Head, "last delivery")][:4], 64)
		require.NoError(t, err)
		return time.Duration(ms * float64(time.Millisecond))
	}
	require.Greater(t, last(1)-last(0), 10*time.Millisecond, "140 followers more, of one edge")
	require.Less(t, last(5)-last(4), time.Millisecond, "140 followers more, of a tree")

	figures := c.Figures(res.History)
	require.Len(t, figures, 2)
	for _, f := range figures {
		require.Empty(t, f.Figure.Problem())
		golden := "testdata/" + f.Name + ".png"
		var drawn bytes.Buffer
		require.NoError(t, f.Figure.WritePNG(&drawn))
		if *update {
			require.NoError(t, os.WriteFile(golden, drawn.Bytes(), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		if differ := pixelsThatDiffer(t, want, drawn.Bytes()); differ > 100 { // processors round differently
			t.Errorf("%d pixels differ from %s; look at both, then run this test with -update", differ, golden)
		}
	}
}

// Goal: each design alone, at either fidelity, for odd numbers and shapes, is as its closed form says.
func TestCelebrityDesigns(t *testing.T) {
	for name, change := range map[string]func(*scenarios.Celebrity){
		"tree":                   func(c *scenarios.Celebrity) { c.Design = "tree" },
		"edge":                   func(c *scenarios.Celebrity) { c.Design, c.Updates = "edge", 2 },
		"broker over tcp":        func(c *scenarios.Celebrity) { c.Design, c.Fidelity = "broker", "tcp" },
		"a tree of four levels":  func(c *scenarios.Celebrity) { c.Design, c.Clients, c.Branch, c.Sizes = "tree", 23, 2, 1 },
		"large updates over tcp": func(c *scenarios.Celebrity) { c.Design, c.Body, c.Fidelity = "tree", 5000, "tcp" },
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "tree" {
				t.Skip("its like is tested")
			}
			c := smallCelebrity()
			c.Clients, c.Sizes = 50, 2
			change(c)
			require.NoError(t, c.Validate())
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 2, Repeat: repeat(true)})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		})
	}
}

func TestCelebrityParameters(t *testing.T) {
	c := scenarios.NewCelebrity()
	require.ErrorContains(t, scenarios.Set(c, "design", "star"), "want one of compare | edge | broker | tree")
	require.ErrorContains(t, scenarios.Set(c, "branch", "1"), "want a whole number, 2 to 1000")
	c.Clients = 18
	require.ErrorContains(t, c.Validate(), "parameter clients: 18 is not allowed: want more than branch, 18")
	c = scenarios.NewCelebrity()
	c.Uplink, c.Body, c.Clients = 1, 65536, 20000
	require.ErrorContains(t, c.Validate(), "parameter uplink: 1 Mbit/s is not allowed")
	c = scenarios.NewCelebrity()
	require.Empty(t, c.Warnings())
	c.Fidelity = "tcp"
	require.Len(t, c.Warnings(), 1)
	require.Contains(t, c.Warnings()[0], "at 100 Mbit/s one edge takes 564ms for 5000 clients")
	for _, p := range c.Properties()[len(c.Properties())-3:] {
		require.Equal(t, model.Unknown, p.Check(&model.History{}).Outcome, "%s: there was no run", p.Name())
	}
	require.Empty(t, c.Tables(&model.History{}))
	require.Empty(t, c.Figures(&model.History{}))
}
