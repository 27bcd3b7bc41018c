package scenarios

import (
	"context"
	"fmt"
	"net/http/cookiejar"
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
)

// Proxies shows what a balancer does to each transport: clients of all of them read one room behind every kind
// of balancer, at L4 and at L7 with one option at a time. Where an option is not for a transport, its clients
// fail or are late. Then the options are taken back, and everybody must get everything, however often it was
// cut off. [NewProxies] gives it its defaults.
type Proxies struct {
	// Transport is what clients use; "exact" is every one whose runs reproduce to the byte, which those of WebRTC
	// do not, and "all" every one.
	Transport string
	// Clients is how many there are of each transport behind each balancer.
	Clients int
	// Rate is how many messages are posted per second on average (a Poisson process), of Body bytes each.
	Rate float64
	Body int
	// Interval is how often polling clients ask, and Hold how long a long poll may be held.
	Interval, Hold time.Duration
	// Idle and Total are the time-outs of the balancers that have one, and Small and Large the buffers.
	Idle, Total  time.Duration
	Small, Large int
	// Latency is that between the balancers and clients, one way.
	Latency time.Duration
	// Duration is how long the options are in force. For the last quarter of it the publisher is silent, which
	// time-outs are for. A run takes 10 s more.
	Duration time.Duration

	mutant hop1.Mutant

	mu   sync.Mutex
	last map[string]error // why a client's last connection failed or ended while the options were in force
}

// NewProxies gives the catalogue's: time-outs that bite within seconds, buffers of 1 and 8 KiB.
func NewProxies() *Proxies {
	return &Proxies{
		Transport: "exact", Clients: 3, Rate: 2, Body: 200, Interval: time.Second, Hold: 10 * time.Second,
		Idle: 700 * time.Millisecond, Total: 5 * time.Second, Small: 1 << 10, Large: 8 << 10,
		Latency: 20 * time.Millisecond, Duration: 40 * time.Second,
	}
}

// Name implements [Scenario].
func (*Proxies) Name() string { return "proxies" }

// Summary implements [Scenario].
func (*Proxies) Summary() string {
	return "every transport behind every kind of balancer: what works, what is late, what fails and how"
}

// Params implements [Scenario].
func (p *Proxies) Params() []Param {
	return []Param{
		{"transport", "what clients use; exact is all but webrtc, with which runs do not reproduce to the byte",
			choiceValue{&p.Transport, append([]string{"exact", "all"}, hop1.Transports()...)}},
		{"clients", "clients of each transport behind each balancer", intValue{&p.Clients, 1, 100, "clients"}},
		{"rate", "messages posted", floatValue{&p.Rate, 0.1, 100, "messages/s"}},
		{"body", "size of a message's body", intValue{&p.Body, 0, 65536, "bytes"}},
		{"interval", "from one poll to the next", durationValue{&p.Interval, 10 * time.Millisecond, time.Hour}},
		{"hold", "how long a long poll may be held", durationValue{&p.Hold, 10 * time.Millisecond, time.Hour}},
		{"idle", "the idle time-out where there is one", durationValue{&p.Idle, 10 * time.Millisecond, time.Hour}},
		{"total", "the total time-out where there is one", durationValue{&p.Total, 10 * time.Millisecond, time.Hour}},
		{"small", "the small buffer", intValue{&p.Small, 1, 1 << 20, "bytes"}},
		{"large", "the large buffer", intValue{&p.Large, 1, 1 << 20, "bytes"}},
		{"latency", "one-way delay between clients and balancers", durationValue{&p.Latency, 0, 5 * time.Second}},
		{"duration", "how long the options are in force, in virtual time", durationValue{&p.Duration, 10 * time.Second, time.Hour}},
	}
}

// Mutants implements [Scenario].
func (*Proxies) Mutants() []Mutant { return mutantsOf(clientMutants) }

// Mutate implements [Scenario].
func (p *Proxies) Mutate(name string) error { return mutate(p, name, &p.mutant) }

// Properties implements [Scenario].
func (*Proxies) Properties() []model.Property { return properties.All() }

// Length implements [Scenario].
func (p *Proxies) Length() time.Duration { return p.Duration + healing }

// healing is how long everybody has to catch up when the options have been taken back, though it may take
// settleLimit more; and respite how long clients keep quiet first.
const (
	healing = 10 * time.Second
	respite = time.Second
)

// Validate implements [Scenario].
func (p *Proxies) Validate() error {
	if p.Large < p.Small {
		return fmt.Errorf("parameter large: %d is not allowed: want at least small, %d", p.Large, p.Small)
	}
	return nil
}

// Configure implements [Scenario].
func (*Proxies) Configure(*sim.Config) {}

// transports are those that clients use.
func (p *Proxies) transports() []string {
	switch p.Transport {
	case "all":
		return hop1.Transports()
	case "exact":
		return slices.DeleteFunc(hop1.Transports(), func(name string) bool { return name == "webrtc" })
	default:
		return []string{p.Transport}
	}
}

// balancerKind is a kind of balancer: l4 or l7 is set.
type balancerKind struct {
	name string
	l4   *netsim.BalancerConfig
	l7   *edge.ProxyConfig
}

// kinds are the balancers. The first is what the others are compared with.
func (p *Proxies) kinds() []balancerKind {
	return []balancerKind{
		{name: "l4", l4: &netsim.BalancerConfig{}},
		{name: "l4-idle", l4: &netsim.BalancerConfig{IdleTimeout: p.Idle}},
		{name: "l7", l7: &edge.ProxyConfig{}},
		{name: "l7-sticky", l7: &edge.ProxyConfig{StickyCookie: "edge"}},
		{name: "l7-no-upgrade", l7: &edge.ProxyConfig{NoUpgrade: true}},
		{name: "l7-small-buffer", l7: &edge.ProxyConfig{Buffer: p.Small, BufferAll: true}},
		{name: "l7-large-buffer", l7: &edge.ProxyConfig{Buffer: p.Large, BufferAll: true}},
		{name: "l7-idle", l7: &edge.ProxyConfig{IdleTimeout: p.Idle}},
		{name: "l7-total", l7: &edge.ProxyConfig{TotalTimeout: p.Total}},
		{name: "l7-total-sticky", l7: &edge.ProxyConfig{TotalTimeout: p.Total, StickyCookie: "edge"}},
	}
}

// Run implements [Scenario].
func (p *Proxies) Run(w *sim.World) error {
	p.last = make(map[string]error)
	sys := p.build(w)
	w.RunFor(p.Length())
	for waited := time.Duration(0); waited < settleLimit && !sys.caughtUp(sys.clients()) && !w.Interrupted(); waited += time.Second {
		w.RunFor(time.Second)
	}
	w.Check(p.Properties()...)
	return nil
}

// proxiesSystem is the system in a world.
type proxiesSystem struct {
	p *Proxies
	tracker
}

// proxiesEdges are the endpoint servers.
var proxiesEdges = []string{"edge-1", "edge-2"}

func (p *Proxies) build(w *sim.World) *proxiesSystem {
	sys := &proxiesSystem{p: p}
	w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
	w.Link("client-*", "lb-*|edge-*", netsim.Link{Latency: p.Latency}) // no balancer carries UDP
	redis := redisSource(w, "redis-streams", "redis", sourceOptions{})
	var backends []string
	for _, name := range proxiesEdges {
		w.Node(name, endpoint(redis))
		backends = append(backends, name+":80")
	}
	w.Node("publisher", sys.publish)
	for _, k := range p.kinds() {
		lb := "lb-" + k.name
		if k.l4 != nil {
			k.l4.Backends = backends
			forwardPackets(w, lb, *k.l4)
		} else {
			k.l7.Backends, k.l7.HealthPath = backends, "/health"
			plain := edge.ProxyConfig{Backends: backends, HealthPath: "/health"}
			proxyRequests(w, lb, *k.l7, reload{p.Duration, plain})
		}
		for _, transport := range p.transports() {
			for i := range p.Clients {
				w.Node(clientName(k.name, transport, i), func(ctx context.Context, n *sim.Node) error {
					return sys.subscribe(ctx, n, lb, transport)
				})
			}
		}
	}
	return sys
}

func clientName(kind, transport string, i int) string {
	return fmt.Sprintf("client-%s-%s-%d", kind, transport, i+1)
}

// publish is the publisher's program. It posts to an edge, by no balancer.
func (sys *proxiesSystem) publish(ctx context.Context, n *sim.Node) error {
	p := sys.p
	publisher := hop1.Publisher{
		Name: n.Name(), BaseURL: "http://" + proxiesEdges[0], HTTP: n.HTTPClient(),
		Observe: func(e model.Event) { sys.observe(n, e) },
	}
	luck := n.Rand("publisher")
	body := make([]byte, p.Body)
	wait := 2 * time.Second // for clients to connect
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if n.Now() >= p.Duration*3/4 {
			return nil
		}
		// It fails only when the run ends; what became of the message is in the history.
		post(ctx, n, publisher, "room", fmt.Sprintf("m%d", i), body)
		wait = time.Duration(luck.ExpFloat64() / p.Rate * float64(time.Second))
	}
}

// subscribe is a client's program. It keeps cookies.
func (sys *proxiesSystem) subscribe(ctx context.Context, n *sim.Node, lb, transport string) error {
	p := sys.p
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	luck, hc := n.Rand("client"), n.Metered(n.HTTPClient())
	hc.Jar = jar
	client, err := hop1.NewClient(hop1.ClientConfig{
		Name: n.Name(), Room: "room", BaseURL: "http://" + lb, Transport: transport, HTTP: hc, Rand: luck,
		Poll: hop1.Polling{Interval: p.Interval}, Hold: p.Hold, Backoff: hop1.Backoff{Max: time.Second},
		Observe: func(e model.Event) { sys.observe(n, e) }, Mutant: p.mutant,
		WebRTC: &hop1.WebRTC{Net: pionnet.New(n)},
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(luck.Int64N(int64(500 * time.Millisecond)))): // people don't open their apps at once
	}
	trial, cancel := context.WithTimeout(ctx, p.Duration-n.Now())
	defer cancel()
	err = client.Run(trial)
	p.mu.Lock()
	p.last[n.Name()] = err
	p.mu.Unlock()
	if sleepUntil(ctx, n, p.Duration+respite) {
		_ = client.Run(ctx) // returns when ctx ends, and says so
	}
	return nil
}

// clients is how many there are.
func (sys *proxiesSystem) clients() int {
	return sys.p.Clients * len(sys.p.kinds()) * len(sys.p.transports())
}

// Tables implements [Tabulator]: what comes of each transport behind each balancer, and how many edges served
// a client in turn.
func (p *Proxies) Tables(h *model.History) []Table {
	seen := p.sightings(h)
	outcomes := Table{Title: "What comes of it", Head: []string{"balancer"}}
	served := Table{Title: fmt.Sprintf("Edges that served a client, of %d", len(proxiesEdges)), Head: []string{"balancer"}}
	for _, transport := range p.transports() {
		outcomes.Head, served.Head = append(outcomes.Head, transport), append(served.Head, transport)
	}
	baseline := p.kinds()[0].name
	for _, k := range p.kinds() {
		outcome, edges := []string{k.name}, []string{k.name}
		for _, transport := range p.transports() {
			s := seen[sightingKey{k.name, transport}]
			outcome = append(outcome, s.outcome(seen[sightingKey{baseline, transport}]))
			edges = append(edges, s.edges())
		}
		outcomes.Rows, served.Rows = append(outcomes.Rows, outcome), append(served.Rows, edges)
	}
	return []Table{outcomes, served}
}

// sightingKey is a cell of the tables.
type sightingKey struct{ kind, transport string }

// failure is why a client that never connected did not, in a few words; "" if that is not known.
func (p *Proxies) failure(client string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.last[client]
	if err == nil {
		return ""
	}
	_, why, _ := strings.Cut(err.Error(), "the last connection before: ")
	return why
}
