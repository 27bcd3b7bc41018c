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
// Invariant: what was appended to out leads from the first position to at, without a silent hole.
type merge struct {
	at  model.Cursor
	out []Batch
	// early are live messages beyond a hole, in order of Seq; at most limit of them.
	early []model.Message
	limit int

	// suspicious: something says that the log may have what this stream lacks.
	suspicious bool
	// more: the last page did not reach the log's end.
	more bool
	// asked is at, and askedEarly the greatest Seq of early, at the time of the last ask.
	asked      model.Cursor
	askedEarly uint64
}

// wants tells whether the log should be read now.
func (g *merge) wants() bool { return g.suspicious || g.more || len(g.early) > 0 }

// suspect says that live messages may have been lost.
func (g *merge) suspect() { g.suspicious = true }

// ask gives the position to read the log from. A page must follow before the next ask.
func (g *merge) ask() model.Cursor {
	g.suspicious, g.more = false, false
	g.asked, g.askedEarly = g.at, 0
	if n := len(g.early); n > 0 {
		g.askedEarly = g.early[n-1].Seq
	}
	return g.at
}

// failed says that no page will come of the last ask.
func (g *merge) failed() { g.suspicious = true }

// live takes a live message.
func (g *merge) live(epoch string, m model.Message) {
	switch {
	case epoch != g.at.Epoch:
		g.suspicious = true
	case m.Seq <= g.at.Seq:
	case m.Seq == g.at.Seq+1:
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
	overtaken := p.epoch == g.at.Epoch && g.asked.Seq <= p.last && g.at.Seq > p.last
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
		g.skip(to, why)
	}
	for _, m := range p.messages {
		if m.Seq <= g.at.Seq {
			continue
		}
		if m.Seq > g.at.Seq+1 {
			g.skip(model.Cursor{Epoch: p.epoch, Seq: m.Seq - 1}, "missing in the log")
		}
		g.deliver(m)
	}
	if len(p.messages) == 0 && g.at.Seq < p.last {
		g.skip(model.Cursor{Epoch: p.epoch, Seq: p.last}, "missing in the log")
	}
}

// absorb delivers the early messages that have become next.
func (g *merge) absorb() {
	n := 0
	for ; n < len(g.early) && g.early[n].Seq <= g.at.Seq+1; n++ {
		if g.early[n].Seq == g.at.Seq+1 {
			g.deliver(g.early[n])
		}
	}
	g.early = slices.Delete(g.early, 0, n)
}

func (g *merge) deliver(m model.Message) {
	g.at.Seq = m.Seq
	if n := len(g.out); n > 0 && g.out[n-1].Gap == nil {
		g.out[n-1].Messages = append(g.out[n-1].Messages, m)
		g.out[n-1].Cursor = g.at
		return
	}
	g.out = append(g.out, Batch{Messages: []model.Message{m}, Cursor: g.at})
}

func (g *merge) skip(to model.Cursor, why string) {
	g.out = append(g.out, Batch{Gap: &Gap{From: g.at, To: to, Why: why}, Cursor: to})
	g.at = to
}

// pop takes the next batch; false if there is none.
func (g *merge) pop() (Batch, bool) { return popBatch(&g.out) }

// popBatch takes the first of some batches; false if there is none.
func popBatch(out *[]Batch) (Batch, bool) {
	if len(*out) == 0 {
		return Batch{}, false
	}
	b := (*out)[0]
	*out = slices.Delete(*out, 0, 1)
	return b, true
}
