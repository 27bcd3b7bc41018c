package netsim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Host is a machine on the network: one address, one network interface, one TCP. Its Listen and Dial
// are those of package net, and any goroutine of the bubble may call them.
type Host struct {
	net   *Network
	name  string
	index int32
	ip    uint32

	// The loop's.
	up         bool
	pipes      map[int32]*pipe // by the other host's index
	conns      map[connKey]*Conn
	nextPort   uint16
	luck       *rand.PCG          // for initial sequence numbers
	box        middlebox          // what the host does with packets that are not for itself; nil for most
	probes     map[connKey]*probe // of a balancer's health checks
	gateway    *Host              // through which it reaches others; nil if directly
	resolver   resolver
	uplink     accessPoint
	downlink   accessPoint
	least      time.Duration // see leastLatency
	leastEpoch uint64
	listeners  map[uint16]*Listener
	sockets    map[uint16]*UDPConn // of UDP
	pauses     []*pause            // the first holds what is held back; none unless the host is paused
	counters   Counters
}

// connKey identifies a connection on its host: the remote address and port, and the local port.
type connKey uint64

func keyOf(remote endpoint, localPort uint16) connKey {
	return connKey(remote.ip)<<32 | connKey(remote.port)<<16 | connKey(localPort)
}

// The range of ports that a dialling host takes its own from (Linux's ip_local_port_range).
const (
	firstEphemeralPort = 32768
	lastEphemeralPort  = 60999
)

func newHost(n *Network, name string, index int32, ip uint32) *Host {
	return &Host{
		net: n, name: name, index: index, ip: ip, up: true,
		pipes:     make(map[int32]*pipe),
		conns:     make(map[connKey]*Conn),
		nextPort:  firstEphemeralPort,
		luck:      newPCG(n.cfg.Seed, "iss "+name),
		listeners: make(map[uint16]*Listener),
		sockets:   make(map[uint16]*UDPConn),
	}
}

// Name is the host's name, which the other hosts can dial.
func (h *Host) Name() string { return h.name }

// Index is the host's index in [Network.Hosts].
func (h *Host) Index() int32 { return h.index }

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return addrOf(h.ip) }

// Network is the network that the host is on.
func (h *Host) Network() *Network { return h.net }

// Listen announces on a port of the host, as [net.Listen] does. The network is "tcp" or "tcp4", the
// address ":port" or "name:port" with the host's own name or address; port 0 picks a free one.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	if network != "tcp" && network != "tcp4" {
		return fail(net.UnknownNetworkError(network))
	}
	port, err := h.localPort(address)
	if err != nil {
		return fail(err)
	}
	h.net.enter()
	defer h.net.mu.Unlock()
	if !h.up {
		return fail(ErrHostDown)
	}
	if port == 0 {
		for port = firstEphemeralPort; h.listeners[port] != nil; port++ {
			if port == lastEphemeralPort {
				return fail(syscallError("bind", syscall.EADDRINUSE))
			}
		}
	}
	if h.listeners[port] != nil {
		return fail(syscallError("bind", syscall.EADDRINUSE))
	}
	l := newListener(h, port)
	h.listeners[port] = l
	return l, nil
}

// localPort reads an address to listen on, which must be the host's own.
func (h *Host) localPort(address string) (uint16, error) {
	name, port, err := splitAddress(address)
	if err != nil {
		return 0, err
	}
	if name != "" && name != h.name && name != "0.0.0.0" && name != h.Addr().String() {
		return 0, syscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return port, nil
}

// Dial connects as [net.Dial] does; see DialContext.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

// DialContext connects to "name:port" or "address:port" over "tcp", "tcp4", "udp" or "udp4", as
// [net.Dialer] does: a TCP connection is established when it returns, and errors are those of real
// sockets inside a *net.OpError. Without a deadline in ctx it gives up as TCP does, after more than two
// minutes of unanswered SYNs.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	udp := network == "udp" || network == "udp4"
	if !udp && network != "tcp" && network != "tcp4" {
		return fail(net.UnknownNetworkError(network))
	}
	name, port, err := splitAddress(address)
	if err != nil {
		return fail(err)
	}
	if err := ctx.Err(); err != nil {
		return fail(contextError(err))
	}
	addrs, err := h.resolve(ctx, name)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if udp {
		c, err := h.openUDP(network, ":0", endpoint{addrs[0], port})
		if err != nil {
			return nil, err // not a nil *UDPConn
		}
		return c, nil
	}
	var first error
	for _, addr := range addrs {
		c := newConn(h)
		c.remote = endpoint{addr, port}
		err := c.open(ctx)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = &net.OpError{Op: "dial", Net: network, Addr: c.RemoteAddr(), Err: err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// resolve finds the addresses of a name: at once and without a packet if it is an address or the
// name of a host, as by a hosts file; else by asking the name server.
func (h *Host) resolve(ctx context.Context, name string) ([]uint32, error) {
	if name == "" || name == "localhost" {
		return []uint32{h.ip}, nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		a = a.Unmap()
		if !a.Is4() {
			return nil, &net.AddrError{Err: "only IPv4 addresses exist on this network", Addr: name}
		}
		if a.IsLoopback() {
			return []uint32{h.ip}, nil
		}
		return []uint32{ipOf(a)}, nil
	}
	if to := h.net.lookup(strings.TrimSuffix(name, ".")); to != nil {
		return []uint32{to.ip}, nil
	}
	return h.ask(ctx, name)
}

// HTTPClient returns a client whose connections start at this host. Each call returns one with a
// pool of connections of its own.
func (h *Host) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: h.DialContext}}
}

// Up reports whether the host is running. It is for the loop's goroutine.
func (h *Host) Up() bool {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.up
}

// Crash takes the host's power away: its connections and listeners are gone without a word to the
// other ends, and what arrives is lost, until Boot. Calls on its connections fail. It reports how
// many connections it cut. It is for the loop's goroutine.
func (h *Host) Crash() int {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.up = false
	conns := h.liveConns()
	for _, c := range conns {
		c.vanish()
	}
	clear(h.conns)
	if h.box != nil {
		h.box.crashed()
	}
	h.dropHeld()
	h.closeListeners()
	h.closeSockets()
	return len(conns)
}

// Boot brings a crashed host back, with nothing listening. It is for the loop's goroutine.
func (h *Host) Boot() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.up = true
}

// CloseAll closes the host's listeners and connections as a kernel does when a process ends: with a
// FIN, or with a RST where received data was left unread. It is for the loop's goroutine.
func (h *Host) CloseAll() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.closeListeners()
	for _, c := range h.liveConns() {
		if c.state != stateClosed {
			c.close()
		}
	}
	h.closeSockets()
}

// closeSockets closes the UDP sockets, in order of port.
func (h *Host) closeSockets() {
	for _, port := range slices.Sorted(maps.Keys(h.sockets)) {
		h.sockets[port].close()
	}
}

func (h *Host) closeListeners() {
	for _, port := range slices.Sorted(maps.Keys(h.listeners)) {
		h.listeners[port].close()
	}
}

// liveConns lists the connections of which the host still has state, in order of creation.
func (h *Host) liveConns() []*Conn {
	conns := make([]*Conn, 0, len(h.conns))
	for _, c := range h.conns {
		conns = append(conns, c)
	}
	slices.SortFunc(conns, func(a, b *Conn) int { return int(a.id) - int(b.id) })
	return conns
}

// freePort finds a local port that no connection to the same remote end has.
func (h *Host) freePort(remote endpoint) (uint16, bool) {
	return nextPort(&h.nextPort, firstEphemeralPort, lastEphemeralPort, func(port uint16) bool {
		return h.conns[keyOf(remote, port)] == nil
	})
}

// nextPort takes the next port of a range that is free, going round, from where the last search ended.
func nextPort(next *uint16, first, last uint16, free func(uint16) bool) (uint16, bool) {
	for range int(last) - int(first) + 1 {
		port := *next
		if *next++; *next > last {
			*next = first
		}
		if free(port) {
			return port, true
		}
	}
	return 0, false
}

func splitAddress(address string) (name string, port uint16, err error) {
	name, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	p, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, &net.AddrError{Err: fmt.Sprintf("port %q is not a number from 0 to 65535", digits), Addr: address}
	}
	return name, uint16(p), nil
}

// textAddr is an address that may not have been resolved.
type textAddr struct{ network, address string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.address }

// addrsOf lists the addresses of hosts.
func addrsOf(hosts []*Host) []netip.Addr {
	addrs := make([]netip.Addr, len(hosts))
	for i, h := range hosts {
		addrs[i] = h.Addr()
	}
	return addrs
}

// firstNewIP is where the addresses begin that hosts are given later: 10.128.0.1.
const firstNewIP = 10<<24 | 1<<23 | 1

// changeIP gives a host another address. What it has open stays bound to the old one.
func (n *Network) changeIP(h *Host) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.box != nil {
		return fmt.Errorf("%s is a balancer, NAT or firewall; those keep their addresses", h.name)
	}
	delete(n.byIP, h.ip)
	h.ip = firstNewIP + n.newIPs
	n.newIPs++
	n.byIP[h.ip] = h
	for _, port := range slices.Sorted(maps.Keys(h.listeners)) {
		h.listeners[port].local.ip = h.ip // they listen on all addresses
	}
	for _, port := range slices.Sorted(maps.Keys(h.sockets)) {
		h.sockets[port].local.ip = h.ip
	}
	return nil
}
