package hop2

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

func item(l *simLog, seq int) liveItem {
	m := l.msgs[seq-1]
	return liveItem{model.Cursor{Epoch: l.epoch, Seq: m.Seq}, &m}
}

func end(l *simLog) liveItem {
	return liveItem{at: model.Cursor{Epoch: l.epoch, Seq: uint64(len(l.msgs))}}
}

// Whatever is lost or repeated on the way, and however often the room begins anew: each message that comes
// is delivered once and in order, and each that does not is announced by the time the next thing comes.
func TestFollowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := []*simLog{newSimLog(0)}
		log := func() *simLog { return logs[len(logs)-1] }
		for range rapid.IntRange(0, 3).Draw(t, "before") {
			log().publish()
		}
		f := follow{progress: progress{at: end(log()).at}}
		a := audit{at: f.at, got: map[string]bool{}}
		came := map[string]bool{}
		var last *liveItem
		deliver := func(i liveItem) {
			f.take(i)
			last = &i
			if i.message != nil {
				came[i.message.ID] = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				log().publish()
				if rapid.Bool().Draw(t, "arrives") {
					deliver(item(log(), len(log().msgs)))
				}
			},
			"again": func(t *rapid.T) {
				if last == nil || last.message == nil {
					t.Skip("nothing to repeat")
				}
				f.take(*last)
			},
			"end": func(t *rapid.T) { deliver(end(log())) },
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "bad luck") > 0 {
					t.Skip("lucky")
				}
				logs = append(logs, newSimLog(len(logs)))
			},
			"": func(t *rapid.T) {
				for b, ok := f.pop(); ok; b, ok = f.pop() {
					a.take(t, b)
				}
			},
		})
		deliver(end(log()))
		for b, ok := f.pop(); ok; b, ok = f.pop() {
			a.take(t, b)
		}
		require.Equal(t, end(log()).at, a.at)
		require.Equal(t, came, a.got, "what came is what was delivered")
	})
}

// A count that went back within its epoch is announced; what comes of an epoch that is over is not.
func TestFollowBack(t *testing.T) {
	old, now := newSimLog(0), newSimLog(1)
	for range 5 {
		old.publish()
		now.publish()
	}
	f := follow{progress: progress{at: model.Cursor{Epoch: "e0", Seq: 4}}}
	pop := func() Batch {
		b, ok := f.pop()
		require.True(t, ok)
		return b
	}
	f.take(liveItem{at: model.Cursor{Epoch: "e0", Seq: 2}})
	require.Contains(t, pop().Gap.Why, "future")
	f.take(item(old, 3))
	require.Equal(t, uint64(3), pop().Messages[0].Seq)
	f.take(item(now, 2))
	b := pop()
	require.Contains(t, b.Gap.Why, "other epoch")
	require.Equal(t, model.Cursor{Epoch: "e1", Seq: 1}, b.Gap.To)
	require.Equal(t, uint64(2), pop().Messages[0].Seq)
	f.take(item(old, 4))
	f.take(end(old))
	_, ok := f.pop()
	require.False(t, ok)
	require.Equal(t, model.Cursor{Epoch: "e1", Seq: 2}, f.at)
}

func TestAgreeAtEnd(t *testing.T) {
	at := model.Cursor{Epoch: "e", Seq: 9}
	for from, want := range map[model.Cursor]string{
		{}:                    "",
		at:                    "",
		{Epoch: "e", Seq: 8}:  "no history",
		{Epoch: "e", Seq: 10}: "future",
		{Epoch: "d", Seq: 9}:  "other epoch",
	} {
		gap := agreeAtEnd(from, at)
		require.Equal(t, want == "", gap == "", "from %v", from)
		require.Contains(t, gap, want)
	}
}
