package scenarios

import (
	"fmt"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// BrokerLoad shows the broker as a bottleneck: its network card has a limited rate, every message leaves it once
// for each edge, and publishers publish more and more of them. [NewBrokerLoad] gives it its defaults.
type BrokerLoad struct {
	// Hop2 is a strategy's name, one of those whose brokers push: from pull's and kafka's, edges fetch, so that
	// messages wait for more than the card.
	Hop2 string
	// Edges are the subscribers. There is one room.
	Edges int
	// Body is the size of a message's body, in bytes.
	Body int
	// Uplink is the rate of the broker's network card for what it sends, in Mbit/s. What it receives is not limited.
	Uplink float64
	// Queue is how long the card's queue takes to drain when it is full.
	Queue time.Duration
	// Latency is the one-way delay between any two hosts.
	Latency time.Duration
	// Each is how long each load lasts.
	Each time.Duration

	mutant string
	// Of the latest run, for each load: what has come through the card by its end, and the rate at which messages were
	// published, per second.
	sent  []cardBytes
	rates []float64
}

// NewBrokerLoad gives a card of 4 Mbit/s, which some 100 messages a second fill.
func NewBrokerLoad() *BrokerLoad {
	return &BrokerLoad{
		Hop2: "redis-streams", Edges: 5, Body: 600, Uplink: 4, Queue: time.Second,
		Latency: 500 * time.Microsecond, Each: 12 * time.Second,
	}
}

// brokerLoads are the loads, as shares of what the card's rate allows. The first is what tells how many bytes a
// message takes; the last is too much.
var brokerLoads = []float64{0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.2}

// Name implements [Scenario].
func (*BrokerLoad) Name() string { return "broker-load" }

// Summary implements [Scenario].
func (*BrokerLoad) Summary() string {
	return "the broker as a bottleneck: latency against the load on its network card, over the closed form of a queue"
}

// Params implements [Scenario].
func (l *BrokerLoad) Params() []Param {
	return []Param{
		{"hop2", "what carries messages to the edges", choiceValue{&l.Hop2, pushing()}},
		{"edges", "endpoint servers, each subscribed to the one room", intValue{&l.Edges, 1, 100, "servers"}},
		{"body", "size of a message's body", intValue{&l.Body, 1, 65536, "bytes"}},
		{"uplink", "rate of the broker's network card", floatValue{&l.Uplink, 0.1, 10000, "Mbit/s"}},
		{"queue", "how long the card's queue takes to drain when it is full", durationValue{&l.Queue, time.Millisecond, 10 * time.Second}},
		{"latency", "one-way delay between hosts", durationValue{&l.Latency, 0, time.Second}},
		{"each", "how long each load lasts", durationValue{&l.Each, 10 * time.Second, time.Hour}},
	}
}

// pushing lists the strategies whose brokers push.
func pushing() []string {
	return slices.DeleteFunc(hop2.Names(), func(name string) bool { return name == "pull" || name == "kafka" })
}

// Mutants implements [Scenario].
func (*BrokerLoad) Mutants() []Mutant {
	return []Mutant{{mutantSlowCard, "the broker's card has a quarter less than its rate", "ClosedForm"}}
}

// mutantSlowCard is a mutant of BrokerLoad.
const mutantSlowCard = "slow-card"

// Mutate implements [Scenario].
func (l *BrokerLoad) Mutate(name string) error { return mutate(l, name, &l.mutant) }

// Properties implements [Scenario].
func (l *BrokerLoad) Properties() []model.Property { return append(properties.All(), l.ClosedForm()) }

// Length implements [Scenario].
func (l *BrokerLoad) Length() time.Duration {
	return l.end(len(brokerLoads) - 1)
}

// brokerLoadStart is how much longer than others the first load lasts. For the first second, edges subscribe, and
// nobody publishes; for the next, publishers do, and what they publish is not looked at: some of it had to wait for
// connections.
const brokerLoadStart = 2 * time.Second

// end is when a load ends.
func (l *BrokerLoad) end(load int) time.Duration {
	return brokerLoadStart + time.Duration(load+1)*l.Each
}

// Validate implements [Scenario].
func (*BrokerLoad) Validate() error { return nil }

// Configure implements [Scenario].
func (*BrokerLoad) Configure(*sim.Config) {}

// bitsPerSecond is the card's rate.
func (l *BrokerLoad) bitsPerSecond() float64 { return l.Uplink * 1e6 }

// Run implements [Scenario].
func (l *BrokerLoad) Run(w *sim.World) error {
	// Its publishers pause for the last fifth of its duration.
	b := NewBrokers()
	b.Hop2, b.Fault, b.Edges, b.Rooms, b.Publishers = l.Hop2, faultNone, l.Edges, 1, 1
	b.Body, b.Latency, b.Duration = l.Body, l.Latency, l.Length()*5/4
	sys := b.Build(w)
	rate := l.Uplink
	if l.mutant == mutantSlowCard {
		rate *= 0.75
	}
	limitCards(w, sys.sources[l.Hop2].nodes, rate, l.Queue)

	l.sent, l.rates = nil, nil
	each := float64(l.Edges) * (float64(l.Body)*4/3 + 150) // bytes that a message takes, to begin with
	for _, load := range brokerLoads {
		b.Rate = load * l.bitsPerSecond() / 8 / each
		l.rates = append(l.rates, b.Rate)
		before := sys.lastSeq()
		w.RunFor(l.end(len(l.sent)) - w.Now())
		l.sent = append(l.sent, sys.received(w.Net()))
		if published := sys.lastSeq() - before; len(l.sent) == 1 && published > 0 {
			each = float64(l.sent[0].edges+l.sent[0].publishers) / float64(published)
		}
	}
	w.RunFor(5*time.Second + 2*l.Queue) // until all are answered
	for waited := time.Duration(0); waited < settleLimit && !sys.CaughtUp() && !w.Interrupted(); waited += time.Second {
		w.RunFor(time.Second)
	}
	w.Check(l.Properties()...)
	return nil
}

// cardBytes is what edges and publishers have received, in bytes. All of it came through the broker's card, which
// what the broker sends to itself does not.
type cardBytes struct{ edges, publishers uint64 }

func (sys *BrokersSystem) received(net *netsim.Network) (bytes cardBytes) {
	b := sys.brokers
	for i := range b.Edges {
		bytes.edges += net.Host(edgeName(i)).Counters().BytesReceived
	}
	for i := range b.Publishers {
		bytes.publishers += net.Host(publisherName(i)).Counters().BytesReceived
	}
	return bytes
}

// lastSeq is the number of the one room's last message, as far as publishers know.
func (sys *BrokersSystem) lastSeq() uint64 {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	last := uint64(0)
	for _, at := range sys.rooms {
		last = max(last, at.Seq)
	}
	return last
}

// Tables implements [Tabulator].
func (l *BrokerLoad) Tables(h *model.History) []Table {
	t := Table{
		Title: fmt.Sprintf("What a card of %g Mbit/s makes of the latency", l.Uplink),
		Head:  []string{"offered", "messages/s", "utilization", "mean", "same path", "closed form", "p50", "p99"},
	}
	loads := l.loads(h)
	path := l.path(loads, asMeasured)
	for i, a := range loads {
		if len(a.took.Sorted) == 0 {
			continue
		}
		expected := "without bound"
		if !a.overloaded() {
			expected = milliseconds(l.mean(a.form, a.utilization))
		}
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%.0f %%", 100*a.offered), fmt.Sprintf("%.0f", float64(len(a.queue.Arrivals))/l.Each.Seconds()), fmt.Sprintf("%.1f %%", 100*a.utilization),
			milliseconds(a.took.Mean()), milliseconds(path[i].mean), expected, milliseconds(a.took.Quantile(0.5)), milliseconds(a.took.Quantile(0.99)),
		})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []Table{t}
}
