package kernel

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What all measurements have in common.
const (
	// Latency is the delay of the path, one way.
	Latency = 50 * time.Millisecond
	// MessageSize is a message's size in bytes, MessageInterval the time from one to the next, and
	// MessageCount how many a run sent, on one connection.
	MessageSize     = 200
	MessageInterval = 20 * time.Millisecond
	MessageCount    = 3000
	// SmallSize and LargeSize are the sizes, in bytes, of the responses that were fetched.
	SmallSize = 200
	LargeSize = 1 << 20
	// Noise is the fraction of a run's messages beyond which latencies are those of a forwarder that was
	// late, and not the kernel's.
	Noise = 0.995
)

// Condition is what differed between measurements.
type Condition struct {
	// Loss is the probability that a packet was lost, in either direction.
	Loss float64
	// Congestion is the congestion control algorithm as Linux spells it: "cubic" or "reno".
	Congestion string
}

// String is the condition in words, such as "cubic at 1 % loss".
func (c Condition) String() string { return fmt.Sprintf("%s at %g %% loss", c.Congestion, 100*c.Loss) }

// measured are the conditions that there is data for. Without loss the algorithms do the same.
var measured = []Condition{{0, "cubic"}, {0.01, "cubic"}, {0.01, "reno"}}

// Measured lists the conditions that there is data for.
func Measured() []Condition { return append([]Condition(nil), measured...) }

// ErrNotMeasured says that there is no data for a condition.
var ErrNotMeasured = errors.New("kernel: not measured")

// prefix is how the names of a condition's columns and files go on after what they are of.
func (c Condition) prefix() (string, error) {
	for _, m := range measured {
		if c == m {
			return fmt.Sprintf("loss%.0f_%s", 100*c.Loss, c.Congestion), nil
		}
	}
	var known []string
	for _, m := range measured {
		known = append(known, m.String())
	}
	return "", fmt.Errorf("%w: %v; there is %s", ErrNotMeasured, c, strings.Join(known, ", "))
}
