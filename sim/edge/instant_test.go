package edge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// Goal: what hop 2 delivers in one instant reaches a client in one batch, however goroutines take turns, and
// what comes later in another.
func TestInstantIsOneBatch(t *testing.T) {
	scriptedEdge(t, func(t *testing.T, hop *scripted, s *Server) {
		sub, err := s.Open(within(t), "r", model.Cursor{})
		require.NoError(t, err)
		defer sub.Close()
		sizes := make(chan int, 100)
		go func() {
			for {
				b, err := sub.Next(t.Context(), nil)
				if err != nil {
					return
				}
				sizes <- len(b.Messages)
			}
		}()
		seq := uint64(3)
		for range 50 {
			hop.messages("e1", seq+1, seq+1)
			hop.messages("e1", seq+2, seq+3)
			seq += 3
			time.Sleep(10 * gatherFor)
			require.Equal(t, 3, <-sizes)
		}
		require.Empty(t, sizes)
	})
}

// Goal: a gap, and the end, that follow messages in the same instant come after them, and a burst larger than
// what a client may be behind is cut up, so that it counts as nobody's slowness.
func TestInstantEnds(t *testing.T) {
	scriptedEdge(t, func(t *testing.T, hop *scripted, s *Server) {
		sub, err := s.Open(within(t), "r", model.Cursor{})
		require.NoError(t, err)
		defer sub.Close()
		hop.messages("e1", 4, 4)
		hop.gap(model.Cursor{Epoch: "e2", Seq: 7})
		hop.messages("e2", 8, 8)
		require.Equal(t, []string{"e1:4", "→e2:7", "e2:8"}, story(t, sub))
		for seq := uint64(9); seq < 29; seq++ {
			hop.messages("e2", seq, seq)
		}
		require.Len(t, story(t, sub), 20, "twice the queue's limit")
	})

	up := &instants{up: &failing{err: hop1.ErrClosed}, most: 10}
	b, err := up.next(t.Context())
	require.NoError(t, err)
	require.Len(t, b.Messages, 1)
	_, err = up.next(t.Context())
	require.ErrorIs(t, err, hop1.ErrClosed)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	up = &instants{up: &failing{}, most: 10}
	b, err = up.next(ctx)
	require.NoError(t, err)
	require.Len(t, b.Messages, 1)
	_, err = up.next(ctx)
	require.ErrorIs(t, err, context.Canceled, "the end of its context is not the end of an instant")
}

// failing is a subscription that gives one message, and then fails with err, or with the context's error.
type failing struct {
	given bool
	err   error
}

func (*failing) Start() hop2.Start { return hop2.Start{} }
func (*failing) Unsubscribe()      {}

func (f *failing) Next(ctx context.Context) (hop2.Batch, error) {
	if !f.given {
		f.given = true
		return hop2.Batch{Messages: []model.Message{message(1)}, Cursor: model.Cursor{Epoch: "e1", Seq: 1}}, nil
	}
	if f.err != nil {
		return hop2.Batch{}, f.err
	}
	<-ctx.Done()
	return hop2.Batch{}, ctx.Err()
}

// settled waits until everybody is at rest and rooms have passed on what they had.
func settled() {
	time.Sleep(10 * gatherFor)
	synctest.Wait()
}
