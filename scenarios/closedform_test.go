package scenarios_test

import (
	"slices"
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
