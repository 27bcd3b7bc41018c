package model

import (
	"errors"
	"fmt"
	"math"
)

// WellFormed reports why h cannot be judged at all: its events are out of order, of no known kind, or
// do not say whose they are. Such a history is its recorder's fault, and no system's, so a property
// must answer [Unknown] to it. A nil error says nothing about what the system did.
//
// Steps increase from 1 (to 2^63-1 at most), Time never goes back, [RunEnd] is last if it is there,
// every event names its node, and its room and the rest that its kind demands, and of a room's events
// that have a position either all name its epoch or none does: the one without might be in any life of
// the log.
func WellFormed(h *History) error {
	if h == nil {
		return errors.New("no history")
	}
	var last Event
	named := map[string]bool{} // by room, whether its positions name their epochs
	for i := range h.Events {
		e := &h.Events[i]
		switch {
		case e.Step <= last.Step:
			return fmt.Errorf("event %d: Step is %d after %d; steps count from 1 and never tie", i, e.Step, last.Step)
		case e.Step > math.MaxInt64:
			return fmt.Errorf("event %d: Step is %d; it must not be more than 2^63-1", i, e.Step)
		case e.Time < last.Time:
			return fmt.Errorf("step %d: Time is %v after %v; virtual time never goes back", e.Step, e.Time, last.Time)
		case last.Kind == RunEnd:
			return fmt.Errorf("step %d: %s after %s, which is the last event of a run", e.Step, e.Kind, RunEnd)
		}
		if err := wellFormed(e); err != nil {
			return fmt.Errorf("step %d: %w", e.Step, err)
		}
		if e.Kind.positioned() {
			before, known := named[e.Room]
			if known && before != (e.Epoch != "") {
				return fmt.Errorf("step %d: %s: Epoch is %q, but of the events of room %q before it %s named one",
					e.Step, e.Kind, e.Epoch, e.Room, map[bool]string{true: "each", false: "none"}[before])
			}
			named[e.Room] = e.Epoch != ""
		}
		last = *e
	}
	return nil
}

// demand is what an event of a kind must name, besides its Node.
type demand struct{ id, room, peer, object bool }

// demands has every kind that has a Node.
var demands = map[Kind]demand{
	PublishCall:    {id: true, room: true},
	PublishOK:      {id: true, room: true},
	PublishUnknown: {id: true, room: true},
	Connected:      {room: true},
	Disconnected:   {room: true},
	Deliver:        {room: true},
	Discontinuity:  {room: true},
	Call:           {id: true, object: true},
	Return:         {id: true, object: true},
	ReturnUnknown:  {id: true, object: true},
	Copy:           {id: true, room: true, peer: true},
	Level:          {object: true},
	Queue:          {object: true},
	Join:           {object: true},
	Leave:          {object: true},
	Assign:         {room: true, object: true},
	Announce:       {room: true, peer: true, object: true},
	Commit:         {room: true, peer: true, object: true},
	Members:        {room: true},
}

func wellFormed(e *Event) error {
	if e.Kind == FaultBegin || e.Kind == FaultEnd || e.Kind == RunEnd {
		return nil
	}
	d, known := demands[e.Kind]
	switch {
	case !known:
		return fmt.Errorf("Kind is %q, which is none of the kinds of events", e.Kind)
	case d.id && e.ID == "":
		return fmt.Errorf("%s: ID is empty; whoever publishes or calls names what it does", e.Kind)
	case e.Node == "":
		return fmt.Errorf("%s: Node is empty; it is whose call or observation this is", e.Kind)
	case d.room && e.Room == "":
		return fmt.Errorf("%s: Room is empty", e.Kind)
	case d.peer && e.Peer == "":
		return fmt.Errorf("%s: Peer is empty; it is the other end, or the old owner", e.Kind)
	case d.object && e.Object == "":
		return fmt.Errorf("%s: Object is empty; it is what the event is about", e.Kind)
	case e.Value < 0 || e.Limit < 0:
		return fmt.Errorf("%s: Value is %d and Limit %d; neither may be negative", e.Kind, e.Value, e.Limit)
	}
	return nil
}

// Complete reports whether h tells a run to its end, so that what has not happened in it never did.
func (h *History) Complete() bool {
	return h != nil && !h.Partial && len(h.Events) > 0 && h.Events[len(h.Events)-1].Kind == RunEnd
}
