package edge

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// roster is who is in which room, as one edge knows it: its own members, and those that other edges said to
// have, each for a lease's length. It is pure; times are the edge's own.
//
// Invariant: who is shown as a member of another edge was said to be one by a notice that came less than lease
// ago, or by one before it of the same life that a newer notice confirmed.
type roster struct {
	self   string // the edge's name
	life   string // of the edge; greater than that of any life before
	lease  time.Duration
	grace  time.Duration
	mutant Mutant

	local  map[place]*stay
	others map[string]*neighbour
}

// place is a member's in a room.
type place struct{ room, member string }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.room, q.room), cmp.Compare(p.member, q.member))
}

// stay is a member of the edge's own.
type stay struct {
	count int       // subscriptions
	until time.Time // if there are none, when it has left
}

// neighbour is what another edge said.
type neighbour struct {
	life    string
	expires time.Time
	members map[place]bool
	coming  map[place]bool // of a census that is not complete yet
}

// notice is what edges tell each other. A census tells all members of an edge, in parts, and renews its lease;
// between two of them, edges tell who joined and who left.
type notice struct {
	Edge   string              `json:"edge"`
	Life   string              `json:"life"`
	Census bool                `json:"census,omitempty"`
	First  bool                `json:"first,omitempty"` // of a census
	Last   bool                `json:"last,omitempty"`
	Here   map[string][]string `json:"here,omitempty"` // by room
	Left   map[string][]string `json:"left,omitempty"`
	// Closed: the edge has stopped, and everybody has left it.
	Closed bool `json:"closed,omitempty"`
}

func newRoster(self, life string, lease, grace time.Duration, mutant Mutant) *roster {
	return &roster{
		self: self, life: life, lease: lease, grace: grace, mutant: mutant,
		local: map[place]*stay{}, others: map[string]*neighbour{},
	}
}

// enter counts a subscription of a member. It tells whether the member has joined by it.
func (r *roster) enter(p place) (joined bool) {
	s := r.local[p]
	if s == nil {
		s = &stay{}
		r.local[p] = s
		joined = true
	}
	s.count++
	return joined
}

// leave counts one less. The last has the member leave when its grace is over.
func (r *roster) leave(p place, now time.Time) {
	s := r.local[p]
	if s.count--; s.count == 0 {
		s.until = now.Add(r.grace)
	}
}

// departed takes those out whose grace is over, and gives them in order.
func (r *roster) departed(now time.Time) []place {
	var gone []place
	for p, s := range r.local {
		if s.count == 0 && !now.Before(s.until) && r.mutant != PresenceNeverLeaves {
			gone = append(gone, p)
			delete(r.local, p)
		}
	}
	slices.SortFunc(gone, place.compare)
	return gone
}

// nextDeparture is when the next grace is over, if nobody comes back.
func (r *roster) nextDeparture() (at time.Time, due bool) {
	if r.mutant == PresenceNeverLeaves {
		return at, false
	}
	for _, s := range r.local {
		if s.count == 0 && (!due || s.until.Before(at)) {
			at, due = s.until, true
		}
	}
	return at, due
}

// here gives the edge's own members, in order.
func (r *roster) here() []place { return sortedPlaces(r.local) }

// take takes what an edge said. What is of a life that is over, or of the edge itself, is left out.
func (r *roster) take(n notice, now time.Time) {
	o := r.others[n.Edge]
	switch {
	case n.Edge == r.self, n.Edge == "", o != nil && n.Life < o.life && now.Before(o.expires):
		return
	case o == nil || n.Life != o.life:
		o = &neighbour{life: n.Life, members: map[place]bool{}}
		r.others[n.Edge] = o
	}
	o.expires = now.Add(r.lease)
	if n.Closed {
		o.members, o.coming = map[place]bool{}, nil
		return
	}
	if n.First {
		o.coming = map[place]bool{}
	}
	into := []map[place]bool{o.members}
	if o.coming != nil {
		into = append(into, o.coming) // who joins or leaves in the middle of a census does so in it, too
	}
	for _, members := range into {
		for room, names := range n.Here {
			for _, name := range names {
				members[place{room, name}] = true
			}
		}
		for room, names := range n.Left {
			for _, name := range names {
				if r.mutant != PresenceNeverLeaves {
					delete(members, place{room, name})
				}
			}
		}
	}
	if n.Last && o.coming != nil {
		if r.mutant != PresenceNeverLeaves {
			o.members = o.coming
		}
		o.coming = nil
	}
}

// members lists who is in a room, sorted.
func (r *roster) members(room string, now time.Time) []string {
	var names []string
	for p, s := range r.local {
		if p.room == room && (s.count > 0 || now.Before(s.until) || r.mutant == PresenceNeverLeaves) {
			names = append(names, p.member)
		}
	}
	for name, o := range r.others {
		if !now.Before(o.expires) && r.mutant != PresenceNeverLeaves {
			delete(r.others, name)
			continue
		}
		for p := range o.members {
			if p.room == room {
				names = append(names, p.member)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sortedPlaces lists the keys in order.
func sortedPlaces[V any](m map[place]V) []place {
	return slices.SortedFunc(maps.Keys(m), place.compare)
}
