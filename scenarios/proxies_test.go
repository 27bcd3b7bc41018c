package scenarios_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// smallProxies is the catalogue's scenario with as few clients as show everything.
func smallProxies() *scenarios.Proxies {
	p := scenarios.NewProxies()
	p.Clients, p.Total, p.Duration = 1, 3*time.Second, 20*time.Second
	return p
}

// Goal: every transport meets behind every balancer with what is declared here, and whoever can connect at all
// gets every message once and in order.
func TestProxies(t *testing.T) {
	const works, degraded, fails = "works: ", "degraded: ", "fails: "
	type row map[string]string // by transport
	all := func(what string) row {
		return row{"longpoll": what, "poll": what, "sse": what, "ws": what}
	}
	but := func(r row, transport, what string) row {
		r[transport] = what
		return r
	}
	want := map[string]row{
		"l4": all(works),
		// A poll that finds its connection forgotten is made again on another by net/http; a long poll that is
		// held on one never hears of it.
		"l4-idle":         but(all(degraded), "poll", works),
		"l7":              all(works),
		"l7-sticky":       all(works),
		"l7-no-upgrade":   but(all(works), "ws", fails+"refused with 426: WebSocket protocol violation"),
		"l7-small-buffer": but(all(works), "sse", degraded),
		"l7-large-buffer": but(all(works), "sse", fails+"no opening within 5s"),
		"l7-idle":         but(all(degraded), "poll", works),
		"l7-total":        but(all(degraded), "poll", works),
		"l7-total-sticky": but(all(degraded), "poll", works),
	}
	const luck = "1.0 or 2.0" // least connections, or too few reconnections to tell
	edges := map[string]row{
		"l4": all("1.0"), "l4-idle": all(luck),
		// Where a connection is a request, taking turns shows only when it has to be made again.
		"l7":              {"longpoll": "2.0", "poll": "2.0", "sse": "1.0", "ws": "1.0"},
		"l7-sticky":       all("1.0"),
		"l7-no-upgrade":   {"longpoll": "2.0", "poll": "2.0", "sse": "1.0", "ws": "-"},
		"l7-small-buffer": {"longpoll": "2.0", "poll": "2.0", "sse": luck, "ws": "1.0"},
		"l7-large-buffer": {"longpoll": "2.0", "poll": "2.0", "sse": "-", "ws": "1.0"},
		"l7-idle":         all("2.0"), "l7-total": all("2.0"), "l7-total-sticky": all("1.0"),
	}
	cfg := sim.Config{Seed: 1, Repeat: 2}
	if testing.Short() {
		cfg.Repeat = 1
	}
	report, res := scenarios.Execute(t, smallProxies(), "", cfg)
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	for i, declared := range []map[string]row{want, edges} {
		table := report.Tables[i]
		require.Len(t, table.Rows, len(declared))
		require.Equal(t, append([]string{"balancer"}, hop1.Transports()...), table.Head)
		for _, r := range table.Rows {
			for column, cell := range r[1:] {
				expected, ok := declared[r[0]][table.Head[column+1]]
				require.True(t, ok, "declare here what %s does to %s: it is %q", r[0], table.Head[column+1], cell)
				if expected == luck {
					expected = cell
					require.Contains(t, luck, cell)
				}
				require.True(t, strings.HasPrefix(cell, expected), "%s, %s: %q, not %q", r[0], table.Head[column+1], cell, expected)
			}
		}
	}
}

// Goal: each mutant is caught, by the property that it is meant for.
func TestProxiesMutants(t *testing.T) {
	for _, m := range scenarios.NewProxies().Mutants() {
		p := smallProxies()
		p.Duration = 10 * time.Second
		require.NoError(t, p.Mutate(m.Name))
		report, _ := scenarios.Execute(t, p, m.Name, sim.Config{Seed: 1})
		require.Equal(t, model.Illegal, report.Outcome())
		for _, v := range report.Verdicts {
			if v.Property == m.Catcher {
				require.Equal(t, model.Illegal, v.Outcome, "%v", v)
			}
		}
	}
}

// Goal: parameters that make no sense together are refused.
func TestProxiesParameters(t *testing.T) {
	p := scenarios.NewProxies()
	require.NoError(t, scenarios.Set(p, "large", "100"))
	require.ErrorContains(t, p.Validate(), "parameter large: 100 is not allowed: want at least small, 1024")
}
