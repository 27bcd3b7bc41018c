package edge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// refillWorld has clients that start where m1 is, at the end of the log, and see nothing more. While the edge is
// down the broker loses m1, as at a failover to a copy that lags, and m2 takes its place; m3 follows when the clients
// are back. If the edge stays up, the broker loses m1 just before m2 is published.
func refillWorld(transport string, mutant hop1.Mutant, up bool) func(*sim.World) error {
	return func(w *sim.World) error {
		w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
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
			s, err := New(Config{Name: n.Name(), Strategy: strategy})
			if err != nil {
				return err
			}
			return errors.Join(n.Serve(ctx, ":80", s.Handler()), s.Shutdown(ctx), strategy.Close())
		})
		w.Node("failover", func(ctx context.Context, n *sim.Node) error {
			time.Sleep(3500 * time.Millisecond)
			if up {
				time.Sleep(650 * time.Millisecond) // between two looks of the edge at the log, and done before m2 comes
			}
			c := redis.NewClient(&redis.Options{
				Addr: "redis:6379", Protocol: 2, DisableIdentity: true,
				MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
				Dialer:                   n.DialContext,
			})
			end := c.HGet(ctx, "twohop:{r}:life", "seq").Val()
			return errors.Join(
				c.HIncrBy(ctx, "twohop:{r}:life", "seq", -1).Err(), c.XDel(ctx, "twohop:{r}:log", end+"-0").Err(),
				c.HDel(ctx, "twohop:{r}:ids", "m1").Err(), c.RPop(ctx, "twohop:{r}:order").Err(), c.Close(),
			)
		})
		w.Node("publisher", func(ctx context.Context, n *sim.Node) error {
			strategy, err := hop2.New("redis-streams", hop2.Config{Addr: "redis:6379", Dial: n.DialContext, Rand: n.Rand("hop 2")})
			if err != nil {
				return err
			}
			for i, at := range []time.Duration{500 * time.Millisecond, time.Second, 4200 * time.Millisecond, 10 * time.Second} {
				time.Sleep(at - n.Now())
				id := fmt.Sprintf("m%d", i)
				n.Record(model.Event{Kind: model.PublishCall, Room: "r", ID: id})
				c, err := strategy.Publish(ctx, model.Message{Room: "r", ID: id, Publisher: n.Name()})
				if err != nil {
					return err
				}
				n.Record(model.Event{Kind: model.PublishOK, Room: "r", ID: id, Epoch: c.Epoch, Seq: c.Seq})
			}
			return strategy.Close()
		})
		w.Node("client", func(ctx context.Context, n *sim.Node) error {
			time.Sleep(2 * time.Second)
			c, err := hop1.NewClient(hop1.ClientConfig{
				Name: n.Name(), Room: "r", BaseURL: "http://edge", Transport: transport, HTTP: n.HTTPClient(), Rand: n.Rand("client"),
				Observe: func(e model.Event) { n.Record(e) }, Mutant: mutant, Hold: time.Second,
			})
			if err != nil {
				return err
			}
			_ = c.Run(ctx) // says that ctx ended
			return nil
		})
		if !up {
			w.At(3*time.Second, sim.Crash("edge"))
			w.At(5*time.Second, sim.Restart("edge"))
		}
		w.RunFor(12 * time.Second)
		if !up {
			w.MustHaveBitten("crash")
		}
		w.Check(properties.Refill(), properties.HonestRecovery())
		return nil
	}
}

// A broker's silent loss of a message, whose place another takes, is announced to a client that had started there,
// by every transport that a plain network carries; blind-start keeps it from the client, and Refill says so.
func TestRefilledPositionIsAnnounced(t *testing.T) {
	transports := []string{"longpoll", "poll", "sse", "ws"}
	if testing.Short() {
		transports = transports[3:]
	}
	for _, transport := range transports {
		for mutant, want := range map[hop1.Mutant]model.Outcome{"": model.Ok, hop1.BlindStart: model.Illegal} {
			res := sim.Run(t, sim.Config{Seed: 1, Repeat: 2}, refillWorld(transport, mutant, false))
			require.NoError(t, res.Err)
			require.Len(t, res.Verdicts, 2)
			require.Equal(t, want, res.Verdicts[0].Outcome, "%s %s: %s", transport, mutant, res.Verdicts[0])
			require.Equal(t, model.Ok, res.Verdicts[1].Outcome, "%s %s: %s", transport, mutant, res.Verdicts[1])
		}
	}
}

// A client whose edge is there all the time is told, too: the edge's subscription notices, and its room goes on.
func TestRefillUnderAnEdge(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 1, Repeat: 2}, refillWorld("ws", "", true))
	require.NoError(t, res.Err)
	require.Equal(t, model.Ok, res.Verdicts[0].Outcome, res.Verdicts[0])
	var seen []string
	for _, e := range res.History.Events {
		if e.Node == "client" && e.Kind != model.Disconnected {
			seen = append(seen, fmt.Sprintf("%s %d %s", e.Kind, e.Seq, e.ID))
		}
	}
	require.Equal(t, []string{"connected 2 ", "discontinuity 2 ", "deliver 3 m3"}, seen)
}
