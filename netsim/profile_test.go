package netsim

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: round trips and rates are those that the profiles' comments state.
// Method: the median of 4001 round trips of small packets, far apart; the mean for UMTS, which states that.
func TestProfiles(t *testing.T) {
	const n = 4001
	for _, c := range []struct {
		name      string
		roundTrip time.Duration
		up, down  int64
	}{
		{"datacenter", 500 * us, 10e9, 10e9}, {"crossregion", 80 * ms, 1e9, 1e9}, {"cable", 28 * ms, 1e6, 5e6},
		{"lte", 70 * ms, 6e6, 13e6}, {"geo", 629 * ms, 2960e3, 18750e3}, {"leo", 44 * ms, 13540e3, 87250e3}, {"umts", 300 * ms, 768e3, 1600e3},
	} {
		p, err := ProfileNamed(c.name)
		require.NoError(t, err)
		require.Equal(t, c.up, p.Up.Rate)
		require.Equal(t, c.down, p.Down.Rate)
		var times []time.Duration
		sum := time.Duration(0)
		up, down := pipeOf(p.Up), &pipe{link: p.Down, luck: newPCG(1, "down")}
		for i := range n {
			now := time.Duration(i) * 10 * time.Minute
			there := up.carry(now, 64, false)
			if there.fate != fateArrives {
				continue
			}
			if back := down.carry(there.arrivals[0], 64, false); back.fate == fateArrives {
				times = append(times, back.arrivals[0]-now)
				sum += back.arrivals[0] - now
			}
		}
		slices.Sort(times)
		typical := times[len(times)/2]
		if c.name == "umts" {
			typical = sum / time.Duration(len(times))
		}
		require.InEpsilon(t, float64(c.roundTrip), float64(typical), 0.05, c.name)
	}
}

func TestAllProfiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "client", "server")
		for _, name := range ProfileNames() {
			p, err := ProfileNamed(name)
			require.NoError(t, err)
			require.NoError(t, n.SetProfile("client*", "server", p), name)
			require.True(t, p.Up == hosts[0].pipeTo(hosts[1]).link, name)
			require.True(t, p.Down == hosts[1].pipeTo(hosts[0]).link, name)
			for _, l := range []Link{p.Up, p.Down} {
				again, err := ParseLink(l.String())
				require.NoError(t, err)
				require.True(t, l == again, name)
			}
		}
		require.ErrorContains(t, n.SetProfile("client", "server", Profile{Down: Link{Loss: 2}}), "server -> client: link: Loss is 2")
		require.ErrorContains(t, n.SetProfile("client", "server", Profile{Up: Link{Loss: 2}}), "client -> server: link: Loss is 2")
	})
	_, err := ProfileNamed("5g")
	require.ErrorContains(t, err, `no profile is named "5g"; want cable, crossregion, datacenter, flakywifi, geo, leo, lte, umts`)
	require.InDelta(t, 0.03, FlakyWiFi().Up.Burst.MeanLoss(), 1e-9)
	require.Equal(t, 48_000, UMTS().Up.Queue)
}

// What a profile's links lose to the bottlenecks is only what makes them queue.
func TestProfileAccess(t *testing.T) {
	path, up, down := LTE().Access()
	require.Equal(t, Bottleneck{Rate: 6e6, Queue: 225_000}, up)
	require.Equal(t, Bottleneck{Rate: 13e6, Queue: 487_500}, down)
	require.NoError(t, path.Up.validate())
	whole := LTE()
	whole.Up.Rate, whole.Up.Queue, whole.Down.Rate, whole.Down.Queue = 0, 0, 0, 0
	require.True(t, whole == path)
}
