package edge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// Goal: whatever gaps a room has, no more is kept for a client that reads nothing than for one stretch, and a client
// that is not too far behind has all that it is owed.
// Method: a room gets messages and gaps at random, and a client reads now and then.
func TestBoundAcrossGaps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		rm, reader := policed(Config{QueueLimit: limit, History: rapid.IntRange(1, 6).Draw(rt, "history"), Slow: DropOldest})
		sleeper := &subscription{rm: rm, closed: make(chan struct{})}
		sleeper.join(model.Cursor{})
		at := uint64(0)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				at += uint64(rapid.IntRange(0, 5).Draw(rt, "gap"))
				rm.restart(model.Cursor{Epoch: "e1", Seq: at}, nil, "trimmed")
			case 1:
				tale(rt, reader) // it panics if something is within the limit, and not kept
			default:
				n := uint64(rapid.IntRange(1, 9).Draw(rt, "messages"))
				var msgs []model.Message
				for range n {
					at++
					msgs = append(msgs, message(at))
				}
				rm.take(msgs)
			}
			require.LessOrEqual(rt, sleeper.on.held(sleeper.at), uint64(rm.srv.bound()))
		}
		tale(rt, sleeper)
	})
}
