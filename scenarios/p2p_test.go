package scenarios_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// smallP2P is the catalogue's p2p with as few peers as there are accesses, for tests that run it often.
func smallP2P() *scenarios.P2P {
	p := scenarios.NewP2P()
	p.Peers, p.Duration = 5, 15*time.Second
	return p
}

// Goal: pairs open as their NATs allow, whatever the path does; cursors never go back; the document is whole.
func TestP2PVariants(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scenarios.P2P)
		pairs  string // part of what is said of them
	}{
		"mixed":     {func(*scenarios.P2P) {}, "10 pairs"},
		"public":    {func(p *scenarios.P2P) { p.NAT, p.Peers = "public", 2 }, "1 pairs, 1 host to host"},
		"symmetric": {func(p *scenarios.P2P) { p.NAT, p.Peers, p.Loss = "symmetric", 2, 0 }, "to relay"},
		"no relay":  {func(p *scenarios.P2P) { p.NAT, p.Peers, p.TURN = "symmetric", 2, "off" }, "1 pairs, 1 failed as they must"},
		"lossy":     {func(p *scenarios.P2P) { p.Peers, p.Loss, p.NAT = 2, 0.1, "full-cone" }, "1 pairs"},
	} {
		if testing.Short() && name != "symmetric" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := smallP2P()
			c.change(p)
			require.NoError(t, p.Validate())
			report, res := scenarios.Execute(t, p, "", sim.Config{Seed: 2})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			var said string
			for _, v := range report.Verdicts {
				if v.Property == "Pairs" {
					said = v.Detail
				}
			}
			require.Contains(t, said, c.pairs)
		})
	}
}

// Goal: over a lossy path the unreliable channel loses positions, the reliable one none; and what is shown of
// the unreliable one is not staler.
func TestP2PUnreliableIsFresher(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of messages")
	}
	p := smallP2P()
	p.Peers, p.NAT, p.Loss, p.Reorder, p.Rate = 4, "public", 0.05, 0, 20
	report, res := scenarios.Execute(t, p, "", sim.Config{Seed: 1})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	reliable, unreliable := report.LatencyMS["cursor, reliable"], report.LatencyMS["cursor, unreliable"]
	require.InDelta(t, 0.95, float64(unreliable.N)/float64(reliable.N), 0.03, "%d of %d", unreliable.N, reliable.N)
	require.Less(t, unreliable.Max, reliable.Max, "nothing is retransmitted")
	require.InDelta(t, 30, unreliable.P99, 30)
	require.Len(t, p.Figures(res.History), 1)
	require.Empty(t, p.Figures(res.History)[0].Figure.Problem())
}

// Goal: repetitions have the same outcome, which says what it must; one that differs is told.
func TestP2PReproducesItsOutcome(t *testing.T) {
	p := smallP2P()
	p.Peers, p.Loss = 4, 0.01
	report, res := scenarios.Execute(t, p, "", sim.Config{Seed: 5, Repeat: 2})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	require.True(t, report.Inexact)
	lines := strings.Join(p.Outcome()(res.History), "\n")
	require.Contains(t, lines, "document holds [peer-1-1")
	require.Contains(t, lines, "peer-1+peer-2 is direct, open at 2 ends")
	require.Contains(t, lines, "peer-1 sees cursor-reliable-peer-2 at ")
	require.Nil(t, scenarios.NewChat().Outcome(), "others are compared by their trace hash")
}
