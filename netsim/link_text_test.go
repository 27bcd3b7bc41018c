package netsim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLinkText(t *testing.T) {
	for text, l := range map[string]Link{
		"latency=0s": {},
		"latency=40ms variation=pareto(5ms, 2.5) loss=0.01 rate=10Mbit": {
			Latency: 40 * ms, Variation: Pareto(5*ms, 2.5), Loss: 0.01, Rate: 10e6},
		"latency=0s rate=1234567bit queue=9000 queue-packets=6 mtu=576": {
			Rate: 1234567, Queue: 9000, QueuePackets: 6, MTU: 576},
		"latency=1h0m0s jitter=1ns burst=gemodel(0.1, 0.5, 1, 0) duplicate=1 reorder=0.5 reorder-by=2s": {
			Latency: time.Hour, Jitter: 1, Burst: GilbertElliott{P: 0.1, R: 0.5, LossBad: 1}, Duplicate: 1, Reorder: 0.5, ReorderBy: 2 * time.Second},
	} {
		require.Equal(t, text, l.String())
		got, err := ParseLink(text)
		require.NoError(t, err)
		require.True(t, l == got, text)
	}
	for _, same := range []string{"", "  ", "latency=0s", "rate=0bit", "variation=constant(0s)"} {
		l, err := ParseLink(same)
		require.NoError(t, err)
		require.Zero(t, l)
	}
	l, err := ParseLink("rate=1.6Mbit  burst=bursts(0.02, 4)\tlatency=3ms")
	require.NoError(t, err)
	require.Equal(t, Link{Latency: 3 * ms, Rate: 1600e3, Burst: Bursts(0.02, 4)}, l)
}

func TestLinkTextErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"latency", `"latency" is not of the form key=value`},
		{"delay=3ms", `unknown key "delay"; want latency, jitter, variation, loss, burst, duplicate, reorder, reorder-by, rate, queue, queue-packets, mtu`},
		{"loss=0.1 loss=0.2", "loss is given twice"}, {"loss=1%", `loss: "1%" is not a number`},
		{"latency=3", `latency: "3" is not a duration such as 10ms`}, {"mtu=1e3", `mtu: "1e3" is not a whole number`},
		{"rate=10", ""}, {"rate=-1bit", `rate: "-1bit" is not a rate`}, {"rate=Mbit", `"Mbit" is not a rate`},
		{"rate=0.5bit", `"0.5bit" is not a rate`}, {"rate=NaNbit", "is not a rate"}, {"rate=2000000Gbit", "is not a rate"},
		{"variation=normal(3ms", "variation: variation"}, {"variation=normal(3ms)", "Variation is normal(3ms); want at most 0s"},
		{"burst=bursts(1, 2)", "burst: loss model"}, {"loss=2", "Loss is 2; it is a probability in [0, 1]"},
		{") a=b (", `")" is not of the form`},
	} {
		_, err := ParseLink(c.text)
		if c.want == "" {
			require.NoError(t, err, c.text)
			continue
		}
		require.ErrorContains(t, err, c.want, c.text)
	}
}

func TestLinkTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawnLink(t)
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var again Link
		if err := json.Unmarshal(text, &again); err != nil || again != l {
			t.Fatalf("%s became %v, %v", text, again, err)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	f.Add("")
	f.Add("latency=40ms jitter=2ms variation=pareto(5ms, 2.5) loss=0.01 burst=gemodel(0.1, 0.5, 1, 0) rate=10Mbit")
	f.Add("latency=1h duplicate=0.5 reorder=0.5 reorder-by=2s rate=1.5kbit queue=9000 queue-packets=6 mtu=576")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLink(text)
		if err != nil {
			return
		}
		require.NoError(t, l.validate())
		again, err := ParseLink(l.String())
		require.NoError(t, err)
		require.True(t, l == again, "%q is %v, then %v", text, l, again)
		pipeOf(l).carry(time.Second, 1500, false)
	})
}
