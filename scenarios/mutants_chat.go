package scenarios

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// chatMutant is a deliberate bug of a chat, as the change that it makes to the configurations of those who have
// it. Each function may be nil.
type chatMutant struct {
	Mutant
	client func(n *sim.Node, cfg *hop1.ClientConfig)
	edge   func(cfg *edge.Config)
	hop2   func(cfg *hop2.Config)
	// unsynced says that what a source writes to its disk is not safe when it says so.
	unsynced bool
}

// clientBug is a mutant that is a client's alone.
func clientBug(m hop1.Mutant) func(*sim.Node, *hop1.ClientConfig) {
	return func(_ *sim.Node, cfg *hop1.ClientConfig) { cfg.Mutant = m }
}

// trusting is a client that does not find out what an edge does wrong.
var trusting = clientBug(hop1.Trusting)

// edgeBug is a mutant that is an edge's alone.
func edgeBug(m edge.Mutant) func(*edge.Config) { return func(cfg *edge.Config) { cfg.Mutant = m } }

// forEver is a time-out that never comes.
const forEver = 24 * time.Hour

// rareBeat is a heartbeat that comes too late for whatever is between the two ends.
const rareBeat = time.Minute

// clientMutants are bugs of clients alone.
var clientMutants = []chatMutant{
	{Mutant: Mutant{string(hop1.NoResume), "a client reconnects without its cursor", "NoLoss"}, client: clientBug(hop1.NoResume)},
	{Mutant: Mutant{string(hop1.NoDedupe), "a client passes on every message it receives, the anchor of a resume too", "NoDuplicate"}, client: clientBug(hop1.NoDedupe)},
}

// chatMutants are those of a chat.
var chatMutants = slices.Concat(clientMutants, []chatMutant{
	{
		Mutant: Mutant{string(hop1.HushGaps), "a client does not tell its application of a discontinuity", "HonestRecovery"},
		client: clientBug(hop1.HushGaps),
	},
	{
		Mutant: Mutant{string(hop1.EndlessRecovery), "a client whose cursor cannot be honoured comes again with the same, for ever", "Reconnect"},
		client: clientBug(hop1.EndlessRecovery),
	},
	{
		Mutant: Mutant{string(hop1.NoJitter), "clients that lost their connections together come back together", "ReconnectRate"},
		client: clientBug(hop1.NoJitter),
	},
	{
		Mutant: Mutant{"no-dial-timeout", "a client waits for ever for a connection attempt to a server that is gone", "Reconnect"},
		client: func(_ *sim.Node, cfg *hop1.ClientConfig) { cfg.DialTimeout = forEver },
	},
	{
		Mutant: Mutant{"pinned", "a client comes back to the server that it had, whether that is there or not", "ReconnectThroughout"},
		client: pinned,
	},
	{
		Mutant: Mutant{"deaf-client", "heartbeats go one way only: a client does not miss its server's", "Staleness"},
		client: func(_ *sim.Node, cfg *hop1.ClientConfig) { cfg.IdleTimeout = forEver },
	},
	{
		Mutant: Mutant{"slow-heartbeat", "heartbeats come less often than the balancer forgets silent connections", "Staleness"},
		client: func(_ *sim.Node, cfg *hop1.ClientConfig) { cfg.Heartbeat, cfg.IdleTimeout = rareBeat, 3*rareBeat },
		edge: func(cfg *edge.Config) {
			cfg.Heartbeat, cfg.IdleTimeout, cfg.UserTimeout = rareBeat, 3*rareBeat, 3*rareBeat
		},
	},
	{
		Mutant: Mutant{"concurrent-dispatch", "a client hands each message to a worker of its own", "InOrder"},
		client: concurrentDispatch,
	},
	{
		Mutant: Mutant{string(edge.SkipTrimmed), "an edge says resumed although the history no longer reaches back to the cursor", "NoLoss"},
		client: trusting, edge: edgeBug(edge.SkipTrimmed),
	},
	{
		Mutant: Mutant{string(edge.SnapshotFirst), "an edge subscribes a client after it has read its snapshot: a gap in between", "NoLoss"},
		client: trusting, edge: edgeBug(edge.SnapshotFirst),
	},
	{
		Mutant: Mutant{string(edge.SnapshotLast), "an edge reads a client's snapshot after it has subscribed it: duplicates", "NoDuplicate"},
		client: trusting, edge: edgeBug(edge.SnapshotLast),
	},
	{
		Mutant: Mutant{string(edge.TrimConflated), "an edge that conflates keeps the last value back until there is another", "LastValue"},
		client: trusting, edge: edgeBug(edge.TrimConflated),
	},
	{
		Mutant: Mutant{string(edge.DropSilently), "an edge drops what a slow consumer is behind, without a word", "HonestRecovery"},
		client: trusting, edge: edgeBug(edge.DropSilently),
	},
	{
		Mutant: Mutant{string(edge.WaitForSlowest), "an edge sends to all of a room at the pace of the slowest", "Staleness"},
		edge:   edgeBug(edge.WaitForSlowest),
	},
	{
		Mutant: Mutant{string(edge.Zombie), "an edge stays subscribed to rooms that nobody reads any more", "NoZombie"},
		edge:   edgeBug(edge.Zombie),
	},
	{
		Mutant: Mutant{string(edge.Unbounded), "an edge keeps all that a slow client has not got", "BoundedQueue"},
		edge:   edgeBug(edge.Unbounded),
	},
	{
		Mutant: Mutant{"believe-silence", "an edge does not notice that its broker has restarted: no probes, no second look", "StalenessThroughout"},
		hop2:   func(cfg *hop2.Config) { cfg.CheckEvery = forEver },
	},
	{
		Mutant: Mutant{"forgetful-broker", "the broker remembers one message ID: a publisher that tries again is taken at its word", "Linearizable"},
		hop2:   func(cfg *hop2.Config) { cfg.Remember = 1 },
	},
	{
		Mutant: Mutant{string(hop2.SequenceRace), "publishing reads the last number and then writes the next, in two steps", "Conforms"},
		hop2:   func(cfg *hop2.Config) { cfg.Mutant = hop2.SequenceRace },
	},
	{
		Mutant:   Mutant{"ack-before-fsync", "the store acknowledges what is not on its disk yet", "NoLoss"},
		unsynced: true,
	},
})

// bug is the chat's mutant; the zero value if it has none.
func (c *Chat) bug() chatMutant { return findMutant(chatMutants, c.mutant) }

func findMutant(all []chatMutant, name string) chatMutant {
	for _, m := range all {
		if m.Name == name {
			return m
		}
	}
	return chatMutant{}
}

func mutantsOf(all []chatMutant) (list []Mutant) {
	for _, m := range all {
		list = append(list, m.Mutant)
	}
	return list
}

// onClient, onEdge and onHop2 make the mutant's changes.
func (m chatMutant) onClient(n *sim.Node, cfg *hop1.ClientConfig) {
	if m.client != nil {
		m.client(n, cfg)
	}
}

func (m chatMutant) onEdge(cfg *edge.Config) {
	if m.edge != nil {
		m.edge(cfg)
	}
}

func (m chatMutant) onHop2(from source) source {
	if m.hop2 == nil {
		return from
	}
	config := from.config
	from.config = func(n *sim.Node) hop2.Config {
		cfg := config(n)
		m.hop2(&cfg)
		return cfg
	}
	return from
}

// pinned has a client's requests go to the server that first let it in, from then on.
func pinned(_ *sim.Node, cfg *hop1.ClientConfig) {
	p := &pinnedTransport{base: cfg.HTTP.Transport}
	cfg.HTTP = &http.Client{Transport: p}
	observe := cfg.Observe
	cfg.Observe = func(e model.Event) {
		if e.Kind == model.Connected {
			p.pin(e.Peer)
		}
		observe(e)
	}
}

type pinnedTransport struct {
	base http.RoundTripper

	mu   sync.Mutex
	host string
}

func (p *pinnedTransport) pin(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host = host
}

func (p *pinnedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	host := p.host
	p.mu.Unlock()
	if host != "" {
		r = r.Clone(r.Context())
		r.URL.Host = host
	}
	return p.base.RoundTrip(r)
}

// dispatchWithin is how long a worker may take until it has handled a message.
const dispatchWithin = 200 * time.Millisecond

// concurrentDispatch has each message handled by a goroutine of its own, which takes its time.
func concurrentDispatch(n *sim.Node, cfg *hop1.ClientConfig) {
	luck := n.Rand("workers")
	observe := cfg.Observe
	cfg.Observe = func(e model.Event) {
		if e.Kind != model.Deliver {
			observe(e)
			return
		}
		time.AfterFunc(time.Duration(luck.Int64N(int64(dispatchWithin))), func() { observe(e) })
	}
}

// topics is how many topics each publisher of a chat that conflates has.
const topics = 3

// topicOf is what a message of a chat that conflates is about, by its ID: a later message of the same topic
// makes it worthless.
func topicOf(id string) string {
	publisher, number := id, ""
	if dash := strings.LastIndexByte(id, '-'); dash >= 0 {
		publisher, number = id[:dash], id[dash+1:]
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return id // no chat's
	}
	return publisher + "/" + strconv.Itoa(n%topics)
}
