package model

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// PlacementKind is a rule by which keys, such as rooms, are given to members, such as endpoint servers.
type PlacementKind string

// The kinds of placement.
const (
	// Modulo numbers the sorted members and gives a key to number hash(key) mod N. When a member comes or
	// goes, nearly every key moves.
	Modulo PlacementKind = "modulo"
	// Consistent is a hash ring with virtual nodes (Karger et al., STOC 1997): each member has
	// VirtualNodes points on a circle, and a key belongs to the first point at or after its own. When a
	// member comes, only keys that it takes over move.
	Consistent PlacementKind = "consistent"
	// Bounded is Consistent with bounded loads (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing
	// with Bounded Loads", SODA 2018): no member has more than LoadFactor times the average, and what is
	// too much for one goes on to the next on the circle. As that depends on which keys there are, it is
	// not keys that are placed but Slots, of which each key has one by its hash.
	Bounded PlacementKind = "bounded"
)

// PlacementKinds lists the kinds.
func PlacementKinds() []PlacementKind { return []PlacementKind{Bounded, Consistent, Modulo} }

// Placement says who owns what, given who is there. It is a value that all who share it must agree on, and
// can be sent as JSON. Kind and Members are needed; [Placement.Validate] checks, and gives the rest its
// defaults.
type Placement struct {
	Kind PlacementKind `json:"kind"`
	// Members are the names of who can own, at least one, each once, sorted.
	Members []string `json:"members"`
	// VirtualNodes is how many points each member has on the ring, 1 to 4096. 0 means 100. Modulo has none.
	VirtualNodes int `json:"virtual_nodes,omitempty"`
	// LoadFactor is, for Bounded, how many times the average a member may own, more than 1. 0 means 1.25.
	LoadFactor float64 `json:"load_factor,omitempty"`
	// Slots is, for Bounded, how many slots are placed, at least one a member; at most 65,536. 0 means 1024.
	Slots int `json:"slots,omitempty"`
}

// The limits of a placement.
const (
	maxMembers      = 4096
	maxVirtualNodes = 4096
	maxSlots        = 1 << 16
)

// Validate checks the placement, sorts its members, and fills in defaults. The error names the field.
func (p *Placement) Validate() error {
	if err := p.validateMembers(); err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	switch p.Kind {
	case Modulo:
		if p.VirtualNodes != 0 || p.LoadFactor != 0 || p.Slots != 0 {
			return errors.New("placement: modulo has no VirtualNodes, LoadFactor or Slots")
		}
		return nil
	case Consistent:
		if p.LoadFactor != 0 || p.Slots != 0 {
			return errors.New("placement: consistent has no LoadFactor or Slots; bounded has")
		}
	case Bounded:
		if p.LoadFactor == 0 {
			p.LoadFactor = 1.25
		}
		if !(p.LoadFactor > 1 && p.LoadFactor <= maxMembers) {
			return fmt.Errorf("placement: LoadFactor is %v; it must be more than 1, and at most %d", p.LoadFactor, maxMembers)
		}
		if p.Slots == 0 {
			p.Slots = 1024
		}
		if p.Slots < len(p.Members) || p.Slots > maxSlots {
			return fmt.Errorf("placement: Slots is %d; it must be one a member, %d, to %d", p.Slots, len(p.Members), maxSlots)
		}
	default:
		return fmt.Errorf("placement: Kind is %.40q; it must be one of %q", string(p.Kind), PlacementKinds())
	}
	if p.VirtualNodes == 0 {
		p.VirtualNodes = 100
	}
	if p.VirtualNodes < 1 || p.VirtualNodes > maxVirtualNodes {
		return fmt.Errorf("placement: VirtualNodes is %d; it must be 1 to %d", p.VirtualNodes, maxVirtualNodes)
	}
	return nil
}

func (p *Placement) validateMembers() error {
	if len(p.Members) == 0 || len(p.Members) > maxMembers {
		return fmt.Errorf("there are %d Members; want 1 to %d", len(p.Members), maxMembers)
	}
	p.Members = slices.Clone(p.Members)
	slices.Sort(p.Members)
	for i, m := range p.Members {
		if err := checkName("member", m); err != nil || m == "" {
			return cmp.Or(err, errors.New("a member has no name"))
		}
		if i > 0 && m == p.Members[i-1] {
			return fmt.Errorf("member %q is there twice", m)
		}
	}
	return nil
}

// With is the placement with other members, which are checked.
func (p Placement) With(members ...string) (Placement, error) {
	p.Members = members
	err := p.Validate()
	return p, err
}

// hash is a key's place on the circle: FNV-1a, 64 bits, mixed by the finalizer of MurmurHash3, without
// which names that differ in their last digit lie side by side.
func hash(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range parts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // where a part ends; no UTF-8 text has this byte
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Ring is a placement made ready to be asked. It is immutable.
type Ring struct {
	placement Placement
	points    []point
	slots     []int // for Bounded: the member of each slot
}

// point is one of a member's points on the circle.
type point struct {
	at     uint64
	member int
}

// NewRing checks a placement and makes it ready.
func NewRing(p Placement) (*Ring, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	r := &Ring{placement: p}
	if p.Kind == Modulo {
		return r, nil
	}
	for i, m := range p.Members {
		for v := range p.VirtualNodes {
			r.points = append(r.points, point{hash("point", m, fmt.Sprint(v)), i})
		}
	}
	slices.SortFunc(r.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.member, b.member))
	})
	if p.Kind == Bounded {
		r.fill()
	}
	return r, nil
}

// Placement is what the ring was made of, with defaults filled in.
func (r *Ring) Placement() Placement { return r.placement }

// Capacity is how many slots a member of a Bounded placement owns at most: ⌈LoadFactor·Slots/N⌉.
func (p Placement) Capacity() int {
	return int(math.Ceil(p.LoadFactor * float64(p.Slots) / float64(len(p.Members))))
}

// fill gives each slot, in order of number, to the first member on the circle that has room.
func (r *Ring) fill() {
	p, load := r.placement, make([]int, len(r.placement.Members))
	r.slots = make([]int, p.Slots)
	for s := range r.slots {
		for i := r.next(hash("slot", fmt.Sprint(s))); ; i = (i + 1) % len(r.points) {
			if m := r.points[i].member; load[m] < p.Capacity() {
				load[m]++
				r.slots[s] = m
				break
			}
		}
	}
}

// next is the first point at or after a place, round the circle.
func (r *Ring) next(at uint64) int {
	i, _ := slices.BinarySearchFunc(r.points, at, func(p point, at uint64) int { return cmp.Compare(p.at, at) })
	return i % len(r.points)
}

// Owner is the member that owns a key.
func (r *Ring) Owner(key string) string {
	h, members := hash("key", key), r.placement.Members
	switch r.placement.Kind {
	case Modulo:
		return members[h%uint64(len(members))]
	case Bounded:
		return members[r.slots[h%uint64(len(r.slots))]]
	default:
		return members[r.points[r.next(h)].member]
	}
}

// SlotOwners lists, for a Bounded placement, the owner of each slot; for others, nothing.
func (r *Ring) SlotOwners() []string {
	owners := make([]string, len(r.slots))
	for i, m := range r.slots {
		owners[i] = r.placement.Members[m]
	}
	return owners
}

// Moved is the share of keys that two rings give to different members; 0 for no keys.
func Moved(a, b *Ring, keys []string) float64 {
	if len(keys) == 0 {
		return 0
	}
	moved := 0
	for _, k := range keys {
		if a.Owner(k) != b.Owner(k) {
			moved++
		}
	}
	return float64(moved) / float64(len(keys))
}

// Movement is the closed form of the share of keys that move when N members become N+1, or N+1 become N.
//
// With Modulo a key stays if hash mod N = hash mod (N+1). Of the N(N+1) residues of a hash modulo both, N
// are such, so that 1/(N+1) stay and
//
//	N/(N+1) move.
//
// With Consistent what moves is what the member that comes owns, or the one that goes did, and by symmetry
// each of N+1 members owns the same, so that
//
//	1/(N+1) moves,
//
// which no rule can better that is balanced. With Bounded some more moves, as capacities change: for that
// there is no closed form here, and Movement gives the least, 1/(N+1).
func Movement(kind PlacementKind, n int) float64 {
	if kind == Modulo {
		return float64(n) / float64(n+1)
	}
	return 1 / float64(n+1)
}

// Imbalance is the closed form of how unevenly Consistent spreads keys over n members with v points each:
// the standard deviation of a member's share relative to the mean, 1/n. The share is the sum of v of the
// n·v arcs that uniform points cut the circle into, which has the distribution Beta(v, (n-1)·v), so that
//
//	σ/mean = √((n-1) / (n·v+1))
func Imbalance(n, v int) float64 {
	return math.Sqrt(float64(n-1) / float64(n*v+1))
}
