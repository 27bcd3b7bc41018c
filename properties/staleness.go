package properties

import (
	"cmp"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

// Staleness: a client that is connected is never behind by more than a bound.
//
// Formally: let a message be known from its first PublishOK or Deliver, by whoever. A client that is
// connected (since its last Connected), and at a position before that of a message that is known in the
// same epoch, gets it, is told of a Discontinuity over it, or is Disconnected, before a time without
// any fault longer than the bound has passed since the later of the two. Times are virtual.
//
// Time in which a fault is on does not count, and the clock starts anew when the last one lets go: a
// system is live once it is well. [StalenessThroughout] excuses nothing.
//
// It does not cover how long a publisher waits for its answer, or clients that are away ([Reconnect]);
// a client whose connection is half open counts as connected, so that the bound has to have room for
// finding that out. With no known message that a connected client was behind, there is nothing to
// check, and the verdict is Unknown. So it is for a bound that is not positive.
func Staleness(bound time.Duration) model.Property {
	return property{"Staleness", func(h *model.History) model.Verdict { return checkStaleness(h, bound, calmOf(h)) }}
}

// StalenessThroughout is [Staleness] without excuse for faults.
func StalenessThroughout(bound time.Duration) model.Property {
	return property{"StalenessThroughout", func(h *model.History) model.Verdict { return checkStaleness(h, bound, calm{}) }}
}

// checkBound says why a bound of time is none.
func checkBound(bound time.Duration) string {
	if bound <= 0 {
		return "the bound is " + bound.String() + "; it must be positive"
	}
	return ""
}

// logKey names one life of a room's log.
type logKey struct{ room, epoch string }

// knownLog is what is known of the log of one epoch.
type knownLog struct {
	since   map[uint64]time.Duration // by position
	sorted  []uint64
	ordered bool
}

func (l *knownLog) learn(seq uint64, now time.Duration) {
	if _, known := l.since[seq]; !known {
		l.ordered = l.ordered && (len(l.sorted) == 0 || l.sorted[len(l.sorted)-1] < seq)
		l.since[seq] = now
		l.sorted = append(l.sorted, seq)
	}
}

// after gives the known positions after one.
func (l *knownLog) after(seq uint64) []uint64 {
	if !l.ordered {
		slices.Sort(l.sorted)
		l.ordered = true
	}
	i, found := slices.BinarySearch(l.sorted, seq)
	if found {
		i++
	}
	return l.sorted[i:]
}

// watch is one subscription, and since when it is connected.
type watch struct {
	subscription
	position  position
	connected bool
	since     time.Duration
}

// staleness is the state of a check.
type staleness struct {
	bound   time.Duration
	calm    calm
	logs    map[logKey]*knownLog
	watches map[subscription]*watch
	judged  int
	longest time.Duration
}

func checkStaleness(h *model.History, bound time.Duration, c calm) model.Verdict {
	if why := checkBound(bound); why != "" {
		return unknown("%s", why)
	}
	s := &staleness{bound: bound, calm: c, logs: map[logKey]*knownLog{}, watches: map[subscription]*watch{}}
	for i := range h.Events {
		if v := s.step(&h.Events[i]); v.Outcome == model.Illegal {
			return v
		}
	}
	if n := len(h.Events); n > 0 {
		if v := s.end(&h.Events[n-1]); v.Outcome == model.Illegal {
			return v
		}
	}
	if s.judged == 0 {
		return unknown("nothing to check: no connected client was behind a message")
	}
	return ok("%d messages reached a connected client within %v, the slowest in %v", s.judged, bound, s.longest)
}

func (s *staleness) log(e *model.Event) *knownLog {
	k := logKey{e.Room, e.Epoch}
	if s.logs[k] == nil {
		s.logs[k] = &knownLog{since: map[uint64]time.Duration{}, ordered: true}
	}
	return s.logs[k]
}

func (s *staleness) step(e *model.Event) (v model.Verdict) {
	if e.Kind == model.PublishOK {
		s.log(e).learn(e.Seq, e.Time)
		return v
	}
	if !observes(e) && e.Kind != model.Disconnected {
		return v
	}
	sub := subscription{e.Node, e.Room}
	w := s.watches[sub]
	if w == nil {
		w = &watch{subscription: sub}
		s.watches[sub] = w
	}
	if e.Kind == model.Deliver {
		l := s.log(e)
		l.learn(e.Seq, e.Time)
		if w.connected && (e.Epoch != w.position.at.Epoch || e.Seq > w.position.at.Seq) {
			v = s.judge(w, e, e.Cursor(), l.since[e.Seq])
		}
	} else {
		v = s.overdue(w, e)
	}
	switch e.Kind {
	case model.Connected:
		w.connected, w.since = true, e.Time
	case model.Disconnected:
		w.connected = false
	}
	if observes(e) {
		w.position.move(e)
	}
	return v
}

// judge judges that a client was behind a message until now.
func (s *staleness) judge(w *watch, e *model.Event, at model.Cursor, known time.Duration) model.Verdict {
	from := max(known, w.since)
	took := s.calm.longest(from, e.Time)
	if took > s.bound {
		return w.about(illegal(e.Step, "%v, connected, was behind %s for %v%s; allowed are %v", w.subscription, at.In(w.room), took, s.calm.clause(), s.bound), at, "")
	}
	if e.Kind == model.Deliver {
		s.judged++
		s.longest = max(s.longest, took)
	}
	return model.Verdict{}
}

// overdue judges what a connected client has not got by now.
func (s *staleness) overdue(w *watch, e *model.Event) model.Verdict {
	at := w.position.at
	l := s.logs[logKey{w.room, at.Epoch}]
	if !w.connected || l == nil {
		return model.Verdict{}
	}
	for _, seq := range l.after(at.Seq) {
		v := s.judge(w, e, model.Cursor{Epoch: at.Epoch, Seq: seq}, l.since[seq])
		if v.Outcome == model.Illegal {
			return v
		}
	}
	return model.Verdict{}
}

// end judges what is still to come when the history ends.
func (s *staleness) end(last *model.Event) model.Verdict {
	watches := make([]*watch, 0, len(s.watches))
	for _, w := range s.watches {
		watches = append(watches, w)
	}
	slices.SortFunc(watches, func(a, b *watch) int { return cmp.Or(cmp.Compare(a.room, b.room), cmp.Compare(a.client, b.client)) })
	for _, w := range watches {
		if v := s.overdue(w, last); v.Outcome == model.Illegal {
			return v
		}
	}
	return model.Verdict{}
}
