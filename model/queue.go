package model

import (
	"fmt"
	"math"
	"time"
)

// FanoutQueue is the closed form of a transmitter of limited rate that sends each message in Copies, such as the
// network card of a broker that many edges subscribe to. Messages come at random times (a Poisson process), and
// sending all copies of one takes Service each time: an M/D/1 queue. By Pollaczek and Khinchine, a message waits
// on average
//
//	ρ · Service / (2 · (1 - ρ))
//
// where ρ is the transmitter's utilization; and its copies leave one after the other, the average one when
// (Copies+1) / (2·Copies) of Service less Rest has passed.
//
// It holds in the long run, for a queue without limit. It leaves out that a sender which is busy makes larger
// packets.
type FanoutQueue struct {
	// Copies is how many copies of each message are sent, 1 or more.
	Copies int
	// Service is how long the transmitter needs for all copies of one message, and for what else it sends because of
	// it; at least 0.
	Service time.Duration
	// Rest is that part of Service in which it sends what comes after the copies, such as the publisher's answer; 0 to
	// Service.
	Rest time.Duration
}

// Validate names the field that is out of range.
func (q FanoutQueue) Validate() error {
	switch {
	case q.Copies < 1:
		return fmt.Errorf("fan-out queue: Copies is %d; it must be at least 1", q.Copies)
	case q.Service < 0:
		return fmt.Errorf("fan-out queue: Service is %v; it must not be negative", q.Service)
	case q.Rest < 0 || q.Rest > q.Service:
		return fmt.Errorf("fan-out queue: Rest is %v; it must lie between 0 and Service, %v", q.Rest, q.Service)
	}
	return nil
}

// Capacity is how many messages per second keep the transmitter busy all the time; +Inf if Service is 0.
func (q FanoutQueue) Capacity() float64 {
	return 1 / q.Service.Seconds()
}

// Delay is how long a copy takes through the queue and the transmitter on average. From a utilization of 1 on it
// grows without bound: it is then the greatest Duration.
func (q FanoutQueue) Delay(utilization float64) time.Duration {
	if !(utilization < 1) {
		return math.MaxInt64
	}
	busy := max(utilization, 0)
	copies := float64(q.Service-q.Rest) * float64(q.Copies+1) / float64(2*q.Copies)
	if d := busy/(2*(1-busy))*float64(q.Service) + copies; d < math.MaxInt64 {
		return time.Duration(d)
	}
	return math.MaxInt64
}
