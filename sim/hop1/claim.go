package hop1

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// claim is the position that a client asks to go on from. Its text is a [model.Bookmark]'s, or a bare cursor:
// that of a client that has nothing to say of the message there, and which will look at it itself.
type claim struct {
	model.Bookmark
	bare bool
}

func (c claim) String() string {
	if c.bare {
		return c.Cursor.String()
	}
	return c.Bookmark.String()
}

// bookmark marks the position of a message. An ID that could not be sent back counts as unknown.
func bookmark(at model.Cursor, id string) model.Bookmark {
	if model.CheckAnchor(id) != nil {
		id = ""
	}
	return model.Bookmark{Cursor: at, Anchor: id}
}

func parseClaim(text string) (claim, error) {
	if strings.Contains(text, "/") {
		b, err := model.ParseBookmark(text)
		return claim{Bookmark: b}, err
	}
	at, err := model.ParseCursor(text)
	return claim{Bookmark: model.Bookmark{Cursor: at}, bare: at.Seq > 0}, err
}

// requestClaim reads the client's claim. An EventSource repeats its first URL, cursor and all, when it
// reconnects, hence the header, which has the newer position, goes first.
func requestClaim(r *http.Request) (claim, error) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return parseClaim(id)
	}
	return parseClaim(r.URL.Query().Get("cursor"))
}

// opened is a subscription that keeps to what was agreed with the client that asked for it.
type opened struct {
	Subscription
	asked claim
	start Start
	hold  time.Duration // for which a long poll may be held
	upTo  uint64        // messages up to here are left out: the client has them, or is told that it has another log's
}

// agree compares the log of a subscription with the one that the client has read, as far as the client says
// which one that is.
func agree(sub Subscription, asked claim) *opened {
	o := &opened{Subscription: sub, asked: asked, start: sub.Start()}
	at := asked.Cursor
	if !o.start.Resumed || at.Seq == 0 || asked.bare && !o.start.Anchorless {
		return o // there is nothing to compare, or the client will
	}
	why := ""
	switch here := o.start.Anchor; {
	case here == "" || asked.bare:
		why = fmt.Sprintf("not to be compared: message %d is not known here any more", at.Seq)
	case asked.Anchor == "":
		why = fmt.Sprintf("not to be compared: the client was not told of message %d", at.Seq)
	case here != asked.Anchor:
		why = fmt.Sprintf("the log differs: message %d is %q here and was %q", at.Seq, here, asked.Anchor)
	}
	o.upTo, o.start.Anchorless = at.Seq, true
	if why != "" {
		o.start = Start{Cursor: at, Anchor: o.start.Anchor, Gap: why}
	}
	return o
}

// Start is what was agreed.
func (o *opened) Start() Start { return o.start }

// Next leaves out the anchor, if need be.
func (o *opened) Next(ctx context.Context, tick <-chan time.Time) (Batch, error) {
	for {
		b, err := o.Subscription.Next(ctx, tick)
		if err != nil || o.upTo == 0 || b.isEmpty() {
			return b, err
		}
		if b.Gap != nil {
			o.upTo = 0
			return b, nil
		}
		first := slices.IndexFunc(b.Messages, func(m model.Message) bool { return m.Seq > o.upTo })
		if first < 0 {
			continue
		}
		b.Messages, o.upTo = b.Messages[first:], 0
		return b, nil
	}
}
