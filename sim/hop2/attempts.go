package hop2

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// attempts is how a strategy tries again what failed.
type attempts struct {
	conf      *Config
	done      <-chan struct{}  // closed when the strategy is
	permanent func(error) bool // tells whether trying again would give the same error
}

// insist tries until it succeeds, ctx ends, the strategy is closed or the error is permanent.
func (a *attempts) insist(ctx context.Context, attempt func() error) error {
	for n := 1; ; n++ {
		err := attempt()
		if err == nil || errors.Is(err, ErrClosed) || a.permanent(err) {
			return err
		}
		if end := a.pause(ctx, a.conf.backoff(n)); end != nil {
			if errors.Is(end, ErrClosed) {
				return end
			}
			return fmt.Errorf("%w: gave up after attempt %d: %w (%w)", ErrUnavailable, n, end, err)
		}
	}
}

// pause waits. It fails with ctx's error, or ErrClosed.
func (a *attempts) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-a.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
