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
// overlap, fail, and land late or never, logs that lose all they have and begin anew, clients that come
// and go, resume, lag behind in an epoch that is gone, or are sent ahead.
type system struct {
	h     model.History
	rooms []*room
	next  int  // number of the next message
	named bool // its events name epochs; else there is one
}

type room struct {
	name    string
	epoch   string
	logs    map[string][]string // by epoch
	open    []*publish          // called and not returned
	late    []*publish          // given up on, and not in a log
	clients []*reader
}

func (r *room) end() model.Cursor {
	return model.Cursor{Epoch: r.epoch, Seq: uint64(len(r.logs[r.epoch]))}
}

type publish struct {
	id string
	at model.Cursor // zero while not in a log
}

type reader struct {
	name string
	on   bool
	was  bool // connected before
	at   model.Cursor
}

func newSystem(rooms, clients int, named bool) *system {
	s := &system{named: named}
	for i := range rooms {
		r := &room{name: fmt.Sprintf("room-%d", i+1), logs: map[string][]string{}}
		s.begin(r)
		for j := range clients {
			r.clients = append(r.clients, &reader{name: fmt.Sprintf("c%d", j+1)})
		}
		s.rooms = append(s.rooms, r)
	}
	return s
}

func (s *system) record(e model.Event, at model.Cursor) {
	e.Epoch, e.Seq = at.Epoch, at.Seq
	s.h.Events = append(s.h.Events, e)
}

// begin begins a room's first epoch, or its next.
func (s *system) begin(r *room) {
	if s.named {
		r.epoch = fmt.Sprintf("e%d", len(r.logs)+1)
	}
	r.logs[r.epoch] = nil
}

func (s *system) call(r *room) {
	s.next++
	p := &publish{id: fmt.Sprintf("m%d", s.next)}
	r.open = append(r.open, p)
	s.record(model.Event{Kind: model.PublishCall, Node: "p", Room: r.name, ID: p.id}, model.Cursor{})
}

// land puts a message in the log, unless it is in one.
func (s *system) land(r *room, p *publish) {
	if p.at.IsZero() {
		r.logs[r.epoch] = append(r.logs[r.epoch], p.id)
		p.at = r.end()
	}
}

func (s *system) finish(r *room, i int, known bool) {
	p := r.open[i]
	r.open = slices.Delete(r.open, i, i+1)
	if known {
		s.land(r, p)
		s.record(model.Event{Kind: model.PublishOK, Node: "p", Room: r.name, ID: p.id}, p.at)
		return
	}
	s.record(model.Event{Kind: model.PublishUnknown, Node: "p", Room: r.name, ID: p.id}, model.Cursor{})
	if p.at.IsZero() {
		r.late = append(r.late, p)
	}
}

// connect connects at the client's position, or at to with an announcement if that is elsewhere.
func (s *system) connect(r *room, c *reader, to model.Cursor, resume bool) {
	e := model.Event{Kind: model.Connected, Node: c.name, Room: r.name, Resumed: resume && c.was}
	if !c.was {
		c.at = to
	}
	if resume {
		to = c.at
	}
	s.record(e, to)
	c.on, c.was = true, true
	if to != c.at {
		s.skip(r, c, to)
	}
}

func (s *system) skip(r *room, c *reader, to model.Cursor) {
	c.at = to
	s.record(model.Event{Kind: model.Discontinuity, Node: c.name, Room: r.name}, to)
}

// rest is how many messages the client has yet to get of its epoch.
func (r *room) rest(c *reader) int { return len(r.logs[c.at.Epoch]) - int(c.at.Seq) }

func (s *system) deliver(r *room, c *reader) {
	c.at.Seq++
	s.record(model.Event{Kind: model.Deliver, Node: c.name, Room: r.name, ID: r.logs[c.at.Epoch][c.at.Seq-1]}, c.at)
}

// ahead draws a position that the client could be sent to.
func (r *room) ahead(rt *rapid.T, c *reader) model.Cursor {
	to, least := r.end(), uint64(0)
	if c.at.Epoch == to.Epoch {
		least = c.at.Seq
	}
	to.Seq = rapid.Uint64Range(least, to.Seq).Draw(rt, "to")
	return to
}

// act lets one thing happen that may happen.
func (s *system) act(rt *rapid.T) {
	index := func(n int, label string) int { return rapid.IntRange(0, n-1).Draw(rt, label) }
	r := s.rooms[index(len(s.rooms), "room")]
	c := r.clients[index(len(r.clients), "client")]
	acts := []string{"call", "land", "ok", "unknown", "late", "come", "go", "deliver", "deliver", "deliver", "skip", "lose"}
	switch rapid.SampledFrom(acts).Draw(rt, "act") {
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
			s.connect(r, c, r.ahead(rt, c), c.was && rapid.Bool().Draw(rt, "resume"))
		}
	case "go":
		if c.on {
			c.on = false
			s.record(model.Event{Kind: model.Disconnected, Node: c.name, Room: r.name}, model.Cursor{})
		}
	case "deliver":
		if c.on && r.rest(c) > 0 {
			s.deliver(r, c)
		}
	case "skip":
		if c.on && (c.at.Epoch != r.epoch || r.rest(c) > 0 && rapid.IntRange(0, 4).Draw(rt, "rarely") == 0) {
			s.skip(r, c, r.ahead(rt, c))
		}
	case "lose":
		if s.named && rapid.IntRange(0, 2).Draw(rt, "rarely") == 0 {
			s.begin(r)
		}
	}
}

// settle heals everything: all clients come back and get what they are owed, and the run ends.
func (s *system) settle(rt *rapid.T) *model.History {
	for _, r := range s.rooms {
		for _, c := range r.clients {
			if !c.on {
				s.connect(r, c, r.ahead(rt, c), c.was)
			}
			if c.at.Epoch != r.epoch {
				s.skip(r, c, model.Cursor{Epoch: r.epoch})
			}
			for r.rest(c) > 0 {
				s.deliver(r, c)
			}
		}
	}
	s.record(model.Event{Kind: model.RunEnd}, model.Cursor{})
	renumber(&s.h)
	return &s.h
}

// correctRun draws the history of a correct run in which something is delivered in the first room.
func correctRun(rt *rapid.T) *model.History {
	return correctRunOf(rt, rapid.Bool().Draw(rt, "named"))
}

func correctRunOf(rt *rapid.T, named bool) *model.History {
	s := newSystem(rapid.IntRange(1, 2).Draw(rt, "rooms"), rapid.IntRange(1, 3).Draw(rt, "clients"), named)
	first := s.rooms[0]
	s.connect(first, first.clients[0], first.end(), false)
	for range 3 {
		s.call(first)
		s.finish(first, 0, true)
		s.deliver(first, first.clients[0])
	}
	for range rapid.IntRange(0, 60).Draw(rt, "acts") {
		s.act(rt)
	}
	return s.settle(rt)
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
				return o.Kind == model.PublishOK && o.Room == e.Room && o.Epoch == e.Epoch && o.Seq >= e.Seq
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
		r, top := "room-1", endOf(h)
		top.Seq++
		at := func(e model.Event) model.Event { e.Room, e.Epoch, e.Seq = r, top.Epoch, top.Seq; return e }
		conclude(h,
			model.Event{Kind: model.Disconnected, Node: "c1", Room: r},
			model.Event{Kind: model.PublishCall, Node: "p", Room: r, ID: "missed"},
			at(model.Event{Kind: model.PublishOK, Node: "p", ID: "missed"}),
			at(model.Event{Kind: model.Connected, Node: "c1", Resumed: rapid.Bool().Draw(rt, "lie")}))
		for _, c := range others(h) { // they get it
			conclude(h, at(model.Event{Kind: model.Deliver, Node: c, ID: "missed"}))
		}
		return slices.IndexFunc(h.Events, func(e model.Event) bool {
			return e.Kind == model.Connected && e.Node == "c1" && e.Room == r && e.Cursor() == top
		})
	})
}

// endOf gives the first room's end, which the first client has come to.
func endOf(h *model.History) (end model.Cursor) {
	for i := range h.Events {
		if e := &h.Events[i]; e.Node == "c1" && e.Room == "room-1" && e.Kind != model.Disconnected {
			end = e.Cursor()
		}
	}
	return end
}

// others gives the first room's other clients.
func others(h *model.History) []string {
	var names []string
	for _, e := range h.Events {
		if e.Kind == model.Connected && e.Room == "room-1" && e.Node != "c1" && !slices.Contains(names, e.Node) {
			names = append(names, e.Node)
		}
	}
	return names
}

// conclude adds events before the run's end.
func conclude(h *model.History, events ...model.Event) {
	h.Events = slices.Insert(h.Events, len(h.Events)-1, events...)
}

// The log loses its history, with a message that was acknowledged, and begins a new epoch. All clients
// but the first are told, and the first, in one of three ways, is not.
func TestSilentEpochChangeIsLoss(t *testing.T) {
	for _, way := range []string{"new start", "in mid-stream", "left behind"} {
		t.Run(way, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := correctRunOf(rt, true)
				old := endOf(h)
				event := func(kind model.Kind, node, id, epoch string, seq uint64) model.Event {
					return model.Event{Kind: kind, Node: node, Room: "room-1", ID: id, Epoch: epoch, Seq: seq}
				}
				conclude(h, event(model.PublishCall, "p", "gone", "", 0), event(model.PublishOK, "p", "gone", old.Epoch, old.Seq+1),
					event(model.PublishCall, "p", "fresh", "", 0), event(model.PublishOK, "p", "fresh", "next", 1))
				for _, c := range others(h) {
					conclude(h, event(model.Discontinuity, c, "", "next", 0), event(model.Deliver, c, "fresh", "next", 1))
				}
				require.Equal(rt, legal, properties.Conforms().Check(renumbered(h)).Outcome)
				lost := uint64(len(h.Events)) // where the loss is certain, and where the specification is broken
				broken := lost
				switch way {
				case "new start":
					conclude(h, event(model.Connected, "c1", "", "next", 0), event(model.Deliver, "c1", "fresh", "next", 1))
					broken = lost + 1
				case "in mid-stream":
					conclude(h, event(model.Deliver, "c1", "fresh", "next", 1))
				case "left behind":
					broken = 0
				}
				renumber(h)
				v := properties.NoLoss().Check(h)
				require.Equal(rt, illegal, v.Outcome, v)
				require.Equal(rt, lost, v.Step, v)
				require.Contains(rt, v.Detail, `client "c1" never saw `)
				require.Contains(rt, v.Detail, `(message "gone")`)
				v = properties.Conforms().Check(h)
				require.Equal(rt, broken, v.Step, v)
				require.Equal(rt, broken > 0, v.Outcome == illegal, v)

				// Had the first client been told, all would be well.
				told := event(model.Discontinuity, "c1", "", "next", 0)
				switch way {
				case "new start":
					h.Events = slices.Insert(h.Events, int(lost), told)
				case "in mid-stream":
					h.Events = slices.Insert(h.Events, int(lost)-1, told)
				case "left behind":
					conclude(h, told, event(model.Deliver, "c1", "fresh", "next", 1))
				}
				for _, v := range properties.Check(renumbered(h)) {
					require.True(rt, v.Ok(), v)
				}
			})
		})
	}
}

// A log that is appended to in an epoch which another has followed has split its brain.
func TestEpochsInTurnsAreNotLinearizable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := correctRunOf(rt, true)
		old := endOf(h)
		publish := func(id, epoch string, seq uint64) {
			conclude(h, model.Event{Kind: model.PublishCall, Node: "p", Room: "room-1", ID: id},
				model.Event{Kind: model.PublishOK, Node: "p", Room: "room-1", ID: id, Epoch: epoch, Seq: seq})
		}
		publish("old", old.Epoch, old.Seq+1)
		publish("new", "next", 1)
		step := uint64(len(h.Events)) + 1
		publish("too late", old.Epoch, old.Seq+2)
		renumber(h)
		for _, p := range []model.Property{properties.Linearizable(), properties.Conforms()} {
			v := p.Check(h)
			require.Equal(rt, illegal, v.Outcome, v)
			require.Equal(rt, step, v.Step, v)
			require.Contains(rt, v.Detail, "appended to in turns")
		}
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
		// the client back or be of another epoch.
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
				return (o.Kind == model.PublishOK || o.Kind == model.Deliver && o.Node != e.Node) && o.Room == e.Room && o.Cursor() == e.Cursor()
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
