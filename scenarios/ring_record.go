package scenarios

import (
	"math"
	"slices"
	"sync"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// ringRecord enters in the history who owns which room and where copies of messages go, as the source sees it:
// whom it delivers to changes there and then. It outlives the source, as the assignment does.
type ringRecord struct {
	rooms []string // whose owners are recorded; nothing is if there are none

	mu      sync.Mutex
	n       *sim.Node // the source in its present life
	step    string    // of the dance, the last that was seen; "" before the first
	members []string  // the edges that rooms are given to, sorted
	owners  map[string]*roomOwner
	commits int // rooms that have moved
	dual    int // messages sent while their room moved
}

// roomOwner is whose a room is, and whose it is to be while it moves.
type roomOwner struct{ owner, to string }

// alive says that the source has begun a life.
func (r *ringRecord) alive(n *sim.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n = n
}

// Follow implements the source's Observer.
func (r *ringRecord) Follow(t model.Transition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hop2.RingStep(t) == r.step {
		return // edges have moved their clients, which changes no owner
	}
	old, err := model.NewRing(t.Old)
	if err != nil {
		return // the source has checked it
	}
	r.settle(t.Old, old)
	if t.Moving() {
		next, err := model.NewRing(*t.New)
		if err != nil {
			return // as above
		}
		r.announce(*t.New, next)
	}
	r.step = hop2.RingStep(t)
}

// settle takes that an assignment is in force: moves that led to it have ended.
func (r *ringRecord) settle(p model.Placement, ring *model.Ring) {
	r.change(p.Members)
	first := r.owners == nil
	if first {
		r.owners = map[string]*roomOwner{}
	}
	for _, room := range r.rooms {
		owner := ring.Owner(room)
		if first {
			r.owners[room] = &roomOwner{owner: owner}
			r.record(model.Event{Kind: model.Assign, Room: room, Object: owner})
			continue
		}
		o := r.owners[room]
		if o.owner != owner {
			r.record(model.Event{Kind: model.Commit, Room: room, Peer: o.owner, Object: owner})
			r.commits++
		}
		o.owner, o.to = owner, ""
	}
}

// announce takes that an assignment is to come.
func (r *ringRecord) announce(p model.Placement, ring *model.Ring) {
	r.change(p.Members)
	for _, room := range r.rooms {
		o := r.owners[room]
		if to := ring.Owner(room); to != o.owner {
			o.to = to
			r.record(model.Event{Kind: model.Announce, Room: room, Peer: o.owner, Object: to})
		}
	}
}

// change records which edges have come and gone.
func (r *ringRecord) change(members []string) {
	for _, m := range r.members {
		if !slices.Contains(members, m) {
			r.record(model.Event{Kind: model.Leave, Object: m})
		}
	}
	for _, m := range members {
		if !slices.Contains(r.members, m) {
			r.record(model.Event{Kind: model.Join, Object: m})
		}
	}
	r.members = members
}

// Copy implements the source's Observer.
func (r *ringRecord) Copy(room, id, edge string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.owners[room]; o != nil && o.to != "" {
		r.dual++
	}
	r.record(model.Event{Kind: model.Copy, Room: room, ID: id, Peer: edge})
}

// record enters an event in the source's name. The lock is held.
func (r *ringRecord) record(e model.Event) { r.n.Record(e) }

// properties are those that the run gives occasion to judge: that rooms go to old and new owner while they
// move, and that none moves that need not, if rooms are placed by consistent hashing. How many move at once
// is a matter of chance where there are few.
func (r *ringRecord) properties(kind model.PlacementKind) (props []model.Property) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dual > 0 {
		props = append(props, properties.DualDelivery())
	}
	if r.commits > 0 && kind == model.Consistent {
		props = append(props, properties.MinimalMovement(math.Inf(1)))
	}
	return props
}
