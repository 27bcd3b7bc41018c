package hop2

import "sync"

// inbox is what waits for one subscription's reader. Whoever brings something never waits: one item too
// many is dropped, and leaves a doubt behind.
type inbox[T any] struct {
	limit int
	wake  chan struct{} // has an element if the inbox changed since the reader last looked

	mu    sync.Mutex
	items []T
	doubt bool // something may have been lost
}

func newInbox[T any](limit int) inbox[T] {
	return inbox[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// push adds an item, or drops it if the reader is too far behind.
func (b *inbox[T]) push(item T) {
	b.mu.Lock()
	if len(b.items) < b.limit {
		b.items = append(b.items, item)
	} else {
		b.doubt = true
	}
	b.mu.Unlock()
	b.poke()
}

// suspect says that something may have been lost.
func (b *inbox[T]) suspect() {
	b.mu.Lock()
	b.doubt = true
	b.mu.Unlock()
	b.poke()
}

// trust forgets the doubt so far.
func (b *inbox[T]) trust() {
	b.mu.Lock()
	b.doubt = false
	b.mu.Unlock()
}

// take empties the inbox.
func (b *inbox[T]) take() (items []T, doubt bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, doubt = b.items, b.doubt
	b.items, b.doubt = nil, false
	return items, doubt
}

func (b *inbox[T]) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
