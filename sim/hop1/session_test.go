package hop1

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

func at(epoch string, seq uint64) model.Cursor { return model.Cursor{Epoch: epoch, Seq: seq} }

func helloAt(c model.Cursor, resumed bool) frame {
	return frame{Type: frameHello, Cursor: c, Resumed: resumed}
}

func messageAt(epoch string, seq uint64, id string) frame {
	return frame{Type: frameMessage, Cursor: at(epoch, seq), Message: &model.Message{Room: "r", Seq: seq, ID: id}}
}

// resumed gives a session that was at e:2, the message "b", and has just sent its cursor.
func resumed(t require.TestingT) *session {
	s := &session{room: "r"}
	s.begin()
	for _, f := range []frame{helloAt(at("e", 0), false), messageAt("e", 1, "a"), messageAt("e", 2, "b")} {
		_, err := s.take(f)
		require.NoError(t, err)
	}
	require.Equal(t, "e:2/b", s.begin().String())
	return s
}

// Goal: what a server may not send ends the connection, leaves the cursor, and delivers nothing.
func TestSessionRefuses(t *testing.T) {
	hello := helloAt(at("e", 2), true)
	anchor := messageAt("e", 2, "b")
	otherRoom := messageAt("e", 3, "c")
	otherRoom.Message.Room = "s"
	cases := []struct {
		frames []frame // only the last is refused
		err    string
	}{
		{[]frame{anchor}, "message before hello"},
		{[]frame{{Type: frameDiscontinuity, Cursor: at("e", 9)}}, "discontinuity before hello"},
		{[]frame{{Type: frameHello}, messageAt("e", 9, "x")}, "where a discontinuity must follow"},
		{[]frame{hello, hello}, "a second hello"},
		{[]frame{hello, {Type: frameAck, Cursor: at("e", 3), ID: "c"}}, "ack for what was not asked"},
		{[]frame{hello, otherRoom}, `message of room "s" in a stream of "r"`},
		{[]frame{hello, messageAt("f", 3, "c")}, "without a discontinuity"},
		{[]frame{hello, messageAt("e", 3, "c")}, "without its anchor"},
		{[]frame{hello, anchor, messageAt("e", 4, "d")}, "hole: message 4 after 2"},
		{[]frame{hello, {Type: frameGoodbye, Reason: "tired"}}, "goodbye from the server: tired"},
		{[]frame{{Type: frameGoodbye, Reason: "tired"}}, "goodbye from the server: tired"},
	}
	for _, c := range cases {
		t.Run(c.err, func(t *testing.T) {
			s := resumed(t)
			for i, f := range c.frames {
				events, err := s.take(f)
				if i == len(c.frames)-1 {
					require.ErrorContains(t, err, c.err)
					require.Empty(t, events)
				} else {
					require.NoError(t, err)
				}
			}
			require.Equal(t, "e:2/b", s.begin().String())
		})
	}
}

// Goal: a connection that breaks between a hello without position and its discontinuity changes
// nothing: the next one asks for the old cursor, so the gap is announced then.
func TestSessionBreaksInOpening(t *testing.T) {
	s := resumed(t)
	events, err := s.take(frame{Type: frameHello})
	require.NoError(t, err)
	require.Empty(t, events)
	require.Equal(t, "e:2/b", s.begin().String())
	_, err = s.take(frame{Type: frameHello})
	require.NoError(t, err)
	events, err = s.take(frame{Type: frameDiscontinuity, Cursor: at("e", 7), Reason: "too old"})
	require.NoError(t, err)
	require.Equal(t, []model.Event{
		{Kind: model.Connected, Epoch: "e", Seq: 7},
		{Kind: model.Discontinuity, Epoch: "e", Seq: 7, Note: "from e:2 to e:7: too old"},
	}, events)
}

// Goal: a resume that says it has no anchor goes on after the cursor; one that then has it is no worse.
func TestSessionWithoutAnchor(t *testing.T) {
	for _, anchored := range []bool{false, true} {
		s := resumed(t)
		hello := helloAt(at("e", 2), true)
		hello.Anchorless = true
		events, err := s.take(hello)
		require.NoError(t, err)
		require.Equal(t, []model.Event{{Kind: model.Connected, Epoch: "e", Seq: 2, Resumed: true}}, events)
		if anchored {
			events, err = s.take(messageAt("e", 2, "b"))
			require.NoError(t, err)
			require.Empty(t, events)
		}
		_, err = s.take(messageAt("e", 4, "d"))
		require.ErrorContains(t, err, "hole: message 4 after 2")
		events, err = s.take(messageAt("e", 3, "c"))
		require.NoError(t, err)
		require.Equal(t, []model.Event{{Kind: model.Deliver, Epoch: "e", Seq: 3, ID: "c"}}, events)
	}
}

// Goal: a server that claims to resume elsewhere, or gives a position that was not asked for, is not
// believed to have no gap.
func TestSessionStartsElsewhere(t *testing.T) {
	for _, f := range []frame{helloAt(at("e", 5), true), helloAt(at("e", 5), false), helloAt(at("f", 2), true), helloAt(at("e", 2), false)} {
		s := resumed(t)
		events, err := s.take(f)
		require.NoError(t, err)
		require.Equal(t, []model.Event{
			{Kind: model.Connected, Epoch: f.Cursor.Epoch, Seq: f.Cursor.Seq},
			{Kind: model.Discontinuity, Epoch: f.Cursor.Epoch, Seq: f.Cursor.Seq, Note: fmt.Sprintf("from e:2 to %s: server started at %s, not at e:2", f.Cursor, f.Cursor)},
		}, events)
	}
}

// Goal: a discontinuity in mid-stream moves the client on.
func TestSessionJumps(t *testing.T) {
	s := resumed(t)
	_, err := s.take(helloAt(at("e", 2), true))
	require.NoError(t, err)
	events, err := s.take(frame{Type: frameDiscontinuity, Cursor: at("f", 40), Reason: "failed over"})
	require.NoError(t, err)
	require.Equal(t, []model.Event{{Kind: model.Discontinuity, Epoch: "f", Seq: 40, Note: "from e:2 to f:40: failed over"}}, events)
	events, err = s.take(messageAt("f", 41, "x"))
	require.NoError(t, err)
	require.Equal(t, []model.Event{{Kind: model.Deliver, Epoch: "f", Seq: 41, ID: "x"}}, events)
}

// Goal: whatever a server sends, what the client sees follows from its last position, step by step.
// Method: random frames, a new connection now and then; the events alone must tell a coherent story.
func TestSessionProperty(t *testing.T) {
	cursors := rapid.Custom(func(t *rapid.T) model.Cursor {
		return at(rapid.SampledFrom([]string{"e", "f"}).Draw(t, "epoch"), rapid.Uint64Range(0, 8).Draw(t, "seq"))
	})
	frames := rapid.Custom(func(t *rapid.T) frame {
		c := cursors.Draw(t, "cursor")
		switch rapid.IntRange(0, 9).Draw(t, "type") {
		case 0:
			f := helloAt(c, rapid.Bool().Draw(t, "resumed"))
			f.Anchorless = rapid.Bool().Draw(t, "anchorless")
			return f
		case 1:
			return frame{Type: frameDiscontinuity, Cursor: c}
		case 2:
			return frame{Type: frameHello}
		default:
			return messageAt(c.Epoch, c.Seq+1, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"))
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		s := &session{room: "r"}
		last, known := model.Cursor{}, false
		s.begin()
		for range rapid.IntRange(1, 60).Draw(t, "frames") {
			if rapid.IntRange(0, 7).Draw(t, "reconnect") == 0 {
				s.begin()
			}
			f := frames.Draw(t, "frame")
			if s.phase == wantHello && rapid.Bool().Draw(t, "honest") {
				f = helloAt(s.asked, true)
				if s.asked.IsZero() {
					f.Cursor = at("e", 0)
				}
			}
			events, err := s.take(f)
			if err != nil {
				require.Empty(t, events)
				s.begin()
			}
			for _, ev := range events {
				switch ev.Kind {
				case model.Connected:
					if ev.Resumed {
						require.True(t, known)
						require.Equal(t, last, ev.Cursor())
					} else if known {
						require.Equal(t, model.Discontinuity, events[1].Kind, "a lost position is announced in the same step")
					}
					last, known = ev.Cursor(), true
				case model.Discontinuity:
					last = ev.Cursor()
				case model.Deliver:
					last.Seq++
					require.Equal(t, last, ev.Cursor())
				}
			}
			if known {
				require.Equal(t, last, s.cursor)
			}
		}
	})
}
