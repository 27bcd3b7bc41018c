package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LoseDisk replaces a node's machine by another of the same name and address, with an empty disk: it takes the
// power from the host, as [Crash] does, if that is not down already, and what was on its disk is gone, synced or
// not. It stays down until [Restart]. The world must have been told of the disk ([World.OnDiskLose]).
func LoseDisk(node string) Fault {
	return nodeFault{kind: "disk-lose", node: node, apply: func(w *World, n *Node, bite func()) error {
		lose := w.disks[node]
		if lose == nil {
			return fmt.Errorf("the node has no disk that can be lost; %s", w.diskList())
		}
		if n.host.Up() {
			n.crash()
		}
		if lose() {
			bite()
		}
		return nil
	}}
}

// OnDiskLose says how a node's disk is lost: lose is called by the loop, when the node has no process that could
// use the disk again. It reports whether there was anything on it.
func (w *World) OnDiskLose(node string, lose func() bool) {
	if w.disks[node] != nil {
		w.Failf("sim: the disk of %q is lost by two functions; give each node one", node)
		return
	}
	w.disks[node] = lose
}

func (w *World) diskList() string {
	if len(w.disks) == 0 {
		return "no node has one"
	}
	return "the nodes with one are " + strings.Join(slices.Sorted(maps.Keys(w.disks)), ", ")
}
