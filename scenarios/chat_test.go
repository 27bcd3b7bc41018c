package scenarios_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// smallChat is the catalogue's chat with fewer clients, for tests that run it often.
func smallChat() *scenarios.Chat {
	c := scenarios.NewChat()
	c.Clients, c.Rooms, c.Rate, c.Duration = 20, 4, 5, 12*time.Second
	return c
}

// Goal: clients that lose their edge miss, repeat and reorder nothing.
// Method: the catalogue's chat, as it is.
func TestChat(t *testing.T) {
	if testing.Short() {
		t.Skip("TestChatVariants has the same with fewer clients")
	}
	sim.Test(t, func(w *sim.World) { w.Fail(scenarios.NewChat().Run(w)) })
}

// Goal: the same, whatever clients use and however connections are modelled.
func TestChatVariants(t *testing.T) {
	short := []string{"hold", "stream", "l7"}
	for name, change := range map[string]func(*scenarios.Chat){
		"ws":      func(c *scenarios.Chat) { c.Transport = "ws" },
		"sse":     func(c *scenarios.Chat) { c.Transport = "sse" },
		"poll":    func(c *scenarios.Chat) { c.Transport = "poll" },
		"hold":    func(c *scenarios.Chat) { c.Transport, c.Hold, c.Idle = "longpoll", 3*time.Second, time.Second },
		"webrtc":  func(c *scenarios.Chat) { c.Transport = "webrtc" },
		"stream":  func(c *scenarios.Chat) { c.Fidelity = "stream" },
		"lossy":   func(c *scenarios.Chat) { c.Loss = 0.1 },
		"instant": func(c *scenarios.Chat) { c.Latency, c.Jitter = 0, 0 },
		"edges":   func(c *scenarios.Chat) { c.Edges = 5 },
		"l7":      func(c *scenarios.Chat) { c.Balancer = "l7" },
		"one":     func(c *scenarios.Chat) { c.Clients, c.Publishers, c.Rooms = 1, 1, 1 },
	} {
		if testing.Short() && !slices.Contains(short, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := smallChat()
			change(c)
			require.NoError(t, c.Validate())
			report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 3})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Positive(t, report.Delivered)
		})
	}
}

// Goal: edges that gather messages for 50 ms lose nothing by it; clients wait for what the closed form says, and are
// sent fewer packets and bytes.
// Method: the same busy room without and with it, with no jitter and no loss, before any edge crashes.
func TestChatAggregates(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	run := func(aggregate string) (mean time.Duration, m *scenarios.Metrics) {
		c := smallChat()
		c.Rooms, c.Rate, c.Jitter, c.Loss, c.Transport = 1, 20, 0, 0, "ws"
		require.NoError(t, scenarios.Set(c, "aggregate", aggregate))
		require.NoError(t, c.Validate())
		report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 3})
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		n := 0
		for _, l := range model.Latencies(res.History) {
			if l.Delivered < 3*time.Second { // the edge crashes then
				mean += l.Value()
				n++
			}
		}
		return mean / time.Duration(n), report.Metrics["ws"]
	}
	single, before := run("0s")
	batched, after := run("50ms")
	want := model.Aggregation{Interval: 50 * time.Millisecond, Rate: 3 * 20}
	require.InDelta(t, want.MeanWait().Seconds(), (batched - single).Seconds(), 0.004)
	require.Less(t, float64(after.Packets), 0.75*float64(before.Packets))
	require.Less(t, after.BytesPerMessage, before.BytesPerMessage-20)
	require.ErrorContains(t, scenarios.Set(scenarios.NewChat(), "aggregate", "1h"), "aggregate")
}

// slowReader makes a chat one in which a client reads nothing for two seconds, in which more comes than its edge
// may keep for it and its connection holds.
func slowReader(t *testing.T, c *scenarios.Chat) {
	c.Clients, c.Rooms, c.Publishers, c.Rate, c.Body, c.Queue = 4, 1, 1, 60, 20000, 16
	c.Transport, c.Fidelity = "ws", "stream"
	c.Latency, c.Jitter, c.Loss, c.Duration = 5*time.Millisecond, 0, 0, 10*time.Second
	faults, err := sim.ParseSchedule("pause(client-1)@3s for 2s")
	require.NoError(t, err)
	c.SetFaults(faults)
}

// Goal: what a chat over the ring gives occasion to judge is judged: rooms that move, and the resources of
// clients that were cut off in silence.
func TestChatOverRing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a second")
	}
	c := smallChat()
	c.Hop2, c.Edges, c.Rate, c.Duration = "ring", 3, 20, 20*time.Second
	faults, err := sim.ParseSchedule("crash(edge-2)@5s for 5s; ipchange(client-*)@14s")
	require.NoError(t, err)
	c.SetFaults(faults)
	report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 1, Repeat: 2})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	judged := map[string]bool{}
	for _, v := range report.Verdicts {
		judged[v.Property] = true
	}
	for _, name := range []string{"NoZombie", "BoundedQueue", "DualDelivery", "MinimalMovement"} {
		require.True(t, judged[name], name)
	}
}

// Goal: an edge keeps no more for a slow reader than it declares.
func TestChatSlowReader(t *testing.T) {
	if testing.Short() {
		t.Skip("it carries a megabyte a second")
	}
	c := smallChat()
	slowReader(t, c)
	report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 1, Repeat: 2})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.Positive(t, report.Reconnects, "the slow reader is cut off")
	deepest := int64(0)
	for _, e := range res.History.Events {
		if e.Kind == model.Queue {
			require.EqualValues(t, 17, e.Limit)
			deepest = e.Value
		}
	}
	require.EqualValues(t, 17, deepest, "all that it may keep, it kept")
}

// hashOnly tells a process of TestChatReproduces to print the hash and nothing else.
const hashOnly = "TWOHOP_TEST_HASH_ONLY"

// Goal: the same seed gives the same trace hash in other processes, whatever GOMAXPROCS is.
// Method: this test runs itself.
func TestChatReproduces(t *testing.T) {
	runs := 4
	if testing.Short() {
		runs = 2 // on one processor, and on all
	}
	res := sim.Run(t, sim.Config{Seed: 11, Repeat: runs}, smallChat().Run)
	require.NoError(t, res.Err)
	hash := "hash " + hex(res.Trace.Hash())
	if os.Getenv(hashOnly) != "" {
		_, err := os.Stdout.WriteString(hash + "\n")
		require.NoError(t, err)
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, procs := range []string{"1", "2", "4"} {
		if testing.Short() && procs != "4" {
			continue
		}
		cmd := exec.Command(self, "-test.run", "^TestChatReproduces$")
		cmd.Env = append(os.Environ(), hashOnly+"=1", "GOMAXPROCS="+procs)
		if testing.Short() {
			cmd.Args = append(cmd.Args, "-test.short")
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), hash, "GOMAXPROCS=%s", procs)
	}
	other := sim.Run(t, sim.Config{Seed: 12}, smallChat().Run)
	require.NoError(t, other.Err)
	require.NotEqual(t, res.Trace.Hash(), other.Trace.Hash())
}

// Goal: so do the transports that are requests, over and over.
func TestPollingChatReproduces(t *testing.T) {
	if testing.Short() {
		t.Skip("TestTransportsReproduce has the same")
	}
	for _, transport := range []string{"poll", "longpoll"} {
		c := smallChat()
		c.Transport = transport
		report, res := scenarios.Execute(t, c, "", sim.Config{Seed: 5, Repeat: 2})
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	}
}

func hex(v uint64) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for shift := 60; shift >= 0; shift -= 4 {
		b.WriteByte(digits[v>>shift&15])
	}
	return b.String()
}

// Goal: a wrong parameter is refused with its name, its value and what is allowed.
func TestParameters(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"clients", "0", `parameter clients: "0" is not allowed: want a whole number, 1 to 20000`},
		{"clients", "many", `parameter clients: "many" is not allowed: want a whole number`},
		{"latency", "40", `parameter latency: "40" is not allowed: want a duration such as 250ms or 1m30s, 0s to 5s`},
		{"loss", "2", `parameter loss: "2" is not allowed: want a number, 0 to 0.5`},
		{"loss", "NaN", `parameter loss: "NaN" is not allowed`},
		{"rate", "10%", `parameter rate: "10%" is not allowed`},
		{"transport", "pigeon", `parameter transport: "pigeon" is not allowed: want one of mix | ` + strings.Join(hop1.Transports(), " | ")},
		{"interval", "0s", `parameter interval: "0s" is not allowed: want a duration such as 250ms or 1m30s, 10ms to 1h0m0s`},
		{"hold", "0", `parameter hold: "0" is not allowed: want a duration such as 250ms or 1m30s, 10ms to 1h0m0s`},
		{"hold", "-1s", `parameter hold: "-1s" is not allowed`},
		{"client", "5", `unknown parameter of chat: "client"; did you mean clients`},
	} {
		require.ErrorContains(t, scenarios.Set(scenarios.NewChat(), c.name, c.value), c.want)
	}
	chat := scenarios.NewChat()
	require.NoError(t, scenarios.Set(chat, "loss", "2.5%"))
	require.InDelta(t, 0.025, chat.Loss, 1e-12)
	require.NoError(t, scenarios.Set(chat, "jitter", "1s"))
	require.ErrorContains(t, chat.Validate(), "parameter jitter: 1s is not allowed: want at most the latency, 40ms")
	require.NoError(t, scenarios.Set(chat, "transport", "longpoll"))
	require.Empty(t, chat.Warnings(), "a balancer that never forgets")
	require.NoError(t, scenarios.Set(chat, "idle", "5s"))
	require.Len(t, chat.Warnings(), 1)
	require.Contains(t, chat.Warnings()[0], "hold of 10s, but the balancer's idle time-out is 5s")
	_, err := scenarios.New("chatt")
	require.ErrorContains(t, err, `unknown scenario: "chatt"; did you mean chat`)
	require.ErrorContains(t, chat.Mutate("no-resum"), `unknown mutant of chat: "no-resum"; did you mean no-resume`)
}

// Goal: every declared parameter's text form reads back, and its default is in range.
func TestParametersReadBack(t *testing.T) {
	for _, s := range scenarios.All() {
		for _, p := range s.Params() {
			require.NoError(t, p.Value.Set(p.Value.String()), "%s of %s", p.Name, s.Name())
		}
	}
}

// Goal: whatever the hazards bring that the chat promises to survive, it loses, repeats and reorders nothing, and
// runs the same way twice.
func TestChatSurvivesItsHazards(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 1
	}
	kinds := map[string]bool{}
	for seed := range seeds {
		c := smallChat()
		c.Duration = 30 * time.Second
		require.NoError(t, scenarios.ChooseFaults(c, "heavy", seed))
		report, res := scenarios.Execute(t, c, "", sim.Config{Seed: seed, Repeat: repeat(seed%2 == 0)})
		require.Equal(t, model.Ok, report.Outcome(), "seed %d: %s", seed, res.Banner(nil, ""))
		for _, f := range report.Faults {
			if f.Bites > 0 {
				kind, _, _ := strings.Cut(f.Fault, "(")
				kinds[kind] = true
			}
		}
	}
	if !testing.Short() {
		require.Greater(t, len(kinds), 5, "what has bitten: %v", kinds)
	}
}
