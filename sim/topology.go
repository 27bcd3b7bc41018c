package sim

import (
	"time"

	"pgregory.net/rapid"
)

// Extent bounds what [Topology] draws. Its zero value means up to 3 regions, of up to 3 edges with up to 4 clients
// each.
type Extent struct {
	// Regions, Edges and Clients are the most regions, edges of a region, and clients of an edge. 0 means the
	// default, less is 1.
	Regions, Edges, Clients int
}

// accesses are what clients may reach the network by, the simplest first.
var accesses = []string{"datacenter", "cable", "lte", "leo", "flakywifi", "umts", "geo"}

// mostAway is how far a drawn region is from the first, at most, in milliseconds: half round the world, by fibre.
const mostAway = 120

// Topology generates layouts for [rapid.Check], which shrinks them: to fewer regions, edges and clients, the
// simplest of which is one edge with one client in the same data centre. Whatever it draws is valid.
func Topology(most Extent) *rapid.Generator[Layout] {
	bound := func(n, byDefault int) int {
		if n == 0 {
			return byDefault
		}
		return max(n, 1)
	}
	regions, edges, clients := bound(most.Regions, 3), bound(most.Edges, 3), bound(most.Clients, 4)
	return rapid.Custom(func(rt *rapid.T) Layout {
		l := make(Layout, rapid.IntRange(1, regions).Draw(rt, "regions"))
		for i := range l {
			l[i] = Region{
				Edges:   rapid.IntRange(1, edges).Draw(rt, "edges"),
				Clients: rapid.IntRange(1, clients).Draw(rt, "clients of each edge"),
				Access:  rapid.SampledFrom(accesses).Draw(rt, "access"),
			}
			if i > 0 {
				l[i].Away = time.Duration(rapid.IntRange(0, mostAway).Draw(rt, "away, ms")) * time.Millisecond
			}
		}
		return l
	})
}
