package model_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

func members(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("edge-%d", i+1)
	}
	return names
}

func keys(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("room-%d", i+1)
	}
	return names
}

func ring(t require.TestingT, p model.Placement) *model.Ring {
	r, err := model.NewRing(p)
	require.NoError(t, err)
	return r
}

func ExampleMovement() {
	fmt.Printf("from 4 servers to 5: modulo moves %.0f %% of the rooms, consistent hashing %.0f %%\n",
		100*model.Movement(model.Modulo, 4), 100*model.Movement(model.Consistent, 4))
	// Output: from 4 servers to 5: modulo moves 80 % of the rooms, consistent hashing 20 %
}

// What moves when a member comes or goes is what the closed form says.
func TestMovement(t *testing.T) {
	all := keys(20_000)
	for _, n := range []int{1, 2, 4, 9, 20} {
		for _, kind := range model.PlacementKinds() {
			p := model.Placement{Kind: kind, Members: members(n)}
			if kind != model.Modulo {
				p.VirtualNodes = 1000
			}
			a := ring(t, p)
			p.Members = members(n + 1)
			b := ring(t, p)
			want := model.Movement(kind, n)
			moved := model.Moved(a, b, all)
			require.Equal(t, moved, model.Moved(b, a, all))
			switch kind {
			case model.Modulo: // only the keys are chance
				require.InDelta(t, want, moved, 4.5*math.Sqrt(want*(1-want)/float64(len(all))))
			case model.Consistent: // and the points, which spread the share of the one that comes
				spread := want * model.Imbalance(n+1, 1000)
				require.InDelta(t, want, moved, 4.5*(spread+math.Sqrt(want*(1-want)/float64(len(all)))))
			case model.Bounded:
				require.Greater(t, moved, want/2)
				require.Less(t, moved, 3*want)
			}
		}
	}
	require.Zero(t, model.Moved(ring(t, model.Placement{Kind: model.Modulo, Members: members(2)}), ring(t, model.Placement{Kind: model.Modulo, Members: members(3)}), nil))
}

// How unevenly a ring spreads keys is what the closed form says; bounded loads keep their bound.
func TestBalance(t *testing.T) {
	const n, keyCount = 40, 200_000
	all := keys(keyCount)
	for _, v := range []int{1, 10, 100} {
		sum := 0.0
		const runs = 5
		for run := range runs {
			names := members(n)
			for i := range names {
				names[i] = fmt.Sprintf("%s of run %d", names[i], run)
			}
			count := map[string]int{}
			r := ring(t, model.Placement{Kind: model.Consistent, Members: names, VirtualNodes: v})
			for _, k := range all {
				count[r.Owner(k)]++
			}
			for _, m := range names {
				d := float64(count[m])*n/keyCount - 1
				sum += d * d
			}
		}
		require.InEpsilon(t, model.Imbalance(n, v), math.Sqrt(sum/(n*runs)), 0.25, "%d virtual nodes", v)
	}
	bounded := ring(t, model.Placement{Kind: model.Bounded, Members: members(10), LoadFactor: 1.1, VirtualNodes: 1})
	count := map[string]int{}
	for _, k := range all {
		count[bounded.Owner(k)]++
	}
	for m, c := range count {
		require.LessOrEqual(t, float64(c), 1.1*keyCount/10*1.05, m)
	}
}

// Whoever comes takes keys only for itself, and whoever goes leaves the others theirs; the order of the
// members does not matter.
func TestConsistency(t *testing.T) {
	all := keys(500)
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 2, 8, rapid.ID).Draw(rt, "members")
		p := model.Placement{Kind: model.Consistent, Members: names[1:], VirtualNodes: rapid.IntRange(1, 50).Draw(rt, "virtual nodes")}
		before := ring(rt, p)
		p.Members = names
		after := ring(rt, p)
		p.Members = slices.Clone(names)
		slices.Reverse(p.Members)
		reversed := ring(rt, p)
		for _, k := range all {
			if after.Owner(k) != before.Owner(k) {
				require.Equal(rt, names[0], after.Owner(k))
			}
			require.Equal(rt, after.Owner(k), reversed.Owner(k))
		}
	})
}

// Bounded loads: every slot has an owner, and none has more than its capacity.
func TestBoundedLoads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "members")
		p := model.Placement{
			Kind: model.Bounded, Members: members(n), VirtualNodes: rapid.IntRange(1, 20).Draw(rt, "virtual nodes"),
			Slots: rapid.IntRange(n, 200).Draw(rt, "slots"), LoadFactor: rapid.Float64Range(1.01, 3).Draw(rt, "load factor"),
		}
		load := map[string]int{}
		total := 0
		for _, owner := range ring(rt, p).SlotOwners() {
			load[owner]++
			total++
		}
		require.Equal(rt, p.Slots, total)
		for m, c := range load {
			require.LessOrEqual(rt, c, p.Capacity(), m)
		}
	})
}

func TestPlacementErrors(t *testing.T) {
	for want, p := range map[string]model.Placement{
		"there are 0 Members":               {Kind: model.Modulo},
		`member "a" is there twice`:         {Kind: model.Modulo, Members: []string{"a", "b", "a"}},
		"a member has no name":              {Kind: model.Modulo, Members: []string{""}},
		`Kind is "rendezvous"`:              {Kind: "rendezvous", Members: []string{"a"}},
		"modulo has no VirtualNodes":        {Kind: model.Modulo, Members: []string{"a"}, VirtualNodes: 1},
		"consistent has no LoadFactor":      {Kind: model.Consistent, Members: []string{"a"}, Slots: 1},
		"VirtualNodes is -1":                {Kind: model.Consistent, Members: []string{"a"}, VirtualNodes: -1},
		"LoadFactor is 1; it must be more":  {Kind: model.Bounded, Members: []string{"a"}, LoadFactor: 1},
		"LoadFactor is NaN":                 {Kind: model.Bounded, Members: []string{"a"}, LoadFactor: math.NaN()},
		"Slots is 1; it must be one a memb": {Kind: model.Bounded, Members: []string{"a", "b"}, Slots: 1},
	} {
		_, err := model.NewRing(p)
		require.ErrorContains(t, err, want)
	}
	p, err := model.Placement{Kind: model.Consistent, Members: []string{"x"}}.With("b", "a")
	require.NoError(t, err)
	require.Equal(t, model.Placement{Kind: model.Consistent, Members: []string{"a", "b"}, VirtualNodes: 100}, p)
	require.Equal(t, p, ring(t, p).Placement())
}
