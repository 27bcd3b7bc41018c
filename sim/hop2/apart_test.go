package hop2

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// dials notes when a strategy dials.
type dials struct {
	dial func(context.Context, string, string) (net.Conn, error)

	mu sync.Mutex
	at []time.Time
}

func (d *dials) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.at = append(d.at, time.Now())
	d.mu.Unlock()
	return d.dial(ctx, network, addr)
}

// requireApart fails if two dials, of at least so many since the last look, were at one instant.
func (d *dials) requireApart(t *testing.T, atLeast int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.GreaterOrEqual(t, len(d.at), atLeast)
	began, seen := d.at[0], map[time.Time]bool{}
	for _, at := range d.at {
		require.Falsef(t, seen[at], "two dials %v after the first", at.Sub(began))
		seen[at] = true
	}
	d.at = nil
}

// Goal: a strategy with two connections to one address never dials both at one instant, whatever it is that gives
// it reason to: else the scheduler would decide which is which.
// Method: publish and subscribe at one instant, with nobody there, with a service, and when that is gone for both.
func TestDialsAreApart(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *network, *dials) (s Strategy, serve func() (crash func())){
		"redis-streams": func(t *testing.T, n *network, d *dials) (Strategy, func() func()) {
			s := n.strategy(t, func(c *Config) { c.Dial = d.Dial })
			return s, func() func() { return n.serve(t, NewRedisStore()) }
		},
		"redis-pubsub": func(t *testing.T, n *network, d *dials) (Strategy, func() func()) {
			s, err := NewRedisPubSub(Config{Addr: "broker:6379", Dial: d.Dial, Rand: n.config().Rand})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s, func() func() { return n.serve(t, NewRedisStore()) }
		},
		"relay": func(t *testing.T, n *network, d *dials) (Strategy, func() func()) {
			s, err := NewRelayed(Config{Addr: "relay:80", Dial: d.Dial, Rand: n.config().Rand})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			behind := newNetwork(t, true)
			return s, func() func() {
				behind.serve(t, NewRedisStore())
				_, crash := n.relay(t, RelayConfig{Upstream: behind.strategy(t, nil)})
				return crash
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				d := &dials{dial: n.dial}
				s, serve := open(t, n, d)
				// both publishes to a room and subscribes to it, at one instant.
				both := func(room string, patience time.Duration) (published, subscribed error) {
					ctx := within(t, patience)
					var calls sync.WaitGroup
					calls.Go(func() { _, published = s.Publish(ctx, note(room, 1)) })
					calls.Go(func() {
						var sub Subscription
						if sub, subscribed = s.Subscribe(ctx, room, model.Cursor{}); subscribed == nil {
							t.Cleanup(sub.Unsubscribe)
						}
					})
					calls.Wait()
					return published, subscribed
				}

				published, subscribed := both("nobody", 9*time.Second)
				require.ErrorIs(t, published, ErrUnavailable)
				require.ErrorIs(t, subscribed, ErrUnavailable)
				d.requireApart(t, 10)

				crash := serve()
				published, subscribed = both("r", patience)
				require.NoError(t, published)
				require.NoError(t, subscribed)
				d.requireApart(t, 2)

				n.cut() // what is asked now is on its way when both connections go
				time.AfterFunc(10*time.Millisecond, crash)
				published, _ = both("r", 9*time.Second)
				require.ErrorIs(t, published, ErrUnavailable)
				d.requireApart(t, 10)
			})
		})
	}
}
