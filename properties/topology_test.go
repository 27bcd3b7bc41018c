package properties_test

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

// fanned is the history of one message that goes through a tree to clients that are its leaves.
func fanned(f model.Fanout) *model.History {
	nodes := f.Tree()
	h := &model.History{}
	at := make([]time.Duration, len(nodes))
	for i, n := range nodes {
		if n.Children == 0 {
			h.Events = append(h.Events, model.Event{Kind: model.Connected, Node: fmt.Sprint("n", i), Room: "room-1"})
		}
	}
	for i, n := range nodes[1:] {
		i++
		name, parent := fmt.Sprint("n", i), fmt.Sprint("n", n.Parent)
		at[i] = at[n.Parent] + time.Duration(n.Rank)*f.PerCopy + f.Hop
		h.Events = append(h.Events, model.Event{Kind: model.Copy, Time: at[n.Parent], Node: parent, Room: "room-1", ID: "a", Peer: name})
		if n.Children == 0 {
			h.Events = append(h.Events, model.Event{Kind: model.Deliver, Time: at[i], Node: name, Room: "room-1", ID: "a", Seq: 1, Peer: parent})
		}
	}
	slices.SortStableFunc(h.Events, func(a, b model.Event) int { return int(a.Time - b.Time) })
	for i := range h.Events {
		h.Events[i].Step = uint64(i + 1)
	}
	return h
}

// reassigned is the history of rooms that are assigned to so many edges, to one more, and to as many as
// before again.
func reassigned(rooms, edges int, owner func(room string, edges []string) string) *model.History {
	h := &model.History{}
	var names []string
	add := func(kind model.Kind, room, peer, object string) {
		h.Events = append(h.Events, model.Event{Kind: kind, Node: "k", Room: room, Peer: peer, Object: object})
	}
	for i := range edges {
		names = append(names, fmt.Sprint("e", i))
		add(model.Join, "", "", names[i])
	}
	owners := make([]string, rooms)
	for i := range owners {
		owners[i] = owner(fmt.Sprint("r", i), names)
		add(model.Assign, fmt.Sprint("r", i), "", owners[i])
	}
	move := func() {
		for i, old := range owners {
			room := fmt.Sprint("r", i)
			if owners[i] = owner(room, names); owners[i] != old {
				add(model.Commit, room, old, owners[i])
			}
		}
	}
	names = append(names, fmt.Sprint("e", edges))
	add(model.Join, "", "", names[edges])
	move()
	add(model.Leave, "", "", names[edges])
	names = names[:edges]
	move()
	renumber(h)
	return h
}

func hashed(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// rendezvous gives a room to the edge with the highest hash together.
func rendezvous(room string, edges []string) string {
	return slices.MaxFunc(edges, func(a, b string) int {
		if hashed(room+a) < hashed(room+b) {
			return -1
		}
		return 1
	})
}

func byModulo(room string, edges []string) string { return edges[hashed(room)%uint64(len(edges))] }
