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
// every event names its room and node as its kind demands, and of a room's events that have a position
// either all name its epoch or none does: the one without might be in any life of the log.
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

func wellFormed(e *Event) error {
	switch e.Kind {
	case PublishCall, PublishOK, PublishUnknown:
		if e.ID == "" {
			return fmt.Errorf("%s: ID is empty; a publisher names its message", e.Kind)
		}
	case Connected, Disconnected, Deliver, Discontinuity:
	case FaultBegin, FaultEnd, RunEnd:
		return nil
	default:
		return fmt.Errorf("Kind is %q, which is none of the kinds of events", e.Kind)
	}
	switch {
	case e.Node == "":
		return fmt.Errorf("%s: Node is empty; it is whose call or observation this is", e.Kind)
	case e.Room == "":
		return fmt.Errorf("%s: Room is empty", e.Kind)
	}
	return nil
}

// Complete reports whether h tells a run to its end, so that what has not happened in it never did.
func (h *History) Complete() bool {
	return h != nil && !h.Partial && len(h.Events) > 0 && h.Events[len(h.Events)-1].Kind == RunEnd
}
