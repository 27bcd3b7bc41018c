package model

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrClockAhead is what [HLC.Update] wraps when a message comes from too far in the future.
var ErrClockAhead = errors.New("the sender's clock is ahead by more than is allowed")

// Timestamp is the time of an event on a hybrid logical clock.
type Timestamp struct {
	// Wall is the greatest physical time that the event knows of, at least 0, and Logical counts events
	// that know of the same.
	Wall    time.Duration
	Logical uint32
}

// Compare orders timestamps. It is -1, 0 or +1. Concurrent events of two nodes may have equal ones.
func (t Timestamp) Compare(u Timestamp) int {
	return cmp.Or(cmp.Compare(t.Wall, u.Wall), cmp.Compare(t.Logical, u.Logical))
}

// String is the text form "nanoseconds.logical", which [ParseTimestamp] reads back.
func (t Timestamp) String() string { return fmt.Sprintf("%d.%d", int64(t.Wall), t.Logical) }

// ParseTimestamp reads the text form of a timestamp. Anything that String would not have written is an
// error.
func ParseTimestamp(text string) (Timestamp, error) {
	wall, logical, _ := strings.Cut(text, ".")
	w, err := strconv.ParseInt(wall, 10, 64)
	l, err2 := strconv.ParseUint(logical, 10, 32)
	t := Timestamp{time.Duration(w), uint32(l)}
	if err != nil || err2 != nil || w < 0 || t.String() != text {
		return Timestamp{}, fmt.Errorf("timestamp %.80q: want nanoseconds and a number, such as %q", text, "1500000000.2")
	}
	return t, nil
}

// HLC is the hybrid logical clock of one node (Kulkarni, Demirbas, Madappa, Avva and Leone, Logical
// Physical Clocks, OPODIS 2014, figure 5). Physical times are those of the node's own clock, which
// may be wrong, stand still, or go back.
//
//   - If one event happened before another, its timestamp is less (theorem 1).
//   - Wall is never less than the node's physical time (theorem 2), and never more than the greatest
//     physical time of any node whose messages have reached this one. So if all clocks are within ε of
//     the true time, Wall is too (corollary 1), whatever messages were delayed.
//
// The zero value is ready, and believes any message.
type HLC struct {
	// MaxAhead is how far a message's Wall may be ahead of the node's physical time. 0 means that there
	// is no limit: then one wrong clock can set all others forward.
	MaxAhead time.Duration
	last     Timestamp
}

// Now stamps an event of the node itself, the sending of a message among them.
func (h *HLC) Now(physical time.Duration) Timestamp {
	h.advance(max(h.last.Wall, physical), h.last, Timestamp{Wall: -1})
	return h.last
}

// Update stamps the receipt of a message that was stamped when it was sent. With [ErrClockAhead] the
// message should not be believed, and the clock is as it was.
func (h *HLC) Update(physical time.Duration, sent Timestamp) (Timestamp, error) {
	if h.MaxAhead > 0 && sent.Wall-physical > h.MaxAhead {
		return Timestamp{}, fmt.Errorf("hybrid logical clock: %v at physical time %v: %w: %v", sent, physical, ErrClockAhead, h.MaxAhead)
	}
	h.advance(max(h.last.Wall, sent.Wall, physical), h.last, sent)
	return h.last, nil
}

// advance moves the clock to a wall time, and counts on from those of two timestamps that have it.
func (h *HLC) advance(wall time.Duration, own, sent Timestamp) {
	next := Timestamp{Wall: wall}
	for _, t := range []Timestamp{own, sent} {
		if t.Wall != wall {
			continue
		}
		if t.Logical == math.MaxUint32 { // events that many in a nanosecond: go into the next
			h.last = Timestamp{Wall: wall + 1}
			return
		}
		next.Logical = max(next.Logical, t.Logical+1)
	}
	h.last = next
}

// Skew is how a node's physical clock is wrong: what it reads at a true time t is t + Offset + Drift t.
// The zero value is a right clock.
type Skew struct {
	// Offset is how far it is ahead at time 0; negative if it is behind.
	Offset time.Duration
	// Drift is how much faster than time it goes, such as 50e-6 for 50 parts per million. More than -1.
	Drift float64
}

// Validate names the field that is out of range.
func (s Skew) Validate() error {
	if !(s.Drift > -1 && s.Drift < 1) {
		return fmt.Errorf("skew: Drift is %v; it must lie between -1 and 1", s.Drift)
	}
	return nil
}

// Read is what the clock reads at a true time.
func (s Skew) Read(t time.Duration) time.Duration {
	return t + s.Offset + time.Duration(math.Round(s.Drift*float64(t)))
}
