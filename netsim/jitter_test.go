package netsim

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawnVariation draws a variation that is valid on a link with this room.
func drawnVariation(t *rapid.T, room time.Duration) Variation {
	scale := drawnDuration(20*ms, t, "scale")
	switch rapid.IntRange(0, 6).Draw(t, "distribution") {
	case 0:
		return Constant(scale)
	case 1:
		return Uniform(min(scale, room))
	case 2:
		return Normal(min(scale, room))
	case 3:
		return LogNormal(scale, rapid.Float64Range(1e-3, maxSigma).Draw(t, "sigma"))
	case 4:
		return Pareto(scale, rapid.Float64Range(1.001, maxAlpha).Draw(t, "alpha"))
	case 5:
		delays := rapid.SliceOfN(rapid.Int64Range(0, int64(20*ms)), 1, 20).Draw(t, "delays")
		samples := make([]time.Duration, len(delays))
		for i, d := range delays {
			samples[i] = time.Duration(d)
		}
		return Empirical(samples...)
	}
	return Variation{}
}

// phi is the standard normal distribution function.
func phi(x float64) float64 { return (1 + math.Erf(x/math.Sqrt2)) / 2 }

// distribution is what a variation should be, in closed form. Times are in milliseconds.
type distribution struct {
	variation    Variation
	latency      time.Duration
	cdf          func(x float64) float64
	mean, stdDev float64
}

// normalCase is a normal distribution truncated at ±c standard deviations.
func normalCase(stdDev, latency time.Duration, c float64) distribution {
	s := float64(stdDev) / float64(ms)
	inside := 2*phi(c) - 1
	density := math.Exp(-c*c/2) / math.Sqrt(2*math.Pi)
	return distribution{
		Normal(stdDev), latency,
		func(x float64) float64 { return (phi(x/s) - phi(-c)) / inside },
		0, s * math.Sqrt(1-2*c*density/inside),
	}
}

func logNormalCase(median time.Duration, sigma float64) distribution {
	m := float64(median) / float64(ms)
	mean := m * math.Exp(sigma*sigma/2)
	return distribution{
		LogNormal(median, sigma), ms,
		func(x float64) float64 { return phi(math.Log(x/m) / sigma) },
		mean, mean * math.Sqrt(math.Expm1(sigma*sigma)),
	}
}

func paretoCase(scale time.Duration, a float64) distribution {
	m := float64(scale) / float64(ms)
	return distribution{
		Pareto(scale, a), ms,
		func(x float64) float64 { return 1 - math.Pow(m/x, a) },
		m * a / (a - 1), m / (a - 1) * math.Sqrt(a/(a-2)),
	}
}

var distributions = []distribution{
	{Uniform(6 * ms), 10 * ms, func(x float64) float64 { return (x + 6) / 12 }, 0, 6 / math.Sqrt(3)},
	normalCase(10*ms, 100*ms, 4), normalCase(10*ms, 20*ms, 2), normalCase(10*ms, 10*ms, 1),
	logNormalCase(10*ms, 0.5), logNormalCase(3*ms, 1),
	paretoCase(5*ms, 2.5), paretoCase(20*ms, 6),
	{ // quantiles 0, 1/2 and 1: half of all are even between 2 and 4 ms, half between 4 and 12 ms
		Empirical(12*ms, 2*ms, 4*ms), ms,
		func(x float64) float64 {
			if x < 4 {
				return (x - 2) / 4
			}
			return 0.5 + (x-4)/16
		},
		5.5, math.Sqrt((4+16+8)/6.0 + (16+144+48)/6.0 - 5.5*5.5), // E[X²] of a uniform is (a²+ab+b²)/3
	},
}

// Goal: delays on a link follow the distribution's closed form.
// Method: by Kolmogorov and Smirnov. With n draws, P(√n·D > 1.95) is 0.001, and the seed is fixed.
func TestVariationDistributions(t *testing.T) {
	const n = 100_000
	for _, d := range distributions {
		p := pipeOf(Link{Latency: d.latency, Variation: d.variation})
		require.NoError(t, p.link.validate())
		delays := make([]float64, n)
		sum := 0.0
		for i := range delays {
			now := time.Duration(i) * 2 * time.Hour // nobody waits for anybody
			delays[i] = float64(p.carry(now, 100, false).arrivals[0]-now-d.latency) / float64(ms)
			sum += delays[i]
		}
		slices.Sort(delays)
		worst := 0.0
		for i, x := range delays {
			f := d.cdf(x)
			worst = max(worst, f-float64(i)/n, float64(i+1)/n-f)
		}
		require.Less(t, worst*math.Sqrt(n), 1.95, d.variation)
		within(t, d.mean, sum/n, d.stdDev, n, d.variation)
		require.InDelta(t, d.mean, float64(d.variation.Mean())/float64(ms), 1e-6, d.variation)
	}
}

// Quantiles are the inverse of the closed form, at the ends, too.
func TestVariationQuantiles(t *testing.T) {
	for _, d := range distributions {
		last := time.Duration(math.MinInt64)
		for i := range 1000 {
			u := float64(i) / 1000
			q := d.variation.quantile(u, d.latency)
			require.GreaterOrEqual(t, q, last, "%v at %v", d.variation, u)
			require.GreaterOrEqual(t, q, d.variation.least(d.latency), "%v at %v", d.variation, u)
			if i > 0 {
				require.InDelta(t, u, d.cdf(float64(q)/float64(ms)), 1e-6, "%v at %v", d.variation, u)
			}
			last = q
		}
	}
	const highest = 1 - 1.0/(1<<53)
	require.Equal(t, -40*ms, ptr(Normal(10*ms)).quantile(0, time.Second))
	require.InDelta(t, float64(40*ms), float64(ptr(Normal(10*ms)).quantile(highest, time.Second)), float64(us))
	require.Equal(t, -15*ms, ptr(Normal(10*ms)).quantile(0, 15*ms), "no further than there is room")
	require.Zero(t, ptr(Normal(0)).quantile(0.1, 0))
	require.Zero(t, ptr(LogNormal(ms, 1)).quantile(0, 0))
	require.Equal(t, 5*ms, ptr(Pareto(5*ms, 2.5)).quantile(0, 0))
	require.Equal(t, time.Hour, ptr(Pareto(5*ms, 1.001)).quantile(highest, 0), "the cut")
	require.Equal(t, 7*ms, ptr(Empirical(7*ms)).quantile(highest, 0))
	require.Equal(t, 3*ms, ptr(Constant(3*ms)).quantile(0.3, 0))
	require.Zero(t, ptr(Variation{}).quantile(0.3, 0))
}

func ptr(v Variation) *Variation { return &v }

func TestVariationMean(t *testing.T) {
	require.Equal(t, 3*ms, Constant(3*ms).Mean())
	require.Equal(t, 3*ms, Empirical(3*ms).Mean())
	require.Equal(t, 25*ms, Pareto(5*ms, 1.25).Mean())
	require.Zero(t, Variation{}.Mean())
	for _, invalid := range []Variation{Empirical(), Pareto(ms, 1), LogNormal(ms, 1e9), Pareto(-ms, math.NaN())} {
		require.NotPanics(t, func() { invalid.Mean() }, invalid.String())
	}
}

func TestVariationText(t *testing.T) {
	for _, v := range []struct {
		text string
		want Variation
	}{
		{"constant(0s)", Variation{}}, {"constant(5ms)", Constant(5 * ms)}, {"uniform(5ms)", Uniform(5 * ms)},
		{"normal(10ms)", Normal(10 * ms)}, {"lognormal(10ms, 0.5)", LogNormal(10*ms, 0.5)},
		{"pareto(5ms, 2.5)", Pareto(5*ms, 2.5)}, {"empirical(1ms, 2ms, 5ms)", Empirical(5*ms, ms, 2*ms)},
	} {
		require.Equal(t, v.text, v.want.String())
		got, err := ParseVariation(v.text)
		require.NoError(t, err)
		require.True(t, v.want == got, v.text)
	}
	spaced, err := ParseVariation("pareto( 5ms ,2.5 )")
	require.NoError(t, err)
	require.Equal(t, Pareto(5*ms, 2.5), spaced)
	for _, c := range []struct{ text, want string }{
		{"", `variation "": want a name and its arguments`},
		{"normal", "want a name and its arguments"}, {"normal(1ms", "want a name"}, {"normal(1ms)x", "want a name"},
		{"normal((1ms))", "want a name"}, {"normal()", "0 arguments; want 1, as in normal(5ms)"},
		{"pareto(1ms)", "1 arguments; want 2, as in pareto(5ms, 2.5)"}, {"normal(5)", `"5" is not a duration`},
		{"pareto(1ms, x)", `"x" is not a number`}, {"pareto(1, 2)", `"1" is not a duration`},
		{"pareto(1ms, NaN)", "want an alpha in (1, 1000]"}, {"normal(-1ms)", "want durations from 0 to 1h0m0s"},
		{"empirical()", "it has 0 delays"}, {"empirical(1ms, )", `"" is not a duration`},
		{"gauss(1ms)", `unknown distribution "gauss"; want constant, uniform, normal, lognormal, pareto, empirical`},
	} {
		_, err := ParseVariation(c.text)
		require.ErrorContains(t, err, c.want, c.text)
	}
}

func TestVariationTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawnVariation(t, maxDelay)
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again Variation
		if err := again.UnmarshalText(text); err != nil || again != v {
			t.Fatalf("%s became %v, %v", text, again, err)
		}
	})
}

func FuzzParseVariation(f *testing.F) {
	for _, v := range someVariations {
		f.Add(v.String())
	}
	f.Add("pareto(1h, 1e3)")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVariation(text)
		if err != nil {
			return
		}
		again, err := ParseVariation(v.String())
		require.NoError(t, err)
		require.True(t, v == again, "%q is %v, then %v", text, v, again)
		require.GreaterOrEqual(t, v.quantile(0.5, maxDelay), v.least(maxDelay))
	})
}
