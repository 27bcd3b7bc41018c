package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// presentWorld has edges that know who is in a room, and clients of both that come, go, crash an edge and come
// back; one that is at the crashed edge never does. Observers ask each edge twice a second.
func presentWorld(transport, hop string, mutant Mutant) func(*sim.World) error {
	return func(w *sim.World) error {
		w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
		w.Link("client-*", "edge-*", netsim.Link{Latency: 20 * time.Millisecond})
		store := hop2.NewRedisStore()
		w.Node("redis", func(ctx context.Context, n *sim.Node) error {
			l, err := n.Listen("tcp", ":6379")
			if err != nil {
				return err
			}
			return hop2.ServeRedis(ctx, l, store)
		})
		for i := range 2 {
			w.Node(fmt.Sprintf("edge-%d", i+1), func(ctx context.Context, n *sim.Node) error {
				strategy, err := hop2.New(hop, hop2.Config{Addr: "redis:6379", Dial: n.DialContext, Rand: n.Rand("hop 2")})
				if err != nil {
					return err
				}
				s, err := New(Config{
					Name: n.Name(), Strategy: strategy, Guard: hop1.Guard{Authenticate: token}, Presence: &Presence{Mutant: mutant},
				})
				if err != nil {
					return err
				}
				return errors.Join(n.Serve(ctx, ":80", s.Handler()), s.Shutdown(context.WithoutCancel(ctx)), strategy.Close())
			})
			w.Node(fmt.Sprintf("observer-%d", i+1), func(ctx context.Context, n *sim.Node) error {
				return observe(ctx, n, fmt.Sprintf("edge-%d", i+1))
			})
		}
		for i := range 6 {
			w.Node(fmt.Sprintf("client-%d", i), func(ctx context.Context, n *sim.Node) error {
				home := fmt.Sprintf("http://edge-%d", i%2+1)
				c, err := hop1.NewClient(hop1.ClientConfig{
					Name: n.Name(), Room: "r", BaseURL: home, Transport: transport, HTTP: n.HTTPClient(), Rand: n.Rand("client"),
					Header:  http.Header{"Authorization": {n.Name()}},
					Observe: func(e model.Event) { n.Record(e) }, Hold: time.Second,
				})
				if err != nil {
					return err
				}
				span := 60 * time.Second
				if i < 2 {
					span = 8 * time.Second // one at each edge leaves
				}
				for ctx.Err() == nil {
					lasting, cancel := context.WithTimeout(ctx, span)
					_ = c.Run(lasting) // says that lasting ended
					cancel()
					if i == 2 { // at the edge that crashes, it leaves with it
						break
					}
					_ = pause(ctx, 15*time.Second) // says that ctx ended
				}
				return nil
			})
		}
		w.At(15*time.Second, sim.Crash("edge-1"))
		w.At(30*time.Second, sim.Restart("edge-1"))
		w.RunFor(50 * time.Second)
		w.MustHaveBitten("crash")
		w.Check(properties.Presence(9 * time.Second)) // lease, grace, a silent connection's time-out and a beat
		return nil
	}
}

// observe asks an edge who is there.
func observe(ctx context.Context, n *sim.Node, at string) error {
	client := n.HTTPClient()
	client.Timeout = time.Second
	for pause(ctx, 500*time.Millisecond) == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/rooms/r/members", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", n.Name())
		resp, err := client.Do(req)
		if err != nil {
			continue // it is down
		}
		var told MembersReply
		err = json.NewDecoder(resp.Body).Decode(&told)
		_ = resp.Body.Close()
		if err == nil {
			n.Record(model.Event{Kind: model.Members, Room: "r", Note: strings.Join(told.Members, " "), Peer: at})
		}
	}
	return nil
}

// Everybody who is connected is seen at every edge, and nobody who left, whichever way; the mutant keeps them.
func TestPresenceWorld(t *testing.T) {
	cases := [][2]string{{"ws", "redis-streams"}, {"sse", "redis-pubsub"}, {"poll", "redis-streams"}, {"longpoll", "redis-streams"}}
	if testing.Short() {
		cases = cases[:1]
	}
	for _, c := range cases {
		for mutant, want := range map[Mutant]model.Outcome{"": model.Ok, PresenceNeverLeaves: model.Illegal} {
			res := sim.Run(t, sim.Config{Seed: 1, Repeat: 2}, presentWorld(c[0], c[1], mutant))
			require.NoError(t, res.Err)
			require.Len(t, res.Verdicts, 1)
			require.Equal(t, want, res.Verdicts[0].Outcome, "%v %s: %s", c, mutant, res.Verdicts[0])
			t.Log(res.Verdicts[0])
		}
	}
}

// Wrong settings are named, clients have no part in the edges' room, and without presence nobody is counted.
func TestPresenceRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hop := w.strategy(t)
		guard := hop1.Guard{Authenticate: token}
		for want, cfg := range map[string]Config{
			"Name":                            {Guard: guard, Presence: &Presence{}},
			"Guard.Authenticate":              {Name: "e", Presence: &Presence{}},
			"Presence.Lease: 1ms":             {Name: "e", Guard: guard, Presence: &Presence{Lease: time.Millisecond}},
			"Presence.Beat: 3s; want at most": {Name: "e", Guard: guard, Presence: &Presence{Beat: 3 * time.Second}},
			"Presence.Grace: -1ns":            {Name: "e", Guard: guard, Presence: &Presence{Grace: -1}},
			"Presence.Gather: -1ns":           {Name: "e", Guard: guard, Presence: &Presence{Gather: -1}},
			"Presence.Mutant":                 {Name: "e", Guard: guard, Presence: &Presence{Mutant: "x"}},
		} {
			cfg.Strategy = hop
			_, err := New(cfg)
			require.ErrorContains(t, err, want)
		}
		s := w.edge(t, func(c *Config) { c.Strategy, c.Name, c.Guard, c.Presence = hop, "e", guard, &Presence{} })
		_, err := s.Open(within(t), PresenceRoom, model.Cursor{})
		require.ErrorIs(t, err, hop1.ErrNoRoom)
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "ann")
			rec := httptest.NewRecorder()
			s.Handler().ServeHTTP(rec, r)
			return rec
		}
		forged := ask("POST", "/rooms/"+PresenceRoom+"/messages", `{"id":"x","publisher":"e2","body":"e30="}`)
		require.Equal(t, http.StatusBadRequest, forged.Code)
		require.Contains(t, forged.Body.String(), "_presence is the edges' own")
		_, err = s.publishOver(within(t), model.Message{Room: PresenceRoom, ID: "x"})
		require.ErrorIs(t, err, hop1.ErrRejected)
		require.JSONEq(t, `{"room":"r","members":[]}`, ask("GET", "/rooms/r/members", "").Body.String())
		require.Equal(t, http.StatusBadRequest, ask("GET", "/rooms/"+PresenceRoom+"/members", "").Code)
		require.Nil(t, w.edge(t, func(c *Config) { c.Strategy = hop }).Members("r"))
	})
}
