package netsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong in a network, or gets well again. It is a value: it prints, and
// the same fault can be applied to any network with such hosts.
type Fault interface {
	// Kind is the fault's name without arguments, such as "partition".
	Kind() string
	// String is the fault as it stands in schedules, such as "partition(edge-1, client-*)".
	String() string
	// Ends reports whether this fault undoes an earlier one, as [Heal] does a [Partition].
	Ends(earlier Fault) bool
	// ApplyTo makes the fault happen now. It is called by the loop. The fault calls bite each time that
	// it changes what would have happened: a partition for each packet that it swallows. It returns an
	// error if it names something that the network does not have.
	ApplyTo(n *Network, bite func()) error
}

// fault is a Fault made of its parts.
type fault struct {
	kind  string
	args  []string
	ends  func(earlier Fault) bool
	apply func(n *Network, bite func()) error
}

func (f *fault) Kind() string            { return f.kind }
func (f *fault) String() string          { return f.kind + "(" + strings.Join(f.args, ", ") + ")" }
func (f *fault) Ends(earlier Fault) bool { return f.ends != nil && f.ends(earlier) }

func (f *fault) ApplyTo(n *Network, bite func()) error {
	if err := f.apply(n, bite); err != nil {
		return fmt.Errorf("%v: %w", f, err)
	}
	return nil
}

// block is a cut direction between hosts, as long as the fault holds that made it.
type block struct {
	from, to string
	by       *fault
	hit      func()
}

// cut makes a fault swallow what goes from one set of hosts to another, and back if both is true.
func (f *fault) cut(n *Network, from, to string, both bool, bite func()) error {
	for _, pattern := range []string{from, to} {
		if _, err := n.Match(pattern); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocks = append(n.blocks, &block{from, to, f, bite})
	if both {
		n.blocks = append(n.blocks, &block{to, from, f, bite})
	}
	n.rulesChanged()
	return nil
}

// uncut removes the blocks whose faults end ends, and bites if there were any.
func uncut(n *Network, end *fault, bite func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := len(n.blocks)
	n.blocks = slices.DeleteFunc(n.blocks, func(b *block) bool { return end.Ends(b.by) })
	if len(n.blocks) < before {
		bite()
	}
	n.rulesChanged()
	return nil
}

// Partition cuts all links between two sets of hosts, both ways, until [Heal]. Packets that enter a
// cut link disappear; those already under way still arrive. The sets are names or patterns, as for
// [Network.SetLink].
func Partition(a, b string) Fault {
	f := &fault{kind: "partition", args: []string{a, b}}
	f.apply = func(n *Network, bite func()) error { return f.cut(n, a, b, true, bite) }
	return f
}

// Blackhole swallows all packets from one set of hosts to another, in that direction only, until
// [Heal].
func Blackhole(from, to string) Fault {
	f := &fault{kind: "blackhole", args: []string{from, to}}
	f.apply = func(n *Network, bite func()) error { return f.cut(n, from, to, false, bite) }
	return f
}

// Heal ends all partitions and black holes.
func Heal() Fault {
	f := &fault{kind: "heal"}
	f.ends = func(earlier Fault) bool { return earlier.Kind() == "partition" || earlier.Kind() == "blackhole" }
	f.apply = func(n *Network, bite func()) error { return uncut(n, f, bite) }
	return f
}

// NICDown takes the network interfaces of hosts down: nothing leaves or reaches them, until [NICUp].
// Their programs keep running, and their connections stay as they are.
func NICDown(hosts string) Fault {
	f := &fault{kind: "nic-down", args: []string{hosts}}
	f.apply = func(n *Network, bite func()) error { return f.cut(n, hosts, "*", true, bite) }
	return f
}

// NICUp undoes the NICDown of the same hosts.
func NICUp(hosts string) Fault {
	f := &fault{kind: "nic-up", args: []string{hosts}}
	f.ends = func(earlier Fault) bool { return earlier.String() == NICDown(hosts).String() }
	f.apply = func(n *Network, bite func()) error { return uncut(n, f, bite) }
	return f
}

// SetLink changes the link between two sets of hosts, both ways; see [Network.SetLink].
func SetLink(a, b string, l Link) Fault {
	f := &fault{kind: "link", args: []string{a, b, fmt.Sprintf("%+v", l)}}
	f.apply = func(n *Network, bite func()) error {
		for _, pattern := range []string{a, b} {
			if _, err := n.Match(pattern); err != nil {
				return err
			}
		}
		bite()
		return n.SetLink(a, b, l)
	}
	return f
}

// ChangeIP gives hosts new addresses, as when a phone goes from Wi-Fi to the mobile network. Their
// connections keep the old address, which nobody reaches any more: nothing comes of them but time-outs.
// Dialled UDP sockets go on from the new address, as QUIC and WebRTC count on.
func ChangeIP(hosts string) Fault {
	return &fault{kind: "ipchange", args: []string{hosts}, apply: func(n *Network, bite func()) error {
		found, err := n.Match(hosts)
		if err != nil {
			return err
		}
		for _, h := range found {
			if err := n.changeIP(h); err != nil {
				return err
			}
			bite()
		}
		return nil
	}}
}

// Rebind makes the NATs on hosts forget their mappings, as when they restart: what comes from inside is
// given new ones, with other ports.
func Rebind(hosts string) Fault {
	return &fault{kind: "rebind", args: []string{hosts}, apply: func(n *Network, bite func()) error {
		found, err := n.Match(hosts)
		if err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, h := range found {
			b, ok := h.box.(*NAT)
			if !ok {
				return fmt.Errorf("%s is not a NAT", h.name)
			}
			if b.Mappings() > 0 {
				bite()
			}
			b.crashed()
		}
		return nil
	}}
}

// ChangeDNS gives a name the addresses of hosts in the network's [Zone], for a time as in Zone.Set.
// Whoever has cached the old ones goes on using them until they run out.
func ChangeDNS(name string, ttl time.Duration, hosts string) Fault {
	f := &fault{kind: "dns", args: []string{name, ttl.String(), hosts}}
	f.apply = func(n *Network, bite func()) error {
		found, err := n.Match(hosts)
		if err != nil {
			return err
		}
		bite()
		return n.zone.Set(name, ttl, addrsOf(found)...)
	}
	f.ends = func(earlier Fault) bool { return earlier.String() == FailDNS(name).String() }
	return f
}

// FailDNS makes questions for a name fail, until [ChangeDNS] gives it addresses again.
func FailDNS(name string) Fault {
	return &fault{kind: "dns-fail", args: []string{name}, apply: func(n *Network, bite func()) error {
		bite()
		return n.zone.Fail(name)
	}}
}

// rulesChanged makes all pipes look up their link and block again. The lookahead of patient events
// was computed from the links as they were, so those events are due on time from now on.
func (n *Network) rulesChanged() {
	n.rules++
	n.stopForAll()
}

// stopForAll has virtual time stop for every patient event, as what was known of its consequences when it was planned does
// not hold any more. An acknowledgement that has reached the end of its way has none.
func (n *Network) stopForAll() {
	n.patient.each(func(e *event) {
		if e.pkt == nil || e.pkt.counted == nil || e.pkt.to != e.pkt.counted.host {
			n.stops.push(stop{by: e.at, at: e.at, step: e.step})
		}
	})
}
