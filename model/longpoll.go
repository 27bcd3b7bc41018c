package model

import (
	"fmt"
	"math"
	"time"
)

// LongPoll is the closed form of long polling, and of its callback gap. A request waits at the edge for an
// update, which its answer brings at once. From then until the client's next request has reached the edge
// there is nobody to tell: what happens in this gap, which is a round trip long, waits for its end, and
// comes with one answer.
//
// So an update takes what a push would, and one that follows another within the gap G waits for the rest of
// it as well. With both hops behind it, the second of two updates S apart takes
//
//	T(S) = Before + Deliver + max(0, G - S)    with G = Deliver + Request
//
// At 100 ms one way, two updates 10 ms apart arrive 100 ms and 290 ms after they happened; at 100 ms for
// the round trip, 50 ms and 140 ms.
//
// Under a Poisson process of λ updates per second, the times at which an answer leaves the edge are
// renewals. A cycle has λG updates in its gap on average, each waiting G/2; if there was none, with
// probability exp(-λG), it goes on until an update comes, which does not wait, or the hold time H is over:
//
//	P(W = 0) = z / (λG + z)    with z = exp(-λG) (1 - exp(-λH))
//	else W is uniform over [0, G]
//
//	E[W] = λG²/2 / (λG + z)
//	requests per second = 1 / (G + z/λ)
//
// It holds for connections that are open already, without loss, jitter, rates or processing, and where the
// client asks again at once.
type LongPoll struct {
	// Before is what an update takes until it has reached the clients' edge; Deliver is one way from the
	// edge to the client, and Request the way back. All at least 0.
	Before, Deliver, Request time.Duration
	// Hold is how long a request waits for an update before it is answered with none; 0 means for ever.
	Hold time.Duration
}

// Validate names the field that is out of range.
func (l LongPoll) Validate() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Before", l.Before}, {"Deliver", l.Deliver}, {"Request", l.Request}, {"Hold", l.Hold}} {
		if f.value < 0 {
			return fmt.Errorf("long poll: %s is %v; it must not be negative", f.name, f.value)
		}
	}
	return nil
}

// Gap is how long after an answer has left the edge the next request gets there.
func (l LongPoll) Gap() time.Duration { return l.Deliver + l.Request }

// Pair is what two updates take that reach the edge so far apart, the first of them while a request waits.
func (l LongPoll) Pair(spacing time.Duration) (first, second time.Duration) {
	first = l.Before + l.Deliver
	return first, first + max(0, l.Gap()-spacing)
}

// cycle gives, for a rate of updates per second, how many updates a cycle has in its gap, and how many that
// do not wait, on average.
func (l LongPoll) cycle(rate float64) (waiting, prompt float64) {
	waiting = rate * l.Gap().Seconds()
	prompt = math.Exp(-waiting)
	if l.Hold > 0 {
		prompt *= -math.Expm1(-rate * l.Hold.Seconds())
	}
	return waiting, prompt
}

// Prompt is P(W = 0): the fraction of updates that take no longer than a push would, at a rate of updates
// per second, which must be more than 0.
func (l LongPoll) Prompt(rate float64) float64 {
	waiting, prompt := l.cycle(rate)
	return prompt / (waiting + prompt)
}

// Mean is E[T] at a rate of updates per second, which must be more than 0.
func (l LongPoll) Mean(rate float64) time.Duration {
	wait := (1 - l.Prompt(rate)) * float64(l.Gap()) / 2
	return l.Before + l.Deliver + time.Duration(math.Round(wait))
}

// CDF is P(T ≤ t) at a rate of updates per second, which must be more than 0.
func (l LongPoll) CDF(rate float64, t time.Duration) float64 {
	wait := t - l.Before - l.Deliver
	switch gap := l.Gap(); {
	case wait < 0:
		return 0
	case wait >= gap:
		return 1
	default:
		prompt := l.Prompt(rate)
		return prompt + (1-prompt)*float64(wait)/float64(gap)
	}
}

// Quantile is the least t, to the nanosecond, with P(T ≤ t) ≥ q, at a rate of updates per second, which must
// be more than 0. q outside [0, 1] counts as the nearer bound, and NaN as 0.
func (l LongPoll) Quantile(rate, q float64) time.Duration { return quantile(longPollAt{l, rate}, q) }

// longPollAt is long polling at one rate.
type longPollAt struct {
	LongPoll
	rate float64
}

func (l longPollAt) Bounds() (least, greatest time.Duration) {
	least = l.Before + l.Deliver
	return least, least + l.Gap()
}

func (l longPollAt) CDF(t time.Duration) float64 { return l.LongPoll.CDF(l.rate, t) }

// RequestsPerSecond is what one client asks of its edge at a rate of updates per second, at least 0. It is
// near the rate while updates are rare, and 1/G at most, however many there are; without any it is
// 1/(G + H).
func (l LongPoll) RequestsPerSecond(rate float64) float64 {
	idle := l.Hold.Seconds() // how long a request waits that no update comes to: z/λ, as λ goes to 0
	if rate > 0 {
		_, prompt := l.cycle(rate)
		idle = prompt / rate
	} else if l.Hold == 0 {
		return 0
	}
	return 1 / (l.Gap().Seconds() + idle)
}
