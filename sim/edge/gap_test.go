package edge

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// scripted is a strategy with one room, which delivers what the test says.
type scripted struct {
	hop2.Strategy
	start   hop2.Start
	batches chan hop2.Batch
}

func newScripted(at model.Cursor) *scripted {
	return &scripted{start: hop2.Start{Cursor: at}, batches: make(chan hop2.Batch, 100)}
}

// Subscribe gives the script to whoever comes without a cursor, as the room does; to others, which come
// with theirs, only that it is honoured.
func (s *scripted) Subscribe(_ context.Context, _ string, from model.Cursor) (hop2.Subscription, error) {
	sub := &scriptedSubscription{start: s.start, batches: s.batches, closed: make(chan struct{})}
	if !from.IsZero() {
		sub.start, sub.batches = hop2.Start{Cursor: from}, make(chan hop2.Batch, 1)
		m := message(from.Seq + 1)
		sub.batches <- hop2.Batch{Messages: []model.Message{m}, Cursor: model.Cursor{Epoch: from.Epoch, Seq: m.Seq}}
	}
	return sub, nil
}

func message(seq uint64) model.Message { return model.Message{Room: "r", Seq: seq} }

func (s *scripted) messages(epoch string, from, to uint64) {
	b := hop2.Batch{Cursor: model.Cursor{Epoch: epoch, Seq: to}}
	for seq := from; seq <= to; seq++ {
		b.Messages = append(b.Messages, message(seq))
	}
	s.batches <- b
}

func (s *scripted) gap(to model.Cursor) {
	s.batches <- hop2.Batch{Gap: &hop2.Gap{To: to, Why: "a gap to " + to.String()}, Cursor: to}
}

type scriptedSubscription struct {
	start   hop2.Start
	batches chan hop2.Batch
	closed  chan struct{}
	once    sync.Once
}

func (s *scriptedSubscription) Start() hop2.Start { return s.start }
func (s *scriptedSubscription) Unsubscribe()      { s.once.Do(func() { close(s.closed) }) }

func (s *scriptedSubscription) Next(ctx context.Context) (hop2.Batch, error) {
	select {
	case b := <-s.batches:
		return b, nil
	case <-s.closed:
		return hop2.Batch{}, hop2.ErrClosed
	case <-ctx.Done():
		return hop2.Batch{}, ctx.Err()
	}
}

// story reads all that is there, as positions; a gap has an arrow before it.
func story(t *testing.T, sub hop1.Subscription) (told []string) {
	t.Helper()
	epoch := sub.Start().Cursor.Epoch
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		b, err := sub.Next(ctx, nil)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return told
		}
		if b.Gap != nil {
			require.Equal(t, "a gap to "+b.Gap.To.String(), b.Gap.Why)
			told, epoch = append(told, "→"+b.Gap.To.String()), b.Gap.To.Epoch
		}
		for _, m := range b.Messages {
			told = append(told, model.Cursor{Epoch: epoch, Seq: m.Seq}.String())
		}
	}
}

// scriptedEdge is a server in a bubble, over a script.
func scriptedEdge(t *testing.T, body func(t *testing.T, hop *scripted, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		hop := newScripted(model.Cursor{Epoch: "e1", Seq: 3})
		s, err := New(Config{Strategy: hop, QueueLimit: 10, History: 10})
		require.NoError(t, err)
		body(t, hop, s)
		require.NoError(t, s.Shutdown(within(t)))
	})
}

// A gap of hop 2 reaches every client where it is: after the last message before it, and in the stream
// that it has.
func TestGapIsPassedOn(t *testing.T) {
	scriptedEdge(t, func(t *testing.T, hop *scripted, s *Server) {
		busy, idle := open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{})
		hop.messages("e1", 4, 5)
		require.Equal(t, []string{"e1:4", "e1:5"}, story(t, busy))
		hop.gap(model.Cursor{Epoch: "e1", Seq: 8})
		require.Equal(t, []string{"→e1:8"}, story(t, busy), "at once")
		hop.messages("e1", 9, 9)
		hop.gap(model.Cursor{Epoch: "e2"})
		hop.gap(model.Cursor{Epoch: "e2", Seq: 2})
		hop.messages("e2", 3, 4)
		require.Equal(t, []string{"e1:9", "→e2:0", "→e2:2", "e2:3", "e2:4"}, story(t, busy))
		require.Equal(t, []string{"e1:4", "e1:5", "→e1:8", "e1:9", "→e2:0", "→e2:2", "e2:3", "e2:4"}, story(t, idle))
		late := open(t, s, "r", model.Cursor{Epoch: "e2", Seq: 3})
		require.Equal(t, []string{"e2:3", "e2:4"}, story(t, late))
		for _, sub := range []hop1.Subscription{busy, idle, late} {
			sub.Close()
		}
	})
}

// A client that is ahead of the room is told of a gap if something is missing to it, or if the log went
// back, and not otherwise.
func TestGapForAClientAhead(t *testing.T) {
	for to, want := range map[model.Cursor][]string{
		{Epoch: "e1", Seq: 5}: {"e1:8"}, // the client was there
		{Epoch: "e1", Seq: 7}: {"e1:8"}, // and there
		{Epoch: "e1", Seq: 9}: {"→e1:9", "e1:10"},
		{Epoch: "e1", Seq: 2}: {"→e1:2", "e1:3"}, // the log went back: 3 is another message
		{Epoch: "e2", Seq: 7}: {"→e2:7", "e2:8"},
	} {
		t.Run(to.String(), func(t *testing.T) {
			scriptedEdge(t, func(t *testing.T, hop *scripted, s *Server) {
				keeper := open(t, s, "r", model.Cursor{})
				ahead := open(t, s, "r", model.Cursor{Epoch: "e1", Seq: 7})
				require.Equal(t, []string{"e1:7"}, story(t, ahead), "the room is at 3")
				hop.gap(to)
				next := to.Seq + 1
				hop.messages(to.Epoch, next, max(next, 8))
				got := story(t, ahead)
				require.Equal(t, want, got[:min(len(want), len(got))])
				require.Equal(t, "→"+to.String(), story(t, keeper)[0])
				keeper.Close()
				ahead.Close()
			})
		})
	}
}

// A client that does not read is dropped, however the queue came to be too long: a gap is one more thing
// to tell it.
func TestGapsFillTheQueue(t *testing.T) {
	scriptedEdge(t, func(t *testing.T, hop *scripted, s *Server) {
		patient, slow := open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{})
		hop.messages("e1", 4, 7)
		for i := range uint64(3) {
			hop.gap(model.Cursor{Epoch: "e1", Seq: 10 * (i + 1)})
			hop.messages("e1", 10*(i+1)+1, 10*(i+1)+1)
		}
		settled()
		require.Equal(t, 10, s.Stats().QueueHigh)
		require.Len(t, story(t, patient), 10)
		hop.gap(model.Cursor{Epoch: "e2"})
		settled()
		require.Equal(t, []string{"→e2:0"}, story(t, patient))
		_, err := slow.Next(t.Context(), nil)
		require.ErrorIs(t, err, hop1.ErrSlowConsumer)
		patient.Close()
		slow.Close()
	})
}

// What a reader does with the slice that it was given does not reach the cache, nor other readers.
func TestReadersCannotOverwriteTheCache(t *testing.T) {
	scriptedEdge(t, func(t *testing.T, hop *scripted, s *Server) {
		first, second := open(t, s, "r", model.Cursor{}), open(t, s, "r", model.Cursor{})
		for seq := uint64(4); seq <= 8; seq++ {
			hop.messages("e1", seq, seq)
			settled()
		}
		cache := s.rooms["r"].now.msgs
		require.Greater(t, cap(cache), len(cache), "there is something to overwrite")
		b, err := first.Next(t.Context(), nil)
		require.NoError(t, err)
		resumed := open(t, s, "r", model.Cursor{Epoch: "e1", Seq: 6})
		backlog, err := resumed.Next(t.Context(), nil)
		require.NoError(t, err)
		for _, msgs := range [][]model.Message{b.Messages, backlog.Messages} {
			require.Equal(t, uint64(8), msgs[len(msgs)-1].Seq)
			require.Equal(t, len(msgs), cap(msgs))
			_ = append(msgs, message(666))
		}
		hop.messages("e1", 9, 9)
		settled()
		for _, msgs := range [][]model.Message{b.Messages, backlog.Messages} {
			_ = append(msgs, message(666)) // where 9 is now
		}
		require.Equal(t, []string{"e1:4", "e1:5", "e1:6", "e1:7", "e1:8", "e1:9"}, story(t, second))
		for _, sub := range []hop1.Subscription{first, second, resumed} {
			sub.Close()
		}
	})
}
