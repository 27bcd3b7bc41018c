package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// Journey is how a message came along, and where it ended.
type Journey struct {
	// About is the message, and the client to whom it matters, if one does.
	About model.Subject
	Stops []Stop
	// End says where the journey ended, and what the client has of it, a sentence each.
	End []string

	title string
	dead  deadEnd
}

// deadEnd is where a message that did not reach its client was last: the event, and the host that should have been
// next, "" if that is not known. The zero value is none.
type deadEnd struct {
	at     *model.Event
	toward string
}

// Stop is something that happened to a message, or to the client that was to get it.
type Stop struct {
	// Step is that of the history, or, of what is in the trail alone, the last one by then.
	Step uint64
	Time time.Duration
	// Text says what happened, to whom.
	Text string

	event *model.Event
}

// String is the stop as it stands in a failure's banner.
func (s Stop) String() string { return fmt.Sprintf("t=%.6fs %s", s.Time.Seconds(), s.Text) }

// Journeys gives the journey of the message that the case is about, and of the one that overtook it, if that is
// what is wrong. There is none if the case is about no message that anything is known of.
func (c *Case) Journeys() []*Journey {
	var all []*Journey
	for _, about := range []model.Subject{c.About, c.overtaker()} {
		if j := c.journey(about); j != nil {
			all = append(all, j)
		}
	}
	return all
}

// overtaker is the message of a later position that the client has got before the one that the case is about.
func (c *Case) overtaker() (last model.Subject) {
	if c.Event == nil || c.Event.Kind != model.Deliver || !is(c.Event, c.About) {
		return model.Subject{}
	}
	for i := range c.run.History.Events {
		e := &c.run.History.Events[i]
		if e.Step >= c.Step {
			break
		}
		if e.Kind != model.Deliver || e.Node != c.About.Client || e.Room != c.About.Room || e.Epoch != c.About.Epoch {
			continue
		}
		if is(e, c.About) {
			return model.Subject{} // it had come before: it is a repetition
		}
		last = model.Subject{Client: e.Node, Room: e.Room, Epoch: e.Epoch, Seq: e.Seq, ID: e.ID}
	}
	if last.Seq <= c.About.Seq {
		return model.Subject{}
	}
	return last
}

func (c *Case) journey(about model.Subject) *Journey {
	if about.Room == "" || about.ID == "" && about.Seq == 0 {
		return nil
	}
	w := walk{run: c.run, about: about, others: map[model.Kind]int{}, until: c.Time}
	for _, e := range c.run.merged() {
		if e.Time > c.Time && e.Step > c.Step {
			break
		}
		w.take(e)
	}
	if !w.known {
		return nil
	}
	j := &Journey{About: about, title: c.run.title(about)}
	var away int
	j.Stops, away = w.concerned()
	if away > 0 {
		j.End = append(j.End, several(away, "other edge", "got it from hop 2"))
	}
	j.End = append(j.End, w.end()...)
	j.dead = w.dead
	return j
}

// fewEdges is how many edges may stand in a journey though it did not go by them.
const fewEdges = 2

// concerned gives the stops, without edges that got the message and have nothing to do with the client, unless
// they are few. It counts those.
func (w *walk) concerned() (stops []Stop, away int) {
	near := map[string]bool{}
	for _, s := range w.stays {
		near[s.from.Peer] = true
	}
	for _, s := range w.stops {
		if s.event.Kind == model.Append || s.event.Kind == model.Copy {
			near[s.event.Node] = true
		}
	}
	far := map[string]bool{}
	for edge := range w.received {
		if !near[edge] {
			far[edge] = true
		}
	}
	if len(far) <= fewEdges {
		return w.stops, 0
	}
	return slices.DeleteFunc(w.stops, func(s Stop) bool { return s.event.Kind == model.Receive && far[s.event.Node] }), len(far)
}

// walk follows a message through the events of a run, up to a violation.
type walk struct {
	run    *Run
	about  model.Subject
	until  time.Duration
	known  bool // something is known of the message
	stops  []Stop
	others map[model.Kind]int // of the message, at clients that are not the one that matters

	before   *model.Event            // the client's latest event before anything was known of the message
	faults   map[string]*model.Event // in force
	called   *model.Event            // the first call of publish
	gaveUp   *model.Event            // the publisher's
	logged   *model.Event            // the first that shows it in the log
	received map[string]*model.Event // by edge
	copied   []*model.Event          // to the client
	got      []*model.Event          // by the client
	stays    []stay                  // the client's connections
	dead     deadEnd
	told     *model.Event // the Discontinuity that took the client past it
}

// stay is a connection of a client, as the client saw it.
type stay struct{ from, to *model.Event } // to is nil if it has not ended

func (w *walk) take(e *model.Event) {
	mine := ofClient(e.Kind) && e.Node == w.about.Client && e.Room == w.about.Room
	switch {
	case e.Kind == model.FaultBegin || e.Kind == model.FaultEnd:
		w.fault(e)
	case is(e, w.about) && !ofConnection(e.Kind):
		w.message(e)
	case mine && e.Kind != model.Deliver:
		w.client(e)
	}
}

func (w *walk) add(e *model.Event, format string, args ...any) {
	w.stops = append(w.stops, Stop{Step: e.Step, Time: e.Time, Text: fmt.Sprintf(format, args...), event: e})
}

func (w *walk) fault(e *model.Event) {
	if w.faults == nil {
		w.faults = map[string]*model.Event{}
	}
	verb := "begins"
	if e.Kind == model.FaultBegin {
		w.faults[e.Note] = e
	} else {
		delete(w.faults, e.Note)
		verb = "ends"
	}
	if w.known {
		w.add(e, "fault %s %s", e.Note, verb)
	}
}

// begin is the first thing that is known of the message: what was in force before is said first.
func (w *walk) begin() {
	if w.known {
		return
	}
	w.known = true
	if w.before != nil {
		w.add(w.before, "%s", w.run.clientText(w.before, w.about))
	}
	for _, f := range w.faults {
		w.add(f, "fault %s begins", f.Note)
	}
	slices.SortFunc(w.stops, func(a, b Stop) int { return cmp.Compare(a.Step, b.Step) })
}

// message takes what happened to the message.
func (w *walk) message(e *model.Event) {
	w.begin()
	at := w.run.place(e.Room, e.Cursor())
	switch e.Kind {
	case model.PublishCall:
		if w.called == nil {
			w.called = e
		}
		w.add(e, "%s calls publish", e.Node)
	case model.PublishUnknown:
		w.gaveUp = e
		w.add(e, "%s gives up, without knowing whether it is in the log: %s", e.Node, e.Note)
	case model.PublishOK:
		w.inLog(e)
		w.add(e, "%s is told that it is in the log, as %s", e.Node, at)
	case model.Append:
		w.inLog(e)
		w.add(e, "%s has put it into the log%s, as %s", e.Node, by(" of ", e.Peer), at)
	case model.Receive:
		w.inLog(e)
		if w.received == nil {
			w.received = map[string]*model.Event{}
		}
		if w.received[e.Node] == nil {
			w.received[e.Node] = e
		}
		w.add(e, "%s gets it from hop 2%s", e.Node, by(", ", e.Peer))
	case model.Copy:
		if e.Peer != w.about.Client {
			w.others[e.Kind]++
			return
		}
		w.copied = append(w.copied, e)
		w.add(e, "%s hands it to its connection with %s", e.Node, e.Peer)
	case model.Deliver:
		w.inLog(e)
		if e.Node != w.about.Client {
			w.others[e.Kind]++
			return
		}
		w.got = append(w.got, e)
		again := ""
		if len(w.got) > 1 {
			again = " again"
		}
		w.add(e, "%s gets it%s%s%s", e.Node, again, by(" over ", e.Transport), by(" from ", e.Peer))
	}
}

func (w *walk) inLog(e *model.Event) {
	if w.logged == nil {
		w.logged = e
	}
}

// client takes what happened to the client's connection.
func (w *walk) client(e *model.Event) {
	switch e.Kind {
	case model.Connected:
		w.stays = append(w.stays, stay{from: e})
	case model.Disconnected:
		if n := len(w.stays); n > 0 {
			w.stays[n-1].to = e
		}
	case model.Discontinuity:
		if e.Epoch != w.about.Epoch || e.Seq >= w.about.Seq {
			w.told = e
		}
	}
	if !w.known {
		w.before = e
		return
	}
	w.add(e, "%s", w.run.clientText(e, w.about))
}

// clientText says what happened to a client, and where that leaves it relative to a message.
func (r *Run) clientText(e *model.Event, about model.Subject) string {
	where := ""
	if e.Epoch == about.Epoch && about.Seq != 0 {
		switch {
		case e.Seq >= about.Seq:
			where = ": past it"
		case e.Seq+1 == about.Seq:
			where = ": right before it"
		}
	}
	at := r.place(e.Room, e.Cursor())
	switch e.Kind {
	case model.Connected:
		how := "starting"
		if e.Resumed {
			how = "resuming"
		}
		return fmt.Sprintf("%s connects%s%s, %s from %s%s", e.Node, by(" to ", e.Peer), by(" over ", e.Transport), how, at, where)
	case model.Disconnected:
		return fmt.Sprintf("%s loses its connection%s%s", e.Node, by(" to ", e.Peer), by(": ", e.Note))
	}
	return fmt.Sprintf("%s is told of a gap up to %s%s%s", e.Node, at, where, by(": ", e.Note))
}

// by is a preposition and what comes after it, or nothing.
func by(preposition, what string) string {
	if what == "" {
		return ""
	}
	return preposition + what
}

// String is the journey as it stands in a failure's banner, a line each.
func (j *Journey) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "journey of %s:\n", j.Title())
	for _, s := range j.Stops {
		fmt.Fprintf(&b, "  %v\n", s)
	}
	for _, s := range j.End {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	return b.String()
}

// Title names the message, and the client.
func (j *Journey) Title() string { return j.title }

func (r *Run) title(about model.Subject) string {
	what := fmt.Sprintf("message %q", about.ID)
	if about.Seq != 0 {
		what = r.place(about.Room, about.Cursor())
		if about.ID != "" {
			what += fmt.Sprintf(" (message %q)", about.ID)
		}
	}
	return what + by(" to ", about.Client)
}
