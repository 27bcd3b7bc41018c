package conformance

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	piontransport "github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/sim/hop1"
)

// air is what the live peer connections go through, as others go through the door: sockets on loopback that
// can be made to lose everything.
type air struct {
	piontransport.Net

	mu      sync.Mutex
	frozen  bool // new sockets too
	sockets []*airSocket
}

// airSocket is a socket in the air. What pion does not use passes by.
type airSocket struct {
	piontransport.UDPConn
	frozen atomic.Bool
}

func newAir(t *testing.T) *air {
	machine, err := stdnet.NewNet()
	require.NoError(t, err)
	return &air{Net: machine}
}

// peering is how one end makes peer connections.
func (a *air) peering() *hop1.WebRTC {
	return &hop1.WebRTC{Net: a, Engine: func(e *webrtc.SettingEngine) {
		e.SetIncludeLoopbackCandidate(true)
		e.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil })
	}}
}

func (a *air) ListenUDP(network string, at *net.UDPAddr) (piontransport.UDPConn, error) {
	conn, err := a.Net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &airSocket{UDPConn: conn}
	s.frozen.Store(a.frozen)
	a.sockets = append(a.sockets, s)
	return s, nil
}

// freeze makes every present socket, and the new ones too if so told, lose what is sent and received, until
// thaw.
func (a *air) freeze(fresh bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frozen = fresh
	for _, s := range a.sockets {
		s.frozen.Store(true)
	}
}

func (a *air) thaw() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frozen = false
	for _, s := range a.sockets {
		s.frozen.Store(false)
	}
}

func (s *airSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.UDPConn.ReadFrom(b)
		if err != nil || !s.frozen.Load() {
			return n, from, err
		}
	}
}

func (s *airSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.frozen.Load() {
		return len(b), nil
	}
	return s.UDPConn.WriteTo(b, to)
}
