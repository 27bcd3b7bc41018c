package sim

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/twohop/twohop/model"
)

// trail is how messages came along, as the nodes on their way saw it: what explains a failure, and what no
// property judges. It is neither of the trace nor of the history, so that it costs little, changes nothing, and
// may be noted by many goroutines of a node in one instant.
type trail struct {
	keep bool

	mu     sync.Mutex
	over   bool // the run is: what is noted from now on is not kept
	events []model.Event
}

// trailOrder is the order in which a message gets ahead within one instant of a node.
var trailOrder = []model.Kind{model.Append, model.Receive, model.Copy}

// Trail notes how far a message came, such as a [model.Receive] at a node in the middle of its way. Its Time is
// now, and its Node the node's name unless it is given. Unlike what [Node.Record] takes, it does not enter the
// history, nor the trace and its hash; it is in the [Result]'s Trail, if the run keeps its trace.
func (n *Node) Trail(e model.Event) {
	t := &n.w.trail
	if !t.keep || !n.isAlive() {
		return
	}
	e.Time = n.w.net.Now()
	if e.Node == "" {
		e.Node = n.Name()
	}
	t.mu.Lock()
	if !t.over {
		t.events = append(t.events, e)
	}
	t.mu.Unlock()
}

// Origin names the host at an address, for what is recorded; see [netsim.Network.Origin].
func (n *Node) Origin(address string) string { return n.w.net.Origin(address) }

// sorted ends the trail, and gives what was noted in an order that does not depend on which goroutine was first. Each event's Step
// is the last step of the trace at or before its time.
func (t *trail) sorted(trace *Trace) []model.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	slices.SortStableFunc(t.events, func(a, b model.Event) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), strings.Compare(a.Node, b.Node), strings.Compare(a.Room, b.Room),
			cmp.Compare(a.Seq, b.Seq), cmp.Compare(slices.Index(trailOrder, a.Kind), slices.Index(trailOrder, b.Kind)),
			strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Peer, b.Peer))
	})
	for i := range t.events {
		at := t.events[i].Time
		t.events[i].Step = uint64(sort.Search(len(trace.entries), func(j int) bool { return trace.entries[j].at > at }))
	}
	return t.events
}
