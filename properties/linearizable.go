package properties

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/twohop/twohop/model"
)

// DefaultLimit is how much wall-clock time [Linearizable] takes at most.
const DefaultLimit = 10 * time.Second

// Linearizable: the log of each room behaves as one list that messages are appended to one at a time,
// each at some moment between the call of publish and its return; or, if it loses its history, as one
// such list after another, each with its epoch.
//
// Formally, per room and epoch: there is a total order of its operations that keeps the order of those that do
// not overlap, and in which each operation's result is that of a single append-only log. The
// operations are append(ID), from PublishCall to PublishOK, which returns the position; append(ID)
// with unknown outcome, which may take effect at any time after its call, or never; and read(Seq) = ID
// at the step of each Deliver. Appending an ID again changes nothing and returns the same position. A
// publish that returned from another epoch has, in this one, an unknown outcome. And per room: of two
// epochs, one was first named by an event after the last call of a publish whose message was seen in the
// other, so that they can have lived one after the other.
//
// It does not cover which messages a client has a right to see, when, or in what order, but for one
// thing: nobody sees a message before its publish was called. Nor does it see that two epochs were
// appended to in turns where only messages that nobody saw would show it. With no append completed and nothing
// delivered there is nothing to check, and the verdict is Unknown.
//
// Porcupine makes the decision. If that takes longer than [DefaultLimit] of wall-clock time, the
// verdict is Unknown. Check outside any synctest bubble: time stands still there.
func Linearizable() model.Property { return linearizable(DefaultLimit) }

// LinearizableWithin is [Linearizable] with another limit of wall-clock time, which must be positive.
func LinearizableWithin(limit time.Duration) (model.Property, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("Linearizable: limit is %v; it must be positive", limit)
	}
	return linearizable(limit), nil
}

func linearizable(limit time.Duration) model.Property {
	return drawable{property{"Linearizable", func(h *model.History) model.Verdict {
		return checkLinearizable(h, time.Now().Add(limit), limit)
	}}, VisualizeLinearizable}
}

func checkLinearizable(h *model.History, deadline time.Time, limit time.Duration) model.Verdict {
	appends := 0
	var observations []uint64 // steps
	logs := roomLogs(h.Events)
	for _, l := range logs {
		appends += len(l.appends)
		observations = append(observations, l.observations...)
	}
	if len(observations) == 0 {
		return unknown("nothing to check: no publish returned and nothing was delivered")
	}
	what := fmt.Sprintf("%d appends and %d observed positions of %d logs", appends, len(observations), len(logs))
	switch decide(h.Events, deadline) {
	case porcupine.Unknown:
		return unknown("not decided within %v of wall-clock time: %s", limit, what)
	case porcupine.Ok:
		return ok("%s have a linear order", what)
	}
	slices.Sort(observations)
	return explain(h, observations, deadline)
}

// decide asks whether the lives of the rooms' logs came one after the other, and Porcupine about all
// logs at once. The deadline is wall-clock time.
func decide(events []model.Event, deadline time.Time) porcupine.CheckResult {
	for _, r := range livesOf(events) {
		if _, _, found := r.inTurns(); found {
			return porcupine.Illegal
		}
	}
	left := time.Until(deadline)
	if left <= 0 { // which Porcupine would take for no limit
		return porcupine.Unknown
	}
	return porcupine.CheckOperationsTimeout(logModel(roomLogs(events)), nil, left)
}

// explain finds the first step of a history that is not linearizable: the first up to which it is not.
// Every prefix of a linearizable history is linearizable, so bisection finds it, and as a call breaks
// nothing, it is one of the observations.
func explain(h *model.History, observations []uint64, deadline time.Time) model.Verdict {
	lo, hi, exact := 0, len(observations)-1, true // the answer is in observations[lo..hi]
	for lo < hi && exact {
		mid := lo + (hi-lo)/2
		switch decide(upTo(h, observations[mid]), deadline) {
		case porcupine.Ok:
			lo = mid + 1
		case porcupine.Illegal:
			hi = mid
		default:
			exact = false
		}
	}
	events := upTo(h, observations[hi])
	reason := contradiction(events)
	if !exact {
		reason += "; there was no time to find out whether an earlier step breaks it already"
	}
	return illegal(observations[hi], "%s", reason)
}

// upTo gives the events up to and including a step.
func upTo(h *model.History, step uint64) []model.Event {
	n, found := slices.BinarySearchFunc(h.Events, step, func(e model.Event, s uint64) int {
		switch {
		case e.Step < s:
			return -1
		case e.Step > s:
			return 1
		}
		return 0
	})
	if found {
		n++
	}
	return h.Events[:n]
}

// contradiction says why the last of events fits no order in which the ones before it fit.
func contradiction(events []model.Event) string {
	last := events[len(events)-1]
	at := last.Cursor()
	what := fmt.Sprintf("client %q saw %s as message %q", last.Node, at.In(last.Room), last.ID)
	if last.Kind == model.PublishOK {
		what = fmt.Sprintf("publisher %q was told %s for message %q", last.Node, at.In(last.Room), last.ID)
	}
	called := map[string]bool{}
	for _, e := range events[:len(events)-1] {
		if e.Room != last.Room {
			continue
		}
		switch e.Kind {
		case model.PublishCall:
			called[e.ID] = true
		case model.PublishOK, model.Deliver:
			if e.Epoch == at.Epoch && e.Seq == at.Seq && e.ID != last.ID {
				return fmt.Sprintf("%s, but at step %d message %q was there", what, e.Step, e.ID)
			}
			if e.Epoch == at.Epoch && e.Seq != at.Seq && e.ID == last.ID {
				return fmt.Sprintf("%s, but at step %d it was at %s", what, e.Step, e.Cursor().In(e.Room))
			}
		}
	}
	if !called[last.ID] {
		return what + ", which nobody had called publish for"
	}
	r := livesOf(events)[last.Room]
	if a, b, found := r.inTurns(); found {
		return fmt.Sprintf("%s, but then epochs %q and %q were appended to in turns: the one was there by step %d and has a message whose "+
			"publish was called at step %d, the other by step %d and at step %d", what, a, b,
			r.epochs[a].began, r.epochs[a].newest, r.epochs[b].began, r.epochs[b].newest)
	}
	return fmt.Sprintf("%s, but no order of the %d messages published so far puts it there and keeps to when their publishes were called and returned",
		what, len(called))
}
