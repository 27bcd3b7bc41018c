package model

import (
	"fmt"
	"math"
	"time"
)

// WireCost is the closed form of what a client of a transport costs on the wire, in bytes of IP packets both
// ways. Whatever the transport, it pays for exchanges, with or without a message in them, and for messages:
//
//	bytes per second  = exchanges · Exchange + messages · Message
//	bytes per message = Message + Exchange · exchanges / messages
//
// An exchange is a request with its answer for polling and long polling ([Poll.RequestsPerSecond],
// [LongPoll.RequestsPerSecond]), and a heartbeat for what pushes (1 / the heartbeat's interval). So polling
// pays by the clock and pushing by the message, and polling is the cheaper one only where many messages
// share an answer.
//
// Connections that open or break, and packets that get lost, are not in it.
type WireCost struct {
	// Exchange is what an exchange costs that carries no message, in bytes, at least 0.
	Exchange float64
	// Message is what a message adds, in bytes, at least 0.
	Message float64
}

// Validate names the field that is out of range.
func (c WireCost) Validate() error {
	for _, f := range []struct {
		name  string
		value float64
	}{{"Exchange", c.Exchange}, {"Message", c.Message}} {
		if !(f.value >= 0) || math.IsInf(f.value, 0) {
			return fmt.Errorf("wire cost: %s is %v bytes; it must be 0 or more", f.name, f.value)
		}
	}
	return nil
}

// BytesPerSecond is the cost at so many exchanges and messages per second, at least 0 each.
func (c WireCost) BytesPerSecond(exchanges, messages float64) float64 {
	return exchanges*c.Exchange + messages*c.Message
}

// BytesPerMessage is the same for each message: infinite if there are none but exchanges.
func (c WireCost) BytesPerMessage(exchanges, messages float64) float64 {
	if exchanges == 0 {
		return c.Message
	}
	return c.Message + c.Exchange*exchanges/messages
}

// BreakEven is the interval at which polling costs as much as pushing, at a rate of messages per second: with
// longer ones it costs less. It is 0 if polling always costs less, and infinitely long, which is the longest
// Duration, if it never does.
//
//	poll.Exchange / interval + rate · poll.Message = push
func (c WireCost) BreakEven(push WireCost, heartbeats, rate float64) time.Duration {
	spare := push.BytesPerSecond(heartbeats, rate) - rate*c.Message
	switch seconds := c.Exchange / spare; {
	case spare <= 0:
		return math.MaxInt64
	case seconds >= math.MaxInt64/float64(time.Second):
		return math.MaxInt64
	default:
		return time.Duration(seconds * float64(time.Second))
	}
}
