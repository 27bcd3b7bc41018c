package netsim

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// NATType says whom a NAT lets in (the classical names of RFC 3489 §5; in the terms of RFC 4787 the
// first three map endpoint-independently, and filter by nothing, by address, and by address and port).
type NATType uint8

const (
	// FullCone: whoever sends to a mapped port gets in.
	FullCone NATType = iota
	// RestrictedCone: whoever has been sent something from there, from any of his ports.
	RestrictedCone
	// PortRestrictedCone: the address and port that has been sent something from there.
	PortRestrictedCone
	// Symmetric: as PortRestrictedCone, and each destination is given a mapping of its own.
	Symmetric
)

var natNames = [...]string{
	FullCone: "full-cone", RestrictedCone: "restricted-cone", PortRestrictedCone: "port-restricted-cone", Symmetric: "symmetric",
}

// String is the type's name.
func (t NATType) String() string {
	if int(t) < len(natNames) {
		return natNames[t]
	}
	return fmt.Sprintf("NATType(%d)", uint8(t))
}

// ParseNATType reads a type's name.
func ParseNATType(name string) (NATType, error) {
	for t, n := range natNames {
		if n == name {
			return NATType(t), nil
		}
	}
	return 0, fmt.Errorf("netsim: NAT type %q: want one of %q", name, natNames)
}

// NATConfig says what a NAT does. Inside is required.
type NATConfig struct {
	// Type says whom it lets in; the zero value is FullCone.
	Type NATType
	// Inside is the hosts behind it: names or patterns as for [Network.SetLink]. A host behind a NAT has
	// a private address, which nobody outside can reach. A NAT can be behind another one, as with a
	// carrier-grade NAT.
	Inside string
	// UDPTimeout is how long a mapping lives after its last packet; 0 means 5 min (RFC 4787 REQ-5).
	UDPTimeout time.Duration
	// TCPTimeout is how long a connection's mapping lives after its last packet; 0 means 2 h 4 min
	// (RFC 5382 REQ-5). What comes later is dropped without a word.
	TCPTimeout time.Duration
	// Hairpin lets hosts inside reach each other by the NAT's own address (RFC 4787 REQ-9).
	Hairpin bool
}

// natClosing is how long a TCP mapping lives after a FIN or RST (RFC 5382 REQ-5).
const natClosing = 4 * time.Minute

// NAT translates the addresses of the hosts behind it to its own.
type NAT struct {
	host *Host
	cfg  NATConfig

	byInside map[natKey]*mapping
	byPort   map[natPort]*mapping
	nextPort uint16
}

// natKey finds the mapping of what comes from inside. The remote end counts for Symmetric only.
type natKey struct {
	tcp            bool
	inside, remote endpoint
}

type natPort struct {
	tcp  bool
	port uint16
}

type mapping struct {
	key     natKey
	port    uint16
	used    time.Duration
	closing bool
	peers   map[endpoint]bool // whom it has sent to; with port 0 for RestrictedCone
}

// NAT makes the host a NAT for others. Its own programs keep working. It is for the loop's goroutine.
func (h *Host) NAT(cfg NATConfig) (*NAT, error) {
	fail := func(format string, args ...any) (*NAT, error) {
		return nil, fmt.Errorf("netsim: NAT %s: %s", h.name, fmt.Sprintf(format, args...))
	}
	if h.box != nil {
		return fail("the host is a balancer, NAT or firewall already")
	}
	if cfg.Type > Symmetric {
		return fail("Type is %v; want FullCone, RestrictedCone, PortRestrictedCone or Symmetric", cfg.Type)
	}
	if cfg.UDPTimeout < 0 || cfg.TCPTimeout < 0 {
		return fail("UDPTimeout %v and TCPTimeout %v must not be negative", cfg.UDPTimeout, cfg.TCPTimeout)
	}
	setDefault(&cfg.UDPTimeout, 5*time.Minute)
	setDefault(&cfg.TCPTimeout, 2*time.Hour+4*time.Minute)
	if _, err := h.net.attach(h, cfg.Inside); err != nil {
		return fail("Inside: %v", err)
	}
	b := &NAT{host: h, cfg: cfg, nextPort: firstFlowPort}
	b.crashed()
	h.box = b
	return b, nil
}

// crashed implements middlebox: all mappings are lost.
func (b *NAT) crashed() {
	b.byInside = make(map[natKey]*mapping)
	b.byPort = make(map[natPort]*mapping)
}

// least implements middlebox.
func (b *NAT) least(*packet, time.Duration) time.Duration { return b.host.leastLatency() }

// reaches implements middlebox: nothing is known.
func (b *NAT) reaches(*packet, time.Duration) *Conn { return nil }

// routesInward implements middlebox.
func (b *NAT) routesInward() bool { return false }

// forwards implements middlebox: everything but what is for the host's own programs.
func (b *NAT) forwards(p *packet) bool {
	h := b.host
	if p.dst.ip != h.ip {
		return true
	}
	if p.proto == protoTCP {
		return h.listeners[p.dst.port] == nil && h.conns[keyOf(p.src, p.dst.port)] == nil
	}
	return h.sockets[p.dst.port] == nil
}

// forward implements middlebox.
func (b *NAT) forward(p *packet) {
	if b.isInside(p) {
		b.outbound(p)
	} else {
		b.inbound(p)
	}
}

// isInside reports whether a packet comes from one of the hosts behind the NAT.
func (b *NAT) isInside(p *packet) bool { return p.from != nil && p.from.gateway == b.host }

func (b *NAT) outbound(p *packet) {
	n := b.host.net
	hairpin := p.dst.ip == b.host.ip
	m := b.mappingFor(p)
	if m == nil || hairpin && !b.cfg.Hairpin {
		n.drop(b.host, p)
		return
	}
	m.touch(n, p)
	m.peers[b.peer(p.dst)] = true
	p.src = endpoint{b.host.ip, m.port}
	if hairpin {
		b.inbound(p)
		return
	}
	n.send(b.host, nil, p)
}

// mappingFor finds the mapping of what comes from inside, or makes one; nil for a TCP connection that
// the NAT does not know and that is not being opened, or if no port is left.
func (b *NAT) mappingFor(p *packet) *mapping {
	key := natKey{tcp: p.proto == protoTCP, inside: p.src}
	if b.cfg.Type == Symmetric {
		key.remote = p.dst
	}
	if m := b.byInside[key]; m != nil && !b.stale(m) {
		return m
	}
	if key.tcp && p.seg.Flags&(tcp.SYN|tcp.ACK) != tcp.SYN {
		return nil
	}
	port, ok := b.freePort(key.tcp)
	if !ok {
		return nil
	}
	m := &mapping{key: key, port: port, peers: make(map[endpoint]bool)}
	b.byInside[key] = m
	b.byPort[natPort{key.tcp, port}] = m
	return m
}

func (b *NAT) freePort(tcp bool) (uint16, bool) {
	return nextPort(&b.nextPort, firstFlowPort, lastFlowPort, func(port uint16) bool {
		m := b.byPort[natPort{tcp, port}]
		return m == nil || b.stale(m)
	})
}

// inbound lets a packet in if its port is mapped and the filter has no objection.
func (b *NAT) inbound(p *packet) {
	n := b.host.net
	m := b.byPort[natPort{p.proto == protoTCP, p.dst.port}]
	if m == nil || b.stale(m) || !b.lets(m, p.src) {
		n.drop(b.host, p)
		return
	}
	m.touch(n, p)
	p.dst = m.key.inside
	n.send(b.host, nil, p)
}

// lets reports whether a mapping's filter lets a remote end in.
func (b *NAT) lets(m *mapping, remote endpoint) bool {
	return b.cfg.Type == FullCone || m.peers[b.peer(remote)]
}

// peer is a remote end as filters know it.
func (b *NAT) peer(remote endpoint) endpoint {
	if b.cfg.Type == RestrictedCone {
		remote.port = 0
	}
	return remote
}

func (m *mapping) touch(n *Network, p *packet) {
	m.used = n.clock
	if p.proto == protoTCP && p.seg.Flags&(tcp.FIN|tcp.RST) != 0 {
		m.closing = true
	}
}

// stale reports whether a mapping has been unused for too long, and forgets it if so.
func (b *NAT) stale(m *mapping) bool {
	limit := b.cfg.UDPTimeout
	switch {
	case m.closing:
		limit = min(natClosing, b.cfg.TCPTimeout)
	case m.key.tcp:
		limit = b.cfg.TCPTimeout
	}
	if b.host.net.clock-m.used <= limit {
		return false
	}
	delete(b.byInside, m.key)
	delete(b.byPort, natPort{m.key.tcp, m.port})
	return true
}

// Mappings counts the mappings, those that have run out and nobody asked for included. It is for the
// loop's goroutine.
func (b *NAT) Mappings() int { return len(b.byPort) }
