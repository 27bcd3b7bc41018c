package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// guardedWorld has an edge with everything turned on, which is told to stop and returns, and clients that publish
// over their WebSocket connections, of which one is slow and one is cut off for a while.
func guardedWorld(w *sim.World) error {
	const clients, each = 6, 30
	w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
	w.Link("client-*", "edge", netsim.Link{Latency: 30 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.01})
	store := hop2.NewRedisStore()
	w.Node("redis", func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":6379")
		if err != nil {
			return err
		}
		return hop2.ServeRedis(ctx, l, store)
	})
	w.Node("edge", func(ctx context.Context, n *sim.Node) error {
		strategy, err := hop2.New("redis-streams", hop2.Config{Addr: "redis:6379", Dial: n.DialContext, Rand: n.Rand("hop 2")})
		if err != nil {
			return err
		}
		s, err := New(Config{
			Name: "edge", Strategy: strategy, QueueLimit: 5, History: 5, Slow: Conflate, Compression: true,
			Key:       func(m model.Message) string { return keyOf(m.ID) },
			RetryHint: time.Second, RetrySpread: 2 * time.Second,
			Guard: hop1.Guard{Authenticate: token, MaxConns: clients, MaxPerIdentity: 2},
		})
		if err != nil {
			return err
		}
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		defer context.AfterFunc(ctx, func() {
			drain, cancel := context.WithTimeout(serving, 5*time.Second)
			defer cancel()
			_ = s.Shutdown(drain) // what has not drained by then is cut
			stop()
		})()
		return errors.Join(n.Serve(serving, ":80", s.Handler()), strategy.Close())
	})
	done := 0
	for i := range clients {
		w.Node(fmt.Sprintf("client-%d", i), func(ctx context.Context, n *sim.Node) error {
			auth := http.Header{"Authorization": {n.Name()}}
			slow := i == 0
			c, err := hop1.NewClient(hop1.ClientConfig{
				Name: n.Name(), Room: "r", BaseURL: "http://edge", Transport: "ws", HTTP: n.HTTPClient(), Header: auth,
				Rand: n.Rand("client"), Compression: true, IdleTimeout: 5 * time.Second,
				Observe: func(e model.Event) {
					if n.Record(e); slow && e.Kind == model.Deliver {
						time.Sleep(20 * time.Millisecond)
					}
				},
			})
			if err != nil {
				return err
			}
			ended := make(chan struct{})
			go func() { _ = c.Run(ctx); close(ended) }() // says that ctx ended
			luck := n.Rand("publisher")
			p := hop1.Publisher{
				Name: "p-" + n.Name(), BaseURL: "http://edge", HTTP: n.HTTPClient(), Header: auth, Over: c, Rand: luck,
				Observe: func(e model.Event) { n.Record(e) }, AttemptTimeout: 2 * time.Second,
			}
			for j := 0; j < each && ctx.Err() == nil; j++ {
				time.Sleep(time.Duration(luck.Int64N(int64(200 * time.Millisecond))))
				_, _ = p.Publish(ctx, "r", fmt.Sprintf("%s/%d", n.Name(), j), []byte(strings.Repeat("abc", 400))) // in the history
			}
			done++
			<-ended
			return nil
		})
	}
	w.At(2*time.Second, sim.Stop("edge"))
	w.At(3*time.Second, sim.Restart("edge"))
	w.At(5*time.Second, netsim.Partition("client-3", "edge"))
	w.At(6*time.Second, netsim.Heal())
	w.RunFor(25 * time.Second)
	if done != clients {
		return fmt.Errorf("%d of %d publishers are through", done, clients)
	}
	w.MustHaveBitten("partition")
	w.Check(properties.NoLoss(), properties.NoDuplicate(), properties.InOrder(), properties.Conforms(), properties.LastValue(keyOf))
	return nil
}

// The same seed gives the same steps with everything that surrounds a transport turned on, and the properties
// hold.
func TestGuardedWorldReproduces(t *testing.T) {
	repeat := 4
	if testing.Short() {
		repeat = 2
	}
	res := sim.Run(t, sim.Config{Seed: 1, Repeat: repeat}, guardedWorld)
	require.NoError(t, res.Err)
	for _, v := range res.Verdicts {
		require.True(t, v.Ok(), v.String())
	}
	require.Len(t, res.Verdicts, 5)
}
