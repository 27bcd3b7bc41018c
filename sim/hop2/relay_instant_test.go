package hop2

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// puppet is a strategy whose one room has the epoch e and stands at 5. What its readers get is the test's to say.
type puppet struct {
	Strategy
	fetched chan struct{} // a subscription from a position is answered when it is closed
	live    chan Batch    // of the subscription from the end
}

func (p puppet) Subscribe(ctx context.Context, _ string, from model.Cursor) (Subscription, error) {
	if from.IsZero() {
		return puppetSubscription{start: model.Cursor{Epoch: "e", Seq: 5}, batches: p.live}, nil
	}
	select {
	case <-p.fetched:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	log := make(chan Batch, 10)
	for seq := from.Seq + 1; seq <= 7; seq++ {
		log <- batchOf(seq)
	}
	return puppetSubscription{start: from, batches: log}, nil
}

func batchOf(seq uint64) Batch {
	m := note("r", int(seq))
	m.Seq = seq
	return Batch{Messages: []model.Message{m}, Cursor: model.Cursor{Epoch: "e", Seq: seq}}
}

type puppetSubscription struct {
	start   model.Cursor
	batches chan Batch
}

func (s puppetSubscription) Start() Start { return Start{Cursor: s.start} }
func (s puppetSubscription) Unsubscribe() {}

func (s puppetSubscription) Next(ctx context.Context) (Batch, error) {
	select {
	case b := <-s.batches:
		return b, nil
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
}

// Goal: what a relay's read that waited answers does not depend on whether the read or the room's goroutine has its turn
// first, when what both wait for comes at one instant.
// Method: the read is let go first, and the room's messages come when everything has settled, at the same instant: the
// page has them all the same.
func TestRelayReadsWholeInstants(t *testing.T) {
	for name, c := range map[string]struct {
		from string
		free func(p puppet) // lets the read go, in a settled moment
		rest []uint64       // what the room gets at the same instant
	}{
		"of what upstream is asked for": {"e:3", func(p puppet) { close(p.fetched) }, []uint64{6, 7}},
		"of what the room has yet to hear of": {"e:6", func(p puppet) {
			close(p.fetched)
			time.Sleep(time.Second / 2) // upstream says that the room is behind
			p.live <- batchOf(6)
		}, []uint64{7}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *network) {
				p := puppet{fetched: make(chan struct{}), live: make(chan Batch)}
				r, err := NewRelay(RelayConfig{Upstream: p})
				require.NoError(t, err)
				defer func() { require.NoError(t, r.Close()) }()
				var page *wire.Page
				read := make(chan error, 1)
				go func() {
					var err error
					page, err = r.read(t.Context(), &wire.Read{Room: "r", From: c.from, Limit: 10})
					read <- err
				}()
				synctest.Wait()
				c.free(p)
				for _, seq := range c.rest {
					synctest.Wait()
					p.live <- batchOf(seq)
				}
				require.NoError(t, <-read)
				require.Equal(t, uint64(7), page.Last)
				require.Equal(t, uint64(7), page.Records[len(page.Records)-1].Seq)
			})
		})
	}
}
