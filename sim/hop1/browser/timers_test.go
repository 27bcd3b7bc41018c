package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
)

// Goal: the table of the sources: what delays a timer, and to when.
func TestTimerIsDue(t *testing.T) {
	born := time.Unix(1000, 300)
	for _, c := range []struct {
		name   string
		v      visibility
		set, d time.Duration // since birth; negative hidden means visible
		chain  int
		want   time.Duration
	}{
		{"visible", visibility{}, 1234, 5678, 0, 1234 + 5678},
		{"negative", visibility{}, 1234, -5, 0, 1234},
		{"nested", visibility{}, 0, time.Millisecond, 5, time.Millisecond},
		{"nested deeply", visibility{}, 0, time.Millisecond, 6, 4 * time.Millisecond},
		{"hidden", visibility{hidden: born}, 100 * time.Millisecond, 200 * time.Millisecond, 0, time.Second},
		{"hidden, on the second", visibility{hidden: born}, time.Second, time.Second, 9, 2 * time.Second},
		{"hidden, long", visibility{hidden: born}, 0, 2500 * time.Millisecond, 9, 3 * time.Second},
		{"hidden for 5 min", visibility{hidden: born}, 5 * time.Minute, time.Millisecond, 5, 6 * time.Minute},
		{"not quite", visibility{hidden: born}, 4*time.Minute + 58*time.Second, time.Second, 5, 4*time.Minute + 59*time.Second},
		{"not chained", visibility{hidden: born}, 10 * time.Minute, time.Millisecond, 4, 10*time.Minute + time.Second},
		{"WebRTC", visibility{hidden: born, exempt: true}, 10 * time.Minute, time.Millisecond, 5, 10*time.Minute + time.Second},
	} {
		require.Equal(t, c.want, c.v.due(born, born.Add(c.set), c.d, c.chain).Sub(born), c.name)
	}
}

// Goal: a page that polls every 200 ms does so once a second when it is hidden and, after five minutes, once a
// minute; unless it sets its timer anew whenever an answer has come, which is no chain. When it is shown again
// it polls at once.
func TestBackgroundPolling(t *testing.T) {
	for _, chain := range []bool{true, false} {
		t.Run(fmt.Sprintf("chain=%t", chain), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &host{}
				h.serve(t, http.HandlerFunc(streams))
				b := h.open(t, false)
				timers := NewTimers()
				var polls atomic.Int64
				poll := func() error {
					resp, err := b.Client().Get("http://edge/poll")
					if err != nil {
						return err
					}
					polls.Add(1)
					_, err = io.Copy(io.Discard, resp.Body)
					return errors.Join(err, resp.Body.Close())
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				const interval = 200 * time.Millisecond
				go func() {
					if chain {
						ended <- timers.Every(ctx, interval, poll)
						return
					}
					var err error
					for err == nil {
						if err = timers.Wait(ctx, interval, 0); err == nil {
							err = poll()
						}
					}
					ended <- err
				}()
				in := func(d time.Duration) int {
					before := polls.Load()
					time.Sleep(d)
					synctest.Wait()
					return int(polls.Load() - before)
				}
				require.Equal(t, 50, in(10*time.Second))
				time.Sleep(500 * time.Millisecond) // off the grid
				timers.Hide()
				in(time.Second)
				require.Equal(t, 60, in(time.Minute))
				in(4 * time.Minute)
				if chain {
					require.Equal(t, 10, in(10*time.Minute))
				} else {
					require.Equal(t, 600, in(10*time.Minute))
				}
				timers.Exempt(true)
				in(time.Second)
				require.Equal(t, 60, in(time.Minute))
				timers.Exempt(false)
				in(2 * time.Minute)
				timers.Show()
				synctest.Wait()
				require.Equal(t, 5, in(time.Second-time.Millisecond)+1, "at once, and from then on as before")
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
			})
		})
	}
}

// Goal: a client of hop 1 that polls from a hidden page has its messages late, and none lost.
func TestClientInAHiddenPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, strategy := rooms(t)
		h := &host{}
		h.serve(t, server.Handler())
		b := h.open(t, false)
		timers := NewTimers()
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		var mu sync.Mutex
		var all []string
		got := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		c, err := hop1.NewClient(hop1.ClientConfig{
			Room: "r", BaseURL: "http://edge", Transport: "poll", HTTP: b.Client(),
			Poll: hop1.Polling{Interval: 200 * time.Millisecond, Steady: true},
			Wait: func(ctx context.Context, d time.Duration) error { return timers.Wait(ctx, d, 0) },
			Observe: func(ev model.Event) {
				if ev.Kind == model.Deliver {
					mu.Lock()
					defer mu.Unlock()
					all = append(all, ev.ID)
				}
			},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		time.Sleep(1050 * time.Millisecond) // between two polls
		publish := func(id string) {
			_, err := strategy.Publish(t.Context(), model.Message{Room: "r", ID: id})
			require.NoError(t, err)
		}
		publish("seen")
		pass(200 * time.Millisecond)
		require.Equal(t, []string{"seen"}, got())
		timers.Hide()
		time.Sleep(time.Second)
		publish("hidden")
		pass(200 * time.Millisecond)
		require.Equal(t, []string{"seen"}, got(), "it is not yet the second")
		pass(time.Second)
		require.Equal(t, []string{"seen", "hidden"}, got())
		publish("hidden, too")
		pass(200 * time.Millisecond)
		require.Len(t, got(), 2)
		timers.Show()
		synctest.Wait()
		require.Len(t, got(), 3, "whoever looks sees it at once")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}
