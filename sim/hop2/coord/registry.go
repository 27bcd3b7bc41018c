package coord

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Item is a key's value.
type Item struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Version is the registry's revision at which the value was written; never 0.
	Version uint64 `json:"version"`
	// Lease is the lease that the key ends with; "" if it does not end by itself.
	Lease string `json:"lease,omitempty"`
}

// The limits of the registry.
const (
	maxKeyLen   = 256
	maxValueLen = 1 << 20
	maxTTL      = 24 * time.Hour
)

// op is what a request wants.
type op string

const (
	opGet    op = "get"    // Key
	opList   op = "list"   // Key is a prefix
	opPut    op = "put"    // Key, Value, If, Lease
	opDelete op = "delete" // Key, If
	opGrant  op = "grant"  // Lease, TTL; again it renews
	opRevoke op = "revoke" // Lease
	opExpire op = "expire" // Lease, Renewal: the leader's own
	opWatch  op = "watch"  // Key is a prefix, After
)

// Request is what a client asks for, and what is replicated if it changes something.
type Request struct {
	// ID is unique among requests: with the same ID again, the answer is the first one's.
	ID    string        `json:"id"`
	Op    op            `json:"op"`
	Key   string        `json:"key,omitempty"`
	Value string        `json:"value,omitempty"`
	Lease string        `json:"lease,omitempty"`
	TTL   time.Duration `json:"ttl_ns,omitempty"`
	// If is the version that the key must have for a put or delete: 0 means that it must not be there,
	// nil that it does not matter.
	If *uint64 `json:"if,omitempty"`
	// Renewal is which renewal of a lease was the last when it expired.
	Renewal uint64 `json:"renewal,omitempty"`
	// After is the revision that a watch has seen.
	After uint64 `json:"after,omitempty"`
}

// Reply is the answer.
type Reply struct {
	// Done says that what was asked for has happened; a put whose If does not hold has not.
	Done bool `json:"done"`
	// Items are those asked for, in order of key: of a put or delete whose If does not hold, the present one.
	Items []Item `json:"items,omitempty"`
	// Revision is the registry's when it answered.
	Revision uint64 `json:"revision"`
	// Leader is who leads, if the node that was asked does not; 0 if it does not know.
	Leader uint64 `json:"leader,omitempty"`
	// Error says what is wrong with the request.
	Error string `json:"error,omitempty"`
}

// check reports what is wrong with a request.
func (r *Request) check() error {
	if r.ID == "" || len(r.ID) > maxKeyLen {
		return fmt.Errorf("id: it has %d bytes; want 1 to %d", len(r.ID), maxKeyLen)
	}
	if len(r.Key) > maxKeyLen {
		return fmt.Errorf("key: it has %d bytes; want at most %d", len(r.Key), maxKeyLen)
	}
	if len(r.Value) > maxValueLen {
		return fmt.Errorf("value: it has %d bytes; want at most %d", len(r.Value), maxValueLen)
	}
	if len(r.Lease) > maxKeyLen {
		return fmt.Errorf("lease: it has %d bytes; want at most %d", len(r.Lease), maxKeyLen)
	}
	switch r.Op {
	case opGet, opPut, opDelete:
		if r.Key == "" {
			return fmt.Errorf("%s: it names no key", r.Op)
		}
	case opGrant, opRevoke, opExpire:
		if r.Lease == "" {
			return fmt.Errorf("%s: it names no lease", r.Op)
		}
		if r.Op == opGrant && (r.TTL < time.Millisecond || r.TTL > maxTTL) {
			return fmt.Errorf("grant: a lease of %v; want %v to %v", r.TTL, time.Millisecond, maxTTL)
		}
	case opList, opWatch:
	default:
		return fmt.Errorf("op: %.40q is none", string(r.Op))
	}
	return nil
}

// writes tells whether a request has to be replicated.
func (o op) writes() bool {
	return o == opPut || o == opDelete || o == opGrant || o == opRevoke || o == opExpire
}

// remembered is how many answers are kept for requests that are sent again.
const remembered = 4096

// registry is the state that is replicated. It is pure: requests in, replies out; the same requests make the
// same registry on every node.
type registry struct {
	State
	changed func(key string) // called after each change; nil means nobody looks
}

// State is a registry's state, as its snapshot has it.
type State struct {
	Revision uint64            `json:"revision"`
	Grants   uint64            `json:"grants"` // counts them, from 1
	Items    map[string]Item   `json:"items"`
	Leases   map[string]lease  `json:"leases"`
	Answers  map[string]Reply  `json:"answers"`
	Order    []string          `json:"order"` // the keys of Answers, oldest first
	Touched  map[string]uint64 `json:"touched"`
}

// lease is a promise that its holder lives.
type lease struct {
	TTL     time.Duration `json:"ttl_ns"`
	Renewal uint64        `json:"renewal"` // the number of its latest grant, among all leases' grants
}

func newRegistry() *registry {
	return &registry{State: State{
		Items: map[string]Item{}, Leases: map[string]lease{}, Answers: map[string]Reply{}, Touched: map[string]uint64{},
	}}
}

// apply does a request that writes.
func (g *registry) apply(r *Request) Reply {
	if known, found := g.Answers[r.ID]; found {
		return known
	}
	reply := g.do(r)
	reply.Revision = g.Revision
	g.Answers[r.ID] = reply
	g.Order = append(g.Order, r.ID)
	if len(g.Order) > remembered {
		delete(g.Answers, g.Order[0])
		g.Order = slices.Clone(g.Order[1:])
	}
	return reply
}

func (g *registry) do(r *Request) Reply {
	if err := r.check(); err != nil {
		return Reply{Error: err.Error()}
	}
	switch r.Op {
	case opPut, opDelete:
		present, found := g.Items[r.Key]
		if r.If != nil && *r.If != present.Version {
			return conflict(present, found)
		}
		if r.Op == opDelete {
			if found {
				g.remove(r.Key)
			}
			return Reply{Done: found}
		}
		if _, alive := g.Leases[r.Lease]; r.Lease != "" && !alive {
			return Reply{Error: fmt.Sprintf("put: there is no lease %q (any more)", r.Lease)}
		}
		g.Revision++
		it := Item{Key: r.Key, Value: r.Value, Version: g.Revision, Lease: r.Lease}
		g.Items[r.Key] = it
		g.touch(r.Key)
		return Reply{Done: true, Items: []Item{it}}
	case opGrant:
		g.Grants++ // never used again, not even by a lease of that name that has ended
		g.Leases[r.Lease] = lease{TTL: r.TTL, Renewal: g.Grants}
		return Reply{Done: true}
	case opRevoke, opExpire:
		l, found := g.Leases[r.Lease]
		if !found || r.Op == opExpire && l.Renewal != r.Renewal {
			return Reply{} // it was renewed in the meantime
		}
		g.end(r.Lease)
		return Reply{Done: true}
	}
	return Reply{Error: fmt.Sprintf("op: %.40q does not write", string(r.Op))}
}

func conflict(present Item, found bool) Reply {
	if found {
		return Reply{Items: []Item{present}}
	}
	return Reply{}
}

// end ends a lease and the keys that go with it.
func (g *registry) end(name string) {
	delete(g.Leases, name)
	for _, k := range slices.Sorted(maps.Keys(g.Items)) {
		if g.Items[k].Lease == name {
			g.remove(k)
		}
	}
}

func (g *registry) remove(key string) {
	g.Revision++
	delete(g.Items, key)
	g.touch(key)
}

// touch notes when a key was last changed, and tells who looks. A key that is gone is remembered: a watch
// must notice.
func (g *registry) touch(key string) {
	g.Touched[key] = g.Revision
	if g.changed != nil {
		g.changed(key)
	}
}

// get answers a request that does not write.
func (g *registry) get(r *Request) Reply {
	if err := r.check(); err != nil {
		return Reply{Error: err.Error()}
	}
	reply := Reply{Done: true, Revision: g.Revision}
	if r.Op == opGet {
		it, found := g.Items[r.Key]
		reply.Done = found
		if found {
			reply.Items = []Item{it}
		}
		return reply
	}
	for k, it := range g.Items {
		if strings.HasPrefix(k, r.Key) {
			reply.Items = append(reply.Items, it)
		}
	}
	slices.SortFunc(reply.Items, func(a, b Item) int { return cmp.Compare(a.Key, b.Key) })
	return reply
}

// newer tells whether a watch has something to see.
func (g *registry) newer(prefix string, after uint64) bool {
	for k, at := range g.Touched {
		if at > after && strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

// snapshot is the registry as bytes: the same state gives the same bytes.
func (g *registry) snapshot() ([]byte, error) { return json.Marshal(g.State) } // maps in order of key

// restore is its inverse.
func (g *registry) restore(b []byte) error {
	fresh := newRegistry()
	if len(b) > 0 {
		if err := json.Unmarshal(b, &fresh.State); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	if fresh.Items == nil || fresh.Leases == nil || fresh.Answers == nil || fresh.Touched == nil {
		return fmt.Errorf("snapshot: a part is missing")
	}
	g.State = fresh.State
	return nil
}
