package hop2

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// simLog is a room's log as the broker keeps it: trimmed to its latest messages.
type simLog struct {
	epoch string
	msgs  []model.Message // 1, 2, …
	first uint64          // oldest kept
	gone  map[uint64]bool // removed from the middle, by nobody of ours
}

func newSimLog(n int) *simLog {
	return &simLog{epoch: fmt.Sprintf("e%d", n), first: 1, gone: map[uint64]bool{}}
}

func (l *simLog) publish() model.Message {
	seq := uint64(len(l.msgs)) + 1
	m := model.Message{Room: "r", Seq: seq, ID: fmt.Sprintf("%s-%d", l.epoch, seq)}
	l.msgs = append(l.msgs, m)
	return m
}

func (l *simLog) read(from model.Cursor, count int) page {
	p := page{epoch: l.epoch, first: l.first, last: uint64(len(l.msgs))}
	start := l.first
	if from.Epoch == l.epoch {
		start = max(start, from.Seq+1)
	}
	for seq := start; seq <= p.last && len(p.messages) < count; seq++ {
		if !l.gone[seq] {
			p.messages = append(p.messages, l.msgs[seq-1])
		}
	}
	if to, _ := agree(from, p); to.Seq > 0 {
		p.anchor = l.msgs[to.Seq-1].ID
	}
	return p
}

// audit follows what a merge gives out: each message once, in order, no hole that is not announced.
type audit struct {
	at   model.Cursor
	got  map[string]bool
	gaps []Gap
}

func (a *audit) take(t require.TestingT, b Batch) {
	if b.Gap != nil {
		require.Empty(t, b.Messages)
		require.Equal(t, a.at, b.Gap.From)
		require.Equal(t, b.Gap.To, b.Cursor)
		require.NotEmpty(t, b.Gap.Why)
		a.at = b.Gap.To
		a.gaps = append(a.gaps, *b.Gap)
		return
	}
	require.NotEmpty(t, b.Messages)
	for _, m := range b.Messages {
		require.Equal(t, a.at.Seq+1, m.Seq, "a silent hole")
		require.Equal(t, fmt.Sprintf("%s-%d", a.at.Epoch, m.Seq), m.ID, "a message of another log")
		require.False(t, a.got[m.ID], "delivered twice")
		a.got[m.ID] = true
		a.at.Seq = m.Seq
	}
	require.Equal(t, a.at, b.Cursor)
}

// Whatever order live messages come in, whichever are lost or repeated, whenever the log is read,
// trimmed or begun anew: each message is delivered once and in order, and what is not is announced.
// Nothing is announced as lost that was still in the log when the loss was noticed.
func TestMergeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := []*simLog{newSimLog(0)}
		log := func() *simLog { return logs[len(logs)-1] }
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			log().publish()
		}
		start, _ := agree(model.Cursor{}, log().read(model.Cursor{}, 0))
		g := merge{progress: progress{at: start}, limit: rapid.IntRange(1, 6).Draw(t, "limit")}
		a := audit{at: start, got: map[string]bool{}}

		type flying struct {
			epoch string
			m     model.Message
		}
		var onTheWay []flying // live messages
		var asked *model.Cursor
		var answer *page // the log was read, the page is on its way

		actions := map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "messages") {
					m := log().publish()
					if rapid.IntRange(0, 7).Draw(t, "fate") > 0 {
						onTheWay = append(onTheWay, flying{log().epoch, m})
					} else {
						g.suspect() // the real world's signs are a later message, a reconnection or silence
					}
				}
			},
			"live": func(t *rapid.T) {
				if len(onTheWay) == 0 {
					t.Skip("none")
				}
				i := 0
				if rapid.Bool().Draw(t, "out of order") {
					i = rapid.IntRange(0, len(onTheWay)-1).Draw(t, "which")
				}
				g.live(onTheWay[i].epoch, onTheWay[i].m)
				if rapid.Bool().Draw(t, "once") {
					onTheWay = append(onTheWay[:i], onTheWay[i+1:]...)
				}
			},
			"ask": func(t *rapid.T) {
				if asked != nil {
					t.Skip("asked")
				}
				from := g.ask()
				asked = &from
			},
			"read": func(t *rapid.T) {
				if answer != nil {
					t.Skip("read")
				}
				if asked == nil {
					from := g.ask()
					asked = &from
				}
				p := log().read(*asked, rapid.IntRange(1, 4).Draw(t, "count"))
				answer = &p
			},
			"answer": func(t *rapid.T) {
				if answer == nil {
					t.Skip("not read")
				}
				g.page(*answer)
				asked, answer = nil, nil
			},
			"fail": func(t *rapid.T) {
				if asked == nil {
					t.Skip("not asked")
				}
				g.failed()
				asked, answer = nil, nil
			},
			"trim": func(t *rapid.T) {
				l := log()
				l.first = min(l.first+uint64(rapid.IntRange(0, 3).Draw(t, "by")), uint64(len(l.msgs))+1)
			},
			"remove": func(t *rapid.T) {
				if n := len(log().msgs); n > 0 {
					log().gone[uint64(rapid.IntRange(1, n).Draw(t, "seq"))] = true
				}
			},
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "bad luck") > 0 {
					t.Skip("lucky")
				}
				logs = append(logs, newSimLog(len(logs)))
				g.suspect()
			},
			"": func(t *rapid.T) {
				for {
					b, ok := g.pop()
					if !ok {
						return
					}
					a.take(t, b)
				}
			},
		}
		for range 4 { // rapid's 30 steps are few for what takes five in a row
			t.Repeat(actions)
		}

		// Things calm down: the reader reads until it wants no more, and then has everything.
		if asked != nil {
			g.failed()
		}
		for _, f := range onTheWay {
			g.live(f.epoch, f.m)
		}
		for reads := 0; g.wants(); reads++ {
			require.Less(t, reads, 1000, "it reads forever")
			g.page(log().read(g.ask(), 3))
		}
		for b, ok := g.pop(); ok; b, ok = g.pop() {
			a.take(t, b)
		}
		require.Equal(t, model.Cursor{Epoch: log().epoch, Seq: uint64(len(log().msgs))}, a.at)
		require.Empty(t, g.early)

		lost := func(c model.Cursor) bool {
			for _, gap := range a.gaps {
				if gap.To.Epoch == c.Epoch && c.Seq <= gap.To.Seq && (gap.From.Epoch != c.Epoch || c.Seq > gap.From.Seq) {
					return true
				}
			}
			return false
		}
		for seq := log().first; seq <= uint64(len(log().msgs)); seq++ {
			m := log().msgs[seq-1]
			before := log() == logs[0] && seq <= start.Seq
			require.Truef(t, before || a.got[m.ID] || log().gone[seq] && lost(model.Cursor{Epoch: log().epoch, Seq: seq}),
				"message %s is still in the log, but was not delivered; gaps %+v", m.ID, a.gaps)
		}
	})
}

// A log that went back within its epoch, as when a stale replica takes over, is announced once a
// reader that is ahead of it looks; what it appends after that is delivered.
func TestMergeLogWentBack(t *testing.T) {
	l := newSimLog(0)
	for range 5 {
		l.publish()
	}
	g := merge{progress: progress{at: model.Cursor{Epoch: "e0", Seq: 5}}, limit: 4}
	g.live("e0", model.Message{Seq: 9, ID: "of the future"})
	require.True(t, g.wants())
	l.msgs = l.msgs[:3]
	g.page(l.read(g.ask(), 10))
	require.False(t, g.wants(), "a message that the log does not have must not be waited for")
	b, ok := g.pop()
	require.True(t, ok)
	require.Equal(t, model.Cursor{Epoch: "e0", Seq: 3}, b.Gap.To)

	g.live("e0", model.Message{Seq: 9, ID: "of the future"})
	require.True(t, g.wants())
	g.page(l.read(g.ask(), 10))
	require.False(t, g.wants())

	g.live("e0", l.publish())
	b, ok = g.pop()
	require.True(t, ok)
	require.Equal(t, []model.Message{l.msgs[3]}, b.Messages)
}

// A page that is older than what came live meanwhile takes nothing back.
func TestMergeOvertakenPage(t *testing.T) {
	l := newSimLog(0)
	l.publish()
	g := merge{progress: progress{at: model.Cursor{Epoch: "e0", Seq: 1}}, limit: 4}
	p := l.read(g.ask(), 10)
	g.live("e0", l.publish())
	g.page(p)
	b, ok := g.pop()
	require.True(t, ok)
	require.Nil(t, b.Gap)
	require.Equal(t, l.msgs[1:], b.Messages)
	_, ok = g.pop()
	require.False(t, ok)
	require.False(t, g.wants())
}

// What is dropped since too much waits for a hole to be filled, while a page is on its way that does not have it, is
// read in another.
func TestMergeDropsMeanwhile(t *testing.T) {
	l := newSimLog(0)
	l.publish()
	second := l.publish()
	g := merge{progress: progress{at: model.Cursor{Epoch: "e0"}}, limit: 1}
	g.live("e0", second)
	p := l.read(g.ask(), 1)
	g.live("e0", l.publish())
	g.page(p)
	require.Equal(t, uint64(2), g.at.Seq)
	require.True(t, g.wants())
}

// Messages that wait for a hole to be filled are not taken for those of a new epoch.
func TestMergeForgetsTheOldEpoch(t *testing.T) {
	l := newSimLog(1)
	for range 5 {
		l.publish()
	}
	g := merge{progress: progress{at: model.Cursor{Epoch: "e0", Seq: 1}}, limit: 4}
	g.live("e0", model.Message{Seq: 3, ID: "e0-3"})
	g.page(l.read(g.ask(), 2))
	a := audit{at: model.Cursor{Epoch: "e0", Seq: 1}, got: map[string]bool{}}
	for b, ok := g.pop(); ok; b, ok = g.pop() {
		a.take(t, b)
	}
	require.Equal(t, model.Cursor{Epoch: "e1", Seq: 2}, a.at)
	require.True(t, g.wants())
}

func TestAgree(t *testing.T) {
	p := page{epoch: "e", first: 4, last: 9}
	at := func(epoch string, seq uint64) model.Cursor { return model.Cursor{Epoch: epoch, Seq: seq} }
	for _, c := range []struct {
		from, to model.Cursor
		why      string
	}{
		{model.Cursor{}, at("e", 9), ""},
		{at("e", 9), at("e", 9), ""},
		{at("e", 5), at("e", 5), ""},
		{at("e", 3), at("e", 3), ""},
		{at("e", 2), at("e", 3), "trimmed"},
		{at("e", 0), at("e", 3), "trimmed"},
		{at("e", 10), at("e", 9), "future"},
		{at("d", 5), at("e", 3), "other epoch"},
		{at("d", 0), at("e", 3), "other epoch"},
	} {
		to, why := agree(c.from, p)
		require.Equal(t, c.to, to, "from %v", c.from)
		if c.why == "" {
			require.Empty(t, why, "from %v", c.from)
		} else {
			require.Contains(t, why, c.why, "from %v", c.from)
		}
	}
}
