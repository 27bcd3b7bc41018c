package edge

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Whoever is put at a position is told which message is there, although the room opened after it came; who comes
// back is told which one this edge has there, from whichever place it knows.
func TestAnchors(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.history = 10
		hop := w.strategy(t)
		publish(t, hop, "r", 1, 30)
		s := w.edge(t, func(c *Config) { c.Strategy, c.History, c.QueueLimit = hop, 3, 2 })
		sub := open(t, s, "r", model.Cursor{})
		epoch := sub.Start().Cursor.Epoch
		at := func(seq uint64) model.Cursor { return model.Cursor{Epoch: epoch, Seq: seq} }
		require.Equal(t, hop1.Start{Cursor: at(30), Anchor: "30"}, sub.Start())
		again := open(t, s, "r", at(30)) // where the stretch begins
		require.Equal(t, hop1.Start{Cursor: at(30), Resumed: true, Anchor: "30"}, again.Start())
		require.Equal(t, simtest.UpTo(30, 30), read(t, again, 30))
		for seq := 31; seq <= 40; seq++ {
			publish(t, hop, "r", seq, seq)
			read(t, again, uint64(seq))
		}
		for seq := uint64(31); seq <= 40; seq++ { // from the cache, and from hop 2
			require.Equal(t, hop1.Start{Cursor: at(seq), Resumed: true, Anchor: anchor(seq)}, open(t, s, "r", at(seq)).Start())
		}
	})
}

// A broker that keeps no log cannot be asked. The edge has a stamp for where a room began, by which it knows its
// own view again, and which no other edge and no later room has.
func TestStamps(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hop := &forgetful{w.strategy(t)}
		publish(t, hop, "r", 1, 5)
		s := w.edge(t, func(c *Config) { c.Strategy, c.Name = hop, "edge-1" })
		put := open(t, s, "r", model.Cursor{}).Start()
		require.True(t, strings.HasPrefix(put.Anchor, "?edge-1@"), put.Anchor)
		require.NoError(t, model.CheckAnchor(put.Anchor))
		back := open(t, s, "r", put.Cursor)
		require.Equal(t, hop1.Start{Cursor: put.Cursor, Resumed: true, Anchorless: true, Anchor: put.Anchor}, back.Start())
		publish(t, hop, "r", 6, 7)
		require.Equal(t, simtest.UpTo(6, 7), read(t, back, 7))
		require.Equal(t, put.Anchor, open(t, s, "r", put.Cursor).Start().Anchor)

		other := open(t, w.edge(t, func(c *Config) { c.Strategy, c.Name = hop, "edge-2" }), "r", model.Cursor{}).Start()
		require.True(t, strings.HasPrefix(other.Anchor, "?edge-2@"), other.Anchor)
		require.Equal(t, uint64(7), other.Cursor.Seq)
	})
}

// forgetful keeps nothing for who was not there.
type forgetful struct{ hop2.Strategy }

func (f *forgetful) Subscribe(ctx context.Context, room string, from model.Cursor) (hop2.Subscription, error) {
	sub, err := f.Strategy.Subscribe(ctx, room, model.Cursor{})
	if err != nil || from.IsZero() || from == sub.Start().Cursor {
		return sub, err
	}
	return &gapped{sub}, nil
}

type gapped struct{ hop2.Subscription }

func (g *gapped) Start() hop2.Start {
	return hop2.Start{Cursor: g.Subscription.Start().Cursor, Gap: "no history"}
}
