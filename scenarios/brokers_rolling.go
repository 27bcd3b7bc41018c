package scenarios

import (
	"sync"
	"time"

	"github.com/twohop/twohop/sim"
)

// lives counts processes that have not ended, by node. The zero value has none.
type lives struct {
	mu  sync.Mutex
	now map[string]int
}

// begin counts a process, until end is called.
func (l *lives) begin(node string) (end func()) {
	l.add(node, 1)
	return func() { l.add(node, -1) }
}

func (l *lives) add(node string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		l.now = map[string]int{}
	}
	l.now[node] += n
}

func (l *lives) has(node string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now[node] > 0
}

// roll stops and starts one edge after the other, from now on. Each has its share of the outage, and as long as it
// takes to hand over what it is in charge of.
func (sys *BrokersSystem) roll(w *sim.World) {
	const look = 100 * time.Millisecond
	each := sys.brokers.Outage / time.Duration(sys.brokers.Edges)
	for i := range sys.brokers.Edges {
		w.At(w.Now(), sim.Stop(edgeName(i)))
		w.RunFor(each)
		for waited := time.Duration(0); sys.edges.has(edgeName(i)) && waited < leaveLimit && !w.Interrupted(); waited += look {
			w.RunFor(look)
		}
		w.At(w.Now(), sim.Restart(edgeName(i)))
	}
}
