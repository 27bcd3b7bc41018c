package model

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// plain is a protocol explored without regard to symmetry.
type plain[S comparable] struct{ protocol[S] }

func (p plain[S]) canonical(s S) S { return s }

// agree compares the search with one that takes no states for the same.
func agree[S comparable](t *testing.T, p protocol[S]) {
	reduced := newSearch(p)
	for i := 0; i < len(reduced.states); i++ {
		if why := reduced.expand(uint32(i)); why != "" {
			t.Fatal(why)
		}
	}
	full := newSearch[S](plain[S]{p})
	for i := 0; i < len(full.states); i++ {
		if why := full.expand(uint32(i)); why != "" {
			t.Fatal(why)
		}
	}
	classes := map[S]bool{}
	for _, s := range full.states {
		c := p.canonical(s)
		classes[c] = true
		if c != p.canonical(c) || reduced.slots[reduced.find(c)] == 0 {
			t.Fatalf("%+v: the canonical state %+v is not its own, or was not reached", s, c)
		}
	}
	require.Len(t, reduced.states, len(classes))
	t.Logf("%d states, %d without regard to names", len(full.states), len(reduced.states))
	require.Greater(t, len(full.states), len(reduced.states), "there is something to reduce")
}

// To take states that differ in names only for one loses none.
func TestSymmetryLosesNothing(t *testing.T) {
	agree(t, newScaling(ExploreConfig{Clients: 2, Messages: 2, Faults: 1}))
	agree(t, newResume(ExploreConfig{Clients: 2, Messages: 1, Faults: 1}))
	agree(t, newResume(ExploreConfig{Clients: 1, Messages: 2, Faults: 1}))
}
