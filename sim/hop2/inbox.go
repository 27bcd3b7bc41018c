package hop2

import (
	"sync"
	"time"
)

// inbox is what waits for one subscription's reader. Whoever brings something never waits: one item too
// many is dropped, and leaves a doubt behind.
//
// Whether the reader looks before all that comes at one instant is there is the scheduler's choice, and must make no
// difference. So what it takes makes room from the next instant on, and an instant leaves one doubt.
type inbox[T any] struct {
	limit int
	wake  chan struct{} // has an element if the inbox changed since the reader last looked

	mu    sync.Mutex
	items []T
	at    time.Time // when the latest item came
	held  int       // how many were waiting just before that, and how many have come then
	full  bool      // one has been dropped then
	doubt bool      // something may have been lost
	torn  bool      // since the reader last looked, what comes may be of another log
	whole int       // how many of items came before that
}

func newInbox[T any](limit int) inbox[T] {
	return inbox[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// push adds an item, or drops it if the reader is too far behind.
func (b *inbox[T]) push(item T) {
	b.mu.Lock()
	if now := time.Now(); now != b.at {
		b.at, b.held, b.full = now, len(b.items), false
	}
	if b.held < b.limit {
		b.items = append(b.items, item)
		b.held++
	} else if !b.full {
		b.full, b.doubt = true, true
	}
	b.mu.Unlock()
	b.poke()
}

// suspect says that something may have been lost, and that what comes from now on may be of another log.
func (b *inbox[T]) suspect() {
	b.mu.Lock()
	b.doubt = true
	if !b.torn {
		b.torn, b.whole = true, len(b.items)
	}
	b.mu.Unlock()
	b.poke()
}

// trust forgets the doubt so far.
func (b *inbox[T]) trust() {
	b.mu.Lock()
	b.doubt, b.torn = false, false
	b.mu.Unlock()
}

// take empties the inbox.
func (b *inbox[T]) take() (items []T, doubt bool) {
	items, rest, _, doubt := b.takeTorn()
	return append(items, rest...), doubt
}

// takeTorn empties the inbox, and tells whether, and which of the items, came after a suspicion.
func (b *inbox[T]) takeTorn() (items, after []T, torn, doubt bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, torn, doubt = b.items, b.torn, b.doubt
	if torn {
		items, after = items[:b.whole:b.whole], items[b.whole:]
	}
	b.items, b.doubt, b.torn = nil, false, false
	return items, after, torn, doubt
}

func (b *inbox[T]) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
