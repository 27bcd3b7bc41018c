package hop2

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// gatherFor is how long the first of several requests waits for others. It makes a batch of what
// happens at one instant, and so lets the batch's order be chosen, where the scheduler's would
// differ from run to run. Beside a network's latency it is nothing.
const gatherFor = 50 * time.Microsecond

// listenApart is how much later than it might, each time, a strategy dials for the connection that live messages
// come over, if it has another one to the same address for what it asks. One instant may give reason to dial both: a
// relay that has restarted is told in one request to publish to a room and to follow it, and a broker that has gone
// is gone for both. Whose connection is the first would be the scheduler's choice. What is asked is dialled for
// gatherFor after its reason, and as often; so the two never meet, neither when both begin nor when both try again.
const listenApart = 3 * gatherFor

// gather collects items from any goroutine for one that takes them in batches. A batch is in order
// of arrival, and items that arrived at the same instant are in canonical order.
type gather[T any] struct {
	wait    time.Duration // how long the first of a batch waits for others
	compare func(a, b T) int
	wake    chan struct{} // has an element if items were put since the taker last looked

	mu    sync.Mutex
	items []arrival[T]
}

type arrival[T any] struct {
	at   time.Time
	item T
}

func newGather[T any](compare func(a, b T) int) *gather[T] { return newGatherFor(gatherFor, compare) }

func newGatherFor[T any](wait time.Duration, compare func(a, b T) int) *gather[T] {
	return &gather[T]{wait: wait, compare: compare, wake: make(chan struct{}, 1)}
}

// put adds an item. It does not block.
func (g *gather[T]) put(item T) {
	g.mu.Lock()
	g.items = append(g.items, arrival[T]{time.Now(), item})
	g.mu.Unlock()
	g.poke()
}

// poke has the taker look.
func (g *gather[T]) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// due is when the next batch may be grabbed; false if there is nothing.
func (g *gather[T]) due() (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.items) == 0 {
		return time.Time{}, false
	}
	return g.items[0].at.Add(g.wait), true
}

// grab takes the batch that is due, which may be empty. What arrives at this very instant is left for
// the next one: whether it came just before or just after must make no difference.
func (g *gather[T]) grab() []T {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if len(g.items) == 0 || now.Before(g.items[0].at.Add(g.wait)) {
		return nil
	}
	n, _ := slices.BinarySearchFunc(g.items, now, func(a arrival[T], t time.Time) int { return a.at.Compare(t) })
	taken := slices.Clone(g.items[:n])
	g.items = slices.Delete(g.items, 0, n)
	slices.SortStableFunc(taken, func(a, b arrival[T]) int {
		return cmp.Or(a.at.Compare(b.at), g.compare(a.item, b.item))
	})
	batch := make([]T, n)
	for i, a := range taken {
		batch[i] = a.item
	}
	return batch
}

// take waits for a batch, of at least one item. It fails only with ctx's error.
func (g *gather[T]) take(ctx context.Context) ([]T, error) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for ctx.Err() == nil {
		if batch := g.grab(); len(batch) > 0 {
			return batch, nil
		}
		var timer <-chan time.Time
		if at, ok := g.due(); ok {
			t.Reset(time.Until(at))
			timer = t.C
		}
		select {
		case <-g.wake:
		case <-timer:
		case <-ctx.Done():
		}
	}
	return nil, ctx.Err()
}
