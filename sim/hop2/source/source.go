package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/coord"
	"github.com/twohop/twohop/sim/hop2/store"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// Mutant is a deliberate bug; the zero value is none.
type Mutant string

// NoDualSend: while an assignment changes, messages go to the new owner only.
const NoDualSend Mutant = "no-dual-send"

// Config configures a [Source]. Store and Coord are needed.
type Config struct {
	// Store keeps the logs. The source does not close it.
	Store *store.Store
	// Coord is the source's client of the coordination service.
	Coord *coord.Client
	// Queue is how many lines wait for an edge, at most; one more, and its stream is cut. 0 means 4096.
	Queue int
	// Heartbeat is how often a stream gives a sign of life. 0 means 500 ms.
	Heartbeat time.Duration
	// Observer, unless nil, is told what the source does, in order.
	Observer Observer
	// Mutant is a deliberate bug.
	Mutant Mutant
}

// Observer is told what a source does. Its methods are called one at a time, and must not block.
type Observer interface {
	// Follow is told of a change of the assignment that the source knows. What it appends from now on goes out
	// by this one.
	Follow(model.Transition)
	// Copy is told that a message goes to an edge, which has to read it from the log if it is not connected.
	Copy(room, id, edge string)
}

// nobody is an Observer that does nothing.
type nobody struct{}

func (nobody) Follow(model.Transition) {}
func (nobody) Copy(_, _, _ string)     {}

func (c *Config) validate() error {
	if c.Store == nil || c.Coord == nil {
		return errors.New("source: Store and Coord are needed")
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.Queue < 1 || c.Queue > 1<<20 {
		return fmt.Errorf("source: Queue: %d; want 0 (meaning 4096) to 2^20", c.Queue)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 500 * time.Millisecond
	}
	if c.Heartbeat < time.Millisecond {
		return fmt.Errorf("source: Heartbeat: %v; want 0 (meaning 500ms), or 1ms or more", c.Heartbeat)
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Mutant != "" && c.Mutant != NoDualSend {
		return fmt.Errorf("source: Mutant: %.40q; want none or %q", string(c.Mutant), NoDualSend)
	}
	return nil
}

// Source is a source. It is safe for concurrent use.
type Source struct {
	cfg  Config
	turn chan struct{} // holds an element while nobody appends, so that what is delivered is in order

	mu         sync.Mutex        // never held while waiting
	assignment *model.Assignment // nil while it is not known
	streams    map[string]*stream
	stats      Stats
}

// Stats counts what a [Source] has done.
type Stats struct {
	// Appended is how many messages were appended, Sent how many were sent to an edge, and Dual how many of
	// these to a second one.
	Appended, Sent, Dual int
	// Cut is how many streams were cut because their edge did not keep up.
	Cut int
}

// stream is what goes to one edge.
type stream struct {
	lines chan []byte
	over  chan struct{} // closed when another stream takes its place, or it is cut
}

// New makes a source.
func New(cfg Config) (*Source, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, turn: make(chan struct{}, 1), streams: map[string]*stream{}}
	s.turn <- struct{}{}
	return s, nil
}

// Stats gives a copy of the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Run follows the assignment until ctx ends: it delivers by it, and then says so, so that edges may move
// clients.
func (s *Source) Run(ctx context.Context) error {
	for after := uint64(0); ; {
		items, revision, err := s.cfg.Coord.Watch(ctx, hop2.RingAssignment, after)
		if err != nil {
			return err
		}
		after = revision
		if len(items) != 1 {
			continue
		}
		var t model.Transition
		err = json.Unmarshal([]byte(items[0].Value), &t)
		var a *model.Assignment
		if err == nil {
			a, err = model.NewAssignment(t)
		}
		if err != nil {
			return fmt.Errorf("source: the assignment: %w", err)
		}
		said := s.follow(a)
		if said == hop2.RingStep(t) {
			continue
		}
		if _, err := s.cfg.Coord.Put(ctx, hop2.RingSource, hop2.RingStep(t), ""); err != nil {
			return err
		}
	}
}

// follow delivers by an assignment from now on, and gives the step of the one before.
func (s *Source) follow(a *model.Assignment) (before string) {
	// Whoever is appending right now delivers by the old one: the new one holds for all that is appended
	// after this.
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.assignment != nil {
		before = hop2.RingStep(s.assignment.Transition())
	}
	s.assignment = a
	s.cfg.Observer.Follow(a.Transition())
	return before
}

// Do does operations, as [store.Store.Do] does, and delivers what was appended.
func (s *Source) Do(ops []wire.Op) ([]wire.Result, error) {
	if !slices.ContainsFunc(ops, func(o wire.Op) bool { return o.Append != nil }) {
		return s.cfg.Store.Do(ops)
	}
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	results, err := s.cfg.Store.Do(ops)
	if err != nil {
		return nil, err
	}
	for i := range ops {
		if ops[i].Append != nil && results[i].Error == "" {
			if err := s.deliver(ops[i].Append, results[i].Cursor); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// deliver sends a message to its room's owners. One that was there already goes out again: readers know it.
func (s *Source) deliver(a *wire.Append, cursor string) error {
	at, err := model.ParseCursor(cursor)
	if err != nil {
		return err
	}
	line := wire.Delivery{
		Room: a.Room, Epoch: at.Epoch, Record: &wire.Record{Seq: at.Seq, ID: a.ID, Publisher: a.Publisher, Body: a.Body},
	}.Line()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Appended++
	if s.assignment == nil {
		return nil // nobody has a stream yet
	}
	owners := s.assignment.Deliver(a.Room)
	if s.cfg.Mutant == NoDualSend {
		owners = owners[len(owners)-1:]
	}
	for i, owner := range owners {
		s.cfg.Observer.Copy(a.Room, a.ID, owner)
		st := s.streams[owner]
		if st == nil {
			continue // it will read the log when it comes
		}
		select {
		case st.lines <- line:
			s.stats.Sent++
			if i > 0 {
				s.stats.Dual++
			}
		default:
			s.stats.Cut++
			s.end(owner, st)
		}
	}
	return nil
}

// end ends a stream. The lock is held.
func (s *Source) end(edge string, st *stream) {
	close(st.over)
	if s.streams[edge] == st {
		delete(s.streams, edge)
	}
}
