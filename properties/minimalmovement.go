package properties

import (
	"fmt"

	"github.com/twohop/twohop/model"
)

// MinimalMovement: when edges join or leave, no more rooms move to another edge than must.
//
// Formally: a Commit that moves a room from edge a to edge b is legal if a has left, or if b has joined
// since the room was last assigned (by an Assign or a Commit); b has not left; and a is who the room
// was assigned to last. This is the monotony of consistent hashing (Karger and others, Consistent
// Hashing and Random Trees, STOC 1997, section 4): no room moves between two edges that were there
// before and after.
//
// And of the rooms, let J edges join and L leave n edges with no Assign or Commit in between. Then at
// most the share (J / (n + J) + L / n) (1 + slack) of all rooms moves before edges join or leave again.
// The closed form is an expectation: slack is to have room for how unevenly so many rooms fall on so
// many points of the ring. Infinity leaves the first rule only.
//
// A Commit that leaves a room with whom it was assigned to last, as at the end of a move that was turned
// round, moves nothing.
//
// It does not cover rooms that ought to have moved and did not, or how evenly the rooms are spread. A
// bounded load may have to move others, and breaks the rule. With no Commit there is nothing to check,
// and the verdict is Unknown. So it is for a slack that is negative or not a number.
func MinimalMovement(slack float64) model.Property {
	return property{"MinimalMovement", func(h *model.History) model.Verdict { return checkMinimalMovement(h, slack) }}
}

// ownership is who owns a room, and since which step.
type ownership struct {
	edge  string
	since uint64
}

// movement is the state of a check.
type movement struct {
	slack   float64
	members map[string]uint64 // the steps at which they joined
	owners  map[string]ownership

	// The present scaling: since edges began to join or leave.
	before       int // how many edges there were
	joined, left int
	moved        map[string]bool
	over         bool // a room was assigned since: edges that join or leave begin another
	commits      int
	most         float64 // the greatest share so far, as a part of what is expected
}

func checkMinimalMovement(h *model.History, slack float64) model.Verdict {
	if !(slack >= 0) {
		return unknown("the slack is %v; it must be 0 or more", slack)
	}
	m := &movement{slack: slack, members: map[string]uint64{}, owners: map[string]ownership{}, moved: map[string]bool{}}
	for i := range h.Events {
		e := &h.Events[i]
		switch e.Kind {
		case model.Join, model.Leave:
			m.change(e)
		case model.Assign:
			m.owners[e.Room], m.over = ownership{e.Object, e.Step}, true
		case model.Commit:
			if why := m.commit(e); why != "" {
				return illegal(e.Step, "%s", why)
			}
		}
	}
	if m.commits == 0 {
		return unknown("nothing to check: no room moved")
	}
	return ok("%d moves of %d rooms, each because an edge joined or left; the most at once were %.3g times what is expected",
		m.commits, len(m.owners), m.most)
}

// change takes that an edge joins or leaves.
func (m *movement) change(e *model.Event) {
	if m.over {
		m.before, m.joined, m.left, m.over = len(m.members), 0, 0, false
		clear(m.moved)
	}
	_, member := m.members[e.Object]
	switch {
	case e.Kind == model.Join && !member:
		m.members[e.Object] = e.Step
		m.joined++
	case e.Kind == model.Leave && member:
		delete(m.members, e.Object)
		m.left++
	}
}

// expected is the share of rooms that the present scaling moves in expectation.
func (m *movement) expected() float64 {
	share := 0.0
	if m.joined > 0 {
		share += float64(m.joined) / float64(m.before+m.joined)
	}
	if m.left > 0 && m.before > 0 {
		share += float64(m.left) / float64(m.before)
	}
	return min(share, 1)
}

// commit takes that a room has moved, and says what is wrong with it.
func (m *movement) commit(e *model.Event) (why string) {
	owner, assigned := m.owners[e.Room]
	if !assigned {
		owner.edge = e.Peer
	}
	_, stays := m.members[e.Peer]
	joined, member := m.members[e.Object]
	what := fmt.Sprintf("room %q moved from %q to %q", e.Room, e.Peer, e.Object)
	switch {
	case assigned && owner.edge == e.Object:
		return ""
	case owner.edge != e.Peer:
		return what + fmt.Sprintf(", but was assigned to %q at step %d", owner.edge, owner.since)
	case !member:
		return what + ", which is not among the edges"
	case stays && joined <= owner.since:
		return what + ", both of which were there before and are there now"
	}
	m.owners[e.Room], m.over = ownership{e.Object, e.Step}, true
	m.moved[e.Room] = true
	m.commits++
	share, expected := float64(len(m.moved))/float64(len(m.owners)), m.expected()
	if expected > 0 {
		m.most = max(m.most, share/expected)
	}
	if share > expected*(1+m.slack) {
		return what + fmt.Sprintf(": with it, %d of %d rooms have moved because %d edges joined and %d left %d; expected are %.3g of them, allowed %.3g times as many",
			len(m.moved), len(m.owners), m.joined, m.left, m.before, expected, 1+m.slack)
	}
	return ""
}
