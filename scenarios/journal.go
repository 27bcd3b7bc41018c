package scenarios

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
)

// journal enters in the history what several goroutines of one node see, in an order that does not depend
// on which of those that wake at one instant runs first. It does so a microsecond later.
type journal struct {
	n    *sim.Node
	wake chan struct{} // has an element if something was noted since the writer last looked

	mu    sync.Mutex
	notes []note
}

// journalDelay is how much later an event stands in the history than it happened.
const journalDelay = time.Microsecond

// note is an event with its place among those of its instant, and what is to be done when it is entered.
type note struct {
	at    time.Time
	who   string
	event model.Event
	then  func()
}

func newJournal(n *sim.Node) *journal { return &journal{n: n, wake: make(chan struct{}, 1)} }

// note notes an event of a goroutine that is told from others by who; those of one who keep their order.
func (j *journal) note(who string, e model.Event, then func()) {
	j.mu.Lock()
	j.notes = append(j.notes, note{time.Now(), who, e, then})
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, with which the node's life does; what is not written by then never was.
func (j *journal) run(ctx context.Context) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for ctx.Err() == nil {
		var timer <-chan time.Time
		if next := j.write(); !next.IsZero() {
			t.Reset(time.Until(next))
			timer = t.C
		}
		select {
		case <-j.wake:
		case <-timer:
		case <-ctx.Done():
		}
	}
}

// write enters what is due, and tells when more will be. What was noted at this very instant waits for
// the next time.
func (j *journal) write() (next time.Time) {
	j.mu.Lock()
	now := time.Now()
	due := 0
	for due < len(j.notes) && !now.Before(j.notes[due].at.Add(journalDelay)) {
		due++
	}
	notes := slices.Clone(j.notes[:due])
	j.notes = slices.Delete(j.notes, 0, due)
	if len(j.notes) > 0 {
		next = j.notes[0].at.Add(journalDelay)
	}
	j.mu.Unlock()
	slices.SortStableFunc(notes, func(a, b note) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.who, b.who)) })
	for _, note := range notes {
		j.n.Record(note.event)
		if note.then != nil {
			note.then()
		}
	}
	return next
}
