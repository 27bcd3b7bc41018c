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
		LossBad: drawnProbability(t, "1-h"), LossGood: drawnProbability(t, "1-k"), Slot: drawnDuration(20*ms, t, "slot"),
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

// Goal: with a slot, what counts is time. Method: a packet each n slots finds a chain whose losses are correlated
// by (1-P-R)^n; each slot, its bursts are as long as those of one that counts packets.
func TestFades(t *testing.T) {
	const n = 300_000
	g := Fades(0.05, 100*ms)
	require.Equal(t, ms, g.Slot)
	require.InDelta(t, 0.05, g.MeanLoss(), 1e-12)
	each := runs(losses(g, n))
	sum := 0
	for _, l := range each {
		sum += l
	}
	within(t, 100, float64(sum)/float64(len(each)), math.Sqrt(1-g.R)/g.R, len(each))

	for _, slots := range []int{1, 7, 100, 100_000} {
		p := pipeOf(Link{Burst: g})
		lost := 0
		for i := range n {
			if p.carry(time.Duration(i*slots)*ms, 100, false).fate == fateLost {
				lost++
			}
		}
		rho := math.Pow(1-g.P-g.R, float64(slots))
		within(t, 0.05, float64(lost)/n, math.Sqrt(0.05*0.95*(1+2*rho/(1-rho))), n, slots)
	}

	// Within a slot nothing changes, and nothing changes a channel without P and R.
	p := pipeOf(Link{Burst: GilbertElliott{P: 1, R: 1, LossBad: 1, Slot: 10 * ms}})
	first := p.carry(0, 100, false).fate
	for i := range 100 {
		require.Equal(t, i/10%2 == 0, p.carry(time.Duration(i)*ms, 100, false).fate == first, "it alternates")
	}
	// A packet that is sent before those that wait finds the channel as they do.
	p = pipeOf(Link{Rate: 8000, Queue: 2000, Burst: GilbertElliott{P: 1, R: 1, LossBad: 1, Slot: 3 * time.Second}})
	first = p.carry(0, 1000, false).fate // sent after 1 s
	require.Equal(t, first, p.carry(0, 1000, false).fate)
	other := p.carry(0, 1000, false).fate // sent after 3 s
	require.ElementsMatch(t, []fate{fateArrives, fateLost}, []fate{first, other})
	p.link.Rate, p.link.Queue = 0, 0
	require.Equal(t, other, p.carry(0, 1000, false).fate)

	p = pipeOf(Link{Burst: Bursts(0.999, 1000)})
	for p.carry(0, 100, false).fate != fateLost {
		continue
	}
	p.link.Burst = GilbertElliott{LossBad: 1}
	require.Equal(t, fateLost, p.carry(time.Hour, 100, false).fate, "without P and R it stays bad")
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
	fades, err := ParseGilbertElliott("fades(0.02, 50ms)")
	require.NoError(t, err)
	require.Equal(t, Fades(0.02, 50*ms), fades)
	require.Equal(t, "gemodel(0.01, 0.25, 1, 0, 2ms)", GilbertElliott{0.01, 0.25, 1, 0, 2 * ms}.String())
	for _, c := range []struct{ text, want string }{
		{"fades(0.02, 50)", `"50" is not a duration`}, {"fades(0.02)", "want gemodel"}, {"gemodel(0, 0, 0, 0, 2h)", "want Slot from 0 to 1h0m0s"},
		{"", `loss model "": want a name`}, {"gemodel(0.1, 0.2)", "want gemodel(p, r, 1-h, 1-k), gemodel(p, r, 1-h, 1-k, slot), bursts(loss, length) or fades(loss, 50ms)"},
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
	f.Add("fades(0.02, 50ms)")
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
