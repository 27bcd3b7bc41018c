package model

import (
	"fmt"
	"math"
	"time"
)

// Leg is one one-way crossing of a link without loss or queueing.
type Leg struct {
	// Latency is the mean one-way delay, at least 0.
	Latency time.Duration
	// Jitter spreads the delay uniformly over [Latency-Jitter, Latency+Jitter]; 0 to Latency.
	Jitter time.Duration
}

// Push is the closed form of a push transport (SSE, WebSocket, a data channel) over two hops: an update
// crosses four links in turn, on connections that are open already, and nothing else takes time.
//
// With D_i uniform over [l_i - j_i, l_i + j_i] and independent, the latency is
//
//	T = D_publish + D_store + D_fetch + D_deliver
//
//	mean      E[T]   = Σ l_i
//	variance  Var[T] = Σ j_i² / 3
//	bounds    Σ (l_i - j_i) ≤ T ≤ Σ (l_i + j_i)
//
// and P(T ≤ t) is that of a sum of uniform variables, see [Push.CDF].
//
// It holds for updates so far apart that none waits behind another that jitter held up. Updates
// that are closer than the jitter keep their order on a link, which makes T larger, never smaller.
// Nor does it cover handshakes, loss, rates, processing, or a client that is away.
type Push struct {
	// Publish is from the publisher to its edge.
	Publish Leg
	// Store is from the edge to the broker, and Fetch from the broker to the clients' edge. Both are
	// zero if a single edge has no broker.
	Store, Fetch Leg
	// Deliver is from the edge to the client.
	Deliver Leg
}

func (p Push) legs() [4]Leg { return [4]Leg{p.Publish, p.Store, p.Fetch, p.Deliver} }

// Validate names the leg and field that are out of range.
func (p Push) Validate() error {
	names := [4]string{"Publish", "Store", "Fetch", "Deliver"}
	for i, l := range p.legs() {
		switch {
		case l.Latency < 0:
			return fmt.Errorf("push: %s.Latency is %v; it must not be negative", names[i], l.Latency)
		case l.Jitter < 0 || l.Jitter > l.Latency:
			return fmt.Errorf("push: %s.Jitter is %v; it must lie between 0 and the Latency of %v", names[i], l.Jitter, l.Latency)
		}
	}
	return nil
}

// Mean is E[T].
func (p Push) Mean() time.Duration {
	sum := time.Duration(0)
	for _, l := range p.legs() {
		sum += l.Latency
	}
	return sum
}

// Bounds are the least and the greatest T that is possible.
func (p Push) Bounds() (least, greatest time.Duration) {
	for _, l := range p.legs() {
		least += l.Latency - l.Jitter
		greatest += l.Latency + l.Jitter
	}
	return least, greatest
}

// StdDev is the standard deviation of T: the root of Σ j² / 3.
func (p Push) StdDev() time.Duration {
	sum := 0.0
	for _, l := range p.legs() {
		sum += float64(l.Jitter) * float64(l.Jitter) / 3
	}
	return time.Duration(math.Round(math.Sqrt(sum)))
}

// CDF is P(T ≤ t). With x = t - Σ (l_i - j_i) and w_i = 2 j_i the widths of the n legs that have
// jitter, it is the volume that the plane Σ u_i = x cuts off a box (Feller, An Introduction to
// Probability Theory and Its Applications II, I.9):
//
//	P(T ≤ t) = Σ over subsets S of the legs (-1)^|S| max(0, x - Σ_{i∈S} w_i)^n / (n! Π w_i)
//
// Legs with less than a thousandth of the greatest jitter count as having none. They move the result
// by less than that, while dividing by their width would cost it all its digits.
func (p Push) CDF(t time.Duration) float64 {
	least, greatest := p.Bounds()
	switch {
	case t >= greatest:
		return 1
	case t < least:
		return 0
	}
	widths, start, unit := p.widths()
	x := (float64(t) - start) / unit
	volume, scale := 0.0, 1.0
	for i, w := range widths {
		scale *= w * float64(i+1)
	}
	for subset := range 1 << len(widths) {
		rest, sign := x, 1.0
		for i, w := range widths {
			if subset>>i&1 == 1 {
				rest -= w
				sign = -sign
			}
		}
		volume += sign * math.Pow(max(rest, 0), float64(len(widths)))
	}
	return min(max(volume/scale, 0), 1)
}

// widths gives the widths of the legs whose jitter counts, in units of the greatest, and the least
// sum of delays when the others have none. The caller has ruled out that no leg has jitter.
func (p Push) widths() (widths []float64, start, unit float64) {
	greatest := time.Duration(0)
	for _, l := range p.legs() {
		greatest = max(greatest, l.Jitter)
	}
	unit = 2 * float64(greatest)
	for _, l := range p.legs() {
		start += float64(l.Latency)
		if w := float64(l.Jitter) / float64(greatest); w >= 1e-3 {
			widths = append(widths, w)
			start -= float64(l.Jitter)
		}
	}
	return widths, start, unit
}

// Quantile is the least t, to the nanosecond, with P(T ≤ t) ≥ q. q outside [0, 1] counts as the nearer
// bound, and NaN as 0.
func (p Push) Quantile(q float64) time.Duration {
	least, greatest := p.Bounds()
	if !(q > 0) {
		return least
	}
	for least < greatest {
		mid := least + (greatest-least)/2
		if p.CDF(mid) >= q {
			greatest = mid
		} else {
			least = mid + 1
		}
	}
	return least
}
