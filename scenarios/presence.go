package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
)

// Presence is a chat that shows who is there: clients come and go, edges tell each other whom they have, and crash,
// and observers ask each edge. [NewPresence] gives it its defaults.
type Presence struct {
	Clients, Rooms int
	// Stay is how long a client is there, and Away how long it is gone before it comes back, on average: each
	// time half as long to one and a half times as long.
	Stay, Away time.Duration
	// Transport is what clients use, as that of a [Chat].
	Transport string
	// Hop2 is the strategy that carries messages, and what edges tell each other.
	Hop2 string
	// Duration is how long a run takes.
	Duration time.Duration

	plain
	chosenFaults
	mutant edge.Mutant
}

// NewPresence gives the presence of the catalogue.
func NewPresence() *Presence {
	return &Presence{
		Clients: 8, Rooms: 2, Stay: 10 * time.Second, Away: 40 * time.Second,
		Transport: "mix", Hop2: "redis-streams", Duration: time.Minute,
	}
}

// Name implements [Scenario].
func (*Presence) Name() string { return "presence" }

// Summary implements [Scenario].
func (*Presence) Summary() string {
	return "who is in a room, as each edge tells it, while clients come and go and an edge crashes"
}

// Params implements [Scenario].
func (p *Presence) Params() []Param {
	return []Param{
		{"clients", "clients, each in one room", intValue{&p.Clients, 1, 1000, "clients"}},
		{"rooms", "rooms", intValue{&p.Rooms, 1, 100, "rooms"}},
		{"stay", "how long a client is there, on average", durationValue{&p.Stay, time.Second, time.Hour}},
		{"away", "how long a client is gone before it comes back, on average", durationValue{&p.Away, time.Second, time.Hour}},
		{"transport", "what clients use; mix is half and half", choiceValue{&p.Transport, append([]string{"mix"}, hop1.Transports()...)}},
		{"hop2", "what carries messages, and what edges tell each other", choiceValue{&p.Hop2, strategies()}},
		{"duration", "virtual time", durationValue{&p.Duration, 10 * time.Second, 10 * time.Minute}},
	}
}

// Mutants implements [Scenario].
func (*Presence) Mutants() []Mutant {
	return []Mutant{{string(edge.PresenceNeverLeaves), "an edge takes nobody off its list, neither who leaves nor who was at an edge that crashed", "Presence"}}
}

// Mutate implements [Scenario].
func (p *Presence) Mutate(name string) error { return mutate(p, name, &p.mutant) }

// presenceBound is within what time everybody must be seen to come and to go. To go takes, by the defaults of an edge,
// 3 s until a silent connection is given up, 2 s of grace, 5 s of the lease of an edge that crashes before it has told
// others, and a third of that from its census to the next. A client knows that it is there when an edge does, or when
// two attempts more have failed, each after 5 s and with up to a second of back-off, and another has not.
const presenceBound = 15 * time.Second

// Properties implements [Scenario].
func (*Presence) Properties() []model.Property {
	return []model.Property{properties.Presence(presenceBound)}
}

// Length implements [Scenario].
func (p *Presence) Length() time.Duration { return p.Duration }

// chat is the chat whose members are shown.
func (p *Presence) chat() *Chat {
	c := NewChat()
	c.Clients, c.Rooms, c.Publishers, c.Rate = p.Clients, p.Rooms, 1, 1
	c.Transport, c.Hop2, c.Duration = p.Transport, p.Hop2, p.Duration
	c.edge = func(cfg *edge.Config) {
		cfg.Guard.Authenticate = who
		cfg.Presence = &edge.Presence{Mutant: p.mutant}
	}
	c.client = func(n *sim.Node, cfg *hop1.ClientConfig) visits {
		cfg.Header = http.Header{whoHeader: {n.Name()}}
		g := &guest{presence: p}
		cfg.Observe = g.watch(cfg.Observe)
		return g.comeAndGo
	}
	return c
}

// guest is a client that comes and goes. It goes only while it is connected: an edge shows whoever has asked it for
// a connection, and if that client then gives up before it hears of it, nothing in the history says that it has been
// there.
type guest struct {
	presence *Presence
	there    atomic.Bool
}

// watch has the guest know whether it is connected.
func (g *guest) watch(observe func(model.Event)) func(model.Event) {
	return func(e model.Event) {
		observe(e)
		switch e.Kind {
		case model.Connected:
			g.there.Store(true)
		case model.Disconnected:
			g.there.Store(false)
		}
	}
}

// goodbyePause is how often a guest that is to go looks whether it is connected.
const goodbyePause = 100 * time.Millisecond

func (g *guest) comeAndGo(ctx context.Context, luck *rand.Rand, run func(context.Context)) {
	about := func(d time.Duration) time.Duration { return d/2 + time.Duration(luck.Int64N(int64(d))) }
	away := time.Duration(luck.Int64N(int64(g.presence.Stay)))
	for sleep(ctx, away) {
		visit, leave := context.WithCancel(ctx)
		var visiting sync.WaitGroup
		visiting.Go(func() { run(visit) })
		sleep(ctx, about(g.presence.Stay))
		for !g.there.Load() && sleep(ctx, goodbyePause) {
			continue
		}
		leave()
		visiting.Wait()
		away = about(g.presence.Away)
	}
}

// whoHeader says who sends a request; nobody is asked to prove it.
const whoHeader = "X-Who"

func who(r *http.Request) (string, error) { return r.Header.Get(whoHeader), nil }

// Run implements [Scenario].
func (p *Presence) Run(w *sim.World) error {
	c := p.chat()
	c.Build(w)
	for i := range c.Edges {
		w.Node(fmt.Sprintf("observer-%d", i+1), func(ctx context.Context, n *sim.Node) error {
			return p.observe(ctx, n, fmt.Sprintf("edge-%d", i+1))
		})
	}
	w.Plan(p.Faults())
	w.RunFor(p.Duration)
	w.Check(p.Properties()...)
	return nil
}

// observeEvery is how often an observer asks for the members of each room.
const observeEvery = 500 * time.Millisecond

// observe asks an edge who is there, until the run ends.
func (p *Presence) observe(ctx context.Context, n *sim.Node, at string) error {
	client := n.HTTPClient()
	client.Timeout = time.Second
	for sleep(ctx, observeEvery) {
		for i := range p.Rooms {
			members, err := membersAt(ctx, client, at, room(i))
			if err == nil { // else the edge is down, or out of reach
				n.Record(model.Event{Kind: model.Members, Room: room(i), Note: strings.Join(members, " "), Peer: at})
			}
		}
	}
	return nil
}

func membersAt(ctx context.Context, client *http.Client, at, room string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/rooms/"+url.PathEscape(room)+"/members", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("members of %s at %s: %s", room, at, resp.Status)
	}
	var told edge.MembersReply
	err = json.NewDecoder(resp.Body).Decode(&told)
	return told.Members, err
}

// Faults implements [Faulty]: unless others were chosen, the first edge crashes.
func (p *Presence) Faults() sim.Schedule {
	if p.chosen {
		return p.faults
	}
	return p.chat().Faults()
}

// Window implements [Faulty].
func (p *Presence) Window() sim.Window { return p.chat().Window() }

// Hazards implements [Faulty]: those of a chat, but clients are not cut off again before the bound has passed. An edge
// shows whom it has let in; if that client is kept from hearing of it by one cut after the other, it is shown for as
// long as that takes, though by its own account it has never been there.
func (p *Presence) Hazards() []sim.Hazard {
	all := p.chat().Hazards()
	for i := range all {
		if slices.ContainsFunc(all[i].Faults, func(f sim.Fault) bool { return f.String() == cutsOutside()[0].String() }) {
			all[i].Group, all[i].Rest = "outside", presenceBound
		}
	}
	return all
}
