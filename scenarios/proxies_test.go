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
	const refused = fails + "refused with 426: WebSocket protocol violation"
	type row map[string]string // by transport
	all := func(what string) row {
		return row{"longpoll": what, "poll": what, "sse": what, "webrtc": works, "ws": what}
	}
	but := func(r row, transport, what string) row {
		r[transport] = what
		return r
	}
	want := map[string]row{ // WebRTC only signals through the balancer
		"l4": all(works),
		// A poll that finds its connection forgotten is made again on another by net/http; a long poll that is
		// held on one never hears of it.
		"l4-idle":         but(all(degraded), "poll", works),
		"l7":              all(works),
		"l7-sticky":       all(works),
		"l7-no-upgrade":   but(but(all(works), "ws", refused), "webrtc", refused),
		"l7-small-buffer": but(all(works), "sse", degraded),
		"l7-large-buffer": but(all(works), "sse", fails+"no opening within 5s"),
		"l7-idle":         but(all(degraded), "poll", works),
		"l7-total":        but(all(degraded), "poll", works),
		"l7-total-sticky": but(all(degraded), "poll", works),
	}
	const luck = "1.0 or 2.0" // least connections, or too few reconnections to tell
	count := func(longpoll, poll, sse, ws string) row {
		return row{"longpoll": longpoll, "poll": poll, "sse": sse, "webrtc": "1.0", "ws": ws}
	}
	same := func(n string) row { return count(n, n, n, n) }
	edges := map[string]row{
		"l4": same("1.0"), "l4-idle": same(luck),
		// Where a connection is a request, taking turns shows only when it has to be made again.
		"l7":              count("2.0", "2.0", "1.0", "1.0"),
		"l7-sticky":       same("1.0"),
		"l7-no-upgrade":   but(count("2.0", "2.0", "1.0", "-"), "webrtc", "-"),
		"l7-small-buffer": count("2.0", "2.0", luck, "1.0"),
		"l7-large-buffer": count("2.0", "2.0", "-", "1.0"),
		"l7-idle":         same("2.0"), "l7-total": same("2.0"), "l7-total-sticky": same("1.0"),
	}
	seen := map[string]bool{}
	for _, transport := range []string{"exact", "webrtc"} {
		p := smallProxies()
		p.Transport = transport
		report, res := scenarios.Execute(t, p, "", sim.Config{Seed: 1, Repeat: repeat(transport == "exact")})
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		for i, declared := range []map[string]row{want, edges} {
			table := report.Tables[i]
			require.Len(t, table.Rows, len(declared))
			for _, r := range table.Rows {
				for column, cell := range r[1:] {
					name := table.Head[column+1]
					expected, ok := declared[r[0]][name]
					require.True(t, ok, "declare here what %s does to %s: it is %q", r[0], name, cell)
					if expected == luck {
						expected = cell
						require.Contains(t, luck, cell)
					}
					require.True(t, strings.HasPrefix(cell, expected), "%s, %s: %q, not %q", r[0], name, cell, expected)
					seen[name] = true
				}
			}
		}
	}
	for _, transport := range hop1.Transports() {
		require.True(t, seen[transport], "%s has not run", transport)
	}
}

// Goal: parameters that make no sense together are refused.
func TestProxiesParameters(t *testing.T) {
	p := scenarios.NewProxies()
	require.NoError(t, scenarios.Set(p, "large", "100"))
	require.ErrorContains(t, p.Validate(), "parameter large: 100 is not allowed: want at least small, 1024")
}
