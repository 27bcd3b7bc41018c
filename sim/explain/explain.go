package explain

import (
	"slices"
	"sort"
	"time"

	"github.com/twohop/twohop/model"
)

// Run is what is known of a run.
type Run struct {
	History *model.History
	// Trail is how far messages came, as nodes between publisher and client saw it, in order of Time.
	Trail    []model.Event
	Verdicts []model.Verdict
	// Steps is how many steps the trace has, and Step gives one of them by number, counting from 1; false if it
	// was not kept. nil means that no step was.
	Steps uint64
	Step  func(n uint64) (Step, bool)

	epochs map[string]string // of rooms whose log had one life, its name; see place
}

// Step is a step of the trace.
type Step struct {
	Step uint64
	// Time is virtual, since the run began.
	Time time.Duration
	// Kind is what happened, such as "send" or "lost"; see netsim.Kind.
	Kind string
	// Host is where, and Peer the other end of the leg, if there is one.
	Host, Peer string
	// Conn numbers the connection's end, and Len is the payload's length in bytes.
	Conn, Len uint32
	Note      string
}

// Case is a violation that is to be explained.
type Case struct {
	run     *Run
	Verdict model.Verdict
	// About is the message that the verdict is about, and the client, as far as it is known.
	About model.Subject
	// Event is what the history has at the verdict's step; nil if it has nothing there.
	Event *model.Event
	// Step and Time are when it is plain that something is wrong. Of something that never happened, that is the
	// end of the run.
	Step uint64
	Time time.Duration
}

// Case gives the violation that comes first, by step; of those at one step, the first in the order of the
// verdicts. It is nil if there is none.
func (r *Run) Case() *Case {
	var first *model.Verdict
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.Outcome == model.Illegal && v.Step != 0 && (first == nil || v.Step < first.Step) {
			first = v
		}
	}
	if first == nil || r.History == nil {
		return nil
	}
	c := &Case{run: r, Verdict: *first, About: first.About, Event: r.at(first.Step), Step: first.Step}
	if c.Event != nil {
		c.Time = c.Event.Time
	} else if s, ok := r.step(first.Step); ok {
		c.Time = s.Time
	}
	c.findSubject()
	return c
}

// at gives the event of a step; nil if there is none.
func (r *Run) at(step uint64) *model.Event {
	events := r.History.Events
	i := sort.Search(len(events), func(i int) bool { return events[i].Step >= step })
	if i == len(events) || events[i].Step != step {
		return nil
	}
	return &events[i]
}

func (r *Run) step(n uint64) (Step, bool) {
	if r.Step == nil {
		return Step{}, false
	}
	return r.Step(n)
}

// findSubject completes what the case is about: from the event at its step if the verdict says nothing, and a
// message's name from its position and the other way round.
func (c *Case) findSubject() {
	if e := c.Event; e != nil && c.About == (model.Subject{}) && e.Room != "" {
		c.About = model.Subject{Room: e.Room, Epoch: e.Epoch, Seq: e.Seq, ID: e.ID}
		if ofClient(e.Kind) {
			c.About.Client = e.Node
		}
	}
	about := &c.About
	if about.Room == "" || about.ID != "" && about.Seq != 0 {
		return
	}
	for _, e := range c.run.merged() {
		if e.Room != about.Room || e.ID == "" || e.Seq == 0 {
			continue
		}
		switch {
		case about.ID != "" && e.ID == about.ID:
			about.Epoch, about.Seq = e.Epoch, e.Seq
			return
		case about.ID == "" && e.Cursor() == about.Cursor():
			about.ID = e.ID
			return
		}
	}
}

// ofClient reports whether events of a kind are what a client saw of its subscription.
func ofClient(k model.Kind) bool {
	switch k {
	case model.Connected, model.Disconnected, model.Deliver, model.Discontinuity:
		return true
	}
	return false
}

// merged gives the history and the trail in one, in order of time. Of one instant, the trail comes first: it is
// of those who are nearer to the source.
func (r *Run) merged() []*model.Event {
	all := make([]*model.Event, 0, len(r.History.Events)+len(r.Trail))
	for i := range r.Trail {
		all = append(all, &r.Trail[i])
	}
	for i := range r.History.Events {
		all = append(all, &r.History.Events[i])
	}
	slices.SortStableFunc(all, func(a, b *model.Event) int {
		switch {
		case a.Time < b.Time:
			return -1
		case a.Time > b.Time:
			return 1
		}
		return 0
	})
	return all
}

// place names a position for people: without its epoch, if the room has no other.
func (r *Run) place(room string, at model.Cursor) string {
	if r.epochs == nil {
		r.epochs = map[string]string{}
		several := map[string]bool{}
		for i := range r.History.Events {
			e := &r.History.Events[i]
			if known, ok := r.epochs[e.Room]; e.Epoch != "" && !ok {
				r.epochs[e.Room] = e.Epoch
			} else if e.Epoch != "" && known != e.Epoch {
				several[e.Room] = true
			}
		}
		for room := range several {
			delete(r.epochs, room)
		}
	}
	if r.epochs[room] == at.Epoch {
		at.Epoch = ""
	}
	return at.In(room)
}

// is reports whether an event is about the message of a subject.
func is(e *model.Event, about model.Subject) bool {
	if e.Room != about.Room {
		return false
	}
	if about.ID != "" && e.ID != "" {
		return e.ID == about.ID
	}
	return about.Seq != 0 && e.Seq == about.Seq && e.Epoch == about.Epoch
}
