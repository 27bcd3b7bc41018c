package edge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim/hop1"
)

// policed is a room without goroutines, of a server with a policy, and one client of it.
func policed(cfg Config) (*room, *subscription) {
	rm := &room{srv: &Server{cfg: cfg, alive: context.Background()}, name: "r", ready: make(chan struct{}), subs: map[*subscription]struct{}{}}
	rm.restart(model.Cursor{Epoch: "e1"}, nil, "")
	sub := &subscription{rm: rm, closed: make(chan struct{})}
	sub.join(model.Cursor{})
	return rm, sub
}

// feed appends messages with the positions from..to to the room's stretch.
func feed(rm *room, from, to uint64) {
	for seq := from; seq <= to; seq++ {
		rm.now.append([]model.Message{message(seq)})
	}
}

// tale takes all that is there for a client, as positions, a gap with its reason.
func tale(t require.TestingT, sub *subscription) (told []string) {
	for {
		b, changed, err := sub.take()
		require.NoError(t, err)
		switch {
		case changed != nil:
			return told
		case b.Gap != nil:
			told = append(told, "→"+b.Gap.To.String()+" "+b.Gap.Why)
		}
		for _, m := range b.Messages {
			told = append(told, fmt.Sprint(m.Seq))
		}
	}
}

func byThree(m model.Message) string { return fmt.Sprint(m.Seq % 3) }

// What a slow consumer is given, and told, under each policy; and what is counted.
func TestSlowPolicies(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   Config
		run   func(rm *room)
		told  string
		stats SlowStats
	}{
		{"drop the oldest", Config{Slow: DropOldest}, func(rm *room) { feed(rm, 1, 20) },
			"→e1:15 slow consumer: 15 messages dropped|16|17|18|19|20", SlowStats{Dropped: 15}},
		{"none at the limit", Config{Slow: DropOldest}, func(rm *room) { feed(rm, 1, 5) },
			"1|2|3|4|5", SlowStats{}},
		{"drop across a gap", Config{Slow: DropOldest},
			func(rm *room) {
				feed(rm, 1, 2)
				rm.restart(model.Cursor{Epoch: "e2", Seq: 7}, nil, "the log is gone")
				feed(rm, 8, 10)
				feed(rm, 11, 11)
			},
			"→e2:7 slow consumer: 2 messages dropped, and before the rest the log is gone|8|9|10|11", SlowStats{Dropped: 2}},
		{"drop beyond a gap", Config{Slow: DropOldest},
			func(rm *room) {
				feed(rm, 1, 2)
				rm.restart(model.Cursor{Epoch: "e1", Seq: 4}, nil, "trimmed")
				feed(rm, 5, 20)
			},
			"→e1:15 slow consumer: 13 messages dropped, and before the rest trimmed|16|17|18|19|20", SlowStats{Dropped: 13}},
		{"conflate", Config{Slow: Conflate, Key: byThree, KeyLimit: 9}, func(rm *room) { feed(rm, 1, 20) },
			"→e1:17 conflated: 17 messages have later ones of their keys|18|19|20", SlowStats{Conflated: 17}},
		{"conflate around a quiet key", Config{Slow: Conflate, KeyLimit: 9, Key: func(m model.Message) string { return fmt.Sprint(m.Seq == 4) }},
			func(rm *room) { feed(rm, 1, 9) },
			"→e1:3 conflated: 3 messages have later ones of their keys|4|→e1:8 conflated: 4 messages have later ones of their keys|9", SlowStats{Conflated: 7}},
		{"nothing to conflate", Config{Slow: Conflate, KeyLimit: 20, Key: func(m model.Message) string { return fmt.Sprint(m.Seq) }},
			func(rm *room) { feed(rm, 1, 8) },
			"1|2|3|4|5|6|7|8", SlowStats{}},
		{"too many keys", Config{Slow: Conflate, KeyLimit: 3, Key: func(m model.Message) string { return fmt.Sprint(m.Seq) }},
			func(rm *room) { feed(rm, 1, 8) },
			"→e1:5 slow consumer: 5 messages dropped|6|7|8", SlowStats{Dropped: 5}},
		{"conflate beyond a gap", Config{Slow: Conflate, Key: byThree, KeyLimit: 9},
			func(rm *room) {
				feed(rm, 1, 2)
				rm.restart(model.Cursor{Epoch: "e2"}, nil, "the log is gone")
				feed(rm, 1, 7)
			},
			"→e2:0 slow consumer: 2 messages dropped, and before the rest the log is gone|→e2:4 conflated: 4 messages have later ones of their keys|5|6|7",
			SlowStats{Dropped: 2, Conflated: 4}},
		{"a gap with nothing after it", Config{Slow: Conflate, Key: byThree, KeyLimit: 9},
			func(rm *room) { feed(rm, 1, 5); rm.restart(model.Cursor{Epoch: "e2"}, nil, "the log is gone") },
			"→e2:0 slow consumer: 5 messages dropped, and before the rest the log is gone", SlowStats{Dropped: 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.QueueLimit, c.cfg.History = 5, 5
			rm, sub := policed(c.cfg)
			c.run(rm)
			require.Equal(t, c.told, strings.Join(tale(t, sub), "|"))
			require.Equal(t, c.stats, rm.srv.slow)
			require.Equal(t, rm.now.position(), sub.place())
		})
	}
}

// place is where a client stands.
func (sub *subscription) place() model.Cursor {
	return model.Cursor{Epoch: sub.on.epoch, Seq: sub.at}
}

// Whatever comes when, however slow the client is: it gets messages in order; what it does not get is
// announced, message for message, and counted; with Conflate it has the latest of each key in the end.
// What it costs the server is bounded.
func TestSlowPolicyProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			QueueLimit: rapid.IntRange(1, 6).Draw(t, "limit"), History: 1, KeyLimit: 5,
			Slow: rapid.SampledFrom([]SlowPolicy{DropOldest, Conflate}).Draw(t, "policy"),
		}
		keys := map[uint64]string{}
		cfg.Key = func(m model.Message) string { return keys[m.Seq] }
		if cfg.Slow != Conflate {
			cfg.Key = nil
		}
		rm, sub := policed(cfg)
		top, at := uint64(0), uint64(0)
		got, announced := map[string]uint64{}, uint64(0)
		latest := map[string]uint64{}
		take := func() bool {
			b, changed, err := sub.take()
			require.NoError(t, err)
			if b.Gap != nil {
				require.Greater(t, b.Gap.To.Seq, at)
				announced += b.Gap.To.Seq - at
				at = b.Gap.To.Seq
			}
			for _, m := range b.Messages {
				require.Equal(t, at+1, m.Seq)
				at = m.Seq
				got[keys[m.Seq]] = m.Seq
			}
			require.LessOrEqual(t, len(b.Messages), max(cfg.QueueLimit, cfg.KeyLimit))
			require.LessOrEqual(t, len(sub.extract), cfg.KeyLimit)
			return changed == nil
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				take()
				continue
			}
			top++
			keys[top] = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "key")
			latest[keys[top]] = top
			feed(rm, top, top)
			require.LessOrEqual(t, len(rm.now.msgs), cfg.QueueLimit+1)
			if d := rm.now.digest; d != nil {
				require.LessOrEqual(t, len(d.latest), cfg.KeyLimit)
				require.LessOrEqual(t, len(d.order), 2*cfg.KeyLimit+64+1)
			}
		}
		for take() {
		}
		require.Equal(t, top, at)
		require.Equal(t, announced, rm.srv.slow.Dropped+rm.srv.slow.Conflated)
		if cfg.Slow == Conflate {
			require.Equal(t, latest, got)
			require.Zero(t, rm.srv.slow.Dropped)
		}
	})
}

// A digest stays small however many messages pass, and remembers a key that is quiet for long.
func TestDigestIsBounded(t *testing.T) {
	d := newDigest(0, func(m model.Message) string { return fmt.Sprint(m.Seq > 1 && m.Seq%2 == 0, m.Seq == 1) }, 10)
	for seq := uint64(1); seq <= 10_000; seq++ {
		d.add([]model.Message{message(seq)})
		require.LessOrEqual(t, len(d.order), 2*3+64)
	}
	var seqs []uint64
	for _, m := range d.after(0) {
		seqs = append(seqs, m.Seq)
	}
	require.Equal(t, []uint64{1, 9999, 10_000}, seqs)
	require.Len(t, d.after(9999), 1)
	require.Zero(t, d.floor)
}

// slowRun has one slow client and some fast ones in a room, whose publisher goes on about three things, and
// gives what all of them saw, with what became of slow consumers.
func slowRun(t *testing.T, transport string, change func(*Config)) (h *model.History, slow SlowStats, fastest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &network{pipes: true})
		s := w.edge(t, func(c *Config) { c.QueueLimit = 8; change(c) })
		hc := w.serve(t, s, "edge:80")
		var mu sync.Mutex
		h = &model.History{}
		began := time.Now()
		reached := map[string]uint64{}
		published := map[string]time.Time{}
		observe := func(ev model.Event) {
			mu.Lock()
			defer mu.Unlock()
			ev.Step, ev.Time = uint64(len(h.Events)+1), time.Since(began)
			h.Events = append(h.Events, ev)
			switch ev.Kind {
			case model.PublishCall:
				published[ev.ID] = time.Now()
			case model.Deliver:
				reached[ev.Node] = ev.Seq
				if ev.Node != "slow" {
					fastest = max(fastest, time.Since(published[ev.ID]))
				}
			case model.Connected, model.Discontinuity:
				reached[ev.Node] = ev.Seq
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		names := []string{"fast-1", "fast-2", "slow"}
		for i, name := range names {
			c, err := hop1.NewClient(hop1.ClientConfig{
				Name: name, Room: "r", BaseURL: "http://edge:80", HTTP: hc, Transport: transport,
				Rand: rand.New(rand.NewPCG(uint64(i), 0)),
				// A pipe holds nothing: pings that cross at the very same instant would wait for each other.
				Heartbeat: 937 * time.Millisecond, IdleTimeout: 3 * time.Second,
				Observe: func(ev model.Event) {
					observe(ev)
					if name == "slow" && ev.Kind == model.Deliver {
						time.Sleep(100 * time.Millisecond)
					}
				},
			})
			require.NoError(t, err)
			running.Go(func() { require.ErrorIs(t, c.Run(ctx), context.Canceled) })
		}
		time.Sleep(time.Second)
		pub := hop1.Publisher{Name: "p", BaseURL: "http://edge:80", HTTP: hc, Observe: observe, Rand: rand.New(rand.NewPCG(9, 9))}
		const messages = 150
		for i := range messages {
			key := "x"
			switch {
			case i%10 == 5:
				key = fmt.Sprint("quiet-", i)
			case i%2 == 0:
				key = "y"
			}
			_, err := pub.Publish(within(t), "r", fmt.Sprintf("%s/%d", key, i), []byte(strings.Repeat("z", 2000)))
			require.NoError(t, err)
			time.Sleep(10 * time.Millisecond)
		}
		await(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if reached[name] < messages {
					return false
				}
			}
			return true
		})
		slow = s.Stats().Slow
		require.LessOrEqual(t, s.Stats().QueueHigh, messages)
		require.Greater(t, s.Stats().QueueHigh, 8)
		cancel()
		running.Wait()
		observe(model.Event{Kind: model.RunEnd})
	})
	return h, slow, fastest
}

// keyOf is the key of a message of slowRun.
func keyOf(id string) string {
	key, _, _ := strings.Cut(id, "/")
	return key
}

// Under each policy a slow client and fast ones end up as promised, by the properties, and the fast ones
// never notice. That the client has the latest of each key only Conflate promises, and the property catches
// the other that skips.
func TestSlowConsumerEndToEnd(t *testing.T) {
	lastValue := properties.LastValue(keyOf)
	for _, tr := range []string{"sse", "ws"} {
		for _, c := range []struct {
			slow      SlowPolicy
			lastValue model.Outcome
		}{{Disconnect, model.Ok}, {DropOldest, model.Illegal}, {Conflate, model.Ok}} {
			t.Run(tr+" "+string(c.slow), func(t *testing.T) {
				h, slow, fastest := slowRun(t, tr, func(cfg *Config) {
					if cfg.Slow = c.slow; c.slow == Conflate {
						cfg.Key = func(m model.Message) string { return keyOf(m.ID) }
					}
				})
				for _, v := range properties.Check(h) {
					require.True(t, v.Ok(), v.String())
				}
				v := lastValue.Check(h)
				require.Equal(t, c.lastValue, v.Outcome, v.String())
				require.Less(t, fastest, 10*time.Millisecond)
				gaps, gone := 0, 0
				for _, e := range h.Events {
					switch e.Kind {
					case model.Discontinuity:
						require.Equal(t, "slow", e.Node)
						gaps++
					case model.Disconnected:
						if e.Note != model.NoteStopped {
							require.Equal(t, "slow", e.Node, e.Note)
							gone++
						}
					}
				}
				require.Equal(t, c.slow == Disconnect, gone > 0)
				require.Equal(t, c.slow == Disconnect, slow.Disconnected > 0)
				require.Equal(t, c.slow != Disconnect, gaps > 0)
				require.Equal(t, c.slow == DropOldest, slow.Dropped > 0)
				require.Equal(t, c.slow == Conflate, slow.Conflated > 0)
			})
		}
	}
}
