package scenarios

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// promptLimit is how late a message may come to a client that is connected: much more than the links take, and
// much less than rooms take to move.
const promptLimit = time.Second

// Prompt is the property that clients get messages while they are connected, also while rooms move: none that
// a publisher knows to be in the log comes more than a second later, unless the client's connection began
// after that; and no connection that is older than the message ends, more than a second later, without it.
//
// It does not cover clients that are not connected, nor messages whose publisher does not know.
func (s *Scaling) Prompt() model.Property { return judge{"Prompt", checkPrompt} }

// ofSystem is a property of one of several systems: it sees nothing of the others.
type ofSystem struct {
	model.Property
	sys *ScalingSystem
}

// Check implements [model.Property].
func (p ofSystem) Check(h *model.History) model.Verdict {
	own := &model.History{Partial: h.Partial}
	for _, e := range h.Events {
		if e.Node == "" || p.sys.ours(e.Node) {
			own.Events = append(own.Events, e)
		}
	}
	v := p.Property.Check(own)
	v.Detail = string(p.sys.kind) + ": " + v.Detail
	return v
}

// judge is a property of this scenario.
type judge struct {
	name  string
	check func(h *model.History) model.Verdict
}

func (j judge) Name() string { return j.name }

// Check implements [model.Property].
func (j judge) Check(h *model.History) model.Verdict {
	v := model.Verdict{Outcome: model.Unknown}
	if err := model.WellFormed(h); err != nil {
		v.Detail = "malformed history: " + err.Error()
	} else {
		v = j.check(h)
	}
	v.Property = j.name
	return v
}

// connection is a client's present one.
type connection struct {
	room string
	peer string
	open bool
	from int             // which of the room's messages was the first that became known during it
	got  map[string]bool // IDs
}

// knownMessage is a message that its publisher knows to be in the log, since a time.
type knownMessage struct {
	id string
	at time.Duration
}

func checkPrompt(h *model.History) model.Verdict {
	known := map[string][]knownMessage{} // by room
	when := map[string]time.Duration{}   // by ID
	clients := map[string]*connection{}
	judged := 0
	late := func(e *model.Event, id string, by time.Duration) model.Verdict {
		c := clients[e.Node]
		return model.Verdict{Outcome: model.Illegal, Step: e.Step, Detail: fmt.Sprintf(
			"client %q, connected to %s, had not got message %q of %s %v after its publisher knew that it was in the log",
			e.Node, c.peer, id, e.Room, by)}
	}
	for i := range h.Events {
		e := &h.Events[i]
		c := clients[e.Node]
		switch e.Kind {
		case model.PublishOK:
			known[e.Room] = append(known[e.Room], knownMessage{e.ID, e.Time})
			when[e.Room+" "+e.ID] = e.Time
		case model.Connected:
			if c == nil {
				c = &connection{room: e.Room, got: map[string]bool{}}
				clients[e.Node] = c
			}
			c.open, c.peer, c.from = true, e.Peer, len(known[e.Room])
		case model.Deliver:
			if c == nil {
				continue
			}
			judged++
			c.got[e.ID] = true
			at, told := when[e.Room+" "+e.ID]
			if by := e.Time - at; told && by > promptLimit && c.open && c.owed(known[e.Room], e.ID) {
				return late(e, e.ID, by)
			}
		case model.Disconnected:
			if c == nil || !c.open {
				continue
			}
			c.open = false
			for _, m := range known[e.Room][c.from:] {
				if by := e.Time - m.at; by > promptLimit && !c.got[m.id] {
					return late(e, m.id, by)
				}
			}
		}
	}
	if judged == 0 {
		return model.Verdict{Outcome: model.Unknown, Detail: "nothing to check: nothing was delivered"}
	}
	return model.Verdict{Outcome: model.Ok, Detail: fmt.Sprintf("%d deliveries, to whoever was connected within %v", judged, promptLimit)}
}

// owed reports whether a message became known while the connection was open.
func (c *connection) owed(known []knownMessage, id string) bool {
	for _, m := range known[c.from:] {
		if m.id == id {
			return true
		}
	}
	return false
}

// tally is what a history says of a system's clients.
type tally struct {
	reconnects []int    // by second
	moved      [2]int   // clients whose edge after the change is another than before
	must       [2]int   // clients whose room's owner is another
	strays     []string // clients that moved and need not have, or should have and did not
}

// share is what part of the clients moved, in the two changes.
func (t tally) share(clients int) [2]float64 {
	return [2]float64{float64(t.moved[0]) / float64(clients), float64(t.moved[1]) / float64(clients)}
}

// tally counts what happened to the system's clients. Where a client is before and after a change is where it
// was at its beginning, and at the beginning of the next one or the end of the run.
func (sys *ScalingSystem) tally(h *model.History) tally {
	s := sys.scaling
	t := tally{reconnects: make([]int, int(s.Duration/time.Second)+1)}
	moments := [3]time.Duration{s.comes(), s.goes(), math.MaxInt64}
	homes := [3]map[string]string{{}, {}, {}}
	now, rooms := map[string]string{}, map[string]string{}
	reached := 0
	for i := range h.Events {
		e := &h.Events[i]
		for reached < 2 && e.Time > moments[reached] {
			for c, peer := range now {
				homes[reached][c] = peer
			}
			reached++
		}
		if e.Kind != model.Connected || !sys.ours(e.Node) {
			continue
		}
		if _, again := now[e.Node]; again {
			t.reconnects[min(int(e.Time/time.Second), len(t.reconnects)-1)]++
		}
		now[e.Node], rooms[e.Node] = e.Peer, e.Room
	}
	homes[2] = now
	few, many, err := sys.placements()
	if err != nil {
		return t
	}
	for i := range s.Clients {
		c := sys.name("client", i)
		for change := range 2 {
			before, after := homes[change][c], homes[change+1][c]
			must := few.Owner(rooms[c]) != many.Owner(rooms[c])
			if must {
				t.must[change]++
			}
			if before != after {
				t.moved[change]++
			}
			if must != (before != after) {
				t.strays = append(t.strays, c)
			}
		}
	}
	return t
}

// placements are those with and without the edge more.
func (sys *ScalingSystem) placements() (few, many *model.Ring, err error) {
	var edges []string
	for i := range sys.scaling.Edges + 1 {
		edges = append(edges, sys.edgeName(i))
	}
	p := sys.scaling.placement(sys.kind)
	p.Members = edges[:len(edges)-1]
	if few, err = model.NewRing(p); err != nil {
		return nil, nil, err
	}
	p.Members = edges
	many, err = model.NewRing(p)
	return few, many, err
}

// Movement is the property that a change moves the clients that must be moved, and nobody else: those whose
// room belongs to another edge then. How many these are is held against the closed form, [model.Movement]; as
// rooms are few and lie on the ring by chance, they may differ by as much as chance explains, which is 4.5
// standard deviations.
//
// It judges clients by the edges that they are connected to when a change begins and before the next; it is
// meant for runs without faults.
func (s *Scaling) Movement() model.Property {
	systems := s.systems
	return judge{"Movement", func(h *model.History) model.Verdict {
		if len(systems) == 0 || !h.Complete() {
			return model.Verdict{Outcome: model.Unknown, Detail: "the run has not come to its end"}
		}
		var details []string
		for _, sys := range systems {
			detail, err := sys.judgeMovement(h)
			if err != nil {
				return model.Verdict{Outcome: model.Illegal, Step: h.Events[len(h.Events)-1].Step, Detail: err.Error()}
			}
			details = append(details, detail)
		}
		return model.Verdict{Outcome: model.Ok, Detail: strings.Join(details, "; ")}
	}}
}

func (sys *ScalingSystem) judgeMovement(h *model.History) (detail string, err error) {
	s, t := sys.scaling, sys.tally(h)
	if len(t.strays) > 0 {
		return "", fmt.Errorf("%s: %d clients moved that need not have, or did not and should have, such as %s",
			sys.kind, len(t.strays), t.strays[0])
	}
	want := model.Movement(sys.kind, s.Edges)
	variance := want * (1 - want) / float64(s.Rooms)
	if sys.kind != model.Modulo {
		variance += math.Pow(want*model.Imbalance(s.Edges+1, s.VirtualNodes), 2)
	}
	slack := 4.5 * math.Sqrt(variance)
	if sys.kind == model.Bounded {
		slack += 2 * want // the closed form is the least
	}
	share := t.share(s.Clients)
	peak := 0
	for _, n := range t.reconnects {
		peak = max(peak, n)
	}
	for change, moved := range share {
		if math.Abs(moved-want) > slack {
			return "", fmt.Errorf("%s: change %d moved %.1f %% of the clients; the closed form says %.1f %%, and chance explains %.1f more or less",
				sys.kind, change+1, 100*moved, 100*want, 100*slack)
		}
	}
	return fmt.Sprintf("%s: %.1f %% and %.1f %% of the clients moved (closed form %.1f %%), at most %d reconnects/s, %d duplicate sends, %d redirects",
		sys.kind, 100*share[0], 100*share[1], 100*want, peak, sys.Source().Dual, sys.Edges().Redirects), nil
}
