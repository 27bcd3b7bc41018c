package model

import (
	"cmp"
	"slices"
	"time"
)

// Outage is a time during which a client had no connection to its room, between two times when it had.
type Outage struct {
	// Transport and Peer are those of the connection that ended it.
	Transport, Peer string
	Client, Room    string
	// Resumed says that the client went on from its cursor.
	Resumed bool
	// Step is the step of the connection that ended it.
	Step uint64
	// Began is when a fault took hold, if one did between the last that the client heard on its old connection and
	// its noticing, and else Noticed. Noticed is when the client took the connection for lost, and Ended when
	// its next one was agreed. All are virtual times.
	Began, Noticed, Ended time.Duration
}

// Length is how long the client was cut off.
func (o Outage) Length() time.Duration { return o.Ended - o.Began }

// Reconnect is how long the client took to get a connection from when it knew that it had none.
func (o Outage) Reconnect() time.Duration { return o.Ended - o.Noticed }

// Outages lists the outages of a history's clients that have ended, sorted by transport, then step. Left out
// are connections that a client itself gave up ([NoteStopped]), and those of clients that crashed, which
// noticed nothing.
//
// Which fault broke a connection is not in a history. If an unrelated one took hold after the client had heard
// its last, the outage seems longer than it was, by at most the client's idle time-out.
func Outages(h *History) []Outage {
	if h == nil {
		return nil
	}
	type place struct{ client, room string }
	type life struct {
		heard time.Duration // the last sign of life
		lost  bool          // since began and noticed
		Outage
	}
	lives := map[place]*life{}
	var faults []time.Duration // in ascending order
	var all []Outage
	for i := range h.Events {
		e := &h.Events[i]
		at := place{e.Node, e.Room}
		l := lives[at]
		if l == nil {
			l = &life{}
		}
		switch e.Kind {
		case FaultBegin:
			faults = append(faults, e.Time)
			continue
		case Disconnected:
			l.lost = e.Note != NoteStopped
			l.Noticed, l.Began = e.Time, e.Time
			if first, _ := slices.BinarySearch(faults, l.heard); first < len(faults) {
				l.Began = faults[first]
			}
		case Connected:
			if l.lost {
				all = append(all, Outage{
					Transport: e.Transport, Peer: e.Peer, Client: e.Node, Room: e.Room, Resumed: e.Resumed,
					Step: e.Step, Began: l.Began, Noticed: l.Noticed, Ended: e.Time,
				})
			}
			l.lost, l.heard = false, e.Time
		case Deliver, Discontinuity:
			l.heard = e.Time
		default:
			continue
		}
		lives[at] = l
	}
	slices.SortFunc(all, func(a, b Outage) int {
		return cmp.Or(cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.Step, b.Step))
	})
	return all
}
