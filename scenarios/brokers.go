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

// Brokers is hop 2 alone, in a data centre: publishers publish to rooms, edges subscribe to all of them,
// and something fails. With [AllStrategies] every strategy has brokers and rooms of its own, side by side,
// under the same load and the same fault. [NewBrokers] gives it its defaults.
type Brokers struct {
	// Hop2 is a strategy's name, one of [hop2.Names], [hop2.RingName], or AllStrategies.
	Hop2 string
	// Fault is what fails: one of brokerFaults.
	Fault                    string
	Edges, Rooms, Publishers int
	// Relays is how many relays stand between each strategy's broker and everybody else, who go to them in
	// turn; 0 means that they go to the broker. With relays, all strategies are all but ring, in which rooms belong to
	// edges.
	Relays int
	// Rate is how many messages each publisher publishes per second on average (a Poisson process), to
	// each strategy.
	Rate float64
	// Body is the size of a message's body, in bytes.
	Body int
	// Latency is the one-way delay between any two hosts.
	Latency time.Duration
	// Uplink is the rate of each broker's network card for what it sends, in Mbit/s; 0 is unlimited.
	Uplink float64
	// Outage is how long the fault lasts.
	Outage time.Duration
	// Duration is how long a run takes once everybody is there. The fault begins when a quarter of it has passed.
	// Publishers pause for its last fifth, so that all can arrive.
	Duration time.Duration
	// Storage is where jetstream keeps its streams: "file" or "memory".
	Storage string
	// Shards is how many hosts of Redis there are, for each of the strategies that use it, and Brokers how many
	// Kafka has. The first of them is what fails.
	Shards, Brokers int
	// Group is how edges read from Kafka: "none", each all rooms, or "shared", as one consumer group, of which one
	// edge at a time reads a room.
	Group string

	mutant string
	used   map[string]netsim.Counters // by the source of each strategy, in the latest run
}

// AllStrategies makes [Brokers] compare all of them.
const AllStrategies = "all"

// The faults of Brokers.
const (
	faultNone      = "none"
	faultRestart   = "broker-restart"   // the broker crashes, and comes back with what its disk keeps
	faultPartition = "broker-partition" // the first edge, or relay, and the broker do not reach each other
	faultCrash     = "edge-crash"       // the first edge crashes, and comes back with its cursors
	faultRolling   = "rolling-restart"  // one edge after the other is stopped, hands over what it has, and is started
	faultSlow      = "slow-edge"        // the first edge does not read, and has little room for what waits
	faultScaleOut  = "scale-out"        // one more edge comes
	faultScaleIn   = "scale-in"         // the last edge stops for good, and the first takes over its subscriptions
	faultMove      = "leader-move"      // Kafka's partitions are led by other brokers, and later by others again
	faultRelay     = "relay-restart"    // the first relay crashes, and comes back with nothing
)

var brokerFaults = []string{
	faultNone, faultRestart, faultPartition, faultCrash, faultRolling, faultSlow, faultScaleOut, faultScaleIn, faultMove, faultRelay,
}

// The ways to read from Kafka.
const (
	groupNone   = "none"
	groupShared = "shared"
)

// groupReader is the client in whose name edges read of which one at a time reads a room, whichever it is.
const groupReader = "edges"

// slowInbox is how many messages of a room wait for an edge that is slow.
const slowInbox = 8

// NewBrokers gives the comparison of the catalogue.
func NewBrokers() *Brokers {
	return &Brokers{
		Hop2: AllStrategies, Fault: faultRestart, Edges: 3, Rooms: 4, Publishers: 2, Rate: 20, Body: 200,
		Latency: 500 * time.Microsecond, Outage: 2 * time.Second, Duration: 20 * time.Second, Storage: "file",
		Shards: 1, Brokers: 1, Group: groupNone,
	}
}

// Name implements [Scenario].
func (*Brokers) Name() string { return "brokers" }

// Summary implements [Scenario].
func (*Brokers) Summary() string {
	return "hop 2 alone: the strategies side by side on one load, and a broker that restarts"
}

// Params implements [Scenario].
func (b *Brokers) Params() []Param {
	return []Param{
		{"hop2", "what carries messages to the edges", choiceValue{&b.Hop2, append([]string{AllStrategies}, strategies()...)}},
		{"fault", "what fails", choiceValue{&b.Fault, brokerFaults}},
		{"edges", "endpoint servers, each subscribed to all rooms, or in ring to its own", intValue{&b.Edges, 1, 50, "servers"}},
		{"relays", "relays between each broker and the edges; 0 is none", intValue{&b.Relays, 0, 50, "servers"}},
		{"rooms", "rooms of each strategy", intValue{&b.Rooms, 1, 1000, "rooms"}},
		{"publishers", "publishers, each publishing to all rooms", intValue{&b.Publishers, 1, 100, "publishers"}},
		{"rate", "messages published by each publisher, to each strategy", floatValue{&b.Rate, 0.1, 1000, "messages/s"}},
		{"body", "size of a message's body", intValue{&b.Body, 0, 65536, "bytes"}},
		{"latency", "one-way delay between hosts", durationValue{&b.Latency, 0, time.Second}},
		{"uplink", "rate of each broker's network card; 0 is unlimited", floatValue{&b.Uplink, 0, 10000, "Mbit/s"}},
		{"outage", "how long the fault lasts", durationValue{&b.Outage, 100 * time.Millisecond, time.Minute}},
		{"duration", "virtual time, from when everybody is there", durationValue{&b.Duration, 10 * time.Second, time.Hour}},
		{"storage", "where jetstream keeps its streams", choiceValue{&b.Storage, []string{"file", "memory"}}},
		{"shards", "hosts of Redis, over which rooms are spread; the first fails", intValue{&b.Shards, 1, 16, "hosts"}},
		{"brokers", "brokers of Kafka, which lead rooms in turn; the first fails", intValue{&b.Brokers, 1, 16, "brokers"}},
		{"group", "whether edges read from Kafka as one consumer group, one edge a room, or each all", choiceValue{&b.Group, []string{groupNone, groupShared}}},
	}
}

// mutantSilent makes an edge keep gaps to itself.
const mutantSilent = "silent-gap"

// mutantOwnNumbers is a relay's.
const mutantOwnNumbers = string(hop2.OwnNumbers)

// Mutants implements [Scenario].
func (*Brokers) Mutants() []Mutant {
	return []Mutant{
		{mutantSilent, "an edge passes over the gaps that hop 2 tells it of", "NoLoss"},
		{mutantSlowPath, "all hosts are further from each other than they should be, by 5 ms", "AddedLatency"},
		{mutantOwnNumbers, "a relay numbers messages itself, and goes on after a restart from where its first reader was", "Conforms"},
	}
}

// mutantDetour is how much further.
const mutantDetour = 5 * time.Millisecond

// Mutate implements [Scenario].
func (b *Brokers) Mutate(name string) error { return mutate(b, name, &b.mutant) }

// Properties implements [Scenario].
func (b *Brokers) Properties() []model.Property {
	if b.judgesLatency() {
		return append(properties.All(), b.AddedLatency())
	}
	return properties.All()
}

// Length implements [Scenario].
func (b *Brokers) Length() time.Duration { return b.ready() + b.Duration }

// electing is how long it takes until a coordination service has a leader, and edges have rooms.
const electing = 2 * time.Second

// ready is when everybody is there: from then on, a run takes its Duration.
func (b *Brokers) ready() time.Duration {
	if slices.Contains(b.strategies(), hop2.RingName) {
		return electing
	}
	return 0
}

// publishing is when the first messages are published: edges have subscribed.
func (b *Brokers) publishing() time.Duration { return b.ready() + time.Second }

// faulty is from when to when the fault lasts.
func (b *Brokers) faulty() (from, to time.Duration) {
	from = b.ready() + b.Duration/4
	return from, from + b.Outage
}

// Validate implements [Scenario].
func (b *Brokers) Validate() error {
	if most := b.Duration / 2; b.Outage > most {
		return fmt.Errorf("parameter outage: %v is not allowed: want at most half the duration, %v", b.Outage, most)
	}
	if b.Fault == faultMove && (b.Hop2 != "kafka" || b.Brokers == 1) {
		return fmt.Errorf("parameter fault: %s is not allowed with hop2 %s and %d brokers: want kafka and several", b.Fault, b.Hop2, b.Brokers)
	}
	if b.Hop2 == hop2.RingName && b.Relays > 0 {
		return fmt.Errorf("parameter relays: %d is not allowed with hop2 %s, where rooms belong to edges; want 0", b.Relays, b.Hop2)
	}
	if b.Group == groupShared && b.Relays > 0 {
		return fmt.Errorf("parameter group: %s is not allowed with relays, which edges go to instead: set relays=0", b.Group)
	}
	if b.Fault == faultScaleIn && b.Edges == 1 {
		return fmt.Errorf("parameter fault: %s is not allowed with 1 edge: want 2 or more", b.Fault)
	}
	if b.Fault == faultRelay && b.Relays == 0 {
		return fmt.Errorf("parameter fault: %s is not allowed: there are no relays; set relays, too", b.Fault)
	}
	if b.mutant == mutantOwnNumbers && b.Relays == 0 {
		return fmt.Errorf("mutant %s is a relay's, and there are none: set relays, too", b.mutant)
	}
	return nil
}

// Configure implements [Scenario].
func (*Brokers) Configure(*sim.Config) {}

// strategies lists what is compared.
func (b *Brokers) strategies() []string {
	switch {
	case b.Hop2 != AllStrategies:
		return []string{b.Hop2}
	case b.Relays > 0:
		return hop2.Names()
	default:
		return strategies()
	}
}

// hosts is how many hosts a strategy's source is spread over.
func (b *Brokers) hosts(strategy string) int {
	if strategy == "kafka" {
		return b.Brokers
	}
	return b.Shards
}

// Run implements [Scenario].
func (b *Brokers) Run(w *sim.World) error {
	sys := b.Build(w)
	from, to := b.faulty()
	bites := ""
	switch b.Fault {
	case faultRestart:
		for _, name := range b.strategies() {
			w.At(from, sim.Crash(sys.sources[name].node))
			w.At(to, sim.Restart(sys.sources[name].node))
		}
		bites = "crash"
	case faultPartition:
		for _, name := range b.strategies() {
			w.At(from, netsim.Partition(b.nearest(name), sys.sources[name].node))
		}
		w.At(to, netsim.Heal())
		bites = "partition"
	case faultRelay:
		for _, name := range b.strategies() {
			w.At(from, sim.Crash(b.nearest(name)))
			w.At(to, sim.Restart(b.nearest(name)))
		}
		bites = "crash"
	case faultCrash:
		w.At(from, sim.Crash("edge-1"))
		w.At(to, sim.Restart("edge-1"))
		bites = "crash"
	case faultRolling:
		bites = "stop"
	case faultScaleOut:
		w.At(from, sim.Scale("edges", 1))
		bites = "scale"
	case faultScaleIn:
		w.At(from, sim.Stop(edgeName(b.Edges-1)))
		bites = "stop"
	}
	switch b.Fault {
	case faultMove:
		w.RunFor(from)
		sys.sources["kafka"].rotate()
		w.RunFor(to - from)
		sys.sources["kafka"].rotate()
	case faultRolling:
		w.RunFor(from)
		sys.roll(w)
	}
	w.RunFor(b.Length() - w.Now())
	for waited := time.Duration(0); waited < settleLimit && !sys.CaughtUp() && !w.Interrupted(); waited += time.Second {
		w.RunFor(time.Second)
	}
	sys.measure(w.Net())
	if bites != "" {
		w.MustHaveBitten(bites)
	}
	w.Check(b.Properties()...)
	if ring, there := sys.sources[hop2.RingName]; there {
		w.Check(ring.record.properties(model.Consistent)...)
	}
	return nil
}

// shared tells whether one edge at a time reads a room of a strategy, in the name of all.
func (b *Brokers) shared(strategy string) bool {
	return b.Group == groupShared && strategy == "kafka" || strategy == hop2.RingName
}

// subscriptions is how many subscriptions there are to come, in all.
func (b *Brokers) subscriptions() (n int) {
	for _, strategy := range b.strategies() {
		if b.shared(strategy) {
			n += b.Rooms
		} else {
			n += b.Rooms * b.allEdges()
		}
	}
	return n
}

// allEdges is how many edges there are in all, one that comes later included.
func (b *Brokers) allEdges() int {
	if b.Fault == faultScaleOut {
		return b.Edges + 1
	}
	return b.Edges
}

// relayMutant is the bug of its relays, if the scenario has one.
func (b *Brokers) relayMutant() hop2.Mutant {
	if b.mutant == mutantOwnNumbers {
		return hop2.OwnNumbers
	}
	return ""
}

// nearest is the first of those who go to a strategy's broker: edges, or relays.
func (b *Brokers) nearest(strategy string) string {
	if b.Relays > 0 {
		return relayName("relay-"+strategy, 0)
	}
	return edgeName(0)
}

func edgeName(i int) string { return fmt.Sprintf("edge-%d", i+1) }

func publisherName(i int) string { return fmt.Sprintf("publisher-%d", i+1) }
