package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// authChecks are those of who may subscribe.
var authChecks = []check{auth}

// auth: whom the edges know gets everything, whatever goes wrong, and whom they don't, nothing: they are
// refused with 401 before there is any subscription or upgrade.
var auth = check{
	name: "auth",
	change: func(p *plan) {
		p.guarded, p.strangers = true, strangers
		p.look = 9 * time.Second
	},
	judge: func(t *testing.T, o *outcome) {
		require.Empty(t, letIn(o))
		for _, s := range strangers {
			require.NotEmpty(t, o.refused[s.name], "%s did not even ask", s.name)
		}
		delivery.judge(t, o)
	},
	clean: func(t *testing.T, o *outcome) {
		delivery.clean(t, o)
		for _, s := range strangers {
			require.Greater(t, len(o.refused[s.name]), 10)
		}
	},
}

// stranger is somebody whom the edges do not know.
type stranger struct {
	name          string
	room          string
	authorization string // the header; "" for none
}

// strangers ask for the room that the clients are in, and for one that nobody is in, which an edge would open
// for them.
var strangers = []stranger{
	{"stranger-1", "r", ""},
	{"stranger-2", "empty", "Bearer mallory"},
	{"stranger-3", "r", "bearer of good news"},
}

// authorization is the header by which the edges know who asks.
func authorization(who string) http.Header {
	return http.Header{"Authorization": {"Bearer token-of-" + who}}
}

// knows is a guard that knows those who have a token.
func knows(r *http.Request) (string, error) {
	who, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-of-")
	if !ok {
		return "", errors.New("no token that I know")
	}
	return who, nil
}

// guard is whom a system's edges let in.
func (p *plan) guard() hop1.Guard {
	if !p.guarded {
		return hop1.Guard{}
	}
	return hop1.Guard{Authenticate: knows}
}

// statuses has a client note the status of every answer that it gets.
type statuses struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []int
}

func (s *statuses) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(r)
	if err == nil {
		s.mu.Lock()
		s.seen = append(s.seen, resp.StatusCode)
		s.mu.Unlock()
	}
	return resp, err
}

// intrude is a stranger's program: to subscribe, and to publish, again and again.
func (sys *system) intrude(ctx context.Context, n *sim.Node, s stranger) error {
	hc := n.HTTPClient()
	seen := &statuses{next: hc.Transport}
	hc.Transport = seen
	cfg := sys.clientConfig(n)
	cfg.Room, cfg.HTTP, cfg.StopWhenDenied, cfg.Observe = s.room, hc, true, n.Record
	cfg.Header = nil
	if s.authorization != "" {
		cfg.Header = http.Header{"Authorization": {s.authorization}}
	}
	client, err := hop1.NewClient(cfg)
	if err != nil {
		return err
	}
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: cfg.BaseURL, HTTP: hc, Header: cfg.Header,
		AttemptTimeout: time.Second, Backoff: cfg.Backoff, Rand: n.Rand("publisher"),
	}
	for i := 0; ctx.Err() == nil; i++ {
		err := client.Run(ctx) // returns when it is denied, or ctx ends
		_, posted := publisher.Publish(ctx, s.room, fmt.Sprint(n.Name(), "-", i), []byte("let me in"))
		if ctx.Err() != nil {
			break
		}
		sys.mu.Lock()
		sys.refused[n.Name()] = append(sys.refused[n.Name()], err, posted)
		sys.statuses[n.Name()] = seen
		sys.mu.Unlock()
		sleep(ctx, 500*time.Millisecond)
	}
	return nil
}

// letIn lists how a system was too kind to strangers.
func letIn(o *outcome) []string {
	var kindnesses []string
	for _, s := range o.strangers {
		for _, err := range o.refused[s.name] {
			if !errors.Is(err, hop1.ErrUnauthorized) {
				kindnesses = append(kindnesses, fmt.Sprintf("%s: an attempt ended with: %v", s.name, err))
			}
		}
		if seen := o.statuses[s.name]; seen != nil {
			for _, status := range seen.seen {
				if status != http.StatusUnauthorized {
					kindnesses = append(kindnesses, fmt.Sprintf("%s was answered with %d", s.name, status))
				}
			}
		}
		for _, kind := range []model.Kind{model.Connected, model.Deliver, model.Discontinuity} {
			for _, e := range o.of(s.name, kind, span{0, forever}) {
				kindnesses = append(kindnesses, fmt.Sprintf("%s saw %s", s.name, e.Kind))
			}
		}
	}
	if o.opened > edges { // the clients' room, at each
		kindnesses = append(kindnesses, fmt.Sprintf("%d rooms were open", o.opened))
	}
	return kindnesses
}

// Goal: the check of strangers can fail: edges that admit everybody are caught, over every transport, by what
// the strangers saw, by the answers, and by the room that was opened for one.
func TestOpenDoorsAreCaught(t *testing.T) {
	for _, transport := range hop1.Transports() {
		t.Run(transport, func(t *testing.T) {
			p := newPlan(transport)
			networks[0].change(p)
			auth.change(p)
			p.guarded = false
			o := carryOut(t, fixed(), p)
			require.NoError(t, o.res.Err)
			got := strings.Join(letIn(o), "\n")
			for _, s := range strangers {
				require.Contains(t, got, s.name+" saw connected")
			}
			require.Contains(t, got, "stranger-1 saw deliver")
			require.Contains(t, got, "rooms were open")
		})
	}
}

// Goal: the same over real sockets.
// Method: a stranger for each transport, beside the clients, who get everything.
func TestLiveAuth(t *testing.T) {
	if !*live {
		t.Skip("takes real time: run with -live")
	}
	sys := startLive(t, 0, 0)
	sys.clients(nil, nil)
	sys.await("connected", func() bool { return len(sys.places) == len(liveClients()) })
	for _, transport := range liveClients() {
		for _, s := range strangers {
			pool := &http.Transport{}
			seen := &statuses{next: pool}
			cfg := sys.clientConfig(transport, &http.Client{Transport: seen})
			cfg.Name, cfg.Room, cfg.Header, cfg.StopWhenDenied = s.name, s.room, http.Header{"Authorization": {s.authorization}}, true
			client, err := hop1.NewClient(cfg)
			require.NoError(t, err)
			limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			require.ErrorIs(t, client.Run(limit), hop1.ErrUnauthorized, transport)
			_, err = hop1.Publisher{
				Name: s.name, BaseURL: cfg.BaseURL, HTTP: cfg.HTTP, Header: cfg.Header,
			}.Publish(limit, s.room, "x", nil)
			require.ErrorIs(t, err, hop1.ErrUnauthorized)
			cancel()
			pool.CloseIdleConnections()
			require.Equal(t, []int{401, 401}, seen.seen, transport)
		}
	}
	sys.post(1, 15)
	sys.await("caught up", func() bool { return sys.caughtUp(15) })
	for _, e := range sys.edges {
		require.LessOrEqual(t, e.Stats().Rooms, 1, "none was opened for a stranger")
	}
	sys.mu.Lock()
	defer sys.mu.Unlock()
	for _, e := range sys.Events {
		require.False(t, slices.ContainsFunc(strangers, func(s stranger) bool { return s.name == e.Node }), "%v", e)
	}
	for _, transport := range liveClients() {
		require.Equal(t, 15, sys.count(transport, model.Deliver))
	}
}
