package hop2

import (
	"context"
	"sync"
)

// readerEnd is the end of one subscription: it comes once, when the subscription or its strategy is closed.
type readerEnd struct {
	strategy <-chan struct{} // closed when the strategy is
	closed   chan struct{}
	once     sync.Once
	why      error // set before closed is closed
}

func newReaderEnd(strategy <-chan struct{}) readerEnd {
	return readerEnd{strategy: strategy, closed: make(chan struct{})}
}

// end ends the subscription for a reason, and tells whether it had not ended before. It does not block.
func (e *readerEnd) end(why error) (first bool) {
	e.once.Do(func() {
		first, e.why = true, why
		close(e.closed)
	})
	return first
}

// ended gives the error that Next must fail with, if any.
func (e *readerEnd) ended(ctx context.Context) error {
	select {
	case <-e.closed:
		return e.why
	case <-e.strategy:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}
