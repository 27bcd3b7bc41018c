package hop1

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Goal: what is published reaches the client once, in order, with all fields.
// Method: publish in bursts to a connected client.
func TestOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := start(t, l, tr, nil)
		s.feed.publish(1)
		s.rec.await(t, model.Deliver, 1)
		s.feed.publish(500)
		s.rec.await(t, model.Deliver, 501)
		require.Equal(t, simtest.UpTo(1, 501), s.rec.seqs())
		require.Equal(t, model.Event{
			Kind: model.Connected, Node: "c1", Room: "r", Epoch: "e1", Transport: tr, Peer: "edge-1",
		}, s.rec.of("")[0])
		require.Equal(t, model.Event{
			Kind: model.Deliver, Node: "c1", Room: "r", Epoch: "e1", Seq: 7, ID: "m7", Transport: tr, Peer: "edge-1",
		}, s.rec.of(model.Deliver)[6])
	})
}

// Goal: a new client starts at the live end.
func TestStartsAtLiveEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		feed := newMemFeed()
		feed.publish(10)
		url, hc := l.serve(t, testServer(t, feed))
		s := &system{feed: feed, url: url, http: hc}
		s.join(t, tr, nil)
		require.Equal(t, uint64(10), s.rec.of(model.Connected)[0].Seq)
		feed.publish(2)
		s.rec.await(t, model.Deliver, 2)
		require.Equal(t, simtest.UpTo(11, 12), s.rec.seqs())
	})
}

// Goal: a client whose connection breaks loses, repeats and reorders nothing.
// Method: break the connection in every way a server can, and publish meanwhile.
func TestResume(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := start(t, l, tr, nil)
		for i, reason := range []error{ErrClosed, ErrSlowConsumer, ErrDraining, errors.New("disk on fire")} {
			s.feed.publish(5)
			s.rec.await(t, model.Deliver, 10*i+5)
			s.held(t, tr)
			mend := s.sever(t, tr, reason)
			s.feed.publish(5)
			mend()
			s.rec.await(t, model.Deliver, 10*i+10)
		}
		require.Equal(t, simtest.UpTo(1, 40), s.rec.seqs())
		require.Empty(t, s.rec.of(model.Discontinuity))
		for i, ev := range s.rec.of(model.Connected) {
			require.Equal(t, i > 0, ev.Resumed)
			require.Equal(t, uint64(max(0, 10*i-5)), ev.Seq, "a resumed client is owed everything after its own last")
		}
		notes := []string{"subscription ended", "slow consumer", "draining", "subscription ended"}
		gone := s.rec.of(model.Disconnected)
		require.Len(t, gone, len(notes))
		for i, ev := range gone {
			if holds(tr) {
				require.Equal(t, "goodbye from the server: "+notes[i], ev.Note)
			} else {
				require.Contains(t, ev.Note, "refused with 503: ")
			}
		}
		asked := slices.Compact(s.feed.cursors()) // polls repeat themselves
		for i, seq := range []uint64{5, 15, 25, 35} {
			require.Contains(t, asked[i+1:], at("e1", seq))
		}
		require.True(t, asked[0].IsZero())
	})
}

// Goal: a client that has delivered nothing yet resumes from the position that its hello gave.
func TestResumeBeforeFirstMessage(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := start(t, l, tr, nil)
		s.held(t, tr)
		s.sever(t, tr, ErrClosed)()
		s.rec.await(t, model.Connected, 2)
		s.feed.publish(2)
		s.rec.await(t, model.Deliver, 2)
		require.Equal(t, simtest.UpTo(1, 2), s.rec.seqs())
		require.True(t, s.rec.of(model.Connected)[1].Resumed)
	})
}

// Goal: a hole that nobody announced never reaches the application.
// Method: the feed leaves out message 3, once.
func TestHoleReconnects(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := start(t, l, tr, nil)
		s.feed.set(func() {
			s.feed.tamper = func(msgs []model.Message) []model.Message {
				s.feed.tamper = nil
				return append(msgs[:2:2], msgs[3:]...)
			}
		})
		s.feed.publish(5)
		s.rec.await(t, model.Deliver, 5)
		require.Equal(t, simtest.UpTo(1, 5), s.rec.seqs())
		require.Equal(t, "hole: message 4 after 2", s.rec.of(model.Disconnected)[0].Note)
		require.Equal(t, uint64(2), s.rec.of(model.Connected)[1].Seq)
	})
}

// Goal: what is out of reach is said to be, and the client goes on after it.
// Method: change the log under a client that is away, in every way that a cursor can be out of reach.
func TestDiscontinuity(t *testing.T) {
	cases := []struct {
		name   string
		change func(*memLog)
		to     model.Cursor // of the discontinuity; the client was at e1:3
		note   string
	}{
		{"history too short", func(l *memLog) { l.first, l.msgs = 8, []model.Message{{Room: "r", Seq: 8, ID: "m8"}} },
			at("e1", 8), "from e1:3 to e1:8: out of history"},
		{"log lost", func(l *memLog) { l.epoch, l.msgs = "e2", nil },
			at("e2", 0), "from e1:3 to e2:0: another epoch"},
		{"log went back", func(l *memLog) { l.msgs = l.msgs[:1] },
			at("e1", 1), "from e1:3 to e1:1: out of history"},
		{"another message at the cursor", func(l *memLog) { l.msgs[2].ID = "x" },
			at("e1", 3), `from e1:3 to e1:3: the log differs: message 3 is "x" here and was "m3"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, l lane, tr string) {
				s := start(t, l, tr, nil)
				s.feed.publish(3)
				s.rec.await(t, model.Deliver, 3)
				s.feed.edit(c.change)
				s.feed.fail(ErrClosed)
				told := s.rec.await(t, model.Discontinuity, 1)
				require.Equal(t, c.to, told[0].Cursor())
				require.Equal(t, c.note, told[0].Note)
				s.feed.publish(2)
				s.rec.await(t, model.Deliver, 5)
				require.Equal(t, append(simtest.UpTo(1, 3), simtest.UpTo(c.to.Seq+1, c.to.Seq+2)...), s.rec.seqs())
				require.Len(t, s.rec.of(model.Discontinuity), 1)
				require.Equal(t, c.to.Epoch, s.rec.of(model.Deliver)[4].Epoch)
			})
		})
	}
}

// Goal: a gap that the feed meets in mid-stream reaches the client at once, over the connection that it
// has, and the client goes on from the new position, in this connection and the next.
// Method: gaps within the epoch and to another, then a lost connection.
func TestGapInMidStream(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := start(t, l, tr, nil)
		s.feed.publish(3)
		s.rec.await(t, model.Deliver, 3)
		gap := func(to model.Cursor) {
			s.feed.edit(func(l *memLog) {
				l.epoch, l.first, l.msgs = to.Epoch, to.Seq+1, nil
				l.trimmed = fmt.Sprintf("lost-%d", to.Seq)
				s.feed.gap = &Gap{To: to, Anchor: l.trimmed, Why: "the dog ate it"}
			})
		}
		gap(at("e1", 8))
		told := s.rec.await(t, model.Discontinuity, 1)
		require.Equal(t, model.Event{
			Kind: model.Discontinuity, Node: "c1", Room: "r", Epoch: "e1", Seq: 8, Transport: tr, Peer: "edge-1",
			Note: "from e1:3 to e1:8: the dog ate it",
		}, told[0])
		s.feed.publish(2)
		s.rec.await(t, model.Deliver, 5)
		gap(at("e2", 0))
		told = s.rec.await(t, model.Discontinuity, 2)
		require.Equal(t, "from e1:10 to e2:0: the dog ate it", told[1].Note)
		s.feed.publish(2)
		s.rec.await(t, model.Deliver, 7)
		require.Empty(t, s.rec.of(model.Disconnected))
		s.held(t, tr)
		mend := s.sever(t, tr, ErrClosed)
		s.feed.publish(1)
		mend()
		s.rec.await(t, model.Deliver, 8)
		require.Equal(t, []uint64{1, 2, 3, 9, 10, 1, 2, 3}, s.rec.seqs())
		require.Contains(t, s.feed.cursors(), at("e2", 2))
		require.Len(t, s.rec.of(model.Discontinuity), 2)
	})
}

// Goal: a client whose anchor alone is no longer kept goes on, if the server remembers its ID; or else it is
// told that nobody can say, and gets what follows.
func TestResumeWithoutAnchor(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := start(t, l, tr, nil)
		s.feed.publish(3)
		s.rec.await(t, model.Deliver, 3)
		s.feed.edit(func(l *memLog) { l.first, l.msgs, l.trimmed = 4, nil, "m3" })
		s.held(t, tr)
		s.sever(t, tr, ErrClosed)()
		again := s.rec.await(t, model.Connected, 2)
		require.True(t, again[1].Resumed)
		s.feed.publish(2)
		s.rec.await(t, model.Deliver, 5)
		require.Empty(t, s.rec.of(model.Discontinuity))

		s.held(t, tr)
		mend := s.sever(t, tr, ErrClosed)
		s.feed.edit(func(l *memLog) { l.first, l.msgs, l.trimmed = 6, nil, "" })
		s.feed.publish(1)
		mend()
		s.rec.await(t, model.Deliver, 6)
		require.Equal(t, simtest.UpTo(1, 6), s.rec.seqs())
		told := s.rec.of(model.Discontinuity)
		require.Len(t, told, 1)
		require.Equal(t, "from e1:5 to e1:5: not to be compared: message 5 is not known here any more", told[0].Note)
	})
}

// refilled has a client start at message 3, which the log then loses and puts another in the place of.
func refilled(t *testing.T, l lane, tr string, m Mutant) *system {
	feed := newMemFeed()
	url, hc := l.serve(t, testServer(t, feed))
	s := &system{feed: feed, url: url, http: hc}
	s.feed.publish(3)
	s.join(t, tr, func(c *ClientConfig) { c.Mutant = m })
	s.held(t, tr)
	mend := s.sever(t, tr, ErrClosed)
	s.feed.edit(func(l *memLog) { l.msgs[2].ID = "x3" })
	s.feed.publish(1)
	mend()
	s.rec.await(t, model.Deliver, 1)
	require.Equal(t, []uint64{4}, s.rec.seqs())
	return s
}

// Goal: who was put at a position whose message was then lost, within the epoch, is told so.
func TestResumeAfterRefill(t *testing.T) {
	everywhere(t, func(t *testing.T, l lane, tr string) {
		s := refilled(t, l, tr, "")
		told := s.rec.of(model.Discontinuity)
		require.Len(t, told, 1)
		require.Equal(t, `from e1:3 to e1:3: the log differs: message 3 is "x3" here and was "m3"`, told[0].Note)
	})
}

// Goal: the mutants misbehave in the way they are for.
func TestMutants(t *testing.T) {
	t.Run("no-resume misses", func(t *testing.T) {
		everywhere(t, func(t *testing.T, l lane, tr string) {
			s := start(t, l, tr, func(c *ClientConfig) { c.Mutant = NoResume })
			s.feed.publish(3)
			s.rec.await(t, model.Deliver, 3)
			s.held(t, tr)
			mend := s.sever(t, tr, errors.New("down"))
			s.feed.publish(3)
			mend()
			s.rec.await(t, model.Connected, 2)
			s.feed.publish(1)
			s.rec.await(t, model.Deliver, 4)
			require.Equal(t, []uint64{1, 2, 3, 7}, s.rec.seqs())
			require.Empty(t, s.rec.of(model.Discontinuity))
		})
	})
	t.Run("blind-start misses", func(t *testing.T) {
		everywhere(t, func(t *testing.T, l lane, tr string) {
			require.Empty(t, refilled(t, l, tr, BlindStart).rec.of(model.Discontinuity))
		})
	})
	t.Run("no-dedupe repeats", func(t *testing.T) {
		everywhere(t, func(t *testing.T, l lane, tr string) {
			s := start(t, l, tr, func(c *ClientConfig) { c.Mutant = NoDedupe })
			s.feed.publish(3)
			s.rec.await(t, model.Deliver, 3)
			s.held(t, tr)
			s.sever(t, tr, ErrClosed)()
			s.feed.publish(1)
			s.rec.await(t, model.Deliver, 5)
			require.Equal(t, []uint64{1, 2, 3, 3, 4}, s.rec.seqs())
		})
	})
}

// Goal: when Run returns, the client has let go of the server.
func TestRunEnds(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		s := start(t, inBubble, tr, nil)
		began := time.Now()
		require.ErrorIs(t, s.stop(), context.Canceled)
		require.LessOrEqual(t, time.Since(began), settleOf(tr), "Run returns at once")
		require.Equal(t, model.NoteStopped, s.rec.of(model.Disconnected)[0].Note)
		time.Sleep(settleOf(tr))
		synctest.Wait()
		open, closed := s.feed.subscriptions()
		require.Zero(t, open)
		require.Positive(t, closed)
	})
}

// Goal: Run called again goes on where it was.
func TestRunAgain(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		feed, rec := newMemFeed(), newRecorder()
		w := newWire(t, testServer(t, feed))
		c, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: tr, HTTP: w.client, Observe: rec.observe, WebRTC: webrtcOn(t)})
		require.NoError(t, err)
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			rec.await(t, model.Connected, i+1)
			feed.publish(1)
			rec.await(t, model.Deliver, 2*i+1)
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
			feed.publish(1) // while nobody is there
		}
		require.Equal(t, simtest.UpTo(1, 5), rec.seqs())
		require.Empty(t, rec.of(model.Discontinuity))
	})
}

// Goal: a client that cannot get in says why, once it is stopped.
func TestRunTellsLastFailure(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		feed := newMemFeed()
		w := newWire(t, testServer(t, feed))
		c, err := NewClient(ClientConfig{Room: "nowhere", BaseURL: w.url, Transport: tr, HTTP: w.client, Rand: rand.New(rand.NewPCG(1, 1)), WebRTC: webrtcOn(t)})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err = c.Run(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "refused with 404: no such room")
		// With waits up to 0.1, 0.2 ... 3.2, 5, 5 s, 20 s see about a dozen attempts.
		require.InDelta(t, 12, len(feed.cursors()), 4)
	})
}

// Goal: an answer that is no event stream is not taken for one.
func TestSSENeedsEventStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>welcome to the hotel</html>")
		}))
		c, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: "sse", HTTP: w.client})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, c.Run(ctx), `content type "text/html; charset=utf-8"; want text/event-stream`)
	})
}

// Goal: a connection that breaks without a goodbye is a broken one, and nothing is lost. Between polls
// there is nothing to break but a pooled connection, whose loss costs nothing.
func TestBrokenConnection(t *testing.T) {
	inEveryBubble(t, func(t *testing.T, tr string) {
		s, w := onWire(t, tr)
		for i := range 5 {
			s.feed.publish(3)
			s.rec.await(t, model.Deliver, 6*i+3)
			synctest.Wait()
			w.drop()
			s.feed.publish(3)
			s.rec.await(t, model.Deliver, 6*i+6)
		}
		require.Equal(t, simtest.UpTo(1, 30), s.rec.seqs())
		require.Empty(t, s.rec.of(model.Discontinuity))
		time.Sleep(3 * settleOf(tr)) // a server finds out by silence
		synctest.Wait()
		open, closed := s.feed.subscriptions()
		if !holds(tr) {
			require.Empty(t, s.rec.of(model.Disconnected))
			require.Zero(t, open)
			return
		}
		require.Len(t, s.rec.of(model.Disconnected), 5)
		require.Equal(t, 1, open)
		require.GreaterOrEqual(t, closed, 5)
	})
}

// Goal: wrong configuration is refused with the name of the field.
func TestClientConfig(t *testing.T) {
	good := ClientConfig{Room: "r", BaseURL: "http://edge", Transport: "ws"}
	_, err := NewClient(good)
	require.NoError(t, err)
	cases := []struct {
		field  string
		change func(*ClientConfig)
	}{
		{`Transport: unknown "carrier-pigeon"; want one of ` + strings.Join(Transports(), ", "), func(c *ClientConfig) { c.Transport = "carrier-pigeon" }},
		{"Transport", func(c *ClientConfig) { c.Transport = "" }},
		{"room", func(c *ClientConfig) { c.Room = "" }},
		{"room", func(c *ClientConfig) { c.Room = "a/b" }},
		{"BaseURL", func(c *ClientConfig) { c.BaseURL = "edge:80" }},
		{"BaseURL", func(c *ClientConfig) { c.BaseURL = "http://edge?x=1" }},
		{"BaseURL", func(c *ClientConfig) { c.BaseURL = "ftp://edge" }},
		{"BaseURL", func(c *ClientConfig) { c.BaseURL = "://" }},
		{"HTTP.Timeout", func(c *ClientConfig) { c.HTTP = &http.Client{Timeout: 1} }},
		{"Heartbeat", func(c *ClientConfig) { c.Heartbeat = -1 }},
		{"IdleTimeout", func(c *ClientConfig) { c.Heartbeat, c.IdleTimeout = 2, 2 }},
		{"IdleTimeout", func(c *ClientConfig) { c.IdleTimeout = -1 }},
		{"DialTimeout", func(c *ClientConfig) { c.DialTimeout = -1 }},
		{"Backoff.Min", func(c *ClientConfig) { c.Backoff.Min = -1 }},
		{"Backoff.Max", func(c *ClientConfig) { c.Backoff = Backoff{Min: 2, Max: 1} }},
		{"Poll.Interval", func(c *ClientConfig) { c.Poll.Interval = -1 }},
		{"Poll.Interval: 1µs; want 0 (meaning 1s), or 1ms to 1h", func(c *ClientConfig) { c.Poll.Interval = time.Microsecond }},
		{"Poll.Interval", func(c *ClientConfig) { c.Poll.Interval = 2 * time.Hour }},
		{"Hold: -1ns; want 0 (meaning 25s), or 1ms to 1h", func(c *ClientConfig) { c.Hold = -1 }},
		{"Hold", func(c *ClientConfig) { c.Hold = 2 * time.Hour }},
		{"MaxFrame", func(c *ClientConfig) { c.MaxFrame = 7 }},
		{`Fallback: unknown "pigeon"; want any of`, func(c *ClientConfig) { c.Fallback = []string{"pigeon"} }},
		{`Header: name "a b"`, func(c *ClientConfig) { c.Header = http.Header{"a b": nil} }},
		{"Header: A with a value", func(c *ClientConfig) { c.Header = http.Header{"A": {"x\ny"}} }},
		{"Mutant", func(c *ClientConfig) { c.Mutant = "no-clue" }},
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d %.12s", i, c.field), func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := NewClient(cfg)
			require.ErrorContains(t, err, c.field)
		})
	}
}
