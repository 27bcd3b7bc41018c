package properties

import (
	"time"

	"github.com/twohop/twohop/model"
)

// FanoutBound: a message spreads as a tree of a closed form says: no node sends too many copies, none is
// too many links away, and the last client has it in time.
//
// Formally, for each message (room and ID), let its copies be its Copy events, each from Node to Peer,
// and its Deliver events whose Peer is named and is not one from which a Copy to the client is
// recorded, each from Peer to Node. A node's depth is 0 if no copy to it came before its own first, and
// otherwise one more than that of the node which its first copy came from. Then, with tree as the
// closed form:
//
//   - No node sends more than tree.Branch copies of it.
//   - No node's depth is more than tree.Depth().
//   - A client that was connected to the room before the first copy was sent, and did not connect again since, has its
//     first Deliver within tree.Bound() and slack of that copy.
//
// It does not cover whether everybody gets the message ([NoLoss]), or how evenly the load is spread.
// The origin's work is independent of the number of clients as it is a node like any other. With no
// copy there is nothing to check, and the verdict is Unknown. So it is for a tree that is not valid or
// a negative slack.
func FanoutBound(tree model.Fanout, slack time.Duration) model.Property {
	return property{"FanoutBound", func(h *model.History) model.Verdict { return checkFanoutBound(h, tree, slack) }}
}

// spread is how one message got around.
type spread struct {
	began  *model.Event    // its first copy
	copies map[string]int  // by sender
	depth  map[string]int  // of those whom a copy was sent to, or who sent one
	links  map[link]bool   // over which a Copy was recorded
	got    map[string]bool // clients
}

type link struct{ from, to string }

// fanout is the state of a check.
type fanout struct {
	tree      model.Fanout
	limit     time.Duration
	spreads   map[messageKey]*spread
	connected map[subscription]uint64 // the step of the last Connected
	copies    int
	busiest   int
	deepest   int
	slowest   time.Duration
}

func checkFanoutBound(h *model.History, tree model.Fanout, slack time.Duration) model.Verdict {
	if err := tree.Validate(); err != nil {
		return unknown("%v", err)
	}
	if slack < 0 {
		return unknown("the slack is %v; it must not be negative", slack)
	}
	f := &fanout{tree: tree, limit: tree.Bound() + slack, spreads: map[messageKey]*spread{}, connected: map[subscription]uint64{}}
	if f.limit < 0 { // the sum is beyond a Duration
		f.limit = forever
	}
	for i := range h.Events {
		e := &h.Events[i]
		v := model.Verdict{}
		switch e.Kind {
		case model.Connected:
			f.connected[subscription{e.Node, e.Room}] = e.Step
		case model.Copy:
			v = f.copied(e, e.Node, e.Peer)
		case model.Deliver:
			v = f.delivered(e)
		}
		if v.Outcome == model.Illegal {
			return v
		}
	}
	if f.copies == 0 {
		return unknown("nothing to check: no copy of a message was recorded")
	}
	return ok("%d copies of %d messages: at most %d by one node, %d links deep, the last after %v; allowed are %d, %d and %v",
		f.copies, len(f.spreads), f.busiest, f.deepest, f.slowest, tree.Branch, tree.Depth(), f.limit)
}

// copied takes that a copy was sent.
func (f *fanout) copied(e *model.Event, from, to string) model.Verdict {
	k := messageKey{e.Room, e.ID}
	s := f.spreads[k]
	if s == nil {
		s = &spread{began: e, copies: map[string]int{}, depth: map[string]int{}, links: map[link]bool{}, got: map[string]bool{}}
		f.spreads[k] = s
	}
	if _, known := s.depth[from]; !known {
		s.depth[from] = 0
	}
	if _, known := s.depth[to]; !known {
		s.depth[to] = s.depth[from] + 1
	}
	s.links[link{from, to}] = true
	s.copies[from]++
	f.copies++
	f.busiest, f.deepest = max(f.busiest, s.copies[from]), max(f.deepest, s.depth[to])
	if n := s.copies[from]; n > f.tree.Branch {
		return illegal(e.Step, "%q sent %d copies of message %q of room %q; allowed are %d", from, n, e.ID, e.Room, f.tree.Branch)
	}
	if d := s.depth[to]; d > f.tree.Depth() {
		return illegal(e.Step, "message %q of room %q reached %q over %d links; allowed are %d", e.ID, e.Room, to, d, f.tree.Depth())
	}
	return model.Verdict{}
}

// delivered takes that a client got a message: by a copy, and in time.
func (f *fanout) delivered(e *model.Event) model.Verdict {
	s := f.spreads[messageKey{e.Room, e.ID}]
	if e.Peer != "" && (s == nil || !s.links[link{e.Peer, e.Node}]) {
		if v := f.copied(e, e.Peer, e.Node); v.Outcome == model.Illegal {
			return v
		}
		s = f.spreads[messageKey{e.Room, e.ID}]
	}
	if s == nil || s.got[e.Node] {
		return model.Verdict{}
	}
	s.got[e.Node] = true
	since := f.connected[subscription{e.Node, e.Room}]
	if since == 0 || since > s.began.Step {
		return model.Verdict{}
	}
	took := e.Time - s.began.Time
	f.slowest = max(f.slowest, took)
	if took > f.limit {
		return illegal(e.Step, "client %q got message %q of room %q %v after the first copy was sent; allowed are %v", e.Node, e.ID, e.Room, took, f.limit)
	}
	return model.Verdict{}
}
