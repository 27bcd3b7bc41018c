package netsim

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// UDPConn is a UDP socket, a [net.PacketConn], and a [net.Conn] if it was dialled. Datagrams get lost,
// overtake each other and are duplicated as the links have it.
type UDPConn struct {
	host   *Host
	local  endpoint
	remote endpoint // of a dialled socket; else zero

	// Guarded by host.net.mu.
	queue    []datagram
	queued   int // bytes in queue
	closed   bool
	err      error // to be reported by the next call: an ICMP message said so
	touched  bool
	readSide side
	sent     []outgoing
}

type datagram struct {
	from endpoint
	data []byte
}

type outgoing struct {
	to   endpoint
	data []byte
}

// udpBuffer is how many bytes of datagrams wait for their reader, with udpOverhead for each; what
// comes beyond is dropped (Linux's net.core.rmem_default).
const (
	udpBuffer   = 212992
	udpOverhead = 256
)

// maxDatagram is the largest payload of a UDP datagram over IPv4 (65,535 less both headers).
const maxDatagram = 65507

// ListenPacket opens a UDP socket, as [net.ListenPacket] does. The network is "udp" or "udp4"; port 0
// picks a free one.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	c, err := h.openUDP(network, address, endpoint{})
	if err != nil {
		return nil, err // not a nil *UDPConn
	}
	return c, nil
}

var _ net.Conn = (*UDPConn)(nil)

func (h *Host) openUDP(network, address string, remote endpoint) (*UDPConn, error) {
	fail := func(err error) (*UDPConn, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	if network != "udp" && network != "udp4" {
		return fail(net.UnknownNetworkError(network))
	}
	port, err := h.localPort(address)
	if err != nil {
		return fail(err)
	}
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if !h.up {
		return fail(ErrHostDown)
	}
	for first := firstEphemeralPort; port == 0; first++ {
		if first > lastEphemeralPort {
			return fail(syscallError("bind", syscall.EADDRINUSE))
		}
		if h.sockets[uint16(first)] == nil {
			port = uint16(first)
		}
	}
	if h.sockets[port] != nil {
		return fail(syscallError("bind", syscall.EADDRINUSE))
	}
	c := &UDPConn{host: h, local: endpoint{h.ip, port}, remote: remote}
	c.readSide.cond.L = &n.mu
	h.sockets[port] = c
	return c, nil
}

// ReadFrom receives one datagram. What does not fit into p is lost.
func (c *UDPConn) ReadFrom(p []byte) (int, net.Addr, error) {
	m, from, err := c.ReadFromUDPAddrPort(p)
	if err != nil {
		return 0, nil, err
	}
	return m, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort is ReadFrom without the allocation of an address.
func (c *UDPConn) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, netip.AddrPort{}, c.opError("read", net.ErrClosed)
		case c.readSide.pastDeadline(n):
			return 0, netip.AddrPort{}, c.opError("read", os.ErrDeadlineExceeded)
		case c.err != nil:
			err := c.err
			c.err = nil
			return 0, netip.AddrPort{}, c.opError("read", err)
		case len(c.queue) > 0:
			d := c.queue[0]
			c.queue[0] = datagram{}
			c.queue = c.queue[1:]
			c.queued -= len(d.data) + udpOverhead
			return copy(p, d.data), d.from.addrPort(), nil
		}
		if c.readSide.needsPlan() {
			c.touch()
		}
		c.readSide.wait()
	}
}

// Read receives one datagram from the address that the socket was dialled to.
func (c *UDPConn) Read(p []byte) (int, error) {
	m, _, err := c.ReadFromUDPAddrPort(p)
	return m, err
}

// WriteTo sends one datagram. It never blocks.
func (c *UDPConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", &net.AddrError{Err: "not a *net.UDPAddr", Addr: addr.String()})
	}
	return c.WriteToUDPAddrPort(p, to.AddrPort())
}

// WriteToUDPAddrPort is WriteTo without the allocation of an address.
func (c *UDPConn) WriteToUDPAddrPort(p []byte, addr netip.AddrPort) (int, error) {
	if !addr.Addr().Unmap().Is4() {
		return 0, c.opError("write", &net.AddrError{Err: "only IPv4 addresses exist on this network", Addr: addr.String()})
	}
	if c.remote != (endpoint{}) {
		return 0, c.opError("write", net.ErrWriteToConnected)
	}
	return c.write(p, endpoint{ipOf(addr.Addr().Unmap()), addr.Port()})
}

// Write sends one datagram to the address that the socket was dialled to.
func (c *UDPConn) Write(p []byte) (int, error) {
	if c.remote == (endpoint{}) {
		return 0, c.opError("write", syscall.EDESTADDRREQ)
	}
	return c.write(p, c.remote)
}

func (c *UDPConn) write(p []byte, to endpoint) (int, error) {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case c.closed:
		return 0, c.opError("write", net.ErrClosed)
	case len(p) > maxDatagram:
		return 0, c.opError("write", syscall.EMSGSIZE)
	}
	c.sent = append(c.sent, outgoing{to, append([]byte(nil), p...)})
	c.touch()
	return len(p), nil
}

// touch asks the loop to look at the socket in this instant.
func (c *UDPConn) touch() {
	if !c.touched {
		c.touched = true
		c.host.net.submit(action{key: keyFor(c.host, actionUDP, uint64(c.local.port)), udp: c})
	}
}

// flush is the loop's: it sends what was written, and plans the deadline.
func (c *UDPConn) flush() {
	n := c.host.net
	c.touched = false
	for i, o := range c.sent {
		n.send(c.host, nil, n.newPacket(c.local, o.to, protoUDP, o.data))
		c.sent[i] = outgoing{}
	}
	c.sent = c.sent[:0]
	c.readSide.plan(n, event{kind: eventUDPDeadline, udp: c})
}

// input is the loop's: a datagram has arrived.
func (c *UDPConn) input(p *packet) {
	if c.remote != (endpoint{}) && c.remote != p.src || c.queued+len(p.payload)+udpOverhead > udpBuffer {
		return
	}
	c.queue = append(c.queue, datagram{p.src, append([]byte(nil), p.payload...)})
	c.queued += len(p.payload) + udpOverhead
	c.wake()
}

// unreachable is the loop's: nobody listens at the other end.
func (c *UDPConn) unreachable() {
	if c.remote != (endpoint{}) { // only connected sockets are told (udp(7))
		c.err = syscallError("read", syscall.ECONNREFUSED)
		c.wake()
	}
}

func (c *UDPConn) wake() {
	if c.readSide.waiting > 0 {
		c.readSide.wake(c.host.net)
	}
}

// Close closes the socket.
func (c *UDPConn) Close() error {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.close()
	return nil
}

func (c *UDPConn) close() {
	c.closed = true
	if c.host.sockets[c.local.port] == c {
		delete(c.host.sockets, c.local.port)
	}
	c.queue = nil
	c.readSide.cond.Broadcast()
}

// LocalAddr is the socket's own address, a *net.UDPAddr.
func (c *UDPConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local.addrPort()) }

// RemoteAddr is the address that the socket was dialled to; nil if it was not.
func (c *UDPConn) RemoteAddr() net.Addr {
	if c.remote == (endpoint{}) {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote.addrPort())
}

// SetDeadline sets the read deadline; writes never wait.
func (c *UDPConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline sets when reads fail with [os.ErrDeadlineExceeded]; the zero time means never.
func (c *UDPConn) SetReadDeadline(t time.Time) error {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.readSide.set(n, t)
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *UDPConn) SetWriteDeadline(time.Time) error {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	return nil
}

func (c *UDPConn) opError(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = syscallError(op, errno)
	}
	e := &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
	if c.remote != (endpoint{}) {
		e.Addr = c.RemoteAddr()
	}
	return e
}
