package netsim

import "net/netip"

// mostBoxes bounds how many balancers and NATs Origin looks behind.
const mostBoxes = 8

// Origin names the host that a program speaks with, by the address that the program sees: "10.0.0.7" or
// "10.0.0.7:1234". It looks behind balancers and NATs, by what their tables say at this moment. It gives "" if
// the address is none, or nobody has it. Any goroutine of the bubble may call it; it is for records of what
// happened, since no real program could know it.
func (n *Network) Origin(address string) string {
	var at endpoint
	if ap, err := netip.ParseAddrPort(address); err == nil && ap.Addr().Is4() {
		at = endpoint{ipOf(ap.Addr()), ap.Port()}
	} else if a, err := netip.ParseAddr(address); err == nil && a.Is4() {
		at = endpoint{ip: ipOf(a)}
	} else {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for range mostBoxes {
		h := n.byIP[at.ip]
		if h == nil {
			return ""
		}
		behind, ok := h.behind(at.port)
		if !ok {
			return h.name
		}
		at = behind
	}
	return ""
}

// behind gives whom a middlebox speaks for at one of its ports, if the host is one and knows.
func (h *Host) behind(port uint16) (endpoint, bool) {
	switch b := h.box.(type) {
	case *Balancer:
		if f := b.byPort[port]; f != nil {
			return f.client, true
		}
	case *NAT:
		for _, isTCP := range []bool{true, false} {
			if m := b.byPort[natPort{isTCP, port}]; m != nil {
				return m.key.inside, true
			}
		}
	}
	return endpoint{}, false
}
