package hop2

import (
	"fmt"

	"github.com/twohop/twohop/model"
)

// follow makes one stream of what a broker without a log sends: messages, some of which may be lost, and
// now and then where the room's end is. What comes is in the order in which it was sent, so that what is
// skipped is lost for good. It is pure.
type follow struct {
	progress
	// left are the epochs that were. What comes of them is late: a room goes on in its newest epoch.
	left map[string]bool
}

// take takes the next item.
func (f *follow) take(item liveItem) {
	before := item.at // the position that the item continues from
	if item.message != nil {
		before.Seq--
	}
	switch {
	case f.left[before.Epoch]:
		return
	case before.Epoch != f.at.Epoch:
		if f.left == nil {
			f.left = map[string]bool{}
		}
		f.left[f.at.Epoch] = true
		f.skip(before, "", fmt.Sprintf("other epoch: the log of epoch %s is gone", f.at.Epoch))
	case before.Seq > f.at.Seq:
		f.skip(before, "", "lost on the way, and not kept")
	case before.Seq < f.at.Seq && item.message == nil:
		f.skip(before, "", fmt.Sprintf("from the future: the log ends at %d", before.Seq))
	case before.Seq < f.at.Seq:
		return // a copy
	}
	if item.message == nil {
		return
	}
	f.deliver(*item.message)
}

// agreeAtEnd says why a reader at from must go on at the end of a room that keeps no log, which is at; ""
// if it is there, or came without a position.
func agreeAtEnd(from, at model.Cursor) (gap string) {
	switch {
	case from.IsZero() || from == at:
		return ""
	case from.Epoch != at.Epoch:
		return fmt.Sprintf("other epoch: the log of epoch %s is gone", from.Epoch)
	case from.Seq > at.Seq:
		return fmt.Sprintf("from the future: the log ends at %d", at.Seq)
	default:
		return fmt.Sprintf("no history: what was published up to %d was not kept", at.Seq)
	}
}
