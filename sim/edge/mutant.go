package edge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mutant is a deliberate bug of a server, which a property must catch. The zero value is none. A client of
// package hop1 finds most of them out by itself, and comes again: they show with one that is
// [github.com/twohop/twohop/sim/hop1.Trusting].
type Mutant string

const (
	// SkipTrimmed: a client whose cursor was trimmed off is told that it resumed, and gets what is left.
	SkipTrimmed Mutant = "skip-trimmed"
	// SnapshotFirst: a client that resumes is sent what it missed, and subscribed after that. What is published
	// in between, it does not get.
	SnapshotFirst Mutant = "snapshot-first"
	// SnapshotLast: a client that resumes is subscribed, and then sent all that the log has by that time. What
	// was published in between, it gets twice.
	SnapshotLast Mutant = "snapshot-last"
	// TrimConflated: what a slow consumer gets of the latest messages of their keys lacks the very last, which
	// waits for a next one to push it out.
	TrimConflated Mutant = "trim-conflated"
	// DropSilently: under [DropOldest], a slow consumer is not told of what it does not get.
	DropSilently Mutant = "drop-silently"
	// WaitForSlowest: a room takes nothing new while any of its clients is so far behind that it would be
	// more than QueueLimit.
	WaitForSlowest Mutant = "wait-for-slowest"
	// Unbounded: whatever a client has not got is kept for it, however far it is behind.
	Unbounded Mutant = "unbounded-queue"
	// Zombie: a room that its last client has left is never closed, and so stays subscribed to.
	Zombie Mutant = "zombie-subscription"
)

var mutants = []Mutant{SkipTrimmed, SnapshotFirst, SnapshotLast, TrimConflated, DropSilently, WaitForSlowest, Unbounded, Zombie}

func (m Mutant) validate() error {
	if m == "" || slices.Contains(mutants, m) {
		return nil
	}
	var names []string
	for _, known := range mutants {
		names = append(names, fmt.Sprintf("%q", string(known)))
	}
	return fieldError("Mutant", fmt.Sprintf("%.40q", string(m)), "none, or one of "+strings.Join(names, ", "))
}

// slowestPause is how often WaitForSlowest looks.
const slowestPause = 10 * time.Millisecond

// awaitSlowest waits until no client of the room is so far behind that so many messages more would be too much.
func (rm *room) awaitSlowest(ctx context.Context, messages int) error {
	for rm.presentLag() > max(0, rm.srv.cfg.QueueLimit-messages) {
		if err := pause(ctx, slowestPause); err != nil {
			return err
		}
	}
	return nil
}

func (rm *room) presentLag() int {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	most := uint64(0)
	for sub := range rm.subs {
		most = max(most, rm.lag(sub))
	}
	return int(most)
}
