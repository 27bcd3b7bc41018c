package model

import (
	"fmt"
	"math"
	"time"
)

// QueueWindow is a stretch of time of a single server, first come, first served, to which work comes at known
// moments, each time the same amount. What it does is a matter of these moments alone, so that a run can be held
// against it without any noise of sampling ([QueueWindow.Waits]); and if they are those of a Poisson process, the
// mean wait is, within limits that are known, that of the closed form ([QueueWindow.Expect]).
type QueueWindow struct {
	// From and To are its ends; To is not before From.
	From, To time.Duration
	// Start is how much work is left at From, in time of the server; at least 0.
	Start time.Duration
	// Service is how long the server needs for what comes each time; at least 0.
	Service time.Duration
	// Arrivals are in ascending order from From to To.
	Arrivals []time.Duration
}

// Validate names the field that is out of range.
func (w *QueueWindow) Validate() error {
	switch {
	case w.To < w.From:
		return fmt.Errorf("queue window: To is %v; it must not be before From, %v", w.To, w.From)
	case w.Start < 0:
		return fmt.Errorf("queue window: Start is %v; it must not be negative", w.Start)
	case w.Service < 0:
		return fmt.Errorf("queue window: Service is %v; it must not be negative", w.Service)
	}
	last := w.From
	for i, at := range w.Arrivals {
		if at < last || at > w.To {
			return fmt.Errorf("queue window: Arrivals[%d] is %v; want %v to %v, in ascending order", i, at, last, w.To)
		}
		last = at
	}
	return nil
}

// Waits gives how long each arrival waits until its service begins, and how much work is left at To. It is Lindley's
// recursion (D. V. Lindley, The theory of queues with a single server, 1952): of what an arrival finds and brings,
// the next one finds what the server has not done by then,
//
//	W' = max(0, W + Service - the time between the two)
//
// so that waits grow with Service, whatever the arrivals.
func (w *QueueWindow) Waits() (waits []time.Duration, left time.Duration) {
	waits = make([]time.Duration, 0, len(w.Arrivals))
	last, left := w.From, w.Start
	for _, at := range w.Arrivals {
		left = max(0, left-(at-last))
		waits = append(waits, left)
		left, last = left+w.Service, at
	}
	return waits, max(0, left-(w.To-last))
}

// The exponents with which [QueueWindow.Expect] looks at the work left, as multiples of 1/Service: 2^-7 to 2^1. The
// best one for a window is near √(2 L / Σ V²), which these span for windows of some ten to some 100,000 arrivals.
const (
	leastExponent = -7
	exponents     = 9
)

// Expect gives the mean wait that the closed form expects of the window, in which arrivals come as a Poisson process
// of a rate per second, and how far off the window's own mean may be: farther is less probable than falseAlarm, in
// (0, 1), whatever the length of the window. Rate times Service must be less than 1; with no arrivals, or from 1 on,
// nothing is expected, and ok is false.
//
// With V(t) the work left, n arrivals that find V₁ … V_n, ρ = rate · Service and M = Σ Vᵢ - rate · ∫V dt, that V²
// falls by 2 V dt and rises by 2 V Service + Service² at each arrival gives, without any approximation,
//
//	Σ Vᵢ / n = ρ Service / (2 (1 - ρ))  +  rate (V(From)² - V(To)²) / (2 n (1 - ρ))  +  M / (n (1 - ρ))
//
// The first term is that of Pollaczek and Khinchine, the second what a window that begins or ends busy owes to others;
// both are expected. M is chance: arrivals that see more or less work than there is on average. It is a martingale,
// and so is, for every θ,
//
//	exp(θ M - rate · ∫ (e^(θV) - 1 - θV) dt)
//
// (P. Brémaud, Point Processes and Queues, 1981, VI.2), whose mean is 1, so that it exceeds 1/p with a probability of
// at most p (J. Ville, 1939). That bounds M from both sides by what the window itself shows. The best of several θ is
// taken, each with its share of falseAlarm.
func (w *QueueWindow) Expect(rate, falseAlarm float64) (mean, allowed time.Duration, ok bool) {
	service := w.Service.Seconds()
	rho := rate * service
	n := float64(len(w.Arrivals))
	if !(rho > 0 && rho < 1) || n == 0 {
		return 0, 0, false
	}
	_, left := w.Waits()
	start, end := w.Start.Seconds(), left.Seconds()
	m := rho*service/(2*(1-rho)) + rate*(start*start-end*end)/(2*n*(1-rho))

	most := math.Inf(1) // of |M|
	odds := math.Log(2 * exponents / falseAlarm)
	for i := range exponents {
		theta := math.Ldexp(1/service, leastExponent+i)
		if b := (rate*w.compensator(theta) + odds) / theta; b < most { // it is not if e^(θV) is too large a number
			most = b
		}
	}
	return fromSeconds(m), fromSeconds(most / (n * (1 - rho))), true
}

// compensator is ∫ (e^(θV) - 1 - θV) dt in seconds, for a positive θ. That for -θ is less.
func (w *QueueWindow) compensator(theta float64) (sum float64) {
	// While V falls from v to u, ∫ e^(θV) dt is (e^(θv) - e^(θu)) / θ. While it is 0, there is nothing to add.
	fall := func(v, u float64) {
		sum += math.Exp(theta*u)*math.Expm1(theta*(v-u))/theta - (v - u) - theta*(v*v-u*u)/2
	}
	v, last := w.Start.Seconds(), w.From
	for _, at := range w.Arrivals {
		u := max(0, v-(at-last).Seconds())
		fall(v, u)
		v, last = u+w.Service.Seconds(), at
	}
	fall(v, max(0, v-(w.To-last).Seconds()))
	return sum
}

func fromSeconds(s float64) time.Duration {
	if d := s * float64(time.Second); d < math.MaxInt64 {
		return time.Duration(d)
	}
	return math.MaxInt64
}
