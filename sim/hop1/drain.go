package hop1

import (
	"context"
	"math/bits"
	"time"
)

// turnKey is the context key of a connection's turn.
type turnKey struct{}

// takeTurn numbers a connection, for its share of the RetrySpread. It is numbered when it comes, not when
// it is told to leave: that happens to all at one instant, in which nobody is before another.
func (s *server) takeTurn(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnKey{}, s.turns.Add(1)-1)
}

// retryHint is how long the client of a connection is asked to stay away from a server that drains.
func (s *server) retryHint(ctx context.Context) time.Duration {
	turn, _ := ctx.Value(turnKey{}).(uint64)
	return s.cfg.RetryHint + share(turn, s.cfg.RetrySpread).Truncate(time.Millisecond)
}

// golden is 2⁶⁴/φ, rounded to the nearest odd number.
const golden = 0x9e3779b97f4a7c15

// share gives the turn'th point of a sequence on [0, window): the fractional parts of turn/φ. However
// many successive turns there are, no gap between them is more than twice the mean gap (they have
// at most three sizes, by the three-distance theorem of V. T. Sós, 1958).
func share(turn uint64, window time.Duration) time.Duration {
	hi, _ := bits.Mul64(turn*golden, uint64(window))
	return time.Duration(hi)
}
