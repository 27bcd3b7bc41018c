package netsim

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// impairment makes a direction between hosts worse than its link, as long as the fault holds that
// made it. It leaves the link as it is, so that several of them add up and each can end by itself.
type impairment struct {
	from, to  string
	by        *fault
	loss      float64 // probability
	duplicate float64 // probability
	delay     time.Duration
	hit       func()
}

// Loss loses packets from one set of hosts to another with a probability in (0, 1], on top of what the
// links lose, until [Undo]. Both ways if both is true.
func Loss(from, to string, both bool, probability float64) Fault {
	return impair("loss", from, to, both, formatPercent(probability), impairment{loss: probability},
		checkProbability(probability))
}

// Duplicate makes packets from one set of hosts to another arrive twice with a probability in (0, 1],
// until [Undo]. Both ways if both is true.
func Duplicate(from, to string, both bool, probability float64) Fault {
	return impair("duplicate", from, to, both, formatPercent(probability), impairment{duplicate: probability},
		checkProbability(probability))
}

// Delay makes packets from one set of hosts to another take longer by d, more than 0 and at most an
// hour, until [Undo]. Both ways if both is true.
func Delay(from, to string, both bool, d time.Duration) Fault {
	return impair("delay", from, to, both, d.String(), impairment{delay: d}, checkDelay(d))
}

// Slow delays all that hosts send and all that they receive by d, as if they were short of processor
// time, until [Undo]. d is more than 0 and at most an hour.
func Slow(hosts string, d time.Duration) Fault {
	f := &fault{kind: "slow", args: []string{hosts, d.String()}}
	f.apply = func(n *Network, bite func()) error {
		if err := checkDelay(d); err != nil {
			return err
		}
		return f.impair(n, hosts, "*", true, impairment{delay: d, hit: bite})
	}
	return f
}

func checkProbability(p float64) error {
	if !(p > 0 && p <= 1) { // the negation also catches NaN
		return fmt.Errorf("%v is not allowed: want a probability above 0 and at most 1", p)
	}
	return nil
}

func checkDelay(d time.Duration) error {
	if d <= 0 || d > maxDelay {
		return fmt.Errorf("%v is not allowed: want more than 0 and at most %v", d, maxDelay)
	}
	return nil
}

// formatPercent is a probability as schedules have it.
func formatPercent(p float64) string {
	return strconv.FormatFloat(p*100, 'g', 12, 64) + "%"
}

// impair makes a fault of an impairment between two sets of hosts, which fails if invalid says why.
func impair(kind, from, to string, both bool, amount string, i impairment, invalid error) Fault {
	arrow := "->"
	if both {
		arrow = "<->"
	}
	f := &fault{kind: kind, args: []string{from + arrow + to, amount}}
	f.apply = func(n *Network, bite func()) error {
		if invalid != nil {
			return invalid
		}
		i.hit = bite
		return f.impair(n, from, to, both, i)
	}
	return f
}

// impair puts an impairment on the directions from one set of hosts to another, and back if both is true.
func (f *fault) impair(n *Network, from, to string, both bool, i impairment) error {
	for _, pattern := range []string{from, to} {
		if _, err := n.Match(pattern); err != nil {
			return err
		}
	}
	i.by = f
	n.mu.Lock()
	defer n.mu.Unlock()
	i.from, i.to = from, to
	n.impairments = append(n.impairments, &i)
	if both {
		back := i
		back.from, back.to = to, from
		n.impairments = append(n.impairments, &back)
	}
	n.rulesChanged()
	return nil
}

func (n *Network) impairmentsBetween(from, to *Host) []*impairment {
	if from == to {
		return nil
	}
	var all []*impairment
	for _, i := range n.impairments {
		if matches(i.from, from.name) && matches(i.to, to.name) {
			all = append(all, i)
		}
	}
	return all
}

// Undo ends one fault that lasts, and no other of its kind: a partition, black hole, loss, duplication,
// delay, slowness, pause, or a network interface that is down. It undoes the first that was applied and
// prints the same. If there is none, since something else has ended it, nothing happens.
func Undo(earlier Fault) Fault {
	f := &fault{kind: "undo", args: []string{earlier.String()}}
	f.ends = func(e Fault) bool { return e.String() == earlier.String() }
	f.apply = func(n *Network, bite func()) error {
		if n.undo(f) {
			bite()
		}
		return nil
	}
	return f
}

// undo ends the first fault in force that end ends, and reports whether there was one.
func (n *Network) undo(end *fault) bool {
	n.mu.Lock()
	var by *fault
	for _, b := range n.blocks {
		if by == nil && end.Ends(b.by) {
			by = b.by
		}
	}
	for _, i := range n.impairments {
		if by == nil && end.Ends(i.by) {
			by = i.by
		}
	}
	if by != nil {
		n.blocks = slices.DeleteFunc(n.blocks, func(b *block) bool { return b.by == by })
		n.impairments = slices.DeleteFunc(n.impairments, func(i *impairment) bool { return i.by == by })
		n.rulesChanged()
	}
	n.mu.Unlock()
	return by != nil || n.unpause(end)
}
