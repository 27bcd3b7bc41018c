package hop1

import (
	"fmt"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

// Mutant names a deliberate bug of a client, which a property must catch. The zero value is none.
type Mutant string

const (
	// NoResume: the client reconnects without its cursor, so that it silently misses what was
	// published while it was away.
	NoResume Mutant = "no-resume"
	// NoDedupe: the client passes on every message that it receives. It comes back with a bare cursor, so
	// that the anchor of a resume is among them.
	NoDedupe Mutant = "no-dedupe"
	// BlindStart: the client does not learn which message is at a position that it is put at, and comes
	// back with a bare cursor. If the broker loses that message within the epoch, and fills its place with
	// another, the client misses that one in silence.
	BlindStart Mutant = "blind-start"
	// HushGaps: the client goes on after a discontinuity, and does not tell its application.
	HushGaps Mutant = "hush-gaps"
	// EndlessRecovery: the client takes a server's word that its cursor cannot be honoured for a failure, and
	// comes again with the same cursor, for ever.
	EndlessRecovery Mutant = "endless-recovery"
	// NoJitter: the client waits before an attempt for as long as it may, to the nanosecond, and so does
	// every other that lost its connection in the same moment.
	NoJitter Mutant = "no-jitter"
	// Trusting: the client passes on what the server sends as it comes, and looks for neither holes nor
	// repetitions nor another log, as clients of protocols without positions do. By itself it breaks nothing:
	// it takes one of two defences away, for mutants of servers.
	Trusting Mutant = "trusting"
)

// mutants lists them all.
var mutants = []Mutant{NoResume, NoDedupe, BlindStart, HushGaps, EndlessRecovery, NoJitter, Trusting}

func (m Mutant) validate() error {
	if m == "" || slices.Contains(mutants, m) {
		return nil
	}
	return fieldError("Mutant", fmt.Sprintf("%.40q", string(m)), fmt.Sprintf("none, or one of %q", mutants))
}

// claim gives what a client at a bookmark comes back with.
func (m Mutant) claim(b model.Bookmark) claim {
	bare := m == NoDedupe || m == BlindStart && b.Anchor == ""
	return claim{Bookmark: b, bare: bare && b.Cursor.Seq > 0}
}

// put gives the bookmark of a client that a frame puts at a position.
func (m Mutant) put(f *frame) model.Bookmark {
	if m == BlindStart {
		return model.Bookmark{Cursor: f.Cursor}
	}
	return model.Bookmark{Cursor: f.Cursor, Anchor: f.Anchor}
}

// trust passes a message on, whatever it is, but for the anchor of a resume.
func (s *session) trust(f frame) []model.Event {
	if s.anchor && f.Message.Seq == s.asked.Seq {
		s.anchor = false
		return nil
	}
	s.anchor = false
	s.cursor, s.lastID = f.Cursor, f.Message.ID
	deliver := event(model.Deliver, f.Cursor)
	deliver.ID = f.Message.ID
	return []model.Event{deliver}
}

// wait is how long the client waits before its next attempt, after so many failures.
func (c *Client) wait(failures int, hint time.Duration) time.Duration {
	if c.cfg.Mutant == NoJitter {
		return min(hint, maxRetryHint) + c.cfg.Backoff.bound(failures)
	}
	return c.cfg.Backoff.delay(c.cfg.Rand, failures, hint)
}
