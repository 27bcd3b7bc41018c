package netsim

import "fmt"

// Fault is something that goes wrong in a network, or gets well again. It is a value: it prints, and
// the same fault can be applied to any network with such hosts.
type Fault interface {
	// Kind is the fault's name without arguments, such as "partition".
	Kind() string
	// String is the fault as it stands in schedules, such as "partition(edge-1, client-*)".
	String() string
	// ApplyTo makes the fault happen now. It is called by the loop. The fault calls bite each time that
	// it changes what would have happened: a partition for each packet that it swallows. It returns an
	// error if it names something that the network does not have.
	ApplyTo(n *Network, bite func()) error
}

// block is a partition that holds, in one direction.
type block struct {
	from, to string
	hit      func()
}

// Partition cuts all links between two sets of hosts, both ways, until [Heal]. Packets that enter a
// cut link disappear; those already under way still arrive. The sets are names or patterns, as for
// [Network.SetLink].
func Partition(a, b string) Fault { return partition{a, b} }

type partition struct{ a, b string }

func (partition) Kind() string     { return "partition" }
func (p partition) String() string { return fmt.Sprintf("partition(%s, %s)", p.a, p.b) }

func (p partition) ApplyTo(n *Network, bite func()) error {
	for _, pattern := range []string{p.a, p.b} {
		if _, err := n.Match(pattern); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocks = append(n.blocks, &block{p.a, p.b, bite}, &block{p.b, p.a, bite})
	n.rulesChanged()
	return nil
}

// Heal ends all partitions.
func Heal() Fault { return heal{} }

type heal struct{}

func (heal) Kind() string   { return "heal" }
func (heal) String() string { return "heal()" }

func (heal) ApplyTo(n *Network, bite func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.blocks) > 0 {
		bite()
	}
	n.blocks = nil
	n.rulesChanged()
	return nil
}

// SetLink changes the link between two sets of hosts, both ways; see [Network.SetLink].
func SetLink(a, b string, l Link) Fault { return linkChange{a, b, l} }

type linkChange struct {
	a, b string
	link Link
}

func (linkChange) Kind() string { return "link" }
func (f linkChange) String() string {
	return fmt.Sprintf("link(%s, %s, %v)", f.a, f.b, f.link)
}

func (f linkChange) ApplyTo(n *Network, bite func()) error {
	for _, pattern := range []string{f.a, f.b} {
		if _, err := n.Match(pattern); err != nil {
			return fmt.Errorf("%v: %w", f, err)
		}
	}
	bite()
	return n.SetLink(f.a, f.b, f.link)
}

// rulesChanged makes all pipes look up their link and block again. The lookahead of patient events
// was computed from the links as they were, so those events are due on time from now on.
func (n *Network) rulesChanged() {
	n.rules++
	for i := range n.patient.heap {
		if e := &n.patient.heap[i]; e.pkt == nil || e.pkt.counted == nil {
			n.stops.push(stop{by: e.at, at: e.at, step: e.step})
		}
	}
}
