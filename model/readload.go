package model

import (
	"fmt"
	"math"
	"time"
)

// ReadLoad is the closed form of what polling costs the store that is polled: each of Clients reads once
// every Interval, whether there is anything new or not, so that
//
//	reads per second = Clients / Interval
//
// A million clients that poll every 10 s read 100,000 times a second. Where endpoint servers poll on behalf
// of their clients, once for each room that anybody there is in, Clients is the number of pairs of a server
// and such a room; see [ReadLoad.PerRoom].
//
// It holds for clients that keep their pace: whoever waits for an answer for longer than Interval, or reads
// on at once because a page was full, reads less or more.
type ReadLoad struct {
	// Clients is how many poll, at least 0.
	Clients int
	// Interval is the time from one of a client's reads to its next; more than 0.
	Interval time.Duration
}

// Validate names the field that is out of range.
func (l ReadLoad) Validate() error {
	switch {
	case l.Clients < 0:
		return fmt.Errorf("read load: Clients is %d; it must not be negative", l.Clients)
	case l.Interval <= 0:
		return fmt.Errorf("read load: Interval is %v; it must be positive", l.Interval)
	}
	return nil
}

// PerSecond is how many reads a second the store has to answer.
func (l ReadLoad) PerSecond() float64 { return float64(l.Clients) / l.Interval.Seconds() }

// In is how many reads are made in a span of time, on average; any one client makes one more or less at
// most than its share.
func (l ReadLoad) In(span time.Duration) float64 { return l.PerSecond() * span.Seconds() }

// Delay is how long a message waits for the next read, on average and at most: half an interval, and a
// whole one.
func (l ReadLoad) Delay() (mean, greatest time.Duration) { return l.Interval / 2, l.Interval }

// PerRoom is the read load if servers poll instead of their clients, which are spread over rooms and servers
// evenly and by chance. A server polls a room if one of its clients is in it, so that the expected number of
// pairs is
//
//	servers · rooms · (1 - (1 - 1/(servers·rooms))^Clients)
//
// which is at most servers·rooms, and at most Clients.
func (l ReadLoad) PerRoom(servers, rooms int) ReadLoad {
	pairs := float64(servers) * float64(rooms)
	if pairs < 1 {
		return ReadLoad{Interval: l.Interval}
	}
	polled := -pairs * math.Expm1(float64(l.Clients)*math.Log1p(-1/pairs))
	if pairs == 1 {
		polled = float64(min(l.Clients, 1))
	}
	return ReadLoad{Clients: int(math.Round(polled)), Interval: l.Interval}
}

// Utilization is what share of the time a store is busy that takes service for each read, one at a time.
// From 1 on it falls behind, and the queue grows without bound.
func (l ReadLoad) Utilization(service time.Duration) float64 {
	return l.PerSecond() * service.Seconds()
}
