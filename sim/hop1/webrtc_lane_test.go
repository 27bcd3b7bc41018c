package hop1

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	piontransport "github.com/pion/transport/v5"
	"github.com/pion/transport/v5/deadline"
)

// packets is a network of datagrams in memory: each host of a test has an address of its own, and what is sent
// arrives after packetLatency, unless the network is cut.
type packets struct {
	mu      sync.Mutex
	hosts   byte
	ports   uint16
	sockets map[netip.AddrPort]*packetConn
	cut     map[netip.AddrPort]bool // sockets whose datagrams are swallowed, both ways
}

var (
	packetsMu  sync.Mutex
	packetNets = map[*testing.T]*packets{}
)

// packetsOf gives the network of a test, which tests with one bubble each may not share.
func packetsOf(t *testing.T) *packets {
	packetsMu.Lock()
	defer packetsMu.Unlock()
	p := packetNets[t]
	if p == nil {
		p = &packets{sockets: map[netip.AddrPort]*packetConn{}, cut: map[netip.AddrPort]bool{}}
		packetNets[t] = p
		t.Cleanup(func() {
			packetsMu.Lock()
			defer packetsMu.Unlock()
			delete(packetNets, t)
		})
	}
	return p
}

// webrtcOn is how a new host of a test makes peer connections.
func webrtcOn(t *testing.T) *WebRTC {
	p := packetsOf(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts++
	return &WebRTC{Net: &packetNet{of: p, ip: netip.AddrFrom4([4]byte{10, 0, 0, p.hosts})}}
}

// cutOff makes the network swallow what the present sockets send and would receive. Later ones work.
func (p *packets) cutOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := range p.sockets {
		p.cut[at] = true
	}
}

// restore makes all sockets work.
func (p *packets) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.cut)
}

// packetNet is the network as a host sees it. What pion does not use is not there.
type packetNet struct {
	piontransport.Net
	of *packets
	ip netip.Addr
}

func (n *packetNet) Interfaces() ([]*piontransport.Interface, error) {
	i := piontransport.NewInterface(net.Interface{Index: 1, MTU: 1500, Name: "eth0", Flags: net.FlagUp})
	i.AddAddress(&net.IPNet{IP: n.ip.AsSlice(), Mask: net.CIDRMask(8, 32)})
	return []*piontransport.Interface{i}, nil
}

func (n *packetNet) ListenUDP(string, *net.UDPAddr) (piontransport.UDPConn, error) {
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.of.ports++
	c := &packetConn{
		of: n.of, at: netip.AddrPortFrom(n.ip, 1024+n.of.ports),
		in: make(chan datagram, 256), done: make(chan struct{}), deadline: deadline.New(),
	}
	n.of.sockets[c.at] = c
	return c, nil
}

// packetLatency is not zero, since pion's retransmission timers spin if a round trip takes no time at all.
const packetLatency = 20 * time.Microsecond

type datagram struct {
	due  time.Time
	from netip.AddrPort
	data []byte
}

// packetConn is a socket.
type packetConn struct {
	piontransport.UDPConn
	of       *packets
	at       netip.AddrPort
	in       chan datagram
	done     chan struct{}
	deadline *deadline.Deadline
}

func (c *packetConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.at) }

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-c.in:
		if wait := time.Until(d.due); wait > 0 {
			time.Sleep(wait)
		}
		return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-c.deadline.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errors.New("not a UDP address")
	}
	at := netip.AddrPortFrom(u.AddrPort().Addr().Unmap(), uint16(u.Port))
	peer := c.of.sockets[at]
	if peer == nil || c.of.cut[c.at] || c.of.cut[at] {
		return len(b), nil
	}
	select {
	case peer.in <- datagram{time.Now().Add(packetLatency), c.at, append([]byte(nil), b...)}:
	default: // its buffer is full
	}
	return len(b), nil
}

func (c *packetConn) SetReadDeadline(t time.Time) error { c.deadline.Set(t); return nil }
func (c *packetConn) SetDeadline(t time.Time) error     { c.deadline.Set(t); return nil }
func (c *packetConn) SetWriteDeadline(time.Time) error  { return nil }
func (c *packetConn) SetReadBuffer(int) error           { return nil }
func (c *packetConn) SetWriteBuffer(int) error          { return nil }

func (c *packetConn) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.of.sockets[c.at] != c {
		return net.ErrClosed
	}
	delete(c.of.sockets, c.at)
	close(c.done)
	return nil
}
