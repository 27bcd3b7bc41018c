package netsim

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// BalancerConfig says what an L4 balancer does. Backends is required.
type BalancerConfig struct {
	// Port is where clients connect; 0 means 80.
	Port uint16
	// Backends are the servers, each "name:port".
	Backends []string
	// HealthInterval is the time between two health checks of a backend, each a TCP connection that is
	// opened and closed; 0 means 1 s.
	HealthInterval time.Duration
	// HealthTimeout is how long a check may take; 0 means HealthInterval.
	HealthTimeout time.Duration
	// Fall and Rise are how many checks in a row must fail for a backend to be taken out, and succeed
	// for it to be put back; 0 means 2.
	Fall, Rise int
}

// Balancer forwards the packets of each connection to one backend: the one with the fewest open
// connections when the SYN came, the first of them in a tie. It does not end connections: TCP runs
// between client and server, which sees the balancer's address as the client's (as with full NAT in
// IPVS or HAProxy's tcp mode without PROXY protocol). A connection whose backend has died is not
// told so.
//
// [Balancer.Run] does the health checks. The table of connections is lost when the host crashes.
type Balancer struct {
	host     *Host
	cfg      BalancerConfig
	backends []*backend

	// The loop's.
	byClient map[endpoint]*flow
	byPort   map[uint16]*flow
	nextPort uint16
}

type backend struct {
	name    string
	host    *Host
	addr    endpoint
	healthy bool
	open    int // connections forwarded to it that neither end has begun to close
}

// flow is one connection through the balancer.
type flow struct {
	client  endpoint
	backend *backend
	port    uint16 // the balancer's, towards the backend
	closing bool   // a FIN or RST has been seen
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
	if h.balancer != nil {
		return fail("the host is a balancer already")
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
	b.forget()
	h.balancer = b
	return b, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// forget empties the table, and trusts every backend until it is checked.
func (b *Balancer) forget() {
	b.byClient = make(map[endpoint]*flow)
	b.byPort = make(map[uint16]*flow)
	b.nextPort = firstFlowPort
	for _, be := range b.backends {
		be.healthy, be.open = true, 0
	}
}

// Run checks the backends' health until ctx ends. It is the balancer's process, to be run by a
// goroutine of its host.
func (b *Balancer) Run(ctx context.Context) {
	var checks sync.WaitGroup
	for i, be := range b.backends {
		checks.Go(func() { b.watch(ctx, uint64(i), be) })
	}
	checks.Wait()
}

func (b *Balancer) watch(ctx context.Context, rank uint64, be *backend) {
	ticker := time.NewTicker(b.cfg.HealthInterval)
	defer ticker.Stop()
	healthy, inARow := true, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if b.probe(ctx, be) == healthy {
			inARow = 0
			continue
		}
		inARow++
		if healthy && inARow == b.cfg.Fall || !healthy && inARow == b.cfg.Rise {
			healthy, inARow = !healthy, 0
			now := healthy
			b.host.net.Submit(b.host, rank, func() { be.healthy = now })
		}
	}
}

func (b *Balancer) probe(ctx context.Context, be *backend) bool {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.HealthTimeout)
	defer cancel()
	c, err := b.host.DialContext(ctx, "tcp", net.JoinHostPort(be.host.name, strconv.Itoa(int(be.addr.port))))
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// forwards reports whether a packet for the balancer's host is one to forward.
func (b *Balancer) forwards(p *packet) bool {
	return p.dst.port == b.cfg.Port || b.byPort[p.dst.port] != nil
}

// forward sends a packet on, and reports whether it was one to forward.
func (b *Balancer) forward(p *packet) bool {
	if !b.forwards(p) {
		return false
	}
	n := b.host.net
	n.observe(Forwarded, b.host, p.from, nil, len(p.seg.Payload))
	f := b.byPort[p.dst.port]
	if f != nil {
		p.src, p.dst = endpoint{b.host.ip, b.cfg.Port}, f.client
	} else {
		f = b.flowFor(p)
		if f == nil {
			b.host.refuse(p)
			n.release(p)
			return true
		}
		p.src, p.dst = endpoint{b.host.ip, f.port}, f.backend.addr
	}
	if p.seg.Flags&(tcp.FIN|tcp.RST) != 0 && !f.closing {
		b.closing(f)
	}
	n.send(b.host, nil, p)
	return true
}

// flowFor finds a client's connection, or begins one if the packet is a SYN and a backend is left.
func (b *Balancer) flowFor(p *packet) *flow {
	opening := p.seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN
	f := b.byClient[p.src]
	if f != nil && !(opening && f.closing) {
		return f
	}
	if !opening {
		return nil
	}
	be := b.pick()
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

// pick chooses the backend with the fewest open connections.
func (b *Balancer) pick() *backend {
	var best *backend
	for _, be := range b.backends {
		if be.healthy && (best == nil || be.open < best.open) {
			best = be
		}
	}
	return best
}

func (b *Balancer) freePort() (uint16, bool) {
	for range lastFlowPort - firstFlowPort + 1 {
		port := b.nextPort
		b.nextPort++
		if b.nextPort > lastFlowPort {
			b.nextPort = firstFlowPort
		}
		if b.byPort[port] == nil && port != b.cfg.Port {
			return port, true
		}
	}
	return 0, false
}

// closing takes a connection out of its backend's count now, and out of the table later.
func (b *Balancer) closing(f *flow) {
	f.closing = true
	f.backend.open--
	n := b.host.net
	n.planPatient(event{at: n.clock + flowLinger, kind: eventFunc, fn: func() {
		if b.byPort[f.port] == f {
			delete(b.byPort, f.port)
		}
		if b.byClient[f.client] == f {
			delete(b.byClient, f.client)
		}
	}}, never)
}
