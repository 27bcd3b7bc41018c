package plots

import (
	"math"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
)

// linearTicks marks round numbers, some five to nine of them.
type linearTicks struct{}

func (linearTicks) Ticks(lo, hi float64) []plot.Tick {
	step := roundStep((hi - lo) / 8)
	var ticks []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: within(i*step, lo, hi), Label: number(i*step, step)})
	}
	return ticks
}

// within keeps a tick on its axis, should it be beyond the end by rounding: the plot makes no room for the label of one
// that is.
func within(v, lo, hi float64) float64 { return min(max(v, lo), hi) }

// roundStep is the least of 1, 2 or 5 times a power of ten that is not below v.
func roundStep(v float64) float64 {
	power := math.Pow10(int(math.Floor(math.Log10(v))))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks is for an axis of decimal logarithms. It labels powers of ten, and 2 and 5 times them as
// long as there are few enough; it marks the other multiples without a label.
type logTicks struct{}

func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	for exponent := math.Floor(lo); exponent <= hi; exponent++ {
		for m := 1.0; m < 10; m++ {
			at := exponent + math.Log10(m)
			if at < lo-1e-9 || at > hi+1e-9 {
				continue
			}
			label := ""
			if v := m * math.Pow(10, exponent); m == 1 || hi-lo <= 3.5 && (m == 2 || m == 5) {
				label = number(v, v)
			}
			ticks = append(ticks, plot.Tick{Value: within(at, lo, hi), Label: label})
		}
	}
	return ticks
}

// number writes v with as many decimals as step has, and its thousands apart.
func number(v, step float64) string {
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	s := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	whole, rest, _ := strings.Cut(s, ".")
	if n, err := strconv.Atoi(whole); err == nil {
		whole = Thousands(n)
	}
	if rest != "" {
		whole += "." + rest
	}
	if v < 0 && strings.Trim(whole, "0.,") != "" {
		return "-" + whole
	}
	return whole
}

// leastMillis stands for all latencies below it, so that zero has a place on a logarithmic axis. A
// network event takes a microsecond at least.
const leastMillis = 1e-3

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func seconds(d time.Duration) float64 { return d.Seconds() }

// latencyScale puts latencies on an axis: in milliseconds, or in the decimal logarithm of that.
type latencyScale struct{ log bool }

func (s latencyScale) value(d time.Duration) float64 {
	if s.log {
		return math.Log10(max(millis(d), leastMillis))
	}
	return millis(d)
}

// latencyAxis makes an axis for latencies between lo and hi: logarithmic if they differ so much that a
// linear one would show the common ones as a line at its edge, and else linear from zero.
func latencyAxis(a *plot.Axis, lo, hi time.Duration) latencyScale {
	least, greatest := max(millis(lo), leastMillis), max(millis(hi), leastMillis)
	if greatest/least < 12 {
		a.Label.Text = "Delivery latency (ms)"
		step := roundStep(greatest * 1.02 / 8)
		a.Min, a.Max = 0, math.Ceil(greatest*1.02/step)*step
		a.Tick.Marker = linearTicks{}
		return latencyScale{}
	}
	a.Label.Text = "Delivery latency (ms, log scale)"
	a.Min, a.Max = math.Log10(roundDown(least/1.05)), math.Log10(roundStep(greatest*1.05))
	a.Tick.Marker = logTicks{}
	return latencyScale{log: true}
}

// roundDown is the greatest of 1, 2 or 5 times a power of ten that is not above v.
func roundDown(v float64) float64 { return 1 / roundStep(1/v) }

// timeAxis makes an axis for the virtual time from the start of the run to end.
func timeAxis(a *plot.Axis, end time.Duration) {
	a.Label.Text = "Virtual time (s)"
	a.Min, a.Max = 0, max(seconds(end), 1e-6)
	a.Tick.Marker = linearTicks{}
}
