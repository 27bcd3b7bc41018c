package model

import (
	"fmt"
	"math"
	"time"
)

// Fanout is the closed form of a tree that carries a message from one origin to many receivers, its
// leaves, by way of relays that each send at most Branch copies.
//
// With b = Branch, N = Leaves, h = Hop and c = PerCopy:
//
//	depth             d = ⌈log_b N⌉, but at least 1, and the same for every leaf
//	copies by a node  at most b; the origin sends ⌈N / b^(d-1)⌉, so no more for more leaves
//	last delivery     at most d (b c + h)
//
// as against one node that sends to all: depth 1, N copies, and N c + h.
//
// It holds for nodes that send their copies one after another, and at once when they get a message, over
// links without loss. A message that comes while a node is still busy with the one before waits.
type Fanout struct {
	// Branch is how many copies of a message a node sends at most, at least 2.
	Branch int
	// Leaves is how many receivers there are, at least 1.
	Leaves int
	// Hop is the time that a copy is on its way from a node to the next, at least 0.
	Hop time.Duration
	// PerCopy is the time that a node takes to send one copy, at least 0.
	PerCopy time.Duration
}

// maxLeaves keeps powers of Branch within an int, and times within a Duration.
const maxLeaves = 1 << 30

// Validate names the field that is out of range.
func (f Fanout) Validate() error {
	switch {
	case f.Branch < 2 || f.Branch > maxLeaves:
		return fmt.Errorf("fan-out: Branch is %d; want 2 to %d", f.Branch, maxLeaves)
	case f.Leaves < 1 || f.Leaves > maxLeaves:
		return fmt.Errorf("fan-out: Leaves is %d; want 1 to %d", f.Leaves, maxLeaves)
	case f.Hop < 0 || f.PerCopy < 0:
		return fmt.Errorf("fan-out: Hop is %v and PerCopy %v; neither may be negative", f.Hop, f.PerCopy)
	}
	return nil
}

// Depth is how many links lie between the origin and each leaf: ⌈log_b N⌉, but at least 1.
func (f Fanout) Depth() int {
	depth, reach := 1, f.Branch
	for reach < f.Leaves {
		depth++
		reach *= f.Branch
	}
	return depth
}

// children says how many children a node with so many leaves below it has, of which depth levels below
// it are left: the fewest that do, so that all leaves are on one level. The first more of them have one
// leaf more than each.
func (f Fanout) children(leaves, depth int) (n, each, more int) {
	reach := 1 // of a child
	for range depth - 1 {
		reach *= f.Branch
	}
	n = (leaves + reach - 1) / reach
	return n, leaves / n, leaves % n
}

// OriginCopies is how many copies the origin sends, ⌈N / b^(d-1)⌉.
func (f Fanout) OriginCopies() int {
	n, _, _ := f.children(f.Leaves, f.Depth())
	return n
}

// Bound is d (b c + h), which no leaf waits longer than.
func (f Fanout) Bound() time.Duration {
	return saturatingTimes(f.Depth(), time.Duration(f.Branch), f.PerCopy, f.Hop)
}

// Naive is when the last leaf has the message if the origin itself sends to all: N c + h.
func (f Fanout) Naive() time.Duration {
	return saturatingTimes(1, time.Duration(f.Leaves), f.PerCopy, f.Hop)
}

// saturatingTimes is d (n c + h), or the greatest Duration.
func saturatingTimes(d int, n, c, h time.Duration) time.Duration {
	if c > 0 && n > (math.MaxInt64-h)/c {
		return math.MaxInt64
	}
	level := n*c + h
	if level > 0 && time.Duration(d) > math.MaxInt64/level {
		return math.MaxInt64
	}
	return time.Duration(d) * level
}

// Last is when the last leaf has the message, counting from when the origin does: the exact value for
// the tree that [Fanout.Tree] builds.
func (f Fanout) Last() time.Duration { return f.last(f.Leaves, f.Depth()) }

// last goes down two children at most: the last of those with a leaf more, and the last of all.
func (f Fanout) last(leaves, depth int) time.Duration {
	n, each, more := f.children(leaves, depth)
	if depth == 1 {
		return saturatingTimes(1, time.Duration(n), f.PerCopy, f.Hop)
	}
	latest := time.Duration(0)
	if more > 0 {
		latest = saturatingTimes(1, time.Duration(more), f.PerCopy, f.Hop) + f.last(each+1, depth-1)
	}
	return max(latest, saturatingTimes(1, time.Duration(n), f.PerCopy, f.Hop)+f.last(each, depth-1))
}

// FanoutNode is a node of a [Fanout.Tree].
type FanoutNode struct {
	// Parent is the index of the node that sends to this one; -1 for the origin.
	Parent int
	// Level is how many links lie between the origin and this node.
	Level int
	// Rank is which of its parent's copies this node gets, counting from 1; 0 for the origin.
	Rank int
	// Children is how many copies this node sends; 0 for a leaf.
	Children int
}

// Tree builds the tree: the origin first, then level by level, the leaves last.
func (f Fanout) Tree() []FanoutNode {
	type branch struct{ node, leaves int }
	depth := f.Depth()
	nodes := []FanoutNode{{Parent: -1}}
	level := []branch{{0, f.Leaves}}
	for d := depth; d > 0; d-- {
		var next []branch
		for _, b := range level {
			n, each, more := f.children(b.leaves, d)
			nodes[b.node].Children = n
			for rank := range n {
				leaves := each
				if rank < more {
					leaves++
				}
				next = append(next, branch{len(nodes), leaves})
				nodes = append(nodes, FanoutNode{Parent: b.node, Level: depth - d + 1, Rank: rank + 1})
			}
		}
		level = next
	}
	return nodes
}
