package pionnet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/sim/hop1"
)

// inBubble runs a test with a network of its own. A goroutine that is left when it is over fails the test.
func inBubble(t *testing.T, test func(t *testing.T, n *netsim.Network)) {
	synctest.Test(t, func(t *testing.T) {
		n, err := netsim.New(netsim.Config{Seed: 1})
		require.NoError(t, err)
		test(t, n)
		for _, h := range n.Hosts() {
			h.CloseAll()
		}
		require.NoError(t, n.RunUntil(n.Now()+5*time.Minute))
	})
}

func newHost(t *testing.T, n *netsim.Network, name string) *netsim.Host {
	h, err := n.NewHost(name)
	require.NoError(t, err)
	return h
}

// wire carries signals between two ends without a network.
type wire struct{ out, in chan hop1.Signal }

func newWires() (a, b wire) {
	there, back := make(chan hop1.Signal, 100), make(chan hop1.Signal, 100)
	return wire{there, back}, wire{back, there}
}

func (w wire) Send(_ context.Context, s hop1.Signal) error {
	w.out <- s
	return nil
}

func (w wire) Receive(ctx context.Context) (hop1.Signal, error) {
	select {
	case s := <-w.in:
		return s, nil
	case <-ctx.Done():
		return hop1.Signal{}, ctx.Err()
	}
}

// meeting is two hosts that open a pair, and what came of it.
type meeting struct {
	servers []webrtc.ICEServer
	limit   time.Duration

	local, remote string // kinds of the selected addresses, as the one that offers sees them
	echo          string // what was said over the pair and came back
	open          time.Duration
	errs          [2]error
}

// run opens the pair, sends one message there and back, and closes it.
func (m *meeting) run(t *testing.T, n *netsim.Network, a, b *netsim.Host) {
	near, far := newWires()
	ctx, cancel := context.WithTimeout(t.Context(), m.limit)
	defer cancel()
	began := n.Now()
	var ends sync.WaitGroup
	for i, end := range []struct {
		host *netsim.Host
		wire wire
	}{{a, near}, {b, far}} {
		ends.Go(func() {
			rtc := &hop1.WebRTC{Net: pionnet.New(end.host), ICEServers: m.servers}
			pair, err := rtc.Open(ctx, end.wire, i == 0, hop1.ChannelConfig{Label: "talk"})
			if err != nil {
				m.errs[i] = err
				return
			}
			talk := pair.Channels[0]
			if i == 0 {
				m.open = n.Now() - began
				m.local, m.remote = pair.Selected()
				m.errs[i] = talk.Send(ctx, []byte("hello"), true)
			}
			if m.errs[i] == nil {
				m.errs[i] = m.answer(ctx, talk, i == 0)
			}
			m.errs[i] = errors.Join(m.errs[i], pair.Close())
		})
	}
	done := make(chan struct{})
	go func() { ends.Wait(); close(done) }()
	for {
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		select {
		case <-done:
			return
		default:
			require.Less(t, n.Now()-began, m.limit+time.Minute, "the ends do not come to an end")
		}
	}
}

// answer gives back what it hears, or notes it.
func (m *meeting) answer(ctx context.Context, talk *hop1.Channel, note bool) error {
	b, _, err := talk.Receive()
	if err != nil {
		return err
	}
	if note {
		m.echo = string(b)
		return nil
	}
	if err := talk.Send(ctx, append([]byte("echo of "), b...), true); err != nil {
		return err
	}
	if _, _, err := talk.Receive(); err == nil {
		return errors.New("more than one message")
	}
	return nil // the other end has closed
}

// internet makes the STUN and TURN servers, and links of 20 ms to everyone.
func internet(t *testing.T, n *netsim.Network, relays bool) []webrtc.ICEServer {
	require.NoError(t, n.SetLink("*", "*", netsim.Link{Latency: 20 * time.Millisecond}))
	servers := []webrtc.ICEServer{{URLs: []string{"stun:stun:3478"}}}
	serve(t, newHost(t, n, "stun"), hop1.TURN{})
	if relays {
		h := newHost(t, n, "turn")
		serve(t, h, hop1.TURN{Relay: h.Addr(), User: "u", Password: "p", Realm: "test", Net: pionnet.New(h)})
		servers = append(servers, webrtc.ICEServer{URLs: []string{"turn:turn:3478"}, Username: "u", Credential: "p"})
	}
	return servers
}

func serve(t *testing.T, h *netsim.Host, cfg hop1.TURN) {
	conn, err := pionnet.New(h).ListenPacket("udp4", ":3478")
	require.NoError(t, err)
	go func() { _ = hop1.ServeTURN(t.Context(), conn, nil, cfg) }() // until the test ends
}

// kinds of access that a host can have.
var accesses = []string{"public", "full-cone", "restricted-cone", "port-restricted-cone", "symmetric"}

// behind puts a host behind a NAT of its own, unless it is public.
func behind(t *testing.T, n *netsim.Network, name, access string) {
	if access == "public" {
		return
	}
	kind, err := netsim.ParseNATType(access)
	require.NoError(t, err)
	_, err = newHost(t, n, "nat-"+name).NAT(netsim.NATConfig{Type: kind, Inside: name})
	require.NoError(t, err)
}

// punches says whether hosts behind these can reach each other without a relay: not if one of them is given a
// new mapping for each destination, and the other lets in only the very port that it has sent to, which it
// cannot know (RFC 5128 §3.3; Ford et al. 2005).
func punches(a, b string) bool {
	strict := func(s string) bool { return s == "port-restricted-cone" || s == "symmetric" }
	return !(a == "symmetric" && strict(b) || b == "symmetric" && strict(a))
}

// Goal: peers reach each other directly where their NATs allow it, and by the relay where not; without a
// relay they say so.
// Method: every access against every other, both ways round (one way with -short).
func TestNATs(t *testing.T) {
	for i, a := range accesses {
		for j, b := range accesses {
			if testing.Short() && j < i {
				continue
			}
			for _, relays := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/relay=%v", a, b, relays), func(t *testing.T) {
					inBubble(t, func(t *testing.T, n *netsim.Network) {
						m := meeting{servers: internet(t, n, relays), limit: 15 * time.Second}
						one, two := newHost(t, n, "a"), newHost(t, n, "b")
						behind(t, n, "a", a)
						behind(t, n, "b", b)
						m.run(t, n, one, two)
						m.check(t, punches(a, b), relays)
					})
				})
			}
		}
	}
}

// check compares what came of it with what must.
func (m *meeting) check(t *testing.T, direct, relays bool) {
	t.Helper()
	if !direct && !relays {
		for _, err := range m.errs {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "ICE is ")
			require.ErrorContains(t, err, "this end offered host, srflx, the other host, srflx")
		}
		return
	}
	require.NoError(t, errors.Join(m.errs[:]...))
	require.Equal(t, "echo of hello", m.echo)
	usesRelay := m.local == "relay" || m.remote == "relay"
	require.Equal(t, !direct, usesRelay, "%s → %s", m.local, m.remote)
	require.Less(t, m.open, 10*time.Second)
}

// Goal: what holds of one NAT holds of a carrier-grade NAT above it; two homes behind one carrier reach each
// other directly only if it sends back what is for itself (RFC 4787 REQ-9).
func TestCarrierGradeNAT(t *testing.T) {
	cases := []struct {
		name            string
		home, carrier   netsim.NATType
		shared, hairpin bool
		direct          bool
	}{
		{"cone under cone", netsim.PortRestrictedCone, netsim.RestrictedCone, false, false, true},
		{"cone under symmetric", netsim.PortRestrictedCone, netsim.Symmetric, false, false, false},
		{"symmetric under cone", netsim.Symmetric, netsim.FullCone, false, false, false},
		{"one carrier", netsim.PortRestrictedCone, netsim.PortRestrictedCone, true, false, false},
		{"one carrier that hairpins", netsim.PortRestrictedCone, netsim.PortRestrictedCone, true, true, true},
	}
	for _, c := range cases {
		for _, relays := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/relay=%v", c.name, relays), func(t *testing.T) {
				inBubble(t, func(t *testing.T, n *netsim.Network) {
					m := meeting{servers: internet(t, n, relays), limit: 15 * time.Second}
					one, two := newHost(t, n, "a"), newHost(t, n, "b")
					for _, name := range []string{"a", "b"} {
						_, err := newHost(t, n, "home-"+name).NAT(netsim.NATConfig{Type: c.home, Inside: name})
						require.NoError(t, err)
					}
					if c.shared {
						_, err := newHost(t, n, "carrier").NAT(netsim.NATConfig{Type: c.carrier, Inside: "home-a|home-b", Hairpin: c.hairpin})
						require.NoError(t, err)
					} else {
						for _, name := range []string{"a", "b"} {
							_, err := newHost(t, n, "carrier-"+name).NAT(netsim.NATConfig{Type: c.carrier, Inside: "home-" + name})
							require.NoError(t, err)
						}
					}
					m.run(t, n, one, two)
					m.check(t, c.direct, relays)
				})
			})
		}
	}
}
