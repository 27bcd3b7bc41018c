package netsim

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// FirewallConfig says what a firewall does. Inside is required.
type FirewallConfig struct {
	// Inside is the hosts behind it: names or patterns as for [Network.SetLink]. They keep their
	// addresses.
	Inside string
	// Inbound lets connections in that are opened from outside; otherwise only those opened from inside
	// pass, with their answers.
	Inbound bool
	// IdleTimeout is how long a connection may be silent before the firewall forgets it; 0 means never.
	// What comes later is dropped without a word to either end, as by many a company's firewall or
	// mobile carrier.
	IdleTimeout time.Duration
}

// Firewall lets connections through that it has seen being opened, as a stateful packet filter does.
type Firewall struct {
	host  *Host
	cfg   FirewallConfig
	known map[connection]time.Duration // when last used
}

// connection is a connection or UDP exchange through a firewall.
type connection struct {
	tcp             bool
	inside, outside endpoint
}

// Firewall makes the host a firewall for others. It is for the loop's goroutine.
func (h *Host) Firewall(cfg FirewallConfig) (*Firewall, error) {
	fail := func(format string, args ...any) (*Firewall, error) {
		return nil, fmt.Errorf("netsim: firewall %s: %s", h.name, fmt.Sprintf(format, args...))
	}
	if h.box != nil {
		return fail("the host is a balancer, NAT or firewall already")
	}
	if cfg.IdleTimeout < 0 {
		return fail("IdleTimeout is %v; it must not be negative", cfg.IdleTimeout)
	}
	if _, err := h.net.attach(h, cfg.Inside); err != nil {
		return fail("Inside: %v", err)
	}
	b := &Firewall{host: h, cfg: cfg}
	b.crashed()
	h.box = b
	return b, nil
}

// crashed implements middlebox: everything known is lost.
func (b *Firewall) crashed() { b.known = make(map[connection]time.Duration) }

// least implements middlebox.
func (b *Firewall) least(*packet, time.Duration) time.Duration { return b.host.leastLatency() }

// reaches implements middlebox: nothing is known.
func (b *Firewall) reaches(*packet, time.Duration) *Conn { return nil }

// routesInward implements middlebox.
func (b *Firewall) routesInward() bool { return true }

// forwards implements middlebox.
func (b *Firewall) forwards(p *packet) bool { return p.dst.ip != b.host.ip }

// forward implements middlebox.
func (b *Firewall) forward(p *packet) {
	n := b.host.net
	outbound := p.from.gateway == b.host
	c := connection{p.proto == protoTCP, p.dst, p.src}
	if outbound {
		c = connection{c.tcp, p.src, p.dst}
	}
	used, known := b.known[c]
	if known && b.cfg.IdleTimeout > 0 && n.clock-used > b.cfg.IdleTimeout {
		delete(b.known, c)
		known = false
	}
	opens := p.proto == protoUDP || p.proto == protoTCP && p.seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN
	if !known && !(opens && (outbound || b.cfg.Inbound)) {
		n.drop(b.host, p)
		return
	}
	b.known[c] = n.clock
	n.send(b.host, nil, p)
}
