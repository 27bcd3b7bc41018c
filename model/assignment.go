package model

import "fmt"

// Assignments is the executable specification of who owns which room, and of how a room moves in four
// steps: announce, move the clients, send to both meanwhile, commit. [Explore] shows that the steps
// are right and all needed; this holds a run to them.
//
// The rules:
//
//   - An edge joins once, and leaves once before it joins again. The rooms that it owns when it leaves
//     move then, by the same steps, even if it is dead.
//   - A room is assigned once, to an edge that is there. From then on it has one owner.
//   - An Announce begins a room's move, from its owner to another edge that is there. A further one
//     begins it anew, with another edge or the same; the owner stays. One the other way round turns the
//     move round: then the new owner counts as the owner, from which the room moves back.
//   - A Commit ends the move that was announced last: the new owner is the only one.
//   - While a room moves, its copies go to either owner; otherwise, to the one. Who gets a copy that is
//     no edge is not looked at, and neither is a copy of a room that was never assigned.
//
// Where the clients are is no part of it, as no event says who an edge's clients are; nor whether each
// message went to both, which shows only at the end: see package properties.
type Assignments struct {
	edges map[string]uint64 // the step at which each joined; 0 when it has left
	rooms map[string]*assignment
	steps int
}

// assignment is one room's owner, and where it moves.
type assignment struct {
	owner, to string // to is "" while it does not move
	since     uint64 // step of the owner's assignment
	// late is the owner before: copies to it may still be on the way when it commits.
	late string
}

// NewAssignments gives the specification of a run in which no edge has joined.
func NewAssignments() *Assignments {
	return &Assignments{edges: map[string]uint64{}, rooms: map[string]*assignment{}}
}

// Owners gives a room's owner and, while it moves, the next one. Both are "" for a room that was never
// assigned.
func (a *Assignments) Owners(room string) (owner, next string) {
	r := a.rooms[room]
	if r == nil {
		return "", ""
	}
	return r.owner, r.to
}

// Step takes the next event. The error says what is wrong with it, and leaves everything as it was.
// Events of other kinds are accepted.
func (a *Assignments) Step(e Event) error {
	var err error
	switch e.Kind {
	case Join:
		err = a.join(e)
	case Leave:
		err = a.leave(e)
	case Assign:
		err = a.assign(e)
	case Announce:
		err = a.announce(e)
	case Commit:
		err = a.commit(e)
	case Copy:
		return a.copied(e)
	default:
		return nil
	}
	if err == nil {
		a.steps++
	}
	return err
}

func (a *Assignments) join(e Event) error {
	if since := a.edges[e.Object]; since > 0 {
		return fmt.Errorf("edge %q joined, but is there since step %d", e.Object, since)
	}
	a.edges[e.Object] = e.Step
	return nil
}

func (a *Assignments) leave(e Event) error {
	if a.edges[e.Object] == 0 {
		return fmt.Errorf("edge %q left, but is not there", e.Object)
	}
	a.edges[e.Object] = 0
	return nil
}

func (a *Assignments) assign(e Event) error {
	if r := a.rooms[e.Room]; r != nil {
		return fmt.Errorf("room %q was assigned to %q, but is %q's since step %d: it must be announced, and move", e.Room, e.Object, r.owner, r.since)
	}
	if a.edges[e.Object] == 0 {
		return fmt.Errorf("room %q was assigned to %q, which is not there", e.Room, e.Object)
	}
	a.rooms[e.Room] = &assignment{owner: e.Object, since: e.Step}
	return nil
}

func (a *Assignments) announce(e Event) error {
	r := a.rooms[e.Room]
	switch {
	case r != nil && r.to != "" && e.Peer == r.to && e.Object == r.owner && a.edges[e.Object] > 0:
		r.owner, r.to, r.late = r.to, r.owner, ""
		return nil
	case r == nil:
		return fmt.Errorf("room %q was announced to move from %q to %q, but was never assigned", e.Room, e.Peer, e.Object)
	case r.owner != e.Peer:
		return fmt.Errorf("room %q was announced to move from %q, but is %q's since step %d", e.Room, e.Peer, r.owner, r.since)
	case e.Object == e.Peer:
		return fmt.Errorf("room %q was announced to move from %q to itself", e.Room, e.Peer)
	case a.edges[e.Object] == 0:
		return fmt.Errorf("room %q was announced to move to %q, which is not there", e.Room, e.Object)
	}
	r.to = e.Object
	return nil
}

func (a *Assignments) commit(e Event) error {
	r := a.rooms[e.Room]
	if r == nil || r.to == "" {
		return fmt.Errorf("room %q moved from %q to %q without having been announced to", e.Room, e.Peer, e.Object)
	}
	if r.owner != e.Peer || r.to != e.Object {
		return fmt.Errorf("room %q moved from %q to %q, but from %q to %q was announced", e.Room, e.Peer, e.Object, r.owner, r.to)
	}
	r.owner, r.to, r.late, r.since = r.to, "", r.owner, e.Step
	return nil
}

func (a *Assignments) copied(e Event) error {
	r := a.rooms[e.Room]
	if _, edge := a.edges[e.Peer]; r == nil || !edge {
		return nil
	}
	a.steps++
	if e.Peer != r.owner && e.Peer != r.to && e.Peer != r.late {
		return fmt.Errorf("%q sent message %q of room %q to %q, but it is %q's since step %d", e.Node, e.ID, e.Room, e.Peer, r.owner, r.since)
	}
	return nil
}

// ValidateAssignments checks a whole history against [Assignments]. The verdict names the first step
// that it rejects, and is Unknown for a history that is not [WellFormed] or that assigns nothing.
func ValidateAssignments(h *History) Verdict {
	v := Verdict{Property: "Assignments", Outcome: Unknown}
	if err := WellFormed(h); err != nil {
		v.Detail = err.Error()
		return v
	}
	a := NewAssignments()
	for _, e := range h.Events {
		if err := a.Step(e); err != nil {
			v.Outcome, v.Step, v.Detail = Illegal, e.Step, err.Error()
			return v
		}
	}
	if len(a.rooms) == 0 {
		v.Detail = "nothing to check: no room was assigned to an edge"
		return v
	}
	v.Outcome = Ok
	v.Detail = fmt.Sprintf("%d events of %d rooms follow the specification of assignments", a.steps, len(a.rooms))
	return v
}
