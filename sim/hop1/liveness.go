package hop1

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// heard keeps when a peer was last heard of. Any goroutine may use it.
type heard struct {
	start time.Time
	after atomic.Int64 // nanoseconds from start to the last sign of life
	quiet time.Duration
	alarm *time.Timer // fires when nothing was heard for quiet; nil if nobody cares
}

func newHeard() *heard { return &heard{start: time.Now()} }

// newHeardFor has an alarm.
func newHeardFor(quiet time.Duration) *heard {
	return &heard{start: time.Now(), quiet: quiet, alarm: time.NewTimer(quiet)}
}

// mark records a sign of life.
func (h *heard) mark() {
	h.after.Store(int64(time.Since(h.start)))
	if h.alarm != nil {
		h.alarm.Reset(h.quiet)
	}
}

// deadline is when the peer, if nothing more is heard of it, has been silent for idle.
func (h *heard) deadline(idle time.Duration) time.Time {
	return h.start.Add(time.Duration(h.after.Load()) + idle)
}

// reader marks whatever is read from r.
func (h *heard) reader(r io.Reader) io.Reader { return &heardReader{h, r} }

type heardReader struct {
	h *heard
	r io.Reader
}

func (hr *heardReader) Read(p []byte) (int, error) {
	n, err := hr.r.Read(p)
	if n > 0 {
		hr.h.mark()
	}
	return n, err
}

// errSilent is the error of a connection whose peer fell silent.
var errSilent = errors.New("silent peer")

func silent(idle time.Duration) error { return fmt.Errorf("%w: nothing heard for %v", errSilent, idle) }
