package hop2

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// A log that is cut within its epoch, as at a failover to a copy that lags, and filled again with other messages:
// whatever came live before and after, whichever read failed, and whenever the reader looks, each message that is
// in the log in the end was delivered, or announced as lost after it was published.
func TestMergeRefill(t *testing.T) {
	told := 0
	rapid.Check(t, func(t *rapid.T) {
		l := newSimLog(0)
		ids := 0
		append1 := func() model.Message {
			m := l.publish()
			ids++
			m.ID = fmt.Sprintf("m%d", ids)
			l.msgs[m.Seq-1] = m
			return m
		}
		for range rapid.IntRange(1, 5).Draw(t, "before") {
			append1()
		}
		p := l.read(model.Cursor{}, 0)
		start, _ := agree(model.Cursor{}, p)
		g := merge{progress: progress{at: start, id: p.anchor}, limit: rapid.IntRange(1, 6).Draw(t, "limit")}
		got, announced := map[string]bool{}, map[string]bool{}
		for _, m := range l.msgs {
			announced[m.ID] = true // the reader begins after them
		}
		take := func() {
			for b, ok := g.pop(); ok; b, ok = g.pop() {
				for _, m := range b.Messages {
					require.False(t, got[m.ID], "%s is delivered twice", m.ID)
					got[m.ID] = true
				}
				if b.Gap == nil {
					continue
				}
				if b.Gap.From == b.Gap.To {
					told++
				}
				for _, m := range l.msgs[:min(b.Gap.To.Seq, uint64(len(l.msgs)))] {
					announced[m.ID] = true
				}
			}
		}
		asked := false
		var from model.Cursor
		var answer *page
		var live []model.Message // on their way, on the present connection
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) { live = append(live, append1()) },
			"live": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip("none")
				}
				g.live(l.epoch, live[0])
				live = live[1:]
			},
			"cut": func(t *rapid.T) {
				l.msgs = l.msgs[:len(l.msgs)-rapid.IntRange(0, min(3, len(l.msgs))).Draw(t, "lost")]
				// The connections break. A read that has not come back fails; more may be published before the reader is
				// back, and comes live only after that.
				for range rapid.IntRange(0, 4).Draw(t, "refill") {
					append1()
				}
				live = nil
				if asked {
					g.failed()
					asked, answer = false, nil
				}
				g.tear()
			},
			"ask": func(t *rapid.T) {
				if asked {
					t.Skip("asked")
				}
				from, asked = g.ask(), true
			},
			"read": func(t *rapid.T) {
				if !asked || answer != nil {
					t.Skip("not asked")
				}
				p := l.read(from, rapid.IntRange(1, 4).Draw(t, "count"))
				answer = &p
			},
			"answer": func(t *rapid.T) {
				if answer == nil {
					t.Skip("not read")
				}
				g.page(*answer)
				asked, answer = false, nil
			},
			"": func(*rapid.T) { take() },
		})
		if asked {
			g.failed()
		}
		for _, m := range live {
			g.live(l.epoch, m)
		}
		for reads := 0; reads == 0 || g.wants(); reads++ {
			require.Less(t, reads, 1000, "it reads forever")
			g.page(l.read(g.ask(), 3))
		}
		take()
		for _, m := range l.msgs {
			require.True(t, got[m.ID] || announced[m.ID], "%s, at %d, was neither delivered nor announced", m.ID, m.Seq)
		}
	})
	require.Positive(t, told, "it never came to that")
}
