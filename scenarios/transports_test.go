package scenarios_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// smallTransports compares five clients of each transport, and measures no memory.
func smallTransports() *scenarios.Transports {
	t := scenarios.NewTransports()
	t.Clients, t.Rooms, t.Rate, t.Duration, t.Hold, t.Memory = 5*len(hop1.Transports()), 2, 5, 12*time.Second, 2*time.Second, 0
	return t
}

// Goal: all transports deliver everything, and the report says what each cost and did.
func TestTransports(t *testing.T) {
	if testing.Short() {
		t.Skip("the whole comparison")
	}
	s := smallTransports()
	s.Memory = 20
	require.NoError(t, s.Validate())
	report, res := scenarios.Execute(t, s, "", sim.Config{Seed: 1})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.Empty(t, report.Warnings)
	require.Equal(t, hop1.Transports(), report.Transports())
	reconnects := 0
	for _, name := range hop1.Transports() {
		m := report.Metrics[name]
		require.NotNil(t, m, name)
		require.Equal(t, 5, m.Clients, name)
		require.Equal(t, report.LatencyMS[name].N, m.Delivered, name)
		require.InDelta(t, float64(m.BytesSent+m.BytesReceived)/float64(m.Delivered), m.BytesPerMessage, 0.051, name)
		require.Greater(t, m.BytesPerMessage, float64(s.Body), "%s: a message is on the wire once at least", name)
		require.GreaterOrEqual(t, m.Connections, m.Clients, name)
		require.Equal(t, m.Connections-m.Clients, m.ReconnectMS.N, "%s: whoever came back had been cut off", name)
		require.GreaterOrEqual(t, m.OutageMS.P50, m.ReconnectMS.P50, name)
		require.Positive(t, m.Handshakes, name)
		require.Greater(t, m.MemoryBytes, 5_000, name)
		require.Less(t, m.MemoryBytes, 5_000_000, name)
		reconnects += m.ReconnectMS.N
	}
	require.Equal(t, report.Reconnects, reconnects)
	require.Positive(t, reconnects)
	ws, sse, poll, longpoll := report.Metrics["ws"], report.Metrics["sse"], report.Metrics["poll"], report.Metrics["longpoll"]
	require.Equal(t, ws.Requests, ws.Upgrades, "each request opened a WebSocket")
	require.Zero(t, sse.Upgrades+poll.Upgrades+longpoll.Upgrades)
	require.EqualValues(t, sse.Connections, sse.Requests)
	seconds := s.Duration.Seconds()
	require.InEpsilon(t, 5*seconds, float64(poll.Requests), 0.25, "a request per client and second, but for the outage")
	require.Greater(t, longpoll.Requests, poll.Requests, "there are updates more often than once a second")
	require.Greater(t, report.LatencyMS["poll"].P50, 2*report.LatencyMS["sse"].P50)

	var names []string
	for _, f := range report.Figures() {
		require.Empty(t, f.Figure.Problem(), f.Name)
		names = append(names, f.Name)
	}
	require.Equal(t, []string{"bytes-per-message", "callback-gap", "poll-interval"}, names)
	require.Len(t, report.Parts, 2)
}

// Goal: the transports are compared on the same rooms.
func TestTransportsShareRooms(t *testing.T) {
	s := smallTransports()
	res := sim.Run(t, sim.Config{Seed: 2, DropTrace: true}, func(w *sim.World) error {
		s.Build(w)
		w.RunFor(3 * time.Second)
		return nil
	})
	require.NoError(t, res.Err)
	clients := make(map[string]map[string]int) // by room, by transport
	for _, e := range res.History.Events {
		if e.Kind == model.Connected {
			if clients[e.Room] == nil {
				clients[e.Room] = make(map[string]int)
			}
			clients[e.Room][e.Transport]++
		}
	}
	require.Len(t, clients, s.Rooms)
	for room, by := range clients {
		for _, transport := range hop1.Transports() {
			require.GreaterOrEqual(t, by[transport], 2, "%s in %s", transport, room)
		}
	}
}

// Goal: a single transport can be chosen, and brings the parts that are about it.
func TestTransportsOne(t *testing.T) {
	for transport, parts := range map[string][]string{"ws": nil, "poll": {"poll-interval"}, "longpoll": {"callback-gap"}} {
		s := smallTransports()
		require.NoError(t, scenarios.Set(s, "transport", transport))
		s.Clients = 2
		require.NoError(t, s.Validate())
		var names []string
		for _, p := range s.Parts() {
			names = append(names, p.Name())
		}
		require.Equal(t, parts, names)
	}
	s := smallTransports()
	require.NoError(t, scenarios.Set(s, "transport", "sse"))
	s.Clients = 4
	report, res := scenarios.Execute(t, s, "", sim.Config{Seed: 1})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.Equal(t, []string{"sse"}, report.Transports())
	require.Empty(t, report.Figures(), "there is nothing to compare it with")
}

// Goal: bad parameters are refused, and one that does harm is warned of, with both values.
func TestTransportsParameters(t *testing.T) {
	s := scenarios.NewTransports()
	require.ErrorContains(t, scenarios.Set(s, "interval", "0s"), `parameter interval: "0s" is not allowed: want a duration such as 250ms or 1m30s, 10ms to 1h0m0s`)
	require.ErrorContains(t, scenarios.Set(s, "transport", "mix"), `parameter transport: "mix" is not allowed: want one of all | longpoll | poll`)
	require.ErrorContains(t, s.Mutate("no-resum"), `unknown mutant of transports: "no-resum"; did you mean no-resume`)
	s.Clients = 2
	require.ErrorContains(t, s.Validate(), "parameter clients: 2 is not allowed: want at least")

	s = smallTransports()
	require.Empty(t, s.Warnings())
	require.NoError(t, scenarios.Set(s, "idle", "1500ms"))
	require.Len(t, s.Warnings(), 1)
	require.Contains(t, s.Warnings()[0], "2s")
	require.Contains(t, s.Warnings()[0], "1.5s")
	require.NoError(t, scenarios.Set(s, "transport", "ws"))
	require.Empty(t, s.Warnings(), "nothing is held")

	p := scenarios.NewPollInterval()
	require.ErrorContains(t, scenarios.Set(p, "interval", "0s"), `parameter interval: "0s" is not allowed: want a duration such as 250ms or 1m30s, 10ms to 1h0m0s`)
	p.Interval = time.Second
	require.ErrorContains(t, p.Validate(), "parameter interval: 1s is not allowed: want at least 1.296s")
}

// Goal: the transports' mutants are caught in the comparison, too.
func TestTransportsMutants(t *testing.T) {
	for _, m := range scenarios.NewTransports().Mutants() {
		if m.Name != "no-resume" && m.Name != "no-dedupe" {
			continue // takes parameters of its own to show
		}
		if testing.Short() && m.Name != "no-resume" {
			continue
		}
		s := smallTransports()
		require.NoError(t, s.Mutate(m.Name))
		res := sim.Run(t, sim.Config{Seed: 1}, s.Run)
		require.True(t, slices.ContainsFunc(res.Verdicts, func(v model.Verdict) bool {
			return v.Property == m.Catcher && v.Outcome == model.Illegal
		}), "%s: %v", m.Name, res.Verdicts)
	}
}

// whole is a scenario with a part that fails.
type whole struct{ *scenarios.CallbackGap }

func (whole) Parts() []scenarios.Scenario {
	part := scenarios.NewCallbackGap()
	if err := part.Mutate("slow-path"); err != nil {
		panic(err)
	}
	return []scenarios.Scenario{part}
}

// Goal: what fails in a part fails the whole, and a part is its own run.
func TestPartsCount(t *testing.T) {
	s := whole{scenarios.NewCallbackGap()}
	s.Pairs = 1
	report, res := scenarios.Execute(t, s, "", sim.Config{Seed: 1})
	require.True(t, res.Ok(), "%s", res.Banner(nil, ""))
	require.Equal(t, model.Illegal, report.Outcome())
	require.Len(t, report.Parts, 1)
	require.False(t, report.Parts[0].Result().Ok())
	require.NotEqual(t, report.TraceHash, report.Parts[0].TraceHash)
}

// Goal: the same seed gives the same trace hash, whatever clients use. WebRTC's library draws randomness of
// its own.
func TestTransportsReproduce(t *testing.T) {
	const repeat = 2
	for _, transport := range hop1.Transports() {
		if transport == "webrtc" || testing.Short() && transport != "longpoll" && transport != "ws" {
			continue
		}
		t.Run(transport, func(t *testing.T) {
			c := smallChat()
			c.Transport, c.Hold = transport, 2*time.Second
			res := sim.Run(t, sim.Config{Seed: 5, Repeat: repeat}, c.Run)
			require.True(t, res.Ok(), "%s", res.Banner(nil, ""))
		})
	}
}

// figuresOf names a scenario's figures of a history, which must show something.
func figuresOf(t *testing.T, s scenarios.Illustrator, h *model.History) []string {
	var names []string
	for _, f := range s.Figures(h) {
		require.Empty(t, f.Figure.Problem())
		names = append(names, f.Name)
	}
	return names
}

// Goal: long polling's callback gap is what the closed form says, at other latencies than the default too.
func TestCallbackGap(t *testing.T) {
	for _, latency := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, 700 * time.Millisecond} {
		if testing.Short() && latency != 100*time.Millisecond {
			continue
		}
		g := scenarios.NewCallbackGap()
		g.Latency, g.Pairs = latency, 2
		report, res := scenarios.Execute(t, g, "", sim.Config{Seed: 3})
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		require.Len(t, report.Tables, 1)
		for _, row := range report.Tables[0].Rows {
			require.Len(t, row, len(report.Tables[0].Head))
		}
		require.Equal(t, []string{"callback-gap"}, figuresOf(t, g, res.History))
		if latency == 100*time.Millisecond {
			row := report.Tables[0].Rows[0]
			require.Equal(t, []string{"10ms", "100.2 ms, 290.2 ms"}, row[:2], "100 ms one way")
			require.Equal(t, "50.2 ms, 140.2 ms", row[3], "100 ms round trip")
		}
	}
	g := scenarios.NewCallbackGap()
	require.Equal(t, model.Unknown, g.ClosedForm().Check(nil).Outcome)
	ended := &model.History{Events: []model.Event{{Step: 1, Kind: model.RunEnd}}}
	require.Contains(t, g.ClosedForm().Check(ended).Detail, "only 0 of 33 pairs have arrived")
	require.Empty(t, g.Tables(ended))
	require.NoError(t, plots.Save(t.TempDir(), "x", g.Figures(ended)[0].Figure))
}

// Goal: polling's latency is what the closed form says.
func TestPollInterval(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute for each interval")
	}
	small := func() *scenarios.PollInterval {
		p := scenarios.NewPollInterval()
		p.Clients, p.Duration, p.Rate = 4, 30*time.Second, 4
		return p
	}
	for name, change := range map[string]func(*scenarios.PollInterval){
		"steady":   func(*scenarios.PollInterval) {},
		"jittered": func(p *scenarios.PollInterval) { p.Intervals = "jittered" },
		"near":     func(p *scenarios.PollInterval) { p.Latency, p.Interval = 0, time.Second },
		"far":      func(p *scenarios.PollInterval) { p.Latency, p.Interval = 250*time.Millisecond, 9*time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			p := small()
			change(p)
			require.NoError(t, p.Validate())
			report, res := scenarios.Execute(t, p, "", sim.Config{Seed: 6})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Len(t, report.Tables[0].Rows, 5)
			require.Equal(t, []string{"poll-interval"}, figuresOf(t, p, res.History))
		})
	}
	p := small()
	require.Equal(t, model.Unknown, p.ClosedForm().Check(nil).Outcome)
	ended := &model.History{Events: []model.Event{{Step: 1, Kind: model.RunEnd}}}
	require.Contains(t, p.ClosedForm().Check(ended).Detail, "clients of 0 of 5 intervals got something")
	p.Duration, p.Rate = 2*time.Second, 1
	report, _ := scenarios.Execute(t, p, "", sim.Config{Seed: 1})
	require.Contains(t, report.Verdicts[len(report.Verdicts)-1].Detail, "too little to judge")
	require.Equal(t, model.Unknown, report.Outcome())
}
