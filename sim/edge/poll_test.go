package edge

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// With a context that has ended Next waits for nothing, but gives what is there: the backlog, then what
// came since.
func TestNextWithoutWaiting(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		hop := w.strategy(t)
		s := w.edge(t, func(c *Config) { c.Strategy = hop })
		over, cancel := context.WithCancel(context.Background())
		cancel()
		watch := open(t, s, "r", model.Cursor{})
		end := publish(t, hop, "r", 1, 5)
		read(t, watch, 5)
		sub := open(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: 3})
		b, err := sub.Next(over, nil)
		require.NoError(t, err)
		require.Len(t, b.Messages, 3, "with the anchor")
		_, err = sub.Next(over, nil)
		require.ErrorIs(t, err, context.Canceled)
		publish(t, hop, "r", 6, 6)
		read(t, watch, 6)
		b, err = sub.Next(over, nil)
		require.NoError(t, err)
		require.Equal(t, uint64(6), b.Messages[0].Seq)
	})
}

// The session of a polling client is the room's linger: polls that are closer than that share one
// subscription to hop 2, and nothing else is held between them. When the last client is gone, whether or
// not it says so, so is the room, that long after its last request.
func TestPollersKeepTheRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hop := &counting{Strategy: w.strategy(t)}
		s := w.edge(t, func(c *Config) { c.Strategy, c.Linger = hop, 5*time.Second })
		hc := w.serve(t, s, "a:80")
		got := make(chan model.Event, 100)
		c, err := hop1.NewClient(hop1.ClientConfig{
			Name: "c", Room: "r", BaseURL: "http://a:80", Transport: "poll", HTTP: hc, Poll: hop1.Polling{Interval: 3 * time.Second},
			Observe: func(ev model.Event) { got <- ev },
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		require.Equal(t, model.Connected, (<-got).Kind)
		var seqs []uint64
		for i := range 10 {
			time.Sleep(3 * time.Second)
			publish(t, hop, "r", 2*i+1, 2*i+2)
			seqs = append(seqs, (<-got).Seq, (<-got).Seq)
			require.Equal(t, Stats{Rooms: 1, Upstreams: 1, QueueHigh: s.Stats().QueueHigh}, s.Stats(), "between polls nobody is there")
		}
		require.Equal(t, simtest.UpTo(1, 20), seqs)
		require.Equal(t, int64(1), hop.subscribes.Load())
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		time.Sleep(5*time.Second + time.Millisecond)
		require.Zero(t, s.Stats().Rooms)
		require.Zero(t, s.Stats().Upstreams)
	})
}
