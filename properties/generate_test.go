package properties_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// system is a correct system of a few rooms, which rapid drives into every corner: publishes that
// overlap, fail, and land late or never, clients that come and go, resume, or are sent ahead.
type system struct {
	h     model.History
	rooms []*room
	next  int // number of the next message
}

type room struct {
	name    string
	log     []string
	open    []*publish // called and not returned
	late    []*publish // given up on, and not in the log
	clients []*reader
}

type publish struct {
	id  string
	seq uint64 // 0 while not in the log
}

type reader struct {
	name string
	on   bool
	was  bool // connected before
	seq  uint64
}

func newSystem(rooms, clients int) *system {
	s := &system{}
	for i := range rooms {
		r := &room{name: fmt.Sprintf("room-%d", i+1)}
		for j := range clients {
			r.clients = append(r.clients, &reader{name: fmt.Sprintf("c%d", j+1)})
		}
		s.rooms = append(s.rooms, r)
	}
	return s
}

func (s *system) record(e model.Event) { s.h.Events = append(s.h.Events, e) }

func (s *system) call(r *room) {
	s.next++
	p := &publish{id: fmt.Sprintf("m%d", s.next)}
	r.open = append(r.open, p)
	s.record(model.Event{Kind: model.PublishCall, Node: "p", Room: r.name, ID: p.id})
}

// land puts a message in the log, unless it is there.
func (s *system) land(r *room, p *publish) {
	if p.seq == 0 {
		r.log = append(r.log, p.id)
		p.seq = uint64(len(r.log))
	}
}

func (s *system) finish(r *room, i int, known bool) {
	p := r.open[i]
	r.open = slices.Delete(r.open, i, i+1)
	if known {
		s.land(r, p)
		s.record(model.Event{Kind: model.PublishOK, Node: "p", Room: r.name, ID: p.id, Seq: p.seq})
		return
	}
	s.record(model.Event{Kind: model.PublishUnknown, Node: "p", Room: r.name, ID: p.id})
	if p.seq == 0 {
		r.late = append(r.late, p)
	}
}

// connect connects at the client's position, or at to with an announcement if that is ahead.
func (s *system) connect(r *room, c *reader, to uint64, resume bool) {
	e := model.Event{Kind: model.Connected, Node: c.name, Room: r.name, Seq: c.seq, Resumed: resume && c.was}
	switch {
	case !c.was:
		e.Seq, c.seq = to, to
	case to > c.seq && !resume:
		e.Seq = to
	}
	s.record(e)
	c.on, c.was = true, true
	if e.Seq > c.seq {
		s.skip(r, c, e.Seq)
	}
}

func (s *system) skip(r *room, c *reader, to uint64) {
	c.seq = to
	s.record(model.Event{Kind: model.Discontinuity, Node: c.name, Room: r.name, Seq: to})
}

func (s *system) deliver(r *room, c *reader) {
	c.seq++
	s.record(model.Event{Kind: model.Deliver, Node: c.name, Room: r.name, Seq: c.seq, ID: r.log[c.seq-1]})
}

// act lets one thing happen that may happen.
func (s *system) act(rt *rapid.T) {
	index := func(n int, label string) int { return rapid.IntRange(0, n-1).Draw(rt, label) }
	r := s.rooms[index(len(s.rooms), "room")]
	c := r.clients[index(len(r.clients), "client")]
	end := uint64(len(r.log))
	switch rapid.SampledFrom([]string{"call", "land", "ok", "unknown", "late", "come", "go", "deliver", "deliver", "deliver", "skip"}).Draw(rt, "act") {
	case "call":
		s.call(r)
	case "land":
		if len(r.open) > 0 {
			s.land(r, r.open[index(len(r.open), "publish")])
		}
	case "ok", "unknown":
		if len(r.open) > 0 {
			s.finish(r, index(len(r.open), "publish"), rapid.Bool().Draw(rt, "known"))
		}
	case "late":
		if len(r.late) > 0 {
			s.land(r, r.late[0])
			r.late = r.late[1:]
		}
	case "come":
		if !c.on {
			s.connect(r, c, rapid.Uint64Range(c.seq, end).Draw(rt, "to"), rapid.Bool().Draw(rt, "resume"))
		}
	case "go":
		if c.on {
			c.on = false
			s.record(model.Event{Kind: model.Disconnected, Node: c.name, Room: r.name})
		}
	case "deliver":
		if c.on && c.seq < end {
			s.deliver(r, c)
		}
	case "skip":
		if c.on && c.seq < end && rapid.IntRange(0, 4).Draw(rt, "rarely") == 0 {
			s.skip(r, c, rapid.Uint64Range(c.seq+1, end).Draw(rt, "to"))
		}
	}
}

// settle heals everything: all clients come back and get what they are owed, and the run ends.
func (s *system) settle() *model.History {
	for _, r := range s.rooms {
		for _, c := range r.clients {
			if !c.on {
				s.connect(r, c, c.seq, true)
			}
			for c.seq < uint64(len(r.log)) {
				s.deliver(r, c)
			}
		}
	}
	s.record(model.Event{Kind: model.RunEnd})
	renumber(&s.h)
	return &s.h
}

// correctRun draws the history of a correct run in which something is delivered in the first room.
func correctRun(rt *rapid.T) *model.History {
	s := newSystem(rapid.IntRange(1, 2).Draw(rt, "rooms"), rapid.IntRange(1, 3).Draw(rt, "clients"))
	first := s.rooms[0]
	s.connect(first, first.clients[0], 0, false)
	for range 3 {
		s.call(first)
		s.finish(first, 0, true)
		s.deliver(first, first.clients[0])
	}
	for range rapid.IntRange(0, 60).Draw(rt, "acts") {
		s.act(rt)
	}
	return s.settle()
}

// Whatever happens in a correct system, no property objects.
func TestCorrectRunsPass(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := correctRun(rt)
		for _, v := range properties.Check(h) {
			require.True(rt, v.Ok(), v)
		}
		// Nor does it to any part of the run up to some step, but that it has not ended.
		h.Events = h.Events[:rapid.IntRange(0, len(h.Events)-1).Draw(rt, "cut")]
		for _, v := range properties.Check(h) {
			require.NotEqual(rt, illegal, v.Outcome, v)
		}
	})
}

// deliveries gives the indices of the deliveries for which keep holds.
func deliveries(h *model.History, keep func(i int, e model.Event) bool) []int {
	var is []int
	for i, e := range h.Events {
		if e.Kind == model.Deliver && keep(i, e) {
			is = append(is, i)
		}
	}
	return is
}

// mutate checks that a run that was correct but for one thing breaks a property at the step of the
// event at that index, or at the run's end if the index is negative.
func mutate(t *testing.T, p model.Property, change func(rt *rapid.T, h *model.History) (index int)) {
	rapid.Check(t, func(rt *rapid.T) {
		h := correctRun(rt)
		at := change(rt, h)
		renumber(h)
		if at < 0 {
			at = len(h.Events) - 1
		}
		v := p.Check(h)
		require.Equal(rt, illegal, v.Outcome, v)
		require.Equal(rt, uint64(at+1), v.Step, v)
	})
}

func TestDroppedDeliveryIsLoss(t *testing.T) {
	mutate(t, properties.NoLoss(), func(rt *rapid.T, h *model.History) int {
		// A message counts as long as somebody still shows that the log got there, and a discontinuity
		// that comes before the client's next message would forgive it.
		droppable := deliveries(h, func(i int, e model.Event) bool {
			shown := slices.ContainsFunc(h.Events, func(o model.Event) bool {
				return o.Kind == model.PublishOK && o.Room == e.Room && o.Seq >= e.Seq
			})
			for _, o := range h.Events[i+1:] {
				if o.Node != e.Node || o.Room != e.Room {
					continue
				}
				if o.Kind == model.Deliver {
					return true
				}
				if o.Kind == model.Discontinuity || o.Kind == model.Connected {
					return false
				}
			}
			return shown
		})
		i := rapid.SampledFrom(droppable).Draw(rt, "drop")
		h.Events = slices.Delete(h.Events, i, i+1)
		return -1
	})
}

func TestSilentJumpIsLoss(t *testing.T) {
	mutate(t, properties.NoLoss(), func(rt *rapid.T, h *model.History) int {
		// Instead of resuming, the first client starts over at the live end, which has moved on.
		r := "room-1"
		top := uint64(0)
		for _, e := range h.Events {
			if e.Room == r {
				top = max(top, e.Seq)
			}
		}
		end := h.Events[len(h.Events)-1]
		h.Events = append(h.Events[:len(h.Events)-1],
			model.Event{Kind: model.Disconnected, Node: "c1", Room: r},
			model.Event{Kind: model.PublishCall, Node: "p", Room: r, ID: "missed"},
			model.Event{Kind: model.PublishOK, Node: "p", Room: r, ID: "missed", Seq: top + 1},
			model.Event{Kind: model.Connected, Node: "c1", Room: r, Seq: top + 1, Resumed: rapid.Bool().Draw(rt, "lie")},
			end)
		for _, e := range h.Events { // the others get it
			if e.Kind == model.Connected && e.Room == r && e.Node != "c1" {
				d := model.Event{Kind: model.Deliver, Node: e.Node, Room: r, Seq: top + 1, ID: "missed"}
				if !slices.Contains(h.Events, d) {
					h.Events = slices.Insert(h.Events, len(h.Events)-1, d)
				}
			}
		}
		return slices.IndexFunc(h.Events, func(e model.Event) bool {
			return e.Kind == model.Connected && e.Node == "c1" && e.Room == r && e.Seq == top+1
		})
	})
}

func TestRepeatedDeliveryIsDuplicate(t *testing.T) {
	mutate(t, properties.NoDuplicate(), func(rt *rapid.T, h *model.History) int {
		i := rapid.SampledFrom(deliveries(h, func(int, model.Event) bool { return true })).Draw(rt, "repeat")
		at := rapid.IntRange(i+1, len(h.Events)-1).Draw(rt, "at")
		h.Events = slices.Insert(h.Events, at, h.Events[i])
		require.NotEqual(rt, illegal, properties.InOrder().Check(h).Outcome, "a repetition is no disorder")
		return at
	})
}

func TestSwappedDeliveriesAreDisorder(t *testing.T) {
	mutate(t, properties.InOrder(), func(rt *rapid.T, h *model.History) int {
		// With the same client's next delivery, if no discontinuity comes between: that would then send
		// the client back, which begins a new epoch.
		next := func(i int, e model.Event) int {
			return i + 1 + slices.IndexFunc(h.Events[i+1:], func(o model.Event) bool {
				return (o.Kind == model.Deliver || o.Kind == model.Discontinuity) && o.Node == e.Node && o.Room == e.Room
			})
		}
		i := rapid.SampledFrom(deliveries(h, func(i int, e model.Event) bool {
			j := next(i, e)
			return j > i && h.Events[j].Kind == model.Deliver
		})).Draw(rt, "swap")
		j := next(i, h.Events[i])
		a, b := &h.Events[i], &h.Events[j]
		a.Seq, a.ID, b.Seq, b.ID = b.Seq, b.ID, a.Seq, a.ID
		require.NotEqual(rt, illegal, properties.NoLoss().Check(renumbered(h)).Outcome, "disorder loses nothing")
		return j
	})
}

func renumbered(h *model.History) *model.History {
	c := &model.History{Events: slices.Clone(h.Events), Partial: h.Partial}
	renumber(c)
	return c
}

func TestChangedIDIsNotLinearizable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := correctRun(rt)
		// Of a position that somebody else has seen too, so that they disagree.
		i := rapid.SampledFrom(deliveries(h, func(i int, e model.Event) bool {
			return slices.ContainsFunc(h.Events, func(o model.Event) bool {
				return (o.Kind == model.PublishOK || o.Kind == model.Deliver && o.Node != e.Node) && o.Room == e.Room && o.Seq == e.Seq
			})
		})).Draw(rt, "change")
		var ids []string
		for _, e := range h.Events {
			if e.Kind == model.PublishCall && e.ID != h.Events[i].ID {
				ids = append(ids, e.ID)
			}
		}
		h.Events[i].ID = rapid.SampledFrom(append(ids, "of nobody", "")).Draw(rt, "id")
		require.Equal(rt, illegal, properties.Linearizable().Check(h).Outcome)
		require.Equal(rt, illegal, properties.Conforms().Check(h).Outcome)
	})
}
