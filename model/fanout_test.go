package model_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// Goal: the closed form is that of the tree.
// Method: build the tree, send a message through it node by node, and compare.
func TestFanoutIsItsTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := model.Fanout{
			Branch: rapid.IntRange(2, 12).Draw(rt, "branch"), Leaves: rapid.IntRange(1, 3000).Draw(rt, "leaves"),
			Hop: time.Duration(rapid.IntRange(0, 100).Draw(rt, "hop")), PerCopy: time.Duration(rapid.IntRange(0, 100).Draw(rt, "per copy")),
		}
		require.NoError(rt, f.Validate())
		// ⌈log_b N⌉ by its definition: b^(d-1) < N ≤ b^d.
		d := float64(f.Depth())
		require.LessOrEqual(rt, float64(f.Leaves), math.Pow(float64(f.Branch), d))
		require.True(rt, d == 1 || math.Pow(float64(f.Branch), d-1) < float64(f.Leaves))

		nodes := f.Tree()
		leaves, last := 0, time.Duration(0)
		at := make([]time.Duration, len(nodes))
		children := make([]int, len(nodes))
		for i, n := range nodes {
			require.LessOrEqual(rt, n.Children, f.Branch, "no node sends more than the branching factor")
			if n.Parent < 0 {
				require.Zero(rt, i)
				require.Equal(rt, f.OriginCopies(), n.Children)
				continue
			}
			require.Less(rt, n.Parent, i)
			require.Equal(rt, nodes[n.Parent].Level+1, n.Level)
			children[n.Parent]++
			require.Equal(rt, children[n.Parent], n.Rank)
			at[i] = at[n.Parent] + time.Duration(n.Rank)*f.PerCopy + f.Hop
			if n.Children == 0 {
				require.Equal(rt, f.Depth(), n.Level, "every leaf is at the same depth")
				leaves++
				last = max(last, at[i])
			}
		}
		for i, n := range nodes {
			require.Equal(rt, n.Children, children[i])
		}
		require.Equal(rt, f.Leaves, leaves)
		require.Equal(rt, last, f.Last())
		require.LessOrEqual(rt, last, f.Bound())
	})
}

// However many follow, the origin does no more, while an origin that sends to all does.
func TestOriginsWorkIsIndependentOfLeaves(t *testing.T) {
	for leaves := 1; leaves <= 1<<30; leaves *= 8 {
		f := model.Fanout{Branch: 8, Leaves: leaves, Hop: time.Millisecond, PerCopy: time.Microsecond}
		require.LessOrEqual(t, f.OriginCopies(), 8)
		require.LessOrEqual(t, f.Last(), f.Bound())
		require.Equal(t, time.Duration(leaves)*time.Microsecond+time.Millisecond, f.Naive())
	}
}

func TestFanoutConfig(t *testing.T) {
	good := model.Fanout{Branch: 2, Leaves: 1}
	require.NoError(t, good.Validate())
	require.Equal(t, 1, good.Depth())
	for want, change := range map[string]func(*model.Fanout){
		"Branch is 1; want 2": func(f *model.Fanout) { f.Branch = 1 },
		"Leaves is 0; want 1": func(f *model.Fanout) { f.Leaves = 0 },
		"Hop is -1ns":         func(f *model.Fanout) { f.Hop = -1 },
		"PerCopy -1ns":        func(f *model.Fanout) { f.PerCopy = -1 },
	} {
		f := good
		change(&f)
		require.ErrorContains(t, f.Validate(), want)
	}
	absurd := model.Fanout{Branch: 2, Leaves: 1 << 30, Hop: math.MaxInt64 / 2, PerCopy: math.MaxInt64 / 2}
	require.NoError(t, absurd.Validate())
	require.Equal(t, time.Duration(math.MaxInt64), absurd.Bound())
	require.Equal(t, time.Duration(math.MaxInt64), absurd.Naive())
}

func ExampleFanout() {
	f := model.Fanout{Branch: 32, Leaves: 5000, Hop: 10 * time.Millisecond, PerCopy: 50 * time.Microsecond}
	fmt.Println("depth", f.Depth(), "copies by the origin", f.OriginCopies())
	fmt.Println("last delivery", f.Last(), "instead of", f.Naive())
	// Output:
	// depth 3 copies by the origin 5
	// last delivery 33.4ms instead of 260ms
}
