package scenarios_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// promises are what the chat keeps besides its own properties.
func promises() []model.Property {
	return []model.Property{
		properties.FIFO(), properties.Causal(), properties.TotalOrder(), properties.HonestRecovery(),
		properties.Staleness(2 * time.Second), properties.ReconnectThroughout(5 * time.Second),
	}
}

// Goal: the properties of order and time hold of real code, and find what is wrong with it.
// Method: a small chat whose edge crashes, as it is and with clients that reconnect without a cursor.
func TestChatKeepsOrderAndTime(t *testing.T) {
	if testing.Short() {
		t.Skip("the whole chat")
	}
	run := func(mutant string) map[string]model.Outcome {
		c := scenarios.NewChat()
		c.Clients, c.Rooms, c.Duration = 12, 2, 10*time.Second
		if mutant != "" {
			require.NoError(t, c.Mutate(mutant))
		}
		_, res := scenarios.Execute(t, c, mutant, sim.Config{Seed: 3})
		outcomes := map[string]model.Outcome{}
		for _, v := range properties.Check(res.History, promises()...) {
			outcomes[v.Property] = v.Outcome
			if mutant == "" {
				require.True(t, v.Ok(), v)
			}
		}
		return outcomes
	}
	run("")
	require.Equal(t, model.Illegal, run("no-resume")["HonestRecovery"])
}
