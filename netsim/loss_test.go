package netsim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawnModel draws a valid model, the zero one included.
func drawnModel(t *rapid.T) GilbertElliott {
	if rapid.Bool().Draw(t, "no bursts") {
		return GilbertElliott{}
	}
	return GilbertElliott{
		P: drawnProbability(t, "p"), R: rapid.Float64Range(1e-9, 1).Draw(t, "r"),
		LossBad: drawnProbability(t, "1-h"), LossGood: drawnProbability(t, "1-k"),
	}
}

// losses sends n packets and tells which get lost.
func losses(g GilbertElliott, n int) []bool {
	p := pipeOf(Link{Burst: g})
	lost := make([]bool, n)
	for i := range lost {
		lost[i] = p.carry(time.Duration(i)*ms, 100, false).fate == fateLost
	}
	return lost
}

// runs lists the lengths of the runs of losses that have ended.
func runs(lost []bool) []int {
	var lengths []int
	length := 0
	for _, l := range lost {
		switch {
		case l:
			length++
		case length > 0:
			lengths = append(lengths, length)
			length = 0
		}
	}
	return lengths
}

// Goal: the mean loss is that of the closed form. Method: the tolerance is that of the mean of n losses that
// are correlated as the chain is, Cov(j packets apart) = (LossBad-LossGood)²·π(1-π)·(1-P-R)^j.
func TestGilbertElliottMeanLoss(t *testing.T) {
	const n = 300_000
	for _, g := range []GilbertElliott{
		Bursts(0.02, 4), Bursts(0.2, 10), Bursts(0.5, 1), Bursts(0.1, 1/0.9),
		{P: 0.01, R: 0.1, LossBad: 0.6, LossGood: 0.001}, {P: 0.3, R: 0.9, LossBad: 0.2, LossGood: 0.1}, {LossGood: 0.05},
	} {
		require.NoError(t, g.validate())
		count := 0
		for _, lost := range losses(g, n) {
			if lost {
				count++
			}
		}
		pi, m, rho := g.bad(), g.MeanLoss(), 1-g.P-g.R
		variance := m * (1 - m)
		if g.P > 0 {
			variance += 2 * (g.LossBad - g.LossGood) * (g.LossBad - g.LossGood) * pi * (1 - pi) * rho / (1 - rho)
		}
		within(t, m, float64(count)/n, math.Sqrt(variance), n, g)
	}
	require.InDelta(t, 0.02, Bursts(0.02, 4).MeanLoss(), 1e-12)
	require.Zero(t, Bursts(0, 4))
	require.InDelta(t, 0.1*0.5+0.9*0.01, GilbertElliott{P: 0.1, R: 0.9, LossBad: 0.5, LossGood: 0.01}.MeanLoss(), 1e-12)
}

// Bursts have a geometric length, whose mean is the one asked for and whose standard deviation is √(1-R)/R.
func TestBurstLengths(t *testing.T) {
	const n = 500_000
	for _, mean := range []float64{1, 2.5, 10} {
		g := Bursts(0.05, mean)
		lengths := runs(losses(g, n))
		sum, ones := 0, 0
		for _, l := range lengths {
			sum += l
			if l == 1 {
				ones++
			}
		}
		count := len(lengths)
		within(t, mean, float64(sum)/float64(count), math.Sqrt(1-g.R)/g.R+1e-9, count, mean)
		within(t, g.R, float64(ones)/float64(count), math.Sqrt(g.R*(1-g.R))+1e-9, count, mean)
	}
	// As long as 1/(1-loss) bursts are when losses are independent, which makes them so.
	independent := Bursts(0.2, 1.25)
	require.InDelta(t, 1, independent.P+independent.R, 1e-12)
}

// A pipe's first packet is as likely to be lost as any, and that from a bad state.
func TestGilbertElliottBegins(t *testing.T) {
	const n = 20_000
	lost := 0
	for seed := range uint64(n) {
		p := &pipe{link: Link{Burst: Bursts(0.1, 20)}, luck: newPCG(seed, "link")}
		if p.carry(0, 100, false).fate == fateLost {
			lost++
		}
	}
	within(t, 0.1, float64(lost)/n, math.Sqrt(0.1*0.9), n)
}

// Loss and Burst act independently.
func TestLossAndBursts(t *testing.T) {
	const n = 200_000
	g := GilbertElliott{P: 0.5, R: 0.5, LossBad: 0.4}
	p := pipeOf(Link{Loss: 0.1, Burst: g})
	lost := 0
	for i := range n {
		if p.carry(time.Duration(i)*ms, 100, false).fate == fateLost {
			lost++
		}
	}
	want := 1 - (1-0.1)*(1-g.MeanLoss())
	within(t, want, float64(lost)/n, math.Sqrt(want*(1-want)), n) // with P+R = 1, losses are independent
}

func TestGilbertElliottText(t *testing.T) {
	g := GilbertElliott{P: 0.01, R: 0.25, LossBad: 1, LossGood: 0.001}
	require.Equal(t, "gemodel(0.01, 0.25, 1, 0.001)", g.String())
	bursts, err := ParseGilbertElliott("bursts(0.02,4)")
	require.NoError(t, err)
	require.Equal(t, Bursts(0.02, 4), bursts)
	for _, c := range []struct{ text, want string }{
		{"", `loss model "": want a name`}, {"gemodel(0.1, 0.2)", "want gemodel(p, r, 1-h, 1-k) or bursts(loss, meanLength)"},
		{"bursts(0.1)", "want gemodel"}, {"gemodel(1%, 1, 1, 0)", `"1%" is not a number`},
		{"gemodel(NaN, 1, 1, 0)", "want P in [0, 1], not NaN"}, {"bursts(0.9, 2)", "want P in [0, 1], not 4.5"}, {"gemodel(0.5, 0, 1, 0)", "want R above 0 if P is"},
	} {
		_, err := ParseGilbertElliott(c.text)
		require.ErrorContains(t, err, c.want, c.text)
	}
	rapid.Check(t, func(t *rapid.T) {
		g := drawnModel(t)
		text, err := g.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again GilbertElliott
		if err := again.UnmarshalText(text); err != nil || again != g {
			t.Fatalf("%s became %v, %v", text, again, err)
		}
	})
}

func FuzzParseGilbertElliott(f *testing.F) {
	f.Add("gemodel(0.01, 0.25, 1, 0.001)")
	f.Add("bursts(0.02, 4)")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseGilbertElliott(text)
		if err != nil {
			return
		}
		again, err := ParseGilbertElliott(g.String())
		require.NoError(t, err)
		require.True(t, g == again, "%q is %v, then %v", text, g, again)
		require.True(t, isProbability(g.MeanLoss()), g.String())
	})
}
