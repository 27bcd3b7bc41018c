package scenarios

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
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
	// Hop2 is a strategy's name, one of [hop2.Names], or AllStrategies.
	Hop2 string
	// Fault is what fails: one of brokerFaults.
	Fault                    string
	Edges, Rooms, Publishers int
	// Relays is how many relays stand between each strategy's broker and everybody else, who go to them in
	// turn; 0 means that they go to the broker.
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
	// Duration is how long a run takes. The fault begins when a quarter of it has passed. Publishers pause
	// for its last fifth, so that all can arrive.
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
	faultRolling   = "rolling-restart"  // one edge after the other is stopped and started
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

// groupReader is the client in whose name the edges of a group read: each room once, whichever edge does it.
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
		{"hop2", "what carries messages to the edges", choiceValue{&b.Hop2, append([]string{AllStrategies}, hop2.Names()...)}},
		{"fault", "what fails", choiceValue{&b.Fault, brokerFaults}},
		{"edges", "endpoint servers, each subscribed to all rooms", intValue{&b.Edges, 1, 50, "servers"}},
		{"relays", "relays between each broker and the edges; 0 is none", intValue{&b.Relays, 0, 50, "servers"}},
		{"rooms", "rooms of each strategy", intValue{&b.Rooms, 1, 1000, "rooms"}},
		{"publishers", "publishers, each publishing to all rooms", intValue{&b.Publishers, 1, 100, "publishers"}},
		{"rate", "messages published by each publisher, to each strategy", floatValue{&b.Rate, 0.1, 1000, "messages/s"}},
		{"body", "size of a message's body", intValue{&b.Body, 0, 65536, "bytes"}},
		{"latency", "one-way delay between hosts", durationValue{&b.Latency, 0, time.Second}},
		{"uplink", "rate of each broker's network card; 0 is unlimited", floatValue{&b.Uplink, 0, 10000, "Mbit/s"}},
		{"outage", "how long the fault lasts", durationValue{&b.Outage, 100 * time.Millisecond, time.Minute}},
		{"duration", "virtual time", durationValue{&b.Duration, 10 * time.Second, time.Hour}},
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
		{mutantOwnNumbers, "a relay numbers messages itself, and goes on after a restart from where its first reader was", "Conforms"},
	}
}

// Mutate implements [Scenario].
func (b *Brokers) Mutate(name string) error { return mutate(b, name, &b.mutant) }

// Properties implements [Scenario].
func (*Brokers) Properties() []model.Property { return properties.All() }

// Length implements [Scenario].
func (b *Brokers) Length() time.Duration { return b.Duration }

// Validate implements [Scenario].
func (b *Brokers) Validate() error {
	if most := b.Duration / 2; b.Outage > most {
		return fmt.Errorf("parameter outage: %v is not allowed: want at most half the duration, %v", b.Outage, most)
	}
	if b.Fault == faultMove && (b.Hop2 != "kafka" || b.Brokers == 1) {
		return fmt.Errorf("parameter fault: %s is not allowed with hop2 %s and %d brokers: want kafka and several", b.Fault, b.Hop2, b.Brokers)
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
	return nil
}

// Configure implements [Scenario].
func (*Brokers) Configure(*sim.Config) {}

// strategies lists what is compared.
func (b *Brokers) strategies() []string {
	if b.Hop2 == AllStrategies {
		return hop2.Names()
	}
	return []string{b.Hop2}
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
	from, to := b.Duration/4, b.Duration/4+b.Outage
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
		each := b.Outage / time.Duration(b.Edges)
		for i := range b.Edges {
			w.At(from+time.Duration(i)*each, sim.Stop(edgeName(i)))
			w.At(from+time.Duration(i+1)*each, sim.Restart(edgeName(i)))
		}
		bites = "stop"
	case faultScaleOut:
		w.At(from, sim.Scale("edges", 1))
		bites = "scale"
	case faultScaleIn:
		w.At(from, sim.Stop(edgeName(b.Edges-1)))
		bites = "stop"
	}
	if b.Fault == faultMove {
		w.RunFor(from)
		sys.sources["kafka"].rotate()
		w.RunFor(to - from)
		sys.sources["kafka"].rotate()
		w.RunFor(b.Duration - to)
	} else {
		w.RunFor(b.Duration)
	}
	for waited := time.Duration(0); waited < settleLimit && !sys.CaughtUp() && !w.Interrupted(); waited += time.Second {
		w.RunFor(time.Second)
	}
	sys.measure(w.Net())
	if bites != "" {
		w.MustHaveBitten(bites)
	}
	w.Check(b.Properties()...)
	return nil
}

// shared tells whether the edges read a strategy's rooms as one group.
func (b *Brokers) shared(strategy string) bool { return b.Group == groupShared && strategy == "kafka" }

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

// BrokersSystem is Brokers that has been built in a world.
type BrokersSystem struct {
	brokers *Brokers
	sources map[string]relayed // by strategy
	// tracker knows where each edge has got to in each room, which is what it keeps on its disk.
	tracker
}

// Build adds the nodes and links to a world.
func (b *Brokers) Build(w *sim.World) *BrokersSystem {
	sys := &BrokersSystem{brokers: b, sources: map[string]relayed{}}
	w.Link("*", "*", netsim.Link{Latency: b.Latency})
	for _, strategy := range b.strategies() {
		s, err := addSource(w, strategy, sourceOptions{hosts: b.hosts(strategy)})
		w.Fail(err)
		limitCards(w, s.nodes, b.Uplink, cardDrain)
		sys.sources[strategy] = addRelays(w, s, "relay-"+strategy, b.Relays, b.relayMutant())
	}
	scaled := make(chan struct{})
	w.OnScale("edges", func(int) error {
		close(scaled)
		return nil
	})
	for i := range b.allEdges() {
		w.Node(edgeName(i), func(ctx context.Context, n *sim.Node) error {
			if i >= b.Edges {
				select {
				case <-scaled:
				case <-ctx.Done():
					return nil
				}
			}
			return sys.withStrategies(ctx, n, i, func(j *journal, name string, s hop2.Strategy) {
				var readers sync.WaitGroup
				defer readers.Wait()
				read := func(client string) {
					for i := range b.Rooms {
						readers.Go(func() { sys.read(ctx, j, reader{client, strategyRoom(name, i)}, name, s) })
					}
				}
				if b.shared(name) {
					read(groupReader)
					return
				}
				read(n.Name())
				if b.Fault == faultScaleIn && i == 0 && waitUntil(ctx, n, b.Duration/4+takeOver) {
					read(edgeName(b.Edges - 1))
				}
			})
		})
	}
	for i := range b.Publishers {
		w.Node(publisherName(i), func(ctx context.Context, n *sim.Node) error {
			return sys.withStrategies(ctx, n, i, func(j *journal, name string, s hop2.Strategy) { sys.publish(ctx, j, name, s) })
		})
	}
	return sys
}

// takeOver is how long after an edge has left for good the first edge takes over what it was there for.
const takeOver = 500 * time.Millisecond

func strategyRoom(strategy string, i int) string { return fmt.Sprintf("%s.%d", strategy, i+1) }

// withStrategies runs a program of the i-th node of a kind for each strategy.
func (sys *BrokersSystem) withStrategies(ctx context.Context, n *sim.Node, i int, program func(*journal, string, hop2.Strategy)) error {
	var programs sync.WaitGroup
	defer programs.Wait()
	j := newJournal(n)
	programs.Go(func() { j.run(ctx) })
	for _, name := range sys.brokers.strategies() {
		from := sys.sources[name].of(i)
		cfg := from.config(n)
		cfg.Storage, cfg.Rand = sys.brokers.Storage, n.Rand(name)
		if sys.isSlow(n) {
			cfg.Inbox = slowInbox
		}
		s, err := sys.open(n, from, name, cfg)
		if err != nil {
			return err
		}
		programs.Go(func() {
			program(j, name, s)
			_ = s.Close() // it never fails
		})
	}
	return nil
}

// open opens a node's end of a strategy.
func (sys *BrokersSystem) open(n *sim.Node, from source, strategy string, cfg hop2.Config) (hop2.Strategy, error) {
	if sys.brokers.shared(strategy) && strings.HasPrefix(n.Name(), "edge-") {
		return hop2.NewKafkaGroup(hop2.KafkaGroupConfig{Config: cfg, Group: "edges", Member: n.Name()})
	}
	return from.open(n, cfg)
}

// isSlow tells whether the node is the edge that does not read while the fault lasts.
func (sys *BrokersSystem) isSlow(n *sim.Node) bool {
	return sys.brokers.Fault == faultSlow && n.Name() == edgeName(0)
}

// publish publishes to random rooms of a strategy, and does not wait for an answer before it goes on.
func (sys *BrokersSystem) publish(ctx context.Context, j *journal, strategy string, s hop2.Strategy) {
	b, n := sys.brokers, j.n
	luck := n.Rand("publisher " + strategy)
	var posts sync.WaitGroup
	defer posts.Wait()
	wait := time.Second // for edges to subscribe
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if n.Now() >= b.Duration*4/5 {
			return
		}
		m := model.Message{
			Room: strategyRoom(strategy, luck.IntN(b.Rooms)), ID: fmt.Sprintf("%s-%d", n.Name(), i),
			Publisher: n.Name(), Body: make([]byte, b.Body),
		}
		posts.Go(func() {
			e := model.Event{Kind: model.PublishCall, Room: m.Room, ID: m.ID}
			who := m.Room + " " + m.ID
			j.note(who, e, nil)
			at, err := s.Publish(ctx, m)
			if err != nil {
				e.Kind, e.Note = model.PublishUnknown, err.Error()
			} else {
				e.Kind, e.Epoch, e.Seq = model.PublishOK, at.Epoch, at.Seq
			}
			j.note(who, e, func() { sys.note(e) })
		})
		wait = time.Duration(-math.Log(1-luck.Float64()) / b.Rate * float64(time.Second))
	}
}

// read is a reader's program, from where it had got to before, until ctx ends.
func (sys *BrokersSystem) read(ctx context.Context, j *journal, me reader, strategy string, s hop2.Strategy) {
	who := me.client + " " + me.room
	note := func(e model.Event) {
		e.Node, e.Room, e.Transport = me.client, me.room, strategy
		j.note(who, e, func() { sys.note(e) })
	}
	observe := func(kind model.Kind, at model.Cursor, change func(*model.Event)) {
		e := model.Event{Kind: kind, Epoch: at.Epoch, Seq: at.Seq, Peer: sys.sources[strategy].nodeOf(me.room)}
		if change != nil {
			change(&e)
		}
		note(e)
	}
	gap := func(at model.Cursor, why string) {
		if sys.brokers.mutant != mutantSilent {
			observe(model.Discontinuity, at, func(e *model.Event) { e.Note = why })
		}
	}
	for ctx.Err() == nil {
		from := sys.place(me)
		sub, err := s.Subscribe(ctx, me.room, from)
		if err != nil {
			continue // only ctx's end ends it: the broker is ours, and says nothing that another attempt would not cure
		}
		start, known := sub.Start(), model.Cursor{}
		if sys.brokers.shared(strategy) {
			// It took until the room was this edge's, and others have read it meanwhile. The group may not know how
			// far; whoever reads in its name does.
			from = sys.place(me)
			if from.Epoch == start.Cursor.Epoch && from.Seq > start.Cursor.Seq && start.Gap == "" {
				known, start.Cursor = from, from
			}
		}
		resumed := !from.IsZero() && start.Cursor == from && start.Gap == ""
		observe(model.Connected, start.Cursor, func(e *model.Event) { e.Resumed = resumed })
		if !from.IsZero() && !resumed {
			gap(start.Cursor, start.Gap)
		}
		err = sys.follow(ctx, j.n, sub, func(b hop2.Batch) {
			if b.Gap != nil {
				gap(b.Gap.To, b.Gap.Why)
			}
			for _, m := range b.Messages {
				if b.Cursor.Epoch == known.Epoch && m.Seq <= known.Seq {
					continue
				}
				observe(model.Deliver, model.Cursor{Epoch: b.Cursor.Epoch, Seq: m.Seq}, func(e *model.Event) { e.ID = m.ID })
			}
		})
		sub.Unsubscribe()
		note(model.Event{Kind: model.Disconnected, Note: err.Error()})
	}
}

// follow hands on what a subscription delivers, until it fails.
func (sys *BrokersSystem) follow(ctx context.Context, n *sim.Node, sub hop2.Subscription, take func(hop2.Batch)) error {
	b := sys.brokers
	for {
		if now := n.Now(); sys.isSlow(n) && now >= b.Duration/4 && now < b.Duration/4+b.Outage {
			select {
			case <-time.After(b.Duration/4 + b.Outage - now):
			case <-ctx.Done():
			}
		}
		batch, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		take(batch)
	}
}

// CaughtUp reports whether every edge has reached the end of every room's log, as far as publishers know it.
func (sys *BrokersSystem) CaughtUp() bool {
	return sys.caughtUp(sys.brokers.subscriptions())
}
