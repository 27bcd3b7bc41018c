package scenarios_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Goal: without loss, a pushed message takes as long as the closed form says.
// Method: the chat before its crash, when all connections are open, published so slowly that nothing
// queues behind anything else; the median is compared.
func TestPushLatencyMatchesClosedForm(t *testing.T) {
	if testing.Short() {
		t.Skip("a long run")
	}
	chat := smallChat()
	chat.Loss, chat.Rate, chat.Duration = 0, 2, 80*time.Second
	_, res := scenarios.Execute(t, chat, "", sim.Config{Seed: 1})
	require.NoError(t, res.Err)
	var took []time.Duration
	for _, l := range model.Latencies(res.History) {
		if l.Published > chat.Duration/16 && l.Delivered < chat.Duration/4 {
			took = append(took, l.Value())
		}
	}
	require.Greater(t, len(took), 50)
	slices.Sort(took)
	const inside = time.Millisecond
	push := model.Push{
		Publish: model.Leg{Latency: chat.Latency + inside, Jitter: chat.Jitter}, // by the balancer
		Store:   model.Leg{Latency: inside},
		Fetch:   model.Leg{Latency: inside},
		Deliver: model.Leg{Latency: inside + chat.Latency, Jitter: chat.Jitter},
	}
	require.NoError(t, push.Validate())
	want := push.Quantile(0.5)
	require.InEpsilon(t, want, took[len(took)/2], 0.1, "want about %v", want)
}

// calmChat is a chat without loss, jitter or crash, and what its clients did and used of the network between
// a fifth of its time, when all are connected, and four fifths, when publishers pause.
type calmChat struct {
	chat  *scenarios.Chat
	spent time.Duration // that was looked at
	took  []time.Duration
	// Per second and client.
	messages, requests, bytes float64
}

// runCalm looks at what is used by the difference between a short run and a long one of the same seed.
func runCalm(t *testing.T, c *scenarios.Chat) calmChat {
	c.Loss, c.Jitter = 0, 0
	run := calmChat{chat: c, spent: c.Duration * 3 / 5}
	at := func(end time.Duration) *sim.Result {
		res := sim.Run(t, sim.Config{Seed: 4, DropTrace: true}, func(w *sim.World) error {
			c.Build(w)
			w.RunFor(end)
			return nil
		})
		require.NoError(t, res.Err)
		return res
	}
	begin, end := c.Duration/5, c.Duration/5+run.spent
	first, last := at(begin), at(end)
	perSecond := func(of func(u sim.Usage) uint64) float64 {
		sum := uint64(0)
		for host, u := range last.Usage {
			if strings.HasPrefix(host, "client-") {
				sum += of(u) - of(first.Usage[host])
			}
		}
		return float64(sum) / run.spent.Seconds() / float64(c.Clients)
	}
	run.requests = perSecond(func(u sim.Usage) uint64 { return u.Requests })
	run.bytes = perSecond(func(u sim.Usage) uint64 { return u.Bytes() })
	for _, l := range model.Latencies(last.History) {
		if l.Delivered >= begin && l.Delivered < end {
			run.took = append(run.took, l.Value())
		}
	}
	slices.Sort(run.took)
	run.messages = float64(len(run.took)) / run.spent.Seconds() / float64(c.Clients)
	return run
}

// Goal: under updates at random times, long polling takes as long and asks as often as the closed form says.
// Method: the chat without trouble, by quantiles of latency and requests per second, at some rates.
func TestLongPollMatchesClosedForm(t *testing.T) {
	rates := []float64{1, 4, 16} // updates per second
	if testing.Short() {
		rates = rates[1:2]
	}
	for _, rate := range rates {
		c := smallChat()
		c.Transport, c.Hold, c.Duration = "longpoll", 700*time.Millisecond, 60*time.Second
		// So many that hardly any of them has two posts under way, for which it would open a connection.
		c.Publishers, c.Rooms, c.Clients, c.Rate, c.Body = 16, 1, 4, rate/16, 20
		run := runCalm(t, c)
		const inside = time.Millisecond
		l := model.LongPoll{
			Before: c.Latency + 3*inside, Deliver: inside + c.Latency, Request: c.Latency + inside, Hold: c.Hold,
		}
		happened := run.messages // which is near the rate: the process is random
		require.InEpsilon(t, l.RequestsPerSecond(happened), run.requests, 0.05, "at %v updates/s", rate)
		for _, q := range []float64{0.1, 0.5, 0.75, 0.9, 0.99} {
			at := model.Distribution{Sorted: run.took}.Quantile(q)
			want := max(q, l.Prompt(happened)) // so many do not wait at all
			require.InDelta(t, want, l.CDF(happened, at), 0.06, "at %v updates/s: %v at %v", rate, q, at)
		}
	}
}

// Goal: what a client costs on the wire follows the closed form: so much an exchange and so much a message.
// Method: both are taken from two runs of the chat without trouble, and tell what other runs cost.
func TestWireCostMatchesClosedForm(t *testing.T) {
	if testing.Short() {
		t.Skip("a long run for each transport")
	}
	for _, transport := range []string{"poll", "longpoll"} {
		run := func(rate float64, interval time.Duration) calmChat {
			c := smallChat()
			c.Transport, c.Interval, c.Hold, c.Duration = transport, interval, 2*time.Second, 50*time.Second
			c.Publishers, c.Rooms, c.Clients, c.Rate = 1, 1, 4, rate
			return runCalm(t, c)
		}
		a, b := run(0.2, time.Second), run(2, time.Second)
		// Two equations: bytes = requests · Exchange + messages · Message.
		det := a.requests*b.messages - b.requests*a.messages
		cost := model.WireCost{
			Exchange: (a.bytes*b.messages - b.bytes*a.messages) / det,
			Message:  (a.requests*b.bytes - b.requests*a.bytes) / det,
		}
		require.NoError(t, cost.Validate())
		t.Logf("%s: %.0f bytes an exchange, %.0f a message", transport, cost.Exchange, cost.Message)
		for _, other := range []calmChat{run(1, 500*time.Millisecond), run(5, 3*time.Second)} {
			// A 304 is shorter than the head of a 200, and messages share packets: the two are averages.
			require.InEpsilon(t, cost.BytesPerSecond(other.requests, other.messages), other.bytes, 0.08, transport)
			if transport == "poll" {
				p := model.Poll{Period: model.Leg{Latency: other.chat.Interval}}
				require.InEpsilon(t, p.RequestsPerSecond(), other.requests, 0.05)
				require.InEpsilon(t, p.ReadsPerSecond(1e6)/1e6, other.requests, 0.05)
			}
			require.InEpsilon(t, other.bytes/other.messages, cost.BytesPerMessage(other.requests, other.messages), 0.08, transport)
		}
	}
}
