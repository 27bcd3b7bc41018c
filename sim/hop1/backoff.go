package hop1

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// maxRetryHint is the longest that a server's retry hint can keep a client away.
const maxRetryHint = time.Minute

// Backoff is how long to wait between attempts: exponential with full jitter, that is, before
// attempt n (from 0) a wait drawn evenly from [0, min(Max, Min·2ⁿ)). Full jitter spreads a herd of
// clients that lost their server together best of the usual schemes (M. Brooker, "Exponential
// Backoff And Jitter", AWS Architecture Blog, 2015).
//
// A server's retry hint (in a goodbye, or Retry-After) is added to the draw, up to one minute.
type Backoff struct {
	// Min is the first bound. 0 means 100 ms.
	Min time.Duration
	// Max is the last bound, at least Min. 0 means 5 s, or Min if that is longer.
	Max time.Duration
}

func (b *Backoff) validate() error {
	if err := durationField("Backoff.Min", &b.Min, 100*time.Millisecond); err != nil {
		return err
	}
	if err := durationField("Backoff.Max", &b.Max, max(b.Min, 5*time.Second)); err != nil {
		return err
	}
	if b.Max < b.Min {
		return fieldError("Backoff.Max", b.Max, "at least Backoff.Min, "+b.Min.String())
	}
	return nil
}

// delay draws the wait before an attempt, after n earlier ones failed.
func (b Backoff) delay(rng *rand.Rand, n int, hint time.Duration) time.Duration {
	return min(hint, maxRetryHint) + time.Duration(rng.Int64N(int64(b.bound(n))))
}

// bound is the longest that the wait before an attempt can be, after n earlier ones failed.
func (b Backoff) bound(n int) time.Duration {
	bound := b.Min
	for ; n > 0 && bound < b.Max; n-- {
		if bound > b.Max/2 {
			bound = b.Max
		} else {
			bound *= 2
		}
	}
	return bound
}

// retryAfter reads a Retry-After header in its form of whole seconds (RFC 9110 section 10.2.3); the
// form of a date, anything else, and no header at all are no hint.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(s)*time.Second, maxRetryHint)
}

// pause waits, or returns why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newRand gives a generator of its own to a caller that configured none.
func newRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:]) // never fails, as its documentation promises
	return rand.New(rand.NewChaCha8(seed))
}
