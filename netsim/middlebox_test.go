package netsim

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// udpSocket is a UDP socket that notes what it receives.
type udpSocket struct {
	*UDPConn
	got  []string
	from []netip.AddrPort
}

func listenUDP(t *testing.T, h *Host, port int) *udpSocket {
	c, err := h.ListenPacket("udp", fmt.Sprintf(":%d", port))
	require.NoError(t, err)
	s := &udpSocket{UDPConn: c.(*UDPConn)}
	go func() {
		buf := make([]byte, 1500)
		for {
			m, from, err := s.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.got = append(s.got, string(buf[:m]))
			s.from = append(s.from, from)
		}
	}()
	return s
}

// tell sends a datagram, and lets it arrive.
func (s *udpSocket) tell(t *testing.T, to netip.AddrPort, text string) {
	t.Helper()
	_, err := s.WriteToUDPAddrPort([]byte(text), to)
	require.NoError(t, err)
	require.NoError(t, s.host.net.RunUntil(s.host.net.Now()+time.Second))
}

func (s *udpSocket) addr() netip.AddrPort { return s.local.addrPort() }

// Goal: each type of NAT maps and filters as its definition says (RFC 3489 §5).
func TestNATTypes(t *testing.T) {
	for _, c := range []struct {
		natType                         NATType
		otherHost, otherPort, sameThere bool // who else gets in; whether two destinations see one mapping
	}{
		{FullCone, true, true, true},
		{RestrictedCone, false, true, true},
		{PortRestrictedCone, false, false, true},
		{Symmetric, false, false, false},
	} {
		t.Run(c.natType.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(Config{})
				require.NoError(t, err)
				hosts := newHosts(t, n, "nat", "phone", "s1", "s2")
				_, err = hosts[0].NAT(NATConfig{Type: c.natType, Inside: "phone"})
				require.NoError(t, err)
				phone := listenUDP(t, hosts[1], 5000)
				s1, s1other, s2 := listenUDP(t, hosts[2], 1), listenUDP(t, hosts[2], 2), listenUDP(t, hosts[3], 1)

				s1.tell(t, phone.addr(), "private addresses cannot be reached")
				require.Empty(t, phone.got)

				phone.tell(t, s1.addr(), "hello")
				require.Equal(t, []string{"hello"}, s1.got)
				mapped := s1.from[0]
				require.Equal(t, hosts[0].Addr(), mapped.Addr(), "seen from outside it is the NAT")
				s1.tell(t, mapped, "answer")
				require.Equal(t, []string{"answer"}, phone.got)
				require.Equal(t, s1.addr(), phone.from[0])

				got := func(s *udpSocket) bool {
					before := len(phone.got)
					s.tell(t, mapped, "knock")
					return len(phone.got) > before
				}
				require.Equal(t, c.otherPort, got(s1other))
				require.Equal(t, c.otherHost, got(s2))
				phone.tell(t, s2.addr(), "hello")
				require.Equal(t, c.sameThere, s2.from[0] == mapped)
				finish(t, n)
			})
		})
	}
}

// Goal: two hosts behind cone NATs reach each other by hole punching; behind symmetric ones they don't.
func TestHolePunching(t *testing.T) {
	for natType, works := range map[NATType]bool{PortRestrictedCone: true, Symmetric: false} {
		t.Run(natType.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(Config{})
				require.NoError(t, err)
				hosts := newHosts(t, n, "nat-a", "nat-b", "a", "b", "stun")
				for i, inside := range []string{"a", "b"} {
					_, err = hosts[i].NAT(NATConfig{Type: natType, Inside: inside})
					require.NoError(t, err)
				}
				a, b, stun := listenUDP(t, hosts[2], 5000), listenUDP(t, hosts[3], 5000), listenUDP(t, hosts[4], 3478)
				a.tell(t, stun.addr(), "who am I?")
				b.tell(t, stun.addr(), "who am I?")
				seenA, seenB := stun.from[0], stun.from[1]
				a.tell(t, seenB, "punch")
				b.tell(t, seenA, "punch")
				a.tell(t, seenB, "hello")
				require.Equal(t, works, len(b.got) > 0)
				require.Equal(t, works, len(a.got) > 0)
				finish(t, n)
			})
		})
	}
}

// Goal: NATs stack, as behind a carrier's; hairpinning is a choice; mappings run out.
func TestNATStackHairpinTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "carrier", "home", "a", "b", "s")
		_, err = hosts[1].NAT(NATConfig{Inside: "a|b", Hairpin: true})
		require.NoError(t, err)
		carrier, err := hosts[0].NAT(NATConfig{Inside: "home", UDPTimeout: time.Minute})
		require.NoError(t, err)
		_, err = hosts[0].NAT(NATConfig{Inside: "s"})
		require.ErrorContains(t, err, "is a balancer, NAT or firewall already")
		_, err = hosts[2].NAT(NATConfig{Inside: "carrier"})
		require.ErrorContains(t, err, "carrier cannot be behind a")
		_, err = hosts[4].NAT(NATConfig{Inside: "a"})
		require.ErrorContains(t, err, "a is behind home already")

		a, b, s := listenUDP(t, hosts[2], 5000), listenUDP(t, hosts[3], 5000), listenUDP(t, hosts[4], 1)
		a.tell(t, s.addr(), "hello")
		require.Equal(t, hosts[0].Addr(), s.from[0].Addr())
		s.tell(t, s.from[0], "answer")
		require.Equal(t, []string{"answer"}, a.got)
		require.Equal(t, 1, carrier.Mappings())

		b.tell(t, s.addr(), "hello")
		a.tell(t, netip.AddrPortFrom(hosts[1].Addr(), firstFlowPort+1), "by the home's own address")
		require.Equal(t, []string{"by the home's own address"}, b.got)
		require.Equal(t, hosts[1].Addr(), b.from[0].Addr())
		a.tell(t, b.addr(), "directly")
		require.Len(t, b.got, 2)

		require.NoError(t, n.RunUntil(n.Now()+2*time.Minute))
		s.tell(t, s.from[0], "too late")
		require.Len(t, a.got, 1)
		finish(t, n)
	})
}

// Goal: TCP works through a NAT, and through a firewall; both silently forget connections that are
// silent for too long, which nobody notices before he writes.
func TestIdleTimeoutIsSilent(t *testing.T) {
	boxes := map[string]func(h *Host) error{
		"nat": func(h *Host) error {
			_, err := h.NAT(NATConfig{Inside: "client", TCPTimeout: time.Minute})
			return err
		},
		"firewall": func(h *Host) error {
			_, err := h.Firewall(FirewallConfig{Inside: "client", IdleTimeout: time.Minute})
			return err
		},
	}
	for name, box := range boxes {
		t.Run(name, func(t *testing.T) {
			fidelities(t, func(t *testing.T, n *Network) {
				hosts := newHosts(t, n, "box", "client", "server")
				require.NoError(t, box(hosts[0]))
				client, server := connect(t, n, hosts[1], hosts[2], "server:80")
				exchange(t, n, client, server)
				exchange(t, n, server, client)

				require.NoError(t, n.RunUntil(n.Now()+2*time.Minute))
				_, err := server.Write([]byte("anyone there?"))
				require.NoError(t, err)
				read := false
				go func() {
					if _, err := client.Read(make([]byte, 1)); err == nil {
						read = true
					}
				}()
				require.NoError(t, n.RunUntil(n.Now()+30*time.Second))
				require.False(t, read)
				require.NoError(t, server.proto.Err(), "nobody has told the server")

				_, err = hosts[1].Listen("tcp", ":80")
				require.NoError(t, err)
				eventually(t, n, time.Minute, func() {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					_, err := hosts[2].DialContext(ctx, "tcp", "client:80")
					require.Error(t, err, "nobody gets in from outside")
				})
				finish(t, n)
			})
		})
	}
}

// Goal: a balancer's algorithms choose as they say, and draining leaves open connections alone.
func TestBalancerAlgorithms(t *testing.T) {
	for _, algorithm := range []BalancerAlgorithm{LeastConnections, RoundRobin, SourceHash} {
		t.Run(algorithm.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(Config{})
				require.NoError(t, err)
				hosts := newHosts(t, n, "lb", "s1", "s2", "s3", "client")
				served := map[string]int{}
				for _, h := range hosts[1:4] {
					l, err := h.Listen("tcp", ":80")
					require.NoError(t, err)
					go func() {
						for {
							c, err := l.Accept()
							if err != nil {
								return
							}
							served[h.name]++
							go func() { _, _ = io.Copy(c, c) }()
						}
					}()
				}
				b, err := hosts[0].Balance(BalancerConfig{Backends: []string{"s1:80", "s2:80", "s3:80"}, Algorithm: algorithm})
				require.NoError(t, err)
				dial := func(count int) {
					eventually(t, n, time.Minute, func() {
						for range count {
							_, err := hosts[4].Dial("tcp", "lb:80")
							require.NoError(t, err)
						}
					})
					require.NoError(t, n.RunUntil(n.Now()+time.Second)) // for the last to be accepted
				}
				dial(30)
				if algorithm == SourceHash {
					require.Len(t, served, 1, "one client, one backend")
				} else {
					require.Equal(t, map[string]int{"s1": 10, "s2": 10, "s3": 10}, served)
				}
				for name := range served {
					require.NoError(t, b.Drain(name))
					before := served[name]
					open := b.Open(name)
					dial(6)
					require.Equal(t, before, served[name])
					require.Equal(t, open, b.Open(name), "open connections stay")
					require.NoError(t, b.Undrain(name))
				}
				require.ErrorContains(t, b.Drain("s9"), `no backend is on a host named "s9"; they are on ["s1" "s2" "s3"]`)
				finish(t, n)
			})
		})
	}
}

// Goal: a balancer that crashes loses its table, and resets what it does not know, unless it keeps it.
func TestBalancerTable(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			fidelities(t, func(t *testing.T, n *Network) {
				hosts := newHosts(t, n, "lb", "server", "client")
				_, err := hosts[0].Balance(BalancerConfig{Backends: []string{"server:80"}, KeepTable: keep})
				require.NoError(t, err)
				client, server := connect(t, n, hosts[2], hosts[1], "lb:80")
				exchange(t, n, client, server)
				hosts[0].Crash()
				hosts[0].Boot()
				_, err = client.Write([]byte("x"))
				require.NoError(t, err)
				eventually(t, n, time.Minute, func() {
					if keep {
						_, err := server.Read(make([]byte, 1))
						require.NoError(t, err)
						return
					}
					_, err := client.Read(make([]byte, 1))
					require.ErrorContains(t, err, "connection reset by peer")
				})
				finish(t, n)
			})
		})
	}
}
