package sim

import (
	"fmt"
	"sync"
	"time"
)

// maxSkew bounds how far a host's clock can be off.
const maxSkew = 24 * time.Hour

// hostClock is how far the clock of a host is off. It survives crashes, as hosts' clocks do.
type hostClock struct {
	mu   sync.Mutex
	skew time.Duration
	bite func() // of the fault that set it, if it has not bitten yet
}

// Skew makes the clock of a node's host run fast by so much, or slow if it is negative, at most a day:
// [Node.Clock] tells a time that is off by it, until it is skewed by 0. Timers do not change, and neither
// does package time: programs that order things by the clock must ask the node for it.
func Skew(node string, by time.Duration) Fault {
	text := by.String()
	if by >= 0 {
		text = "+" + text
	}
	return nodeFault{kind: "skew", node: node, more: ", " + text, apply: func(w *World, n *Node, bite func()) error {
		if by < -maxSkew || by > maxSkew {
			return fmt.Errorf("%v is not allowed: want at most %v either way", by, maxSkew)
		}
		c := n.clock
		c.mu.Lock()
		defer c.mu.Unlock()
		c.skew, c.bite = by, bite
		if by == 0 {
			c.bite = nil
		}
		return nil
	}}
}

// Clock tells the time by the clock of the node's host, which may be off; see [Skew].
func (n *Node) Clock() time.Time {
	c := n.clock
	c.mu.Lock()
	skew, bite := c.skew, c.bite
	c.bite = nil
	c.mu.Unlock()
	if bite != nil {
		n.w.net.Submit(n.host, rankRecords, bite)
	}
	return time.Now().Add(skew)
}
