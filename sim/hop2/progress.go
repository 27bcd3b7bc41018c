package hop2

import (
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
)

// progress is how far a reader has got, in batches that are yet to be handed out.
//
// Invariant: what was appended to out leads from the first position to at, without a silent hole.
type progress struct {
	at  model.Cursor
	id  string // of the message there, the anchor; "" if it is not known, or there is none
	out []Batch
}

// deliver takes the next message.
func (p *progress) deliver(m model.Message) {
	p.at.Seq, p.id = m.Seq, m.ID
	if n := len(p.out); n > 0 && p.out[n-1].Gap == nil {
		p.out[n-1].Messages = append(p.out[n-1].Messages, m)
		p.out[n-1].Cursor = p.at
		return
	}
	p.out = append(p.out, Batch{Messages: []model.Message{m}, Cursor: p.at})
}

// skip goes to another position, of whose message the ID may be known.
func (p *progress) skip(to model.Cursor, id, why string) {
	p.out = append(p.out, Batch{Gap: &Gap{From: p.at, To: to, Anchor: id, Why: why}, Cursor: to})
	p.at, p.id = to, id
}

// replaced tells whether the log has another message than the reader had at a position. An ID that is not known, "",
// proves nothing.
func replaced(had, has string) bool { return had != "" && has != "" && had != has }

// another says that the log is not the one that was read: where the reader was, it has another message than the
// reader had. The reader goes on from where it is now.
func (p *progress) another(had model.Bookmark, has string) {
	id := p.id
	if had.Cursor == p.at {
		id = has
	}
	p.skip(p.at, id, whyAnother(had, has))
}

// whyAnother says that the log is another than that of somebody who was at had.
func whyAnother(had model.Bookmark, has string) string {
	return fmt.Sprintf("another log: message %d is %.40q, and was %.40q", had.Cursor.Seq, has, had.Anchor)
}

// bookmark is where the reader is.
func (p *progress) bookmark() model.Bookmark { return model.Bookmark{Cursor: p.at, Anchor: p.id} }

// pop takes the next batch; false if there is none.
func (p *progress) pop() (Batch, bool) {
	if len(p.out) == 0 {
		return Batch{}, false
	}
	b := p.out[0]
	p.out = slices.Delete(p.out, 0, 1)
	return b, true
}
