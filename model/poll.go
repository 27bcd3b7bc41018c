package model

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/integrate/quad"
)

// Poll is the closed form of polling: an update that has reached the clients' edge waits there until the
// client's next request, whose answer brings it.
//
// Requests arrive at the edge one period P apart, uniform over [m - j, m + j] and independent of when
// updates happen. Then the wait W is the residual life of a renewal process (D. R. Cox, Renewal Theory,
// 1962, section 5.1), whose density at w is P(P > w) / m:
//
//	P(W ≤ w)  = w / m                        up to m - j
//	          = 1 - (m + j - w)² / (4 j m)   from there to m + j
//	mean        E[W] = m/2 + j² / (6 m)
//	variance    Var[W] = (m² + j²) / 3 - E[W]²
//
// Without jitter it is uniform over [0, m], and jitter makes it longer on average, never shorter. The
// latency is T = A + W, with A that of Path, whose last leg is the answer's.
//
// It holds where [Push] does, and for updates that do not follow the requests' rhythm: a Poisson process,
// or clients whose requests are spread evenly.
type Poll struct {
	// Path is the way of an update but for the wait.
	Path Push
	// Period is the time from one request's arrival at the edge to the next one's; its Latency is more
	// than 0. For a client that waits an interval after each answer it is the interval and a round trip.
	Period Leg
}

// Validate names the field that is out of range.
func (p Poll) Validate() error {
	switch {
	case p.Period.Latency <= 0:
		return fmt.Errorf("poll: Period.Latency is %v; it must be more than 0", p.Period.Latency)
	case p.Period.Jitter < 0 || p.Period.Jitter > p.Period.Latency:
		return fmt.Errorf("poll: Period.Jitter is %v; it must lie between 0 and the Latency of %v", p.Period.Jitter, p.Period.Latency)
	}
	return p.Path.Validate()
}

// meanWait is E[W], in nanoseconds.
func (p Poll) meanWait() float64 {
	m, j := float64(p.Period.Latency), float64(p.Period.Jitter)
	return m/2 + j*j/(6*m)
}

// Mean is E[T].
func (p Poll) Mean() time.Duration {
	return p.Path.Mean() + time.Duration(math.Round(p.meanWait()))
}

// StdDev is the standard deviation of T.
func (p Poll) StdDev() time.Duration {
	m, j, mean, path := float64(p.Period.Latency), float64(p.Period.Jitter), p.meanWait(), float64(p.Path.StdDev())
	return time.Duration(math.Round(math.Sqrt((m*m+j*j)/3 - mean*mean + path*path)))
}

// Bounds are the least and the greatest T that is possible.
func (p Poll) Bounds() (least, greatest time.Duration) {
	least, greatest = p.Path.Bounds()
	return least, greatest + p.longest()
}

// longest is the longest period.
func (p Poll) longest() time.Duration { return p.Period.Latency + p.Period.Jitter }

// waitCDF is P(W ≤ w), with w in nanoseconds.
func (p Poll) waitCDF(w float64) float64 {
	m, j := float64(p.Period.Latency), float64(p.Period.Jitter)
	switch {
	case w <= 0:
		return 0
	case w >= m+j:
		return 1
	case w <= m-j:
		return w / m
	}
	return 1 - (m+j-w)*(m+j-w)/(4*j*m)
}

// waitDensity is the derivative of waitCDF.
func (p Poll) waitDensity(w float64) float64 {
	m, j := float64(p.Period.Latency), float64(p.Period.Jitter)
	if w <= m-j {
		return 1 / m
	}
	return max(m+j-w, 0) / (2 * j * m)
}

// quadrature is how many points an integral is taken at. What is integrated is a polynomial in pieces, of
// degree five at most, which is smooth enough for an error below 1e-5.
const quadrature = 64

// CDF is P(T ≤ t): that of W where A has no jitter, and else, by the density f of W,
//
//	P(T ≤ t) = ∫ f(w) P(A ≤ t - w) dw
func (p Poll) CDF(t time.Duration) float64 {
	least, greatest := p.Path.Bounds()
	// Up to here A ≤ t - w is certain, and from the other end on impossible.
	certain, impossible := float64(t-greatest), float64(t-least)
	sum := p.waitCDF(certain)
	arrived := func(w float64) float64 { return p.waitDensity(w) * p.Path.CDF(t-time.Duration(math.Round(w))) }
	bend, end := float64(p.Period.Latency-p.Period.Jitter), float64(p.longest())
	for _, piece := range [][2]float64{{0, bend}, {bend, end}} {
		from, to := max(piece[0], certain), min(piece[1], impossible)
		if from < to {
			sum += quad.Fixed(arrived, from, to, quadrature, quad.Legendre{}, 0)
		}
	}
	return min(max(sum, 0), 1)
}

// Quantile is the least t, to the nanosecond, with P(T ≤ t) ≥ q. q outside [0, 1] counts as the nearer
// bound, and NaN as 0.
func (p Poll) Quantile(q float64) time.Duration { return quantile(p, q) }

// RequestsPerSecond is what one client asks of its edge, whether anything has happened or not.
func (p Poll) RequestsPerSecond() float64 { return 1 / p.Period.Latency.Seconds() }

// ReadsPerSecond is what all clients together ask of whatever their requests are answered from: a million
// of them that poll every 10 s are 100,000 reads a second.
func (p Poll) ReadsPerSecond(clients int) float64 { return float64(clients) * p.RequestsPerSecond() }

// distribution is a closed form of a latency.
type distribution interface {
	Bounds() (least, greatest time.Duration)
	CDF(t time.Duration) float64
}

// quantile inverts a distribution function by bisection.
func quantile(d distribution, q float64) time.Duration {
	least, greatest := d.Bounds()
	if !(q > 0) {
		return least
	}
	for least < greatest {
		mid := least + (greatest-least)/2
		if d.CDF(mid) >= q {
			greatest = mid
		} else {
			least = mid + 1
		}
	}
	return least
}
