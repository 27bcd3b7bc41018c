package netsim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Variation is by how much a packet's delay differs from its link's Latency: a distribution from which
// each packet draws by itself (packet delay variation, RFC 5481). The zero value is none at all.
//
// [Uniform] and [Normal] vary to both sides alike, so that Latency stays the mean, as in netem. The
// others add to Latency, which is then the least delay, that of an idle path, and what they add is the
// time spent in queues. (netem shifts all its distributions to mean 0; for a path of the same mean
// take [Variation.Mean] off Latency.) Nothing adds more than an hour.
//
// As packets keep their order, those that follow one another closely wait for the slowest before them:
// the denser a flow, the more delay it sees, and the more alike are its packets' delays.
//
// Variations are values: they compare with ==, and print and parse ([ParseVariation]). Draws are
// computed in floating point and rounded to nanoseconds, so that on another architecture a rare one
// may differ by a nanosecond.
type Variation struct {
	shape shape
	scale time.Duration // see the functions that make variations
	form  float64       // the parameter without a unit
	// table holds the delays of Empirical in order, each as eight bytes, the most significant first. It
	// is a string because strings compare, and cannot be changed behind a link's back.
	table string
}

type shape uint8

const (
	shapeConstant shape = iota
	shapeUniform
	shapeNormal
	shapeLogNormal
	shapePareto
	shapeEmpirical
)

// normalCut is where a normal distribution ends, in standard deviations: where netem's tables do.
const normalCut = 4

// withinNormalCut is the probability that lies within it.
var withinNormalCut = math.Erf(normalCut / math.Sqrt2)

const (
	maxSigma   = 4    // the mean of a log-normal is then 3000 times its median
	maxAlpha   = 1000 // and a Pareto as good as constant
	maxSamples = 4096
)

// Constant adds the same to every delay, 0 to an hour.
func Constant(d time.Duration) Variation { return Variation{shape: shapeConstant, scale: d} }

// Uniform spreads the delay evenly over [-halfWidth, +halfWidth] about Latency, which must be at least as
// much. The standard deviation is halfWidth/√3. It is what [Link].Jitter does.
func Uniform(halfWidth time.Duration) Variation {
	return Variation{shape: shapeUniform, scale: halfWidth}
}

// Normal spreads the delay normally about Latency, which must be at least one standard deviation. The
// distribution is truncated, at both ends alike so that its mean stays 0: at 4 standard deviations, or
// at Latency if that is less. Truncation makes the standard deviation less than the one asked for: by
// 0.05 % at 4 of them, 12 % at 2, 46 % at 1.
func Normal(stdDev time.Duration) Variation { return Variation{shape: shapeNormal, scale: stdDev} }

// LogNormal adds a delay whose logarithm is normally distributed, with standard deviation sigma (in
// (0, 4]); half of all packets have less than median added. The mean is median·exp(sigma²/2).
func LogNormal(median time.Duration, sigma float64) Variation {
	return Variation{shape: shapeLogNormal, scale: median, form: sigma}
}

// Pareto adds a delay of at least scale, which exceeds x with probability (scale/x)^alpha: a heavy tail,
// the heavier the smaller alpha is. Alpha is in (1, 1000], and the mean scale·alpha/(alpha-1). Up to
// alpha 2 the variance is infinite.
func Pareto(scale time.Duration, alpha float64) Variation {
	return Variation{shape: shapePareto, scale: scale, form: alpha}
}

// Empirical adds delays as they were measured: 1 to 4096 samples in any order, each 0 to an hour, or
// evenly spaced quantiles, the first being the least delay and the last the greatest. Between them the
// distribution is linear. With a link whose Latency is 0 they are the delays themselves.
func Empirical(delays ...time.Duration) Variation {
	sorted := slices.Sorted(slices.Values(delays))
	table := make([]byte, 0, 8*len(sorted))
	for _, d := range sorted {
		for shift := 56; shift >= 0; shift -= 8 {
			table = append(table, byte(uint64(d)>>shift))
		}
	}
	return Variation{shape: shapeEmpirical, table: string(table)}
}

// samples is the number of an empirical variation's delays, and sample the i-th of them.
func (v *Variation) samples() int { return len(v.table) / 8 }

func (v *Variation) sample(i int) time.Duration {
	x := uint64(0)
	for _, b := range []byte(v.table[8*i : 8*i+8]) {
		x = x<<8 | uint64(b)
	}
	return time.Duration(x)
}

// validate says what is wrong with the variation of a link whose delay leaves room to vary downwards.
func (v Variation) validate(room time.Duration) error {
	switch {
	case v.scale < 0 || v.scale > maxDelay:
		return fmt.Errorf("want durations from 0 to %v", maxDelay)
	case (v.shape == shapeUniform || v.shape == shapeNormal) && v.scale > room:
		return fmt.Errorf("want at most %v, or delays would be negative (it is what Latency leaves after Jitter)", room)
	case v.shape == shapeLogNormal && !(v.form > 0 && v.form <= maxSigma):
		return fmt.Errorf("want a sigma in (0, %d]", maxSigma)
	case v.shape == shapePareto && !(v.form > 1 && v.form <= maxAlpha):
		return fmt.Errorf("want an alpha in (1, %d]", maxAlpha)
	case v.shape != shapeEmpirical:
		return nil
	case v.samples() == 0 || v.samples() > maxSamples:
		return fmt.Errorf("it has %d delays: want 1 to %d", v.samples(), maxSamples)
	case v.sample(0) < 0 || v.sample(v.samples()-1) > maxDelay:
		return fmt.Errorf("want delays from 0 to %v", maxDelay)
	}
	return nil
}

// steady reports whether all draws are equal.
func (v *Variation) steady() bool {
	switch v.shape {
	case shapeConstant:
		return true
	case shapeEmpirical:
		return v.samples() == 0 || v.sample(0) == v.sample(v.samples()-1)
	}
	return v.scale == 0
}

// least is a lower bound of all draws.
func (v *Variation) least(room time.Duration) time.Duration {
	switch v.shape {
	case shapeConstant, shapePareto:
		return v.scale
	case shapeUniform:
		return -v.scale
	case shapeNormal:
		return -min(normalCut*v.scale, room)
	case shapeEmpirical:
		return v.sample(0)
	}
	return 0
}

// quantile is the value that a draw stays below with probability u in [0, 1): with u uniform it is a
// draw (inversion). It takes no more than room off the delay.
func (v *Variation) quantile(u float64, room time.Duration) time.Duration {
	scale := float64(v.scale)
	var x float64
	switch v.shape {
	case shapeConstant:
		return v.scale
	case shapeUniform:
		x = (2*u - 1) * scale
	case shapeNormal:
		if v.scale == 0 {
			return 0
		}
		// Within ±cut lies the probability erf(cut/√2), over which u is spread.
		cut, inside := float64(normalCut), withinNormalCut
		if tight := float64(room) / scale; tight < cut {
			cut, inside = tight, math.Erf(tight/math.Sqrt2)
		}
		x = scale * math.Sqrt2 * math.Erfinv((2*u-1)*inside)
		x = min(max(x, -cut*scale), cut*scale)
	case shapeLogNormal:
		x = scale * math.Exp(v.form*math.Sqrt2*math.Erfinv(2*u-1))
	case shapePareto:
		x = scale * math.Pow(1-u, -1/v.form)
	case shapeEmpirical:
		last := v.samples() - 1
		whole, part := math.Modf(u * float64(last))
		low := v.sample(int(whole))
		high := v.sample(min(int(whole)+1, last))
		return low + time.Duration(part*float64(high-low))
	}
	return time.Duration(math.Round(min(x, float64(maxDelay))))
}

// Mean is the mean of what the variation adds to a link's Latency, before the cut at an hour.
func (v Variation) Mean() time.Duration {
	switch v.shape {
	case shapeConstant:
		return v.scale
	case shapeLogNormal:
		return roundMean(float64(v.scale) * math.Exp(v.form*v.form/2))
	case shapePareto:
		return roundMean(float64(v.scale) * v.form / (v.form - 1))
	case shapeEmpirical:
		if v.samples() == 1 {
			return v.sample(0)
		}
		sum := 0.0
		for i := 1; i < v.samples(); i++ {
			sum += float64(v.sample(i-1)+v.sample(i)) / 2
		}
		return roundMean(sum / float64(max(v.samples()-1, 1)))
	}
	return 0
}

// roundMean keeps the mean of a variation that is not valid within what a Duration holds.
func roundMean(ns float64) time.Duration {
	if !(ns > 0) {
		return 0
	}
	return time.Duration(math.Round(min(ns, float64(math.MaxInt64/2))))
}
