package hop2

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// relay serves a relay on the network until the function it returns is called, or the test ends.
func (n *network) relay(t *testing.T, cfg RelayConfig) (r *Relay, crash func()) {
	r, err := NewRelay(cfg)
	require.NoError(t, err)
	srv := &http.Server{Handler: r.Handler()}
	l := n.listen(t)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	once := make(chan struct{}, 1)
	once <- struct{}{}
	crash = func() {
		select {
		case <-once:
		default:
			return
		}
		require.NoError(t, srv.Close())
		require.True(t, errors.Is(<-ended, http.ErrServerClosed))
		require.NoError(t, r.Close())
	}
	t.Cleanup(crash)
	return r, crash
}

// relayed makes a client of the network's relay, which is closed at the test's end.
func (n *network) relayed(t *testing.T, cfg Config) *Relayed {
	cfg.Addr, cfg.Dial = "relay:80", n.dial
	s, err := NewRelayed(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// A relay subscribes once to a room however many read it, sends each message once to each of them, and closes
// the room when all have left.
func TestRelaySubscribesOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		beyond := newNetwork(t, n.pipes)
		r, _ := beyond.relay(t, RelayConfig{Upstream: n.strategy(t, nil), Linger: 10 * time.Millisecond})
		var readers []*Relayed
		var subs []Subscription
		for range 5 {
			s := beyond.relayed(t, Config{})
			readers = append(readers, s)
			for range 2 {
				subs = append(subs, subscribe(t, s, "r", model.Cursor{}))
			}
		}
		start := subs[0].Start().Cursor
		end := publish(t, readers[0], "r", 1, 20)
		for _, sub := range subs {
			seqs, gaps := collect(t, sub, start, end)
			require.Equal(t, simtest.UpTo(1, 20), seqs)
			require.Empty(t, gaps)
		}
		st := r.Stats()
		require.Equal(t, RelayStats{Rooms: 1, Streams: 5, Subscribed: 1, Reads: st.Reads, Published: 20, Sent: 100}, st)
		for _, sub := range subs {
			sub.Unsubscribe()
		}
		require.Eventually(t, func() bool { return r.Stats().Rooms == 0 }, patience, time.Millisecond)
		publish(t, readers[0], "r", 21, 21)
		require.Equal(t, 100, r.Stats().Sent)
		again := subscribe(t, readers[1], "r", end)
		seqs, gaps := collect(t, again, end, model.Cursor{Epoch: end.Epoch, Seq: 21})
		require.Equal(t, []uint64{21}, seqs)
		require.Empty(t, gaps)
		require.Zero(t, readers[1].Stats().Strays)
	})
}

// What a relay has forgotten it has from upstream, if that keeps it; what both have forgotten is announced.
func TestRelayForgets(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		up := n.strategy(t, func(c *Config) { c.History = 200 })
		begin := subscribe(t, up, "r", model.Cursor{}).Start().Cursor
		beyond := newNetwork(t, n.pipes)
		r, crash := beyond.relay(t, RelayConfig{Upstream: up, History: 10})
		s := beyond.relayed(t, Config{RetryMin: time.Millisecond})
		sub := subscribe(t, s, "r", model.Cursor{})
		end := publish(t, up, "r", 1, 200)
		seqs, gaps := collect(t, sub, begin, end)
		require.Equal(t, simtest.UpTo(1, 200), seqs)
		require.Empty(t, gaps)

		late := subscribe(t, s, "r", begin)
		requireAt(t, begin, late.Start())
		seqs, gaps = collect(t, late, begin, end)
		require.Equal(t, simtest.UpTo(1, 200), seqs)
		require.Empty(t, gaps)
		require.Positive(t, r.Stats().Fetched)

		crash()
		r, _ = beyond.relay(t, RelayConfig{Upstream: up, History: 10})
		next := publish(t, up, "r", 201, 300)
		seqs, gaps = collect(t, sub, end, next)
		require.Equal(t, simtest.UpTo(201, 300), seqs, "the relay that came back knows nothing, and has it from upstream")
		require.Empty(t, gaps)
		late = subscribe(t, s, "r", begin)
		require.Contains(t, late.Start().Gap, "trimmed")
		require.Equal(t, uint64(100), late.Start().Cursor.Seq, "as far back as upstream goes, not only the relay")
		seqs, _ = collect(t, late, late.Start().Cursor, next)
		require.Equal(t, simtest.UpTo(101, 300), seqs)
		require.Positive(t, r.Stats().Fetched)
	})
}

// heldBack is a strategy whose subscriptions from the live end, as a relay's first, give nothing until it is
// released: the relay is behind. What asks for a position is answered.
type heldBack struct {
	Strategy
	release chan struct{}
}

func (h heldBack) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	sub, err := h.Strategy.Subscribe(ctx, room, from)
	if from.IsZero() && err == nil {
		return heldSubscription{sub, h.release}, nil
	}
	return sub, err
}

type heldSubscription struct {
	Subscription
	release chan struct{}
}

func (s heldSubscription) Next(ctx context.Context) (Batch, error) {
	select {
	case <-s.release:
		return s.Subscription.Next(ctx)
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
}

// A reader that comes from another region, where more is known, is told of no gap: it waits until this relay
// knows as much. One from a future that never was is told so.
func TestRelayBehind(t *testing.T) {
	for _, name := range []string{"redis-streams", "redis-pubsub"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.serve(t, NewRedisStore())
				k := kind{name: name}
				up := heldBack{k.strategy(t, n), make(chan struct{})}
				beyond := newNetwork(t, true)
				beyond.relay(t, RelayConfig{Upstream: up})
				s := beyond.relayed(t, Config{})
				first := subscribe(t, s, "r", model.Cursor{})
				at := publish(t, up.Strategy, "r", 1, 5)
				if name == "redis-pubsub" { // it must have been there to know how far it is
					publish(t, up.Strategy, "r", 6, 6)
				}
				go func() {
					time.Sleep(3 * time.Second)
					close(up.release)
				}()
				began := time.Now()
				sub := subscribe(t, s, "r", at)
				requireAt(t, at, sub.Start())
				require.GreaterOrEqual(t, time.Since(began), 3*time.Second)
				end := publish(t, s, "r", 7, 9)
				seqs, gaps := collect(t, sub, at, end)
				require.Equal(t, simtest.UpTo(6, end.Seq), seqs)
				require.Empty(t, gaps)
				seqs, _ = collect(t, first, first.Start().Cursor, end)
				require.Equal(t, simtest.UpTo(1, end.Seq), seqs)

				never := subscribe(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: end.Seq + 1})
				require.Contains(t, never.Start().Gap, "future")
				require.Equal(t, end, never.Start().Cursor)
			})
		})
	}
}

// A reader that takes nothing is cut, holds up nobody, and has everything when it comes back.
func TestRelaySlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		beyond := newNetwork(t, true)
		r, _ := beyond.relay(t, RelayConfig{Upstream: n.strategy(t, nil), Queue: 8})
		quick := beyond.relayed(t, Config{})
		sub := subscribe(t, quick, "r", model.Cursor{})
		conn, err := beyond.dial(t.Context(), "tcp", "")
		require.NoError(t, err)
		_, err = conn.Write([]byte("GET /deliver?stream=slow HTTP/1.1\r\nHost: r\r\n\r\n"))
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		_, err = r.do(t.Context(), []wire.Op{{Read: &wire.Read{Room: "r", Limit: 1, Stream: "slow"}}})
		require.NoError(t, err)
		require.Equal(t, 2, r.Stats().Streams)
		end := publish(t, quick, "r", 1, 20)
		seqs, gaps := collect(t, sub, sub.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(1, 20), seqs)
		require.Empty(t, gaps)
		time.Sleep(5 * time.Second)
		require.Equal(t, 1, r.Stats().Streams)
		require.Equal(t, 1, r.Stats().Cut)
		require.NoError(t, conn.Close())
	})
}

// While upstream is out of reach, what the relay keeps is served, and all else is to be asked for again.
func TestRelayCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		crash := n.serve(t, NewRedisStore())
		beyond := newNetwork(t, true)
		beyond.relay(t, RelayConfig{Upstream: n.strategy(t, nil)})
		s := beyond.relayed(t, Config{})
		sub := subscribe(t, s, "r", model.Cursor{})
		end := publish(t, s, "r", 1, 5)
		collect(t, sub, sub.Start().Cursor, end)
		crash()
		began := time.Now()
		kept := subscribe(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: 2})
		require.Less(t, time.Since(began), 10*time.Millisecond)
		seqs, _ := collect(t, kept, kept.Start().Cursor, end)
		require.Equal(t, simtest.UpTo(3, 5), seqs)
		_, err := s.Subscribe(within(t, 4*time.Second), "r", model.Cursor{Epoch: "elsewhere", Seq: 1})
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = s.Publish(within(t, 4*time.Second), note("r", 6))
		require.ErrorIs(t, err, ErrUnavailable)
	})
}

// What is no request of a relay's is refused with a reason.
func TestRelayRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.serve(t, NewRedisStore())
		r, err := NewRelay(RelayConfig{Upstream: n.strategy(t, nil)})
		require.NoError(t, err)
		ask := func(method, target, body string) (int, string) {
			w := httptest.NewRecorder()
			r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(within(t, time.Second), method, target, strings.NewReader(body)))
			return w.Code, w.Body.String()
		}
		for want, c := range map[string][3]string{
			`stream "": it has 0`:      {"GET", "/deliver", ""},
			`stream "a/b": it has '/'`: {"GET", "/deliver?stream=a/b", ""},
			"batch: invalid character": {"POST", "/batch", "x"},
			"it has 0 operations":      {"POST", "/batch", `{"ops":[]}`},
			"unknown field":            {"POST", "/batch", `{"ops":[{"delete":{}}]}`},
		} {
			code, text := ask(c[0], c[1], c[2])
			require.Equal(t, http.StatusBadRequest, code, c)
			require.Contains(t, text, want)
		}
		code, text := ask("POST", "/batch", `{"ops":[{},{"read":{"room":"..","limit":1}},{"leave":{"room":"r","stream":"s"}},{"append":{"room":"r","id":"1"}}]}`)
		require.Equal(t, http.StatusOK, code)
		results, err := wire.DecodeResults([]byte(text), []wire.Op{{}, {}, {Leave: &wire.Leave{}}, {Append: &wire.Append{}}})
		require.NoError(t, err)
		require.Contains(t, results[0].Error, "it has 0")
		require.Contains(t, results[1].Error, "a URL's path cannot hold it")
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		code, _ = ask("POST", "/batch", `{"ops":[{"read":{"room":"r","limit":1}}]}`)
		require.Equal(t, http.StatusServiceUnavailable, code)
	})
}

func TestRelayConfig(t *testing.T) {
	up := &Relayed{}
	for want, cfg := range map[string]RelayConfig{
		"relay: hop2: Upstream: <nil>; want a Strategy": {},
		"History: -1; want 0 (meaning 1000) to 2^30":    {Upstream: up, History: -1},
		"Queue: -1":                         {Upstream: up, Queue: -1},
		"Heartbeat: 1ns; want 0":            {Upstream: up, Heartbeat: 1},
		"Linger: -1s":                       {Upstream: up, Linger: -time.Second},
		"Timeout: 1µs; want 0 (meaning 1s)": {Upstream: up, Timeout: time.Microsecond},
	} {
		_, err := NewRelay(cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := NewRelayed(Config{})
	require.ErrorContains(t, err, "Addr")
}
