package netsim

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// BalancerConfig says what an L4 balancer does. Backends is required.
type BalancerConfig struct {
	// Port is where clients connect; 0 means 80.
	Port uint16
	// Backends are the servers, each "name:port".
	Backends []string
	// Algorithm chooses the backend of a new connection; the zero value is LeastConnections.
	Algorithm BalancerAlgorithm
	// IdleTimeout is how long a connection may be silent before the balancer forgets it, without a word
	// to either end; what comes later is answered with a RST. 0 means never.
	IdleTimeout time.Duration
	// KeepTable says that the table of connections survives a crash of the balancer's host, as with a
	// synchronised standby; otherwise it is lost.
	KeepTable bool
	// HealthInterval is the time between two health checks of a backend, each a TCP handshake that is broken
	// off when the backend has answered; 0 means 1 s.
	HealthInterval time.Duration
	// HealthTimeout is how long a check may take; 0 means HealthInterval.
	HealthTimeout time.Duration
	// Fall and Rise are how many checks in a row must fail for a backend to be taken out, and succeed
	// for it to be put back; 0 means 2.
	Fall, Rise int
}

// BalancerAlgorithm says how a balancer chooses the backend of a new connection.
type BalancerAlgorithm uint8

const (
	// LeastConnections takes the backend with the fewest open connections, the first of them in a tie.
	LeastConnections BalancerAlgorithm = iota
	// RoundRobin takes the backends in turn.
	RoundRobin
	// SourceHash takes the backend that the client's address falls to (rendezvous hashing, Thaler and
	// Ravishankar 1998): the same one as long as it is in service, and only a lost backend's clients move.
	SourceHash
)

var algorithmNames = [...]string{LeastConnections: "least-connections", RoundRobin: "round-robin", SourceHash: "source-hash"}

// String is the algorithm's name.
func (a BalancerAlgorithm) String() string {
	if int(a) < len(algorithmNames) {
		return algorithmNames[a]
	}
	return fmt.Sprintf("BalancerAlgorithm(%d)", uint8(a))
}

// Balancer forwards the packets of each connection to one backend. It does not end connections: TCP runs
// between client and server, which sees the balancer's address as the client's (as with full NAT in
// IPVS or HAProxy's tcp mode without PROXY protocol). A connection whose backend has died is not
// told so.
//
// [Balancer.Run] does the health checks.
type Balancer struct {
	host     *Host
	cfg      BalancerConfig
	backends []*backend

	// The loop's.
	byClient map[endpoint]*flow
	byPort   map[uint16]*flow
	nextPort uint16
	turn     int       // of RoundRobin
	life     *checking // nil if no health is checked
}

type backend struct {
	name     string
	host     *Host
	addr     endpoint
	healthy  bool
	draining bool // told to take no new connections
	open     int  // connections forwarded to it that neither end has begun to close
	probe    *probe
	inARow   int // checks in a row that would change healthy
}

func (be *backend) inService() bool { return be.healthy && !be.draining }

// flow is one connection through the balancer.
type flow struct {
	client  endpoint
	backend *backend
	port    uint16 // the balancer's, towards the backend
	closing bool   // a FIN or RST has been seen
	used    time.Duration
}

// The ports that a balancer takes for connections to its backends: all that its own host's dials do
// not use.
const (
	firstFlowPort = 1024
	lastFlowPort  = firstEphemeralPort - 1
)

// flowLinger is how long a closing connection stays in the table (IPVS: tcp time-out after FIN).
const flowLinger = 2 * time.Minute

// Balance makes the host an L4 balancer. Its other ports keep working. It is for the loop's
// goroutine.
func (h *Host) Balance(cfg BalancerConfig) (*Balancer, error) {
	fail := func(format string, args ...any) (*Balancer, error) {
		return nil, fmt.Errorf("netsim: balancer %s: %s", h.name, fmt.Sprintf(format, args...))
	}
	if h.box != nil {
		return fail("the host is a balancer, NAT or firewall already")
	}
	if cfg.Algorithm > SourceHash {
		return fail("Algorithm is %v; want LeastConnections, RoundRobin or SourceHash", cfg.Algorithm)
	}
	if cfg.IdleTimeout < 0 {
		return fail("IdleTimeout is %v; it must not be negative", cfg.IdleTimeout)
	}
	if len(cfg.Backends) == 0 {
		return fail("Backends is empty; want at least one \"name:port\"")
	}
	if cfg.HealthInterval < 0 || cfg.HealthTimeout < 0 || cfg.Fall < 0 || cfg.Rise < 0 {
		return fail("HealthInterval %v, HealthTimeout %v, Fall %d and Rise %d must not be negative", cfg.HealthInterval, cfg.HealthTimeout, cfg.Fall, cfg.Rise)
	}
	setDefault(&cfg.Port, 80)
	setDefault(&cfg.HealthInterval, time.Second)
	setDefault(&cfg.HealthTimeout, cfg.HealthInterval)
	setDefault(&cfg.Fall, 2)
	setDefault(&cfg.Rise, 2)
	b := &Balancer{host: h, cfg: cfg}
	for _, address := range cfg.Backends {
		name, port, err := splitAddress(address)
		if err != nil {
			return fail("backend %q: %v", address, err)
		}
		to := h.net.Host(name)
		if to == nil || to == h {
			return fail("backend %q: no other host has that name%s", address, h.net.hostList())
		}
		b.backends = append(b.backends, &backend{name: address, host: to, addr: endpoint{to.ip, port}, healthy: true})
	}
	b.reset()
	h.box, h.probes = b, make(map[connKey]*probe)
	return b, nil
}

// Drain takes a backend out of service for new connections, and leaves its open ones alone; Undrain
// puts it back. The name is that of the backend's host. They are for the loop's goroutine.
func (b *Balancer) Drain(name string) error { return b.setDraining(name, true) }

// Undrain puts a backend back into service; see Drain.
func (b *Balancer) Undrain(name string) error { return b.setDraining(name, false) }

func (b *Balancer) setDraining(name string, draining bool) error {
	var names []string
	for _, be := range b.backends {
		if be.host.name == name {
			be.draining = draining
			return nil
		}
		names = append(names, be.host.name)
	}
	return fmt.Errorf("netsim: balancer %s: no backend is on a host named %q; they are on %q", b.host.name, name, names)
}

// Open counts the connections that are open to a backend, by the name of its host; 0 if it has none of
// that name. It is for the loop's goroutine.
func (b *Balancer) Open(name string) int {
	for _, be := range b.backends {
		if be.host.name == name {
			return be.open
		}
	}
	return 0
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// crashed is what a crash of the host does to the balancer.
func (b *Balancer) crashed() {
	b.endChecks()
	if !b.cfg.KeepTable {
		b.reset()
		b.host.net.stopForAll() // least has counted on the table
	}
}

// reset empties the table, and trusts every backend until it is checked.
func (b *Balancer) reset() {
	b.byClient = make(map[endpoint]*flow)
	b.byPort = make(map[uint16]*flow)
	b.nextPort = firstFlowPort
	for _, be := range b.backends {
		be.healthy, be.open, be.inARow = true, 0, 0
	}
}

// routesInward implements middlebox: backends are not behind the balancer.
func (b *Balancer) routesInward() bool { return false }

// forwards implements middlebox.
func (b *Balancer) forwards(p *packet) bool {
	return p.proto == protoTCP && (p.dst.port == b.cfg.Port || b.byPort[p.dst.port] != nil)
}

// least implements middlebox. A connection that neither end has begun to close stays in the table for as long as
// one that has, at least: until then, what comes from its backend goes to its client.
func (b *Balancer) least(p *packet, at time.Duration) time.Duration {
	n := b.host.net
	f := b.byPort[p.dst.port]
	if f == nil || f.closing || b.cfg.IdleTimeout != 0 || at-n.clock >= flowLinger {
		return b.host.leastLatency()
	}
	to := n.route(b.host, f.client.ip)
	if to == nil {
		return b.host.leastLatency()
	}
	return b.host.pipeTo(to).link.minLatency()
}

// reaches implements middlebox.
func (b *Balancer) reaches(p *packet, at time.Duration) *Conn {
	n := b.host.net
	inward := b.byPort[p.dst.port] == nil
	f := b.byPort[p.dst.port]
	if inward {
		f = b.byClient[p.src]
	}
	if p.conn != nil || f == nil || f.closing || b.cfg.IdleTimeout != 0 || at-n.clock >= flowLinger {
		return nil
	}
	from, dst := endpoint{b.host.ip, b.cfg.Port}, f.client
	if inward {
		from, dst = endpoint{b.host.ip, f.port}, f.backend.addr
	}
	to := n.byIP[dst.ip]
	if to == nil || to.box != nil || n.route(b.host, dst.ip) != to || to.downlinkFrom(b.host) != nil {
		return nil
	}
	c := to.conns[keyOf(from, dst.port)]
	if on := b.host.pipeTo(to); c == nil || !on.inOrder() || on.link.minLatency() < c.lookahead() {
		return nil
	}
	return c
}

// forward implements middlebox.
func (b *Balancer) forward(p *packet) {
	n := b.host.net
	f := b.byPort[p.dst.port]
	if f != nil && !b.stale(f) {
		p.src, p.dst = endpoint{b.host.ip, b.cfg.Port}, f.client
	} else {
		f = b.flowFor(p)
		if f == nil {
			b.host.refuse(p)
			n.release(p)
			return
		}
		p.src, p.dst = endpoint{b.host.ip, f.port}, f.backend.addr
	}
	f.used = n.clock
	if p.seg.Flags&(tcp.FIN|tcp.RST) != 0 && !f.closing {
		b.closing(f)
	}
	n.send(b.host, nil, p)
}

// stale reports whether a connection has been silent for too long, and forgets it if so.
func (b *Balancer) stale(f *flow) bool {
	if b.cfg.IdleTimeout == 0 || b.host.net.clock-f.used <= b.cfg.IdleTimeout {
		return false
	}
	if !f.closing {
		f.backend.open--
	}
	b.remove(f)
	return true
}

func (b *Balancer) remove(f *flow) {
	if b.byPort[f.port] == f {
		delete(b.byPort, f.port)
	}
	if b.byClient[f.client] == f {
		delete(b.byClient, f.client)
	}
}

// flowFor finds a client's connection, or begins one if the packet is a SYN and a backend is left.
func (b *Balancer) flowFor(p *packet) *flow {
	if p.dst.port != b.cfg.Port {
		return nil
	}
	opening := p.seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN
	f := b.byClient[p.src]
	if f != nil && !b.stale(f) && !(opening && f.closing) {
		return f
	}
	if !opening {
		return nil
	}
	be := b.pick(p.src)
	port, ok := b.freePort()
	if be == nil || !ok {
		return nil
	}
	f = &flow{client: p.src, backend: be, port: port}
	b.byClient[f.client] = f
	b.byPort[f.port] = f
	be.open++
	return f
}

// pick chooses the backend of a client's new connection; nil if none is in service.
func (b *Balancer) pick(client endpoint) *backend {
	var best *backend
	switch b.cfg.Algorithm {
	case RoundRobin:
		for range b.backends {
			be := b.backends[b.turn%len(b.backends)]
			b.turn++
			if be.inService() {
				return be
			}
		}
	case SourceHash:
		var most uint64
		for _, be := range b.backends {
			weight := splitMix(uint64(client.ip)<<32 | uint64(be.addr.ip) ^ uint64(be.addr.port)<<48)
			if be.inService() && (best == nil || weight > most) {
				best, most = be, weight
			}
		}
	default:
		for _, be := range b.backends {
			if be.inService() && (best == nil || be.open < best.open) {
				best = be
			}
		}
	}
	return best
}

func (b *Balancer) freePort() (uint16, bool) {
	return nextPort(&b.nextPort, firstFlowPort, lastFlowPort, func(port uint16) bool {
		return b.byPort[port] == nil && port != b.cfg.Port
	})
}

// closing takes a connection out of its backend's count now, and out of the table later.
func (b *Balancer) closing(f *flow) {
	f.closing = true
	f.backend.open--
	n := b.host.net
	n.planPatient(event{at: n.clock + flowLinger, kind: eventBox, fn: func() { b.remove(f) }}, never)
}
