package scenarios

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// Chat is a chat over a mobile-like network whose first edge crashes and returns: publishers POST
// messages to rooms, hop 2 carries them to the edges, and the edges push them to clients behind a
// balancer. Clients resume from their cursors. [NewChat] gives it its defaults.
type Chat struct {
	Clients, Rooms, Publishers, Edges int
	// Rate is how many messages each publisher posts per second on average (a Poisson process).
	Rate float64
	// Body is the size of a message's body, in bytes.
	Body int
	// Transport is what clients use; "mix" gives every other one WebSocket and SSE.
	Transport string
	// Interval is how often polling clients ask, and Hold how long a long poll may be held.
	Interval, Hold time.Duration
	// Idle is after how much silence the balancer forgets a connection or cuts a request; 0 means never.
	Idle time.Duration
	// Hop2 is the strategy that carries messages to the edges: one of [hop2.Names], or [hop2.RingName].
	Hop2 string
	// Shards is how many hosts of Redis there are, over which rooms are spread, and Brokers how many Kafka has: 1, if
	// Hop2 is another strategy.
	Shards, Brokers int
	// Relays is how many relays stand between the source and the edges, which go to them in turn; 0 means that
	// edges go to the source.
	Relays int
	// Aggregate is for how long edges gather a room's messages before they send them as one batch; 0 means
	// not at all.
	Aggregate time.Duration
	// Latency, Jitter and Loss are those of the links between the balancer and whoever is outside the
	// data centre, one way.
	Latency, Jitter time.Duration
	Loss            float64
	// Balancer is what clients and publishers connect to: "l4" forwards packets, "l7" requests.
	Balancer string
	// Fidelity is how closely connections are modelled: "tcp" or "stream".
	Fidelity string
	// Queue is how many messages a client may be behind before its edge takes it for a slow consumer, and how
	// many the edge keeps of a room. Slow is what becomes of it then, an [edge.SlowPolicy].
	Queue int
	Slow  string
	// History is how many messages of a room hop 2 keeps to resume from. Edges keep as many, up to Queue.
	History int
	// Thin is the rate of the links to clients, in kbit/s; 0 means that they have no limit.
	Thin int
	// Duration is how long a run takes. A quarter of it passes before the first edge crashes; it
	// returns when two fifths have passed. Publishers pause for the last fifth, at least 4 s, so that
	// all can arrive. After it all leave, and edges have some seconds to give back what they held.
	Duration time.Duration

	chosenFaults
	mutant string
	layout sim.Layout // instead of the links that the parameters say; nil for those
	variation
}

// visits has a client come and go: it calls run, which has it there until its context ends.
type visits func(ctx context.Context, luck *rand.Rand, run func(context.Context))

// variation is what a scenario that is made of a chat changes in it. The zero value is nothing.
type variation struct {
	// edge, unless nil, changes the configuration of edges, and client that of a client, of which it gives what
	// has it come and go.
	edge   func(cfg *edge.Config)
	client func(n *sim.Node, cfg *hop1.ClientConfig) visits
	// lag is that of the source's copy; see [sourceOptions].
	lag int
}

// NewChat gives the chat of the catalogue: 200 clients in 10 rooms.
func NewChat() *Chat {
	return &Chat{
		Clients: 200, Rooms: 10, Publishers: 3, Edges: 2,
		Rate: 10, Body: 200, Transport: "mix", Hop2: "redis-streams", Shards: 1, Brokers: 1,
		Interval: time.Second, Hold: 10 * time.Second,
		Latency: 40 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.01,
		Balancer: "l4", Fidelity: "tcp", Queue: 256, Slow: string(edge.Disconnect), History: 1000, Duration: 20 * time.Second,
	}
}

// In gives the chat the edges and clients of a layout, and its links, in place of its own. It is for tests of one's
// own: a layout is no parameter.
func (c *Chat) In(l sim.Layout) *Chat {
	c.layout, c.Edges, c.Clients = l, len(l.Edges()), len(l.Clients())
	return c
}

// Name implements [Scenario].
func (*Chat) Name() string { return "chat" }

// Summary implements [Scenario].
func (*Chat) Summary() string {
	return "chat rooms over WebSocket and SSE; an edge crashes and returns, and clients resume"
}

// Params implements [Scenario].
func (c *Chat) Params() []Param {
	return []Param{
		{"clients", "clients, each in one room", intValue{&c.Clients, 1, 20000, "clients"}},
		{"rooms", "rooms", intValue{&c.Rooms, 1, 1000, "rooms"}},
		{"publishers", "publishers, each posting to all rooms", intValue{&c.Publishers, 1, 100, "publishers"}},
		{"edges", "endpoint servers", intValue{&c.Edges, 2, 50, "servers"}},
		{"rate", "messages posted by each publisher", floatValue{&c.Rate, 0.1, 1000, "messages/s"}},
		{"body", "size of a message's body", intValue{&c.Body, 0, 65536, "bytes"}},
		{"transport", "what clients use; mix is half and half", choiceValue{&c.Transport, append([]string{"mix"}, hop1.Transports()...)}},
		{"interval", "from one poll to the next", durationValue{&c.Interval, 10 * time.Millisecond, time.Hour}},
		{"hold", "how long a long poll may be held", durationValue{&c.Hold, 10 * time.Millisecond, time.Hour}},
		{"idle", "silence after which the balancer forgets a connection, or cuts a request; 0s is never", durationValue{&c.Idle, 0, time.Hour}},
		{"hop2", "what carries messages to the edges", choiceValue{&c.Hop2, strategies()}},
		{"shards", "hosts of Redis, over which rooms are spread", intValue{&c.Shards, 1, 16, "hosts"}},
		{"brokers", "brokers of Kafka, which lead rooms in turn", intValue{&c.Brokers, 1, 16, "brokers"}},
		{"relays", "relays between the source and the edges; 0 is none", intValue{&c.Relays, 0, 50, "servers"}},
		{"aggregate", "how long edges gather a room's messages into a batch; 0s is not at all", durationValue{&c.Aggregate, 0, time.Minute}},
		{"latency", "one-way delay between clients and data centre", durationValue{&c.Latency, 0, 5 * time.Second}},
		{"jitter", "how much that delay varies, each way; at most latency", durationValue{&c.Jitter, 0, 5 * time.Second}},
		{"loss", "packets lost there, each way", floatValue{&c.Loss, 0, 0.5, "probability"}},
		{"balancer", "what forwards to the endpoint servers: packets (l4) or requests (l7)", choiceValue{&c.Balancer, []string{"l4", "l7"}}},
		{"fidelity", "how closely connections are modelled", choiceValue{&c.Fidelity, []string{netsim.TCP.String(), netsim.Stream.String()}}},
		{"queue", "messages that a client may be behind, and that an edge keeps of a room", intValue{&c.Queue, 1, 1 << 20, "messages"}},
		{"slow", "what becomes of a client that is further behind", choiceValue{&c.Slow, []string{string(edge.Disconnect), string(edge.DropOldest), string(edge.Conflate)}}},
		{"history", "messages of a room that are kept to resume from", intValue{&c.History, 1, 1 << 20, "messages"}},
		{"thin", "rate of the links to clients; 0 is no limit", intValue{&c.Thin, 0, 1 << 30, "kbit/s"}},
		{"duration", "virtual time", durationValue{&c.Duration, 10 * time.Second, time.Hour}},
	}
}

// Mutants implements [Scenario].
func (*Chat) Mutants() []Mutant {
	return mutantsOf(chatMutants)
}

// Mutate implements [Scenario].
func (c *Chat) Mutate(name string) error { return mutate(c, name, &c.mutant) }

// Properties implements [Scenario].
func (c *Chat) Properties() []model.Property {
	all := append(properties.All(), resourceProperties()...)
	if c.Slow == string(edge.Conflate) {
		all = append(all, properties.LastValue(topicOf))
	}
	return all
}

// Length implements [Scenario].
func (c *Chat) Length() time.Duration { return c.Duration }

// Validate implements [Scenario].
func (c *Chat) Validate() error {
	if c.Jitter > c.Latency {
		return fmt.Errorf("parameter jitter: %v is not allowed: want at most the latency, %v", c.Jitter, c.Latency)
	}
	if c.Relays > 0 && c.Hop2 == hop2.RingName {
		return fmt.Errorf("parameter relays: %d is not allowed with hop2 %s, where rooms belong to edges; want 0", c.Relays, c.Hop2)
	}
	if c.Shards > 1 && !strings.HasPrefix(c.Hop2, "redis-") {
		return fmt.Errorf("parameter shards: %d is not allowed with hop2 %s, which is not Redis; want 1", c.Shards, c.Hop2)
	}
	if c.Brokers > 1 && c.Hop2 != "kafka" {
		return fmt.Errorf("parameter brokers: %d is not allowed with hop2 %s, which is not kafka; want 1", c.Brokers, c.Hop2)
	}
	return nil
}

// hosts is how many hosts the source is spread over.
func (c *Chat) hosts() int { return max(c.Shards, c.Brokers) }

// Warnings implements [Warner].
func (c *Chat) Warnings() []string {
	if warning := hop1.HoldWarning(c.Hold, c.Idle); warning != "" && c.Transport == "longpoll" {
		return []string{warning}
	}
	return nil
}

// Configure implements [Scenario].
func (c *Chat) Configure(cfg *sim.Config) {
	if f, err := netsim.ParseFidelity(c.Fidelity); err == nil {
		cfg.Fidelity = f
	}
	if c.Thin > 0 {
		cfg.TCP.SendBuffer = thinBuffer
	}
}

// thinBuffer is how much hosts let TCP hold of what they send, in bytes, where links are thin: by itself it takes up
// to 4 MiB, and what is there can no longer be conflated.
const thinBuffer = 64 << 10

// Outcome implements [Inexact]: over WebRTC, runs are compared by what was published and where every client
// ended.
func (c *Chat) Outcome() func(*model.History) []string {
	if c.Transport != "webrtc" && c.Transport != everyTransport {
		return nil
	}
	return endings
}

// endings lists what is in each room's log, and each client's last position there and number of gaps.
func endings(h *model.History) []string {
	published, last, gaps := make(map[string][]string), make(map[string]string), make(map[string]int)
	for i := range h.Events {
		switch e := &h.Events[i]; e.Kind {
		case model.PublishOK:
			published[e.Room] = append(published[e.Room], e.ID)
		case model.Connected, model.Deliver:
			last[e.Node] = fmt.Sprintf("%s#%d", e.Room, e.Seq)
		case model.Discontinuity:
			gaps[e.Node]++
		}
	}
	var lines []string
	for _, room := range slices.Sorted(maps.Keys(published)) {
		slices.Sort(published[room])
		lines = append(lines, fmt.Sprintf("%s holds %v", room, published[room]))
	}
	for _, client := range slices.Sorted(maps.Keys(last)) {
		lines = append(lines, fmt.Sprintf("%s is at %s after %d gaps", client, last[client], gaps[client]))
	}
	return lines
}

// settleLimit bounds how much longer than Duration a run may take for all messages to arrive.
const settleLimit = time.Minute

// Run implements [Scenario].
func (c *Chat) Run(w *sim.World) error {
	sys := c.Build(w)
	mustBite := c.plan(w)
	w.RunFor(c.Duration)
	runUntil(w, settleLimit, sys.CaughtUp)
	w.MustHaveBitten(mustBite...)
	end(w, sys.CaughtUp, &sys.gauges)
	w.Check(c.Properties()...)
	if sys.ring != nil {
		w.Check(sys.ring.properties(model.Consistent)...)
	}
	return nil
}

// ChatSystem is a chat that has been built in a world.
type ChatSystem struct {
	chat   *Chat
	source relayed
	ring   *ringRecord // nil if rooms belong to no edge
	tracker
	gauges
}

// Build adds the chat's nodes and links to a world.
func (c *Chat) Build(w *sim.World) *ChatSystem {
	sys := &ChatSystem{chat: c}
	sys.begin(w)
	inside := netsim.Link{Latency: time.Millisecond}
	outside := netsim.Link{Latency: c.Latency, Jitter: c.Jitter, Loss: c.Loss}
	w.Link("*", "*", inside)
	w.Link("client-*|publisher-*", "lb|edge-*", outside) // the balancer carries TCP; peer connections go to an edge
	if c.layout != nil {
		w.Apply(c.layout)
	}

	thin := outside
	thin.Rate = int64(c.Thin) * 1000
	w.Link("lb|edge-*", "client-*", thin)

	bug := c.bug()
	from, err := addSource(w, c.Hop2, sourceOptions{hosts: c.hosts(), history: c.History, unsynced: bug.unsynced, lag: c.lag})
	w.Fail(err)
	if sys.ring = from.record; sys.ring != nil {
		for i := range c.Rooms {
			sys.ring.rooms = append(sys.ring.rooms, room(i))
		}
	}
	from = bug.onHop2(from)
	sys.source = addRelays(w, from, "relay", c.Relays, "")
	sys.watchSource(w, from)
	serves := edge.Config{QueueLimit: c.Queue, Slow: edge.SlowPolicy(c.Slow), History: min(c.History, c.Queue), Aggregate: c.Aggregate}
	if serves.Slow == edge.Conflate {
		serves.Key = func(m model.Message) string { return topicOf(m.ID) }
	}
	bug.onEdge(&serves)
	if c.edge != nil {
		c.edge(&serves)
	}
	backends := make([]string, c.Edges)
	for i := range backends {
		name := fmt.Sprintf("edge-%d", i+1)
		w.Node(name, watchedEndpoint(sys.source.of(i), serves, &sys.gauges))
		backends[i] = name + ":80"
	}
	if c.Balancer == "l7" {
		proxyRequests(w, "lb", edge.ProxyConfig{Backends: backends, HealthPath: "/health", IdleTimeout: c.Idle})
	} else {
		forwardPackets(w, "lb", netsim.BalancerConfig{Backends: backends, IdleTimeout: c.Idle})
	}
	for i := range c.Publishers {
		w.Node(fmt.Sprintf("publisher-%d", i+1), sys.publish)
	}
	for i := range c.Clients {
		w.Node(fmt.Sprintf("client-%d", i+1), func(ctx context.Context, n *sim.Node) error {
			return sys.subscribe(ctx, n, i)
		})
	}
	return sys
}

func room(i int) string { return fmt.Sprintf("room-%d", i+1) }

// publish is a publisher's program: it posts to random rooms, and does not wait for an answer before
// it posts again.
func (sys *ChatSystem) publish(ctx context.Context, n *sim.Node) error {
	c := sys.chat
	ctx, cancel := sys.until(ctx, publishers)
	defer cancel()
	luck := n.Rand("publisher")
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: "http://lb", HTTP: n.HTTPClient(), AttemptTimeout: 2 * time.Second,
		Observe: func(e model.Event) { sys.observe(n, e) },
	}
	var posts sync.WaitGroup
	defer posts.Wait()
	end := c.Duration - max(c.Duration/5, 4*time.Second)
	wait := time.Second // for clients to connect
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if n.Now() >= end {
			return nil
		}
		id, room := fmt.Sprintf("%s-%d", n.Name(), i), room(luck.IntN(c.Rooms))
		body := make([]byte, c.Body)
		posts.Go(func() {
			// It fails only when the run ends; what became of the message is in the history.
			post(ctx, n, publisher, room, id, body)
		})
		wait = time.Duration(-math.Log(1-luck.Float64()) / c.Rate * float64(time.Second))
	}
}

// everyTransport is a value of Transport that gives clients all transports in turn, equally in each room.
const everyTransport = "all"

// subscribe is the program of the i-th client.
func (sys *ChatSystem) subscribe(ctx context.Context, n *sim.Node, i int) error {
	c := sys.chat
	ctx, cancel := sys.until(ctx, clients)
	defer cancel()
	transport, share := c.Transport, 2
	switch transport {
	case "mix":
		transport = []string{"ws", "sse"}[i%2]
	case everyTransport:
		all := hop1.Transports()
		transport, share = all[i%len(all)], len(all)
	}
	luck := n.Rand("client")
	cfg := hop1.ClientConfig{
		Name: n.Name(), Room: room(i / share % c.Rooms), BaseURL: "http://lb", Transport: transport,
		HTTP: n.Metered(n.HTTPClient()), Rand: luck, Backoff: hop1.Backoff{Max: time.Second},
		Poll: hop1.Polling{Interval: c.Interval}, Hold: c.Hold,
		Observe: func(e model.Event) { sys.observe(n, e) },
		WebRTC:  &hop1.WebRTC{Net: pionnet.New(n)},
	}
	c.bug().onClient(n, &cfg)
	visit := visits(stay)
	if c.client != nil {
		visit = c.client(n, &cfg)
	}
	client, err := hop1.NewClient(cfg)
	if err != nil {
		return err
	}
	visit(ctx, luck, func(ctx context.Context) {
		_ = client.Run(ctx) // returns when ctx ends, and says so
	})
	return nil
}

// stay is the visits of a client that comes soon, and stays.
func stay(ctx context.Context, luck *rand.Rand, run func(context.Context)) {
	sleep(ctx, time.Duration(luck.Int64N(int64(500*time.Millisecond)))) // people don't open their apps at once
	run(ctx)
}

// CaughtUp reports whether every client is connected, and has reached the end of its room's log, as far as publishers
// know it.
func (sys *ChatSystem) CaughtUp() bool { return sys.caughtUp(sys.chat.Clients) && sys.allConnected() }
