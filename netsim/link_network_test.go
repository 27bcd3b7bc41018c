package netsim

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// watched is a network whose events of one kind are recorded.
func watched(t *testing.T, kind Kind, names ...string) (*Network, []*Host, *[]Event) {
	var events []Event
	n, err := New(Config{Seed: 1, Observe: func(e Event) {
		if e.Kind == kind {
			events = append(events, e)
		}
	}})
	require.NoError(t, err)
	return n, newHosts(t, n, names...), &events
}

// sendAt has a host send datagrams, one of each size, at a time.
func (h *Host) sendAt(t *testing.T, at time.Duration, to string, sizes ...int) {
	c, err := h.Dial("udp", to+":9")
	require.NoError(t, err)
	go func() {
		time.Sleep(at - h.net.Now())
		for _, size := range sizes {
			_, _ = c.Write(make([]byte, size))
		}
	}()
}

// Goal: what a server sends to many queues on its own uplink, and what many send to one on its downlink.
// Method: datagrams of 1000 bytes (with headers) at 8 Mbit/s, 1 ms each.
func TestAccessBottlenecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, hosts, arrived := watched(t, Arrived, "server", "a", "b", "c")
		require.NoError(t, n.SetLink("*", "*", Link{Latency: 10 * ms}))
		require.NoError(t, n.SetUplink("server", Bottleneck{Rate: 8e6}))
		for _, to := range []string{"a", "b", "c"} {
			_, err := n.Host(to).ListenPacket("udp", ":9")
			require.NoError(t, err)
			hosts[0].sendAt(t, 100*ms, to, 972)
		}
		require.NoError(t, n.RunUntil(time.Second))
		require.Len(t, *arrived, 3)
		for i, e := range *arrived {
			require.Equal(t, time.Duration(111+i)*ms, e.Time.Truncate(ms))
		}

		// The far one sends first and arrives last; the downlink serves them in order of arrival.
		*arrived = nil
		require.NoError(t, n.SetUplink("server", Bottleneck{}))
		require.NoError(t, n.SetDownlink("server", Bottleneck{Rate: 8e6, QueuePackets: 1}))
		require.NoError(t, n.SetLink("a", "server", Link{Latency: 50 * ms}))
		_, err := hosts[0].ListenPacket("udp", ":9")
		require.NoError(t, err)
		hosts[1].sendAt(t, 1100*ms, "server", 972, 972, 972)
		hosts[2].sendAt(t, 1139*ms+500*us, "server", 972)
		require.NoError(t, n.RunUntil(2*time.Second))
		var order []string
		for _, e := range *arrived {
			order = append(order, fmt.Sprintf("%s %v", n.HostName(e.Peer), e.Time.Round(100*us)))
		}
		require.Equal(t, []string{"b 1.1505s", "a 1.1515s"}, order, "two of a's three find the queue full")
		for _, h := range hosts {
			h.CloseAll()
		}
	})
}

// Goal: a datagram larger than the MTU is dropped and seen to be; the others arrive twice.
func TestTooBigAndDuplicated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for kind, want := range map[Kind]int{TooBig: 1, Arrived: 4} {
			n, hosts, events := watched(t, kind, "a", "b")
			require.NoError(t, n.SetLink("a", "b", Link{Latency: ms, MTU: 576, Duplicate: 1}))
			_, err := hosts[1].ListenPacket("udp", ":9")
			require.NoError(t, err)
			hosts[0].sendAt(t, 10*ms, "b", 548, 549, 1)
			require.NoError(t, n.RunUntil(time.Second))
			require.Len(t, *events, want, kind)
			for _, h := range hosts {
				h.CloseAll()
			}
			require.NoError(t, n.RunUntil(2*time.Second))
		}
	})
}

// Goal: TCP gets through all that a link can do to it, at both fidelities.
func TestTCPOverHarshLinks(t *testing.T) {
	for _, name := range append(ProfileNames(), "everything") {
		fidelities(t, func(t *testing.T, n *Network) {
			hosts := newHosts(t, n, "server", "client")
			p, err := ProfileNamed(name)
			if name == "everything" {
				p, err = Profile{Up: everything(Pareto(ms, 2)), Down: everything(Normal(5 * ms))}, nil
			}
			require.NoError(t, err)
			path, up, down := p.Access()
			require.NoError(t, n.SetProfile("client", "server", path))
			require.NoError(t, n.SetUplink("client", up))
			require.NoError(t, n.SetDownlink("client", down))
			l, err := hosts[0].Listen("tcp", ":80")
			require.NoError(t, err)
			go func() {
				_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = w.Write(make([]byte, 300_000))
				}))
			}()
			var got int
			var took time.Duration
			go func() {
				start := time.Now()
				resp, err := hosts[1].HTTPClient().Get("http://server/")
				if err != nil {
					return
				}
				body, _ := io.ReadAll(resp.Body)
				got, took = len(body), time.Since(start)
				_ = resp.Body.Close()
			}()
			require.NoError(t, n.RunUntil(10*time.Minute))
			require.Equal(t, 300_000, got, name)
			require.Greater(t, took, transmitTime(300_000, max(down.Rate, 1e6)), name)
			finish(t, n)
		})
	}
}
