package hop2

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
)

// page is what one look at a room's log gives.
type page struct {
	epoch string
	// first is the Seq of the oldest message kept, last of the newest; an empty log has first = last+1.
	first, last uint64
	// messages are some of the log, in order, from the position asked for (or from first, if that is
	// later or the epoch asked for is another).
	messages []model.Message
	// anchor is the ID of the message where a reader at that position goes on, as agree has it, if it is kept.
	anchor string
}

// agree gives the position from which a reader at from goes on in the log that p shows, and says why
// if it is another.
func agree(from model.Cursor, p page) (model.Cursor, string) {
	oldest := model.Cursor{Epoch: p.epoch, Seq: p.first - 1}
	newest := model.Cursor{Epoch: p.epoch, Seq: p.last}
	switch {
	case from.IsZero():
		return newest, ""
	case from.Epoch != p.epoch:
		return oldest, fmt.Sprintf("other epoch: the log of epoch %s is gone", from.Epoch)
	case from.Seq > p.last:
		return newest, fmt.Sprintf("from the future: the log ends at %d", p.last)
	case from.Seq < oldest.Seq:
		return oldest, fmt.Sprintf("trimmed: the log's history begins at %d", p.first)
	default:
		return from, ""
	}
}

// merge makes one stream of two sources: live messages, which may be lost, late, repeated or of
// another epoch, and pages of the log, which are sure but a moment old when they come. It is pure.
//
// A page tells, too, which message is at the position that it was asked for: if that is another than the reader had
// there, the log is another, and the reader is told so.
type merge struct {
	progress
	// early are live messages beyond a hole, or that have to wait, in order of Seq; at most limit of them.
	early []model.Message
	limit int

	// torn: what comes live may have begun to be of another log. It waits until a page has shown that the message at the
	// position is still the same. reread: the page that was asked for will show that.
	torn, reread bool
	// suspicious: something says that the log may have what this stream lacks.
	suspicious bool
	// more: the last page did not reach the log's end.
	more bool
	// asked is at with its id, and askedEarly the greatest Seq of early, at the time of the last ask.
	asked      model.Bookmark
	askedEarly uint64
}

// wants tells whether the log should be read now.
func (g *merge) wants() bool { return g.suspicious || g.more || len(g.early) > 0 }

// suspect says that live messages may have been lost.
func (g *merge) suspect() { g.suspicious = true }

// ask gives the position to read the log from. A page must follow before the next ask.
func (g *merge) ask() model.Cursor {
	g.suspicious, g.more = false, false
	g.asked, g.reread, g.askedEarly = g.bookmark(), g.torn, 0
	if n := len(g.early); n > 0 {
		g.askedEarly = g.early[n-1].Seq
	}
	return g.asked.Cursor
}

// failed says that no page will come of the last ask.
func (g *merge) failed() { g.suspicious = true }

// tear says that live messages may have been lost, and that those from now on may be of another log than those that
// wait.
func (g *merge) tear() {
	g.suspicious, g.torn, g.reread = true, true, false
	g.early = nil
}

// live takes a live message.
func (g *merge) live(epoch string, m model.Message) {
	switch {
	case epoch != g.at.Epoch:
		g.suspicious = true
	case m.Seq <= g.at.Seq:
		g.suspicious = g.suspicious || m.Seq == g.at.Seq && replaced(g.id, m.ID)
	case m.Seq == g.at.Seq+1 && !g.torn:
		g.deliver(m)
		g.absorb()
	default:
		i, dup := slices.BinarySearchFunc(g.early, m.Seq, func(e model.Message, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if dup {
			return
		}
		g.early = slices.Insert(g.early, i, m)
		if len(g.early) > g.limit {
			g.early = g.early[:g.limit]
			g.suspicious = true // the log has them, but a page that is on its way may not
		}
	}
}

// page takes the answer to the last ask.
func (g *merge) page(p page) {
	to, why := agree(g.asked.Cursor, p) // the position of the page's anchor
	switch {
	case why != "":
	case replaced(g.asked.Anchor, p.anchor):
		g.another(g.asked, p.anchor)
		g.suspicious = g.suspicious || len(g.early) > 0
		g.early = nil // some may be of the log that is no more
	case to == g.at && g.id == "":
		g.id = p.anchor
	}
	g.torn = g.torn && !g.reread
	overtaken := p.epoch == g.at.Epoch && g.asked.Cursor.Seq <= p.last && g.at.Seq > p.last
	if !overtaken { // by live messages that came while the page was on its way
		g.settle(p)
	}
	// What was known live before the log was read, and is not in it, is of a log that is no more.
	g.early = slices.DeleteFunc(g.early, func(m model.Message) bool { return m.Seq > p.last && m.Seq <= g.askedEarly })
	g.absorb()
	g.more = g.at.Seq < p.last
}

func (g *merge) settle(p page) {
	if to, why := agree(g.at, p); why != "" {
		if to.Epoch != g.at.Epoch || to.Seq < g.at.Seq {
			g.early = nil
		}
		anchor := ""
		if is, _ := agree(g.asked.Cursor, p); is == to {
			anchor = p.anchor
		}
		g.skip(to, anchor, why)
	}
	for _, m := range p.messages {
		if m.Seq <= g.at.Seq {
			continue
		}
		if m.Seq > g.at.Seq+1 {
			g.skip(model.Cursor{Epoch: p.epoch, Seq: m.Seq - 1}, "", "missing in the log")
		}
		g.deliver(m)
	}
	if len(p.messages) == 0 && g.at.Seq < p.last {
		g.skip(model.Cursor{Epoch: p.epoch, Seq: p.last}, "", "missing in the log")
	}
}

// absorb delivers the early messages that have become next.
func (g *merge) absorb() {
	if g.torn {
		return
	}
	n := 0
	for ; n < len(g.early) && g.early[n].Seq <= g.at.Seq+1; n++ {
		if g.early[n].Seq == g.at.Seq+1 {
			g.deliver(g.early[n])
		}
	}
	g.early = slices.Delete(g.early, 0, n)
}
