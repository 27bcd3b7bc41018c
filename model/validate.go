package model

import (
	"errors"
	"fmt"
	"slices"
)

// Validate checks a whole history against the specification of its rooms, [Room]. The verdict names
// the first step that a room rejects. It is Unknown for a history that is not [WellFormed], in which
// a room began a new epoch ([ErrNewEpoch]), or in which no room has an event.
func Validate(h *History) Verdict {
	v := Verdict{Property: "Room", Outcome: Unknown}
	if err := WellFormed(h); err != nil {
		v.Detail = err.Error()
		return v
	}
	val := validation{rooms: map[string]*Room{}, unclear: map[string]error{}}
	for _, e := range h.Events {
		if err := val.step(e); err != nil {
			v.Outcome, v.Step, v.Detail = Illegal, e.Step, err.Error()
			return v
		}
	}
	switch {
	case len(val.names) == 0:
		v.Detail = "nothing to check: no room has an event"
	case len(val.unclear) > 0:
		v.Detail = val.firstUnclear()
	default:
		v.Outcome = Ok
		v.Detail = fmt.Sprintf("%d events of %d rooms follow the specification", val.steps, len(val.rooms))
	}
	return v
}

// validation hands the events of a history to their rooms.
type validation struct {
	rooms   map[string]*Room
	unclear map[string]error // of the rooms that began a new epoch, why
	names   []string         // of all rooms, sorted once the run ended
	steps   int
}

func (val *validation) step(e Event) error {
	switch e.Kind {
	case FaultBegin, FaultEnd:
		return nil
	case RunEnd:
		slices.Sort(val.names)
		for _, name := range val.names {
			if err := val.room(name, e); err != nil {
				return err
			}
		}
		return nil
	}
	if !e.Kind.ofRoom() {
		return nil
	}
	if val.rooms[e.Room] == nil {
		val.rooms[e.Room] = NewRoom(e.Room)
		val.names = append(val.names, e.Room)
	}
	val.steps++
	return val.room(e.Room, e)
}

// room steps one room, unless it is unclear already what may happen in it.
func (val *validation) room(name string, e Event) error {
	if val.unclear[name] != nil {
		return nil
	}
	err := val.rooms[name].Step(e)
	if errors.Is(err, ErrNewEpoch) {
		val.unclear[name] = fmt.Errorf("step %d: %w", e.Step, err)
		return nil
	}
	return err
}

func (val *validation) firstUnclear() string {
	slices.Sort(val.names)
	for _, name := range val.names {
		if err := val.unclear[name]; err != nil {
			return err.Error()
		}
	}
	return ""
}
