package model

import (
	"cmp"
	"fmt"
)

// Stamp is the time of an event on a Lamport clock.
type Stamp struct {
	Time uint64
	// Node breaks ties, so that stamps of different events are never equal.
	Node string
}

// Compare orders stamps totally: by time, then by node. It is -1, 0 or +1.
func (s Stamp) Compare(t Stamp) int {
	return cmp.Or(cmp.Compare(s.Time, t.Time), cmp.Compare(s.Node, t.Node))
}

// String is "time@node", for people.
func (s Stamp) String() string { return fmt.Sprintf("%d@%s", s.Time, s.Node) }

// Lamport is the logical clock of one node (Lamport, Time, Clocks, and the Ordering of Events in a
// Distributed System, CACM 21(7), 1978). It satisfies the clock condition: if one event happened before
// another, which is to say that it can have caused it, its stamp is less. The converse does not
// hold: of two stamps, the less need not have happened before. [Vector] tells.
type Lamport struct {
	// Node is the clock's own name. No two clocks may share one.
	Node string
	last uint64
}

// Tick stamps an event of the node itself, the sending of a message among them (rule IR1).
func (l *Lamport) Tick() Stamp {
	l.last++
	return Stamp{l.last, l.Node}
}

// Witness stamps the receipt of a message that was stamped when it was sent (rule IR2).
func (l *Lamport) Witness(sent Stamp) Stamp {
	l.last = max(l.last, sent.Time)
	return l.Tick()
}
