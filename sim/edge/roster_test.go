package edge

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

var rosterEpoch = time.Unix(1_000_000, 0)

func instant(seconds float64) time.Time {
	return rosterEpoch.Add(time.Duration(seconds * float64(time.Second)))
}

func ofRoom(names ...string) map[string][]string { return map[string][]string{"r": names} }

// Members of another edge come and go by its notices, and all go when its lease runs out, it has stopped, or
// it lives again.
func TestRosterOfOthers(t *testing.T) {
	r := newRoster("e1", "1", 5*time.Second, time.Second, "")
	take := func(at float64, n notice) {
		n.Edge, n.Life = "e2", cmpOr(n.Life, "1")
		r.take(n, instant(at))
	}
	take(0, notice{Census: true, First: true, Last: true, Here: ofRoom("a", "b")})
	require.Equal(t, []string{"a", "b"}, r.members("r", instant(0)))
	require.Empty(t, r.members("s", instant(0)))
	take(1, notice{Here: ofRoom("c"), Left: ofRoom("a")})
	require.Equal(t, []string{"b", "c"}, r.members("r", instant(1)))

	take(2, notice{Census: true, First: true, Here: ofRoom("b")}) // of three parts; the last has c, who leaves before
	take(2, notice{Left: ofRoom("b"), Here: ofRoom("d")})
	take(2, notice{Census: true, Here: ofRoom("c")})
	require.Equal(t, []string{"c", "d"}, r.members("r", instant(2)))
	take(2, notice{Left: ofRoom("c")})
	take(2, notice{Census: true, Last: true, Here: ofRoom("e")})
	require.Equal(t, []string{"d", "e"}, r.members("r", instant(6.9)))
	require.Empty(t, r.members("r", instant(7)), "the lease is over")

	take(8, notice{Census: true, First: true, Last: true, Here: ofRoom("a")})
	take(9, notice{Life: "2", Census: true, First: true, Last: true, Here: ofRoom("z")})
	take(9, notice{Life: "1", Here: ofRoom("y")}) // is late
	require.Equal(t, []string{"z"}, r.members("r", instant(9)))
	take(10, notice{Life: "2", Closed: true})
	require.Empty(t, r.members("r", instant(10)))
	r.take(notice{Edge: "e1", Life: "9", Here: ofRoom("x")}, instant(10))
	require.Empty(t, r.members("r", instant(10)), "what it said itself is nothing new")
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// A member stays for as long as it has a subscription, and its grace.
func TestRosterOfItsOwn(t *testing.T) {
	r := newRoster("e1", "1", 5*time.Second, time.Second, "")
	p := place{"r", "a"}
	require.True(t, r.enter(p))
	require.False(t, r.enter(p))
	r.leave(p, instant(0))
	_, due := r.nextDeparture()
	require.False(t, due)
	r.leave(p, instant(1))
	at, _ := r.nextDeparture()
	require.Equal(t, instant(2), at)
	require.Empty(t, r.departed(instant(1.9)))
	require.False(t, r.enter(p), "it is back in time")
	require.Empty(t, r.departed(instant(3)))
	r.leave(p, instant(4))
	require.Equal(t, []string{"a"}, r.members("r", instant(4.9)))
	require.Empty(t, r.members("r", instant(5)))
	require.Equal(t, []place{p}, r.departed(instant(5)))
	require.Empty(t, r.departed(instant(5)))
	require.True(t, r.enter(p))
}

// Whatever is lost, and whenever: after a census that came whole, what an edge shows of another is what there is.
func TestRosterProperty(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		near, far := newRoster("near", "1", time.Hour, 0, ""), newRoster("far", "1", time.Hour, 0, "")
		hear := func(n notice) {
			n.Edge, n.Life = "far", "1"
			near.take(n, rosterEpoch)
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			p := place{"r", rapid.SampledFrom(names).Draw(t, "name")}
			lost := rapid.IntRange(0, 2).Draw(t, "lost") == 0
			var n notice
			if s := far.local[p]; s == nil {
				far.enter(p)
				n.add(&n.Here, p)
			} else {
				far.leave(p, rosterEpoch)
				for _, gone := range far.departed(rosterEpoch) {
					n.add(&n.Left, gone)
				}
			}
			if !lost {
				hear(n)
			}
			if rapid.IntRange(0, 4).Draw(t, "census") == 0 {
				hear(notice{Census: true, First: true})
				all := notice{Census: true, Last: true}
				for _, p := range far.here() {
					all.add(&all.Here, p)
				}
				hear(all)
				require.Equal(t, far.members("r", rosterEpoch), near.members("r", rosterEpoch))
			}
		}
	})
}

// Whatever is published where edges talk, a roster takes it or leaves it, and shows sorted names.
func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"edge":"e2","life":"1","census":true,"first":true,"last":true,"here":{"r":["a","b"]}}`), "e2")
	f.Add([]byte(`{"edge":"e2","life":"1","left":{"r":["a"]}}`), "e2")
	f.Add([]byte(`{"edge":"e2","life":"1","last":true,"closed":true}`), "e2")
	f.Add([]byte(`{"edge":"e1","life":"","here":{"r":null}}`), "e1")
	f.Fuzz(func(t *testing.T, body []byte, publisher string) {
		r := newRoster("e1", "1", time.Second, time.Second, "")
		for range 2 {
			n, err := decodeNotice(model.Message{Publisher: publisher, Body: body})
			if err != nil {
				return
			}
			r.take(n, rosterEpoch)
			members := r.members("r", rosterEpoch)
			require.True(t, slices.IsSorted(members))
			require.Empty(t, r.members("r", instant(1)), "all leases are over")
		}
	})
}
