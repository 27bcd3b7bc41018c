package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// check is what clients are put through, and what must come of it. All properties must hold in any
// case: the messages come in order, none is lost, none comes twice.
type check struct {
	name string
	// change makes a plan this check's.
	change func(p *plan)
	// judge looks at what came of it, on any network.
	judge func(t *testing.T, o *outcome)
	// clean, unless nil, looks at what came of it on the clean network.
	clean func(t *testing.T, o *outcome)
}

var checks = []check{delivery, resume, discontinuity, heartbeat, draining, slowConsumer}

func init() { checks = append(checks, authChecks...) }

// delivery: whatever is published arrives, once and in order, with no more done than connecting.
var delivery = check{
	name:   "delivery",
	change: func(*plan) {},
	judge: func(t *testing.T, o *outcome) {
		for _, node := range []string{"client-1", "client-2", "client-3"} {
			require.Greater(t, len(o.of(node, model.Deliver, span{0, forever})), len(o.posts)*3/4)
			require.Empty(t, o.of(node, model.Discontinuity, span{0, forever}), "the broker forgets nothing")
		}
	},
	clean: func(t *testing.T, o *outcome) {
		for _, node := range []string{"client-1", "client-2", "client-3"} {
			require.Len(t, o.of(node, model.Deliver, span{0, forever}), len(o.posts))
			require.Len(t, o.of(node, model.Connected, span{0, forever}), 1)
		}
	},
}

// resume: a client that was away for a while goes on where it was.
var resume = check{
	name:   "resume",
	change: func(p *plan) { p.away = span{3 * time.Second, 6500 * time.Millisecond} },
	judge: func(t *testing.T, o *outcome) {
		require.Empty(t, o.of("client-1", model.Connected, o.away))
		again := o.of("client-1", model.Connected, span{o.away.to, forever})
		require.NotEmpty(t, again)
		require.True(t, again[0].Resumed)
		require.Empty(t, o.of("client-1", model.Discontinuity, span{0, forever}))
		after := o.of("client-1", model.Deliver, span{o.away.to, forever})
		require.Equal(t, again[0].Seq+1, after[0].Seq)
	},
}

// discontinuity: a client that was away for longer than the log reaches back is told so, and goes on.
var discontinuity = check{
	name: "discontinuity",
	change: func(p *plan) {
		p.away, p.history = span{2500 * time.Millisecond, 8 * time.Second}, 8
	},
	judge: func(t *testing.T, o *outcome) {
		told := o.of("client-1", model.Discontinuity, span{o.away.to, forever})
		require.NotEmpty(t, told)
		require.Contains(t, told[0].Note, "trimmed")
		require.NotEmpty(t, o.of("client-1", model.Deliver, span{told[0].Time, forever}))
	},
	clean: func(t *testing.T, o *outcome) {
		told := o.of("client-1", model.Discontinuity, span{0, forever})
		require.Len(t, told, 1)
		require.Equal(t, told[0].Seq+1, o.of("client-1", model.Deliver, span{told[0].Time, forever})[0].Seq)
		for _, node := range []string{"client-2", "client-3"} {
			require.Empty(t, o.of(node, model.Discontinuity, span{0, forever}))
		}
	},
}

// cutAt is when the heartbeat check cuts client-1 off.
const cutAt = 8 * time.Second

// heartbeat: a client that is cut off without a word finds it, and so does its server, each within the
// time that the transport declares.
var heartbeat = check{
	name: "heartbeat",
	change: func(p *plan) {
		tr := traitsOf(p.transport)
		// Whatever is under way at the cut has arrived 100 ms later.
		p.look = cutAt + max(tr.finds, tr.forgets) + 100*time.Millisecond
		p.add(cutAt, netsim.NICDown("client-1"))
		p.add(p.look, netsim.NICUp("client-1"))
		p.length = p.look + 4*time.Second
	},
	judge: func(t *testing.T, o *outcome) {
		tr := traitsOf(o.transport)
		connected := len(o.of("client-1", model.Connected, span{0, cutAt})) > len(o.of("client-1", model.Disconnected, span{0, cutAt}))
		if connected {
			gone := o.of("client-1", model.Disconnected, span{cutAt, cutAt + tr.finds + 100*time.Millisecond})
			require.NotEmpty(t, gone)
			require.Contains(t, gone[0].Note, "silent peer")
		}
		require.Empty(t, o.of("client-1", model.Connected, span{cutAt + 100*time.Millisecond, o.look}))
		require.NotEmpty(t, o.of("client-1", model.Connected, span{o.look, forever}))
		if tr.forgets > 0 {
			require.LessOrEqual(t, o.held, clients-1, "what was held for the client is freed")
		}
	},
	clean: func(t *testing.T, o *outcome) {
		require.Len(t, o.of("client-1", model.Disconnected, span{0, o.length}), 1)
		for _, node := range []string{"client-2", "client-3"} {
			require.Len(t, o.of(node, model.Connected, span{0, forever}), 1)
		}
	},
}

// stopAt is when the draining check stops an edge.
const stopAt = 8 * time.Second

// draining: an edge that is told to go tells its clients, who go elsewhere, and is gone in time.
var draining = check{
	name: "drain",
	change: func(p *plan) {
		p.add(stopAt, sim.Stop("edge-1"))
		p.add(stopAt+2500*time.Millisecond, sim.Restart("edge-1"))
	},
	judge: func(t *testing.T, o *outcome) {
		all := o.drains["edge-1"]
		require.NotEmpty(t, all)
		last := all[len(all)-1]
		require.NoError(t, last.err)
		require.LessOrEqual(t, last.took, 3*writeTimeout)
	},
	clean: func(t *testing.T, o *outcome) {
		moved := 0
		for _, node := range []string{"client-1", "client-2", "client-3"} {
			gone := o.of(node, model.Disconnected, span{stopAt, o.length})
			for _, e := range gone {
				require.False(t, strings.HasPrefix(e.Note, hop1.ErrHoldCut.Error()), "nothing was cut short: %s", e.Note)
				if !strings.Contains(e.Note, "draining") {
					// Who asks anew finds the door closed until the balancer's checks have noticed.
					require.True(t, traitsOf(o.transport).requests, e.Note)
					require.Contains(t, e.Note, "connection refused")
				}
				require.Equal(t, "edge-1", e.Peer)
				back := o.of(node, model.Connected, span{e.Time, e.Time + time.Second + traitsOf(o.transport).opens})
				require.NotEmpty(t, back)
				require.Equal(t, "edge-2", back[0].Peer)
				moved++
			}
		}
		require.True(t, moved > 0 || traitsOf(o.transport).requests, "nobody was on the edge")
		require.Zero(t, o.steps(netsim.Undeliverable, func(string) bool { return true }))
	},
}

// slowConsumer: a client that takes nothing for a while holds nobody up, and what the server has for it
// does not pile up; when it takes again it lacks nothing.
var slowConsumer = check{
	name: "slow consumer",
	change: func(p *plan) {
		p.stalls, p.body = span{7500 * time.Millisecond, 10500 * time.Millisecond}, 4000
		p.quiet(span{8 * time.Second, forever})
		for at := 8 * time.Second; at < 8900*time.Millisecond; at += 30 * time.Millisecond {
			p.posts = append(p.posts, at) // more than the connection's buffers and the queue hold
		}
		p.look = p.stalls.to - 200*time.Millisecond
	},
	judge: func(t *testing.T, o *outcome) {
		require.LessOrEqual(t, o.held, clients-1, "what was held for the client is freed")
	},
	clean: func(t *testing.T, o *outcome) {
		stalled := o.of("client-1", model.Deliver, o.stalls)
		require.Len(t, stalled, 1, "the check does nothing unless the client stalls")
		gone := o.of("client-1", model.Disconnected, span{o.stalls.from, forever})
		if !traitsOf(o.transport).requests {
			require.NotEmpty(t, gone)
		}
		for _, node := range []string{"client-2", "client-3"} {
			require.Empty(t, o.of(node, model.Disconnected, span{0, o.length}), "a neighbour was disturbed")
			require.Greater(t, len(o.of(node, model.Deliver, o.stalls)), 30)
		}
		for _, e := range gone {
			require.False(t, strings.HasPrefix(e.Note, "protocol"), e.Note)
		}
	},
}
