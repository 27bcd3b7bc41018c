package properties

import (
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// Presence: whoever is told who is in a room is told of everybody who is there, and of nobody who left.
//
// Formally, let a client be connected to a room from a Connected until the next Disconnected of it, or its next
// Connected, which begins another connection. For each Members event, at time t, of a room:
//
//   - Each name in it is that of a client which was connected to the room at some time in [t−bound, t+bound]: a
//     server may know of a connection before its client does. This is judged throughout: a lease that runs out
//     needs nobody's help. It is not judged if the history ends before t+bound.
//   - Each client that was connected to the room all through [t−bound, t] is in it, if no fault was on in that
//     time and none had ended less than bound before its beginning.
//
// It does not cover clients whose program is cut short, as by a crash of their host: nothing in a history says
// when that was, so that they count as connected until the end; a world that crashes clients should record their
// Disconnected. With no Members event there is nothing to check, and the verdict is Unknown.
func Presence(bound time.Duration) model.Property {
	return property{"Presence", func(h *model.History) model.Verdict { return checkPresence(h, bound) }}
}

// attendance is when a client was connected to a room.
type attendance struct {
	since time.Duration // of the connection that is there, or was last
	until time.Duration // when it ended; forever if it is there
}

// early is a name that was listed although nobody of it was there; its client may be about to be.
type early struct {
	look  *model.Event
	name  string
	since time.Duration // since it left; less than 0 if it has never been there
}

func (l early) verdict(bound time.Duration) model.Verdict {
	if l.since < 0 {
		return illegal(l.look.Step, "%q was told that %q is in room %q, who had never been", l.look.Node, l.name, l.look.Room)
	}
	return illegal(l.look.Step, "%q was told that %q is in room %q, who had left %v ago; allowed are %v", l.look.Node, l.name, l.look.Room, l.since, bound)
}

func checkPresence(h *model.History, bound time.Duration) model.Verdict {
	c := calmOf(h)
	rooms := map[string]map[string]attendance{} // by room and client
	var pending []early                         // in order of time
	looks, names := 0, 0
	for i := range h.Events {
		e := &h.Events[i]
		there := rooms[e.Room]
		if len(pending) > 0 && e.Time-bound > pending[0].look.Time {
			return pending[0].verdict(bound)
		}
		switch e.Kind {
		case model.Connected:
			if there == nil {
				there = map[string]attendance{}
				rooms[e.Room] = there
			}
			there[e.Node] = attendance{e.Time, forever}
			pending = slices.DeleteFunc(pending, func(l early) bool { return l.look.Room == e.Room && l.name == e.Node })
		case model.Disconnected:
			if a, known := there[e.Node]; known && a.until == forever {
				a.until = e.Time
				there[e.Node] = a
			}
		case model.Members:
			listed := strings.Fields(e.Note)
			looks++
			names += len(listed)
			for _, name := range listed {
				switch a, known := there[name]; {
				case !known:
					pending = append(pending, early{e, name, -1})
				case e.Time-bound > a.until:
					pending = append(pending, early{e, name, e.Time - a.until})
				}
			}
			if missing, since := absentee(there, listed, e.Time, bound); missing != "" && c.quiet(e.Time-2*bound, e.Time) {
				return illegal(e.Step, "%q was not told that %q is in room %q, who has been there for %v; allowed are %v",
					e.Node, missing, e.Room, e.Time-since, bound)
			}
		}
	}
	if looks == 0 {
		return unknown("nothing to check: nobody was told who is in a room")
	}
	return ok("who is in a room was told %d times, with %d names in all, as it was within %v", looks, names, bound)
}

// absentee is the first client, in order of names, that has been there for longer than the bound and is not
// listed.
func absentee(there map[string]attendance, listed []string, now, bound time.Duration) (name string, since time.Duration) {
	var missing []string
	for client, a := range there {
		if a.until == forever && a.since < now-bound && !slices.Contains(listed, client) {
			missing = append(missing, client)
		}
	}
	if len(missing) == 0 {
		return "", 0
	}
	name = slices.Min(missing)
	return name, there[name].since
}

// quiet reports whether no fault was on at any time between two.
func (c calm) quiet(from, to time.Duration) bool {
	for _, s := range c.storms {
		if s.from <= to && s.to >= from {
			return false
		}
	}
	return true
}
