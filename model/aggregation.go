package model

import (
	"fmt"
	"time"
)

// Aggregation is the closed form of a server that gathers a room's messages for an interval, from the first on,
// and passes them on as one batch. The messages are a Poisson process.
//
// A batch is the message that begins it, which waits for the whole interval, and those that come meanwhile, whose
// number is Poisson and which wait for half of it on average:
//
//	batch size   = 1 + Rate · Interval
//	batches      = Rate / (1 + Rate · Interval)
//	mean wait    = (Interval + Rate · Interval² / 2) / (1 + Rate · Interval)
//	longest wait = Interval
type Aggregation struct {
	// Interval is for how long messages are gathered, 0 or more.
	Interval time.Duration
	// Rate is how many messages of the room come per second, more than 0.
	Rate float64
}

// Validate names the field that is out of range.
func (a Aggregation) Validate() error {
	if a.Interval < 0 {
		return fmt.Errorf("aggregation: Interval is %v; it must be 0 or more", a.Interval)
	}
	if !(a.Rate > 0) {
		return fmt.Errorf("aggregation: Rate is %v messages per second; it must be more than 0", a.Rate)
	}
	return nil
}

// BatchSize is how many messages a batch has on average.
func (a Aggregation) BatchSize() float64 { return 1 + a.Rate*a.Interval.Seconds() }

// BatchesPerSecond is how many batches a client of the room is sent per second; without aggregation it is the
// Rate.
func (a Aggregation) BatchesPerSecond() float64 { return a.Rate / a.BatchSize() }

// MeanWait is the latency that a message gains on average.
func (a Aggregation) MeanWait() time.Duration {
	t := a.Interval.Seconds()
	return time.Duration((t + a.Rate*t*t/2) / a.BatchSize() * float64(time.Second))
}

// LongestWait is the most latency that a message gains.
func (a Aggregation) LongestWait() time.Duration { return a.Interval }

// SavedPerSecond is how many bytes per second it saves a client on the wire, if a message that travels by itself
// costs so many bytes more than one that travels in a batch, as the headers of a packet and its acknowledgement.
func (a Aggregation) SavedPerSecond(overhead float64) float64 {
	return (a.Rate - a.BatchesPerSecond()) * overhead
}
