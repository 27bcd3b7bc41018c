package scenarios

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// BrokersSystem is Brokers that has been built in a world.
type BrokersSystem struct {
	brokers *Brokers
	sources map[string]relayed // by strategy
	turns   turns
	edges   lives
	// tracker knows where each edge has got to in each room, which is what it keeps on its disk.
	tracker
}

// Build adds the nodes and links to a world.
func (b *Brokers) Build(w *sim.World) *BrokersSystem {
	sys := &BrokersSystem{brokers: b, sources: map[string]relayed{}, turns: turns{}}
	apart := b.Latency
	if b.mutant == mutantSlowPath {
		apart += mutantDetour
	}
	w.Link("*", "*", netsim.Link{Latency: apart})
	for _, strategy := range b.strategies() {
		s, err := addSource(w, strategy, sourceOptions{hosts: b.hosts(strategy)})
		w.Fail(err)
		if strategy == hop2.RingName {
			for i := range b.Rooms {
				s.record.rooms = append(s.record.rooms, strategyRoom(strategy, i))
				sys.turns.add(strategyRoom(strategy, i))
			}
		}
		limitCards(w, s.nodes, b.Uplink, cardDrain)
		sys.sources[strategy] = addRelays(w, s, "relay-"+strategy, b.Relays, b.relayMutant())
	}
	from, _ := b.faulty()
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
			defer sys.edges.begin(n.Name())()
			return sys.withStrategies(ctx, n, i, func(ctx context.Context, j *journal, name string, s hop2.Strategy) {
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
				if b.Fault == faultScaleIn && i == 0 && sleepUntil(ctx, n, from+takeOver) {
					read(edgeName(b.Edges - 1))
				}
			})
		})
	}
	for i := range b.Publishers {
		w.Node(publisherName(i), func(ctx context.Context, n *sim.Node) error {
			return sys.withStrategies(ctx, n, i, func(ctx context.Context, j *journal, name string, s hop2.Strategy) { sys.publish(ctx, j, name, s) })
		})
	}
	return sys
}

// takeOver is how long after an edge has left for good the first edge takes over what it was there for.
const takeOver = 500 * time.Millisecond

func strategyRoom(strategy string, i int) string { return fmt.Sprintf("%s.%d", strategy, i+1) }

// withStrategies runs a program of the i-th node of a kind for each strategy. Told to stop, a node hands over what it is
// in charge of before its program's context ends.
func (sys *BrokersSystem) withStrategies(ctx context.Context, n *sim.Node, i int, program func(context.Context, *journal, string, hop2.Strategy)) error {
	j := newJournal(n)
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var writer, programs sync.WaitGroup
	writer.Go(func() { j.run(writing) })
	defer func() {
		programs.Wait()
		<-ctx.Done() // what they noted last is yet to be entered
		stop()
		writer.Wait()
	}()
	for _, name := range sys.brokers.strategies() {
		from := sys.sources[name].of(i)
		cfg := from.config(n)
		cfg.Storage, cfg.Rand = sys.brokers.Storage, n.Rand(name)
		if sys.isSlow(n) {
			cfg.Inbox = slowInbox
		}
		hop, err := sys.open(n, from, name, cfg)
		if err != nil {
			return err
		}
		programs.Go(func() {
			working, stop := context.WithCancel(context.WithoutCancel(ctx))
			defer stop()
			defer context.AfterFunc(ctx, func() {
				hop.handOver(working)
				stop()
			})()
			program(working, j, name, hop.Strategy)
			_ = hop.Close() // it never fails
		})
	}
	return nil
}

// open opens a node's end of a strategy.
func (sys *BrokersSystem) open(n *sim.Node, from source, strategy string, cfg hop2.Config) (joint, error) {
	switch edge := strings.HasPrefix(n.Name(), "edge-"); {
	case strategy == hop2.RingName && !edge:
		// Whoever joins the ring is given rooms. A publisher does not: it appends to the source's logs.
		s, err := hop2.NewPull(hop2.PullConfig{Config: cfg})
		return joint{Strategy: s}, err
	case strategy == "kafka" && sys.brokers.shared(strategy) && edge:
		s, err := hop2.NewKafkaGroup(hop2.KafkaGroupConfig{Config: cfg, Group: "edges", Member: n.Name()})
		return joint{Strategy: s}, err
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
	wait := b.publishing() - n.Now()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if n.Now() >= b.ready()+b.Duration*4/5 {
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
	once := func() {
		from := sys.place(me)
		sub, err := s.Subscribe(ctx, me.room, from)
		if err != nil {
			// It is ctx's end, or the room is another edge's by now: the broker is ours, and says nothing else that
			// another attempt would not cure.
			return
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
	for ctx.Err() == nil {
		if ring, ok := s.(*hop2.Ring); ok {
			sys.turns.take(ctx, ring, me.room, once)
		} else {
			once()
		}
	}
}

// follow hands on what a subscription delivers, until it fails.
func (sys *BrokersSystem) follow(ctx context.Context, n *sim.Node, sub hop2.Subscription, take func(hop2.Batch)) error {
	from, to := sys.brokers.faulty()
	for {
		if now := n.Now(); sys.isSlow(n) && now >= from && now < to {
			if err := finishInstant(ctx, sub, take); err != nil {
				return err
			}
			sleepUntil(ctx, n, to)
		}
		batch, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		take(batch)
	}
}

// sameInstant is how long after a batch the next one still counts as of the same instant.
const sameInstant = time.Microsecond

// finishInstant reads what else has come at this instant: in how many batches that is, is the scheduler's choice.
func finishInstant(ctx context.Context, sub hop2.Subscription, take func(hop2.Batch)) error {
	quiet, cancel := context.WithTimeout(ctx, sameInstant)
	defer cancel()
	for {
		batch, err := sub.Next(quiet)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				return nil
			}
			return err
		}
		take(batch)
	}
}

// CaughtUp reports whether every edge has reached the end of every room's log, as far as publishers know it.
func (sys *BrokersSystem) CaughtUp() bool {
	return sys.caughtUp(sys.brokers.subscriptions())
}
