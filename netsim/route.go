package netsim

import (
	"fmt"
	"time"
)

// middlebox is what a host does that forwards other hosts' packets: a [Balancer], a [NAT] or a
// [Firewall]. Its state is the loop's alone.
type middlebox interface {
	// forwards reports whether a packet that reaches the host is for the box rather than for a program
	// of the host.
	forwards(p *packet) bool
	// forward sends such a packet on, or drops it.
	forward(p *packet)
	// least is a lower bound of how long whatever the box sends for such a packet takes, if it reaches the box at
	// a given time.
	least(p *packet, at time.Duration) time.Duration
	// reaches gives the connection at the end of a packet's way, if the box is sure to send it on, and to reach it
	// directly and in order; else nil. The packet reaches the box at a given time. Of an acknowledgement that may
	// be put off for that connection, both legs may: it is counted on both, and where it is in time for the first,
	// it is for the second. For that, the way from the box must be no faster than the connection's own to it:
	// what a timer of the connection that is applied late may send is the most that time is ahead by then.
	reaches(p *packet, at time.Duration) *Conn
	// routesInward reports whether hosts behind the box can be addressed from outside.
	routesInward() bool
	// crashed is what a crash of the host does to the box.
	crashed()
}

// route finds the next host on the way to an address; nil if there is no way.
func (n *Network) route(from *Host, ip uint32) *Host {
	to := n.byIP[ip]
	if to == nil || to == from || to.gateway == from.gateway || to == from.gateway {
		return to
	}
	// Down from one of the gateways that the destination is behind, or else up.
	hop := to
	for ; hop.gateway != nil; hop = hop.gateway {
		if hop.gateway == from || hop.gateway == from.gateway {
			break
		}
	}
	below := hop.gateway == from || hop.gateway == from.gateway
	switch {
	case below && n.reachable(to, hop):
		return hop
	case below:
		return nil
	}
	return from.gateway
}

// reachable reports whether every box between a host and one of its gateways lets others address it.
func (n *Network) reachable(to, top *Host) bool {
	for h := to; h != top; h = h.gateway {
		if !h.gateway.box.routesInward() {
			return false
		}
	}
	return true
}

// attach puts the hosts that a pattern matches behind a box.
func (n *Network) attach(box *Host, pattern string) ([]*Host, error) {
	inside, err := n.Match(pattern)
	if err != nil {
		return nil, err
	}
	for _, h := range inside {
		for up := box; up != nil; up = up.gateway {
			if up == h {
				return nil, fmt.Errorf("netsim: %s cannot be behind %s, which is behind it or the same", h.name, box.name)
			}
		}
		if h.gateway != nil {
			return nil, fmt.Errorf("netsim: %s is behind %s already", h.name, h.gateway.name)
		}
	}
	for _, h := range inside {
		h.gateway = box
	}
	return inside, nil
}
