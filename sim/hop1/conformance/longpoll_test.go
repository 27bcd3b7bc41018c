package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim/hop1"
)

// Goal: long polling's callback gap: an update that follows another closely waits for the client's next
// request, so that it takes up to three one-way delays. What is pushed takes one.
// Method: two updates 10 ms apart, without jitter; all but the way to the client takes no time.
func TestCallbackGap(t *testing.T) {
	for _, c := range []struct {
		transport     string
		latency       time.Duration
		first, second time.Duration
	}{
		{"longpoll", 100 * time.Millisecond, 100 * time.Millisecond, 290 * time.Millisecond},
		{"longpoll", 50 * time.Millisecond, 50 * time.Millisecond, 140 * time.Millisecond}, // the round trip is 100 ms
		{"sse", 100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
		{"ws", 100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(c.transport+"/"+c.latency.String(), func(t *testing.T) {
			p := newPlan(c.transport)
			p.link, p.inside, p.near = netsim.Link{Latency: c.latency}, netsim.Link{}, true
			p.posts, p.length = []time.Duration{3 * time.Second, 3010 * time.Millisecond}, 4*time.Second
			o := carryOut(t, fixed(), p)
			require.True(t, o.res.Ok(), "%s", o.res.Banner(nil, replay(t, o)))
			happened := o.of("publisher", model.PublishCall, span{0, forever})
			for _, node := range []string{"client-1", "client-2", "client-3"} {
				got := o.of(node, model.Deliver, span{0, forever})
				require.Len(t, got, 2)
				for i, want := range []time.Duration{c.first, c.second} {
					require.InDelta(t, want.Seconds(), (got[i].Time - happened[i].Time).Seconds(), 0.001)
				}
			}
		})
	}
}

// Goal: a balancer that forgets connections sooner than the server answers shows as in production: the
// answer never comes. The client names the cause, and nothing is lost. With a shorter hold nothing of
// the kind happens. The warning knows in advance.
func TestHoldAndIdleTimeout(t *testing.T) {
	for _, c := range []struct {
		hold, idle time.Duration
		cut        bool
	}{
		{5 * time.Second, 2 * time.Second, true},
		{time.Second, 2 * time.Second, false},
		{5 * time.Second, 0, false},
	} {
		p := newPlan("longpoll")
		p.link, p.hold, p.idle = latency, c.hold, c.idle
		p.quiet(span{3 * time.Second, 9 * time.Second})
		o := carryOut(t, fixed(), p)
		require.True(t, o.res.Ok(), "%s", o.res.Banner(nil, replay(t, o)))
		gone := o.of("client-1", model.Disconnected, span{0, o.length})
		require.Equal(t, c.cut, len(gone) > 0)
		for _, e := range gone {
			require.True(t, strings.HasPrefix(e.Note, hop1.ErrHoldCut.Error()), e.Note)
		}
		require.Equal(t, c.cut, hop1.HoldWarning(c.hold, c.idle) != "")
	}
}
