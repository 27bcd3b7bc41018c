package scenarios

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
)

// Order is a conversation without a common log: each member publishes to a log of its own, answers what it has
// read, and puts the logs of all in order by itself, by clocks. The members' own clocks are wrong by seconds.
// [NewOrder] gives it its defaults.
type Order struct {
	// Members is how many there are.
	Members int
	// By is the clock that messages are ordered by: "lamport" and "hlc" (hybrid logical clocks) put all in one
	// order, "vector" keeps what follows from something behind it.
	By string
	// Rate is how many messages each member publishes per second unprompted, and Answers the probability that
	// it answers a message.
	Rate, Answers float64
	// Duration is how long a run takes. Members are silent for the last 4 s, so that all can arrive.
	Duration time.Duration

	plain
	chosenFaults
	mutant string
}

// The clocks of an [Order].
const (
	byLamport = "lamport"
	byHLC     = "hlc"
	byVector  = "vector"
)

// NewOrder gives the conversation of the catalogue.
func NewOrder() *Order {
	return &Order{Members: 3, By: byLamport, Rate: 1, Answers: 0.3, Duration: 20 * time.Second}
}

// Name implements [Scenario].
func (*Order) Name() string { return "order" }

// Summary implements [Scenario].
func (*Order) Summary() string {
	return "a conversation over one log for each member, put in order at the reader by logical clocks"
}

// Params implements [Scenario].
func (o *Order) Params() []Param {
	return []Param{
		{"members", "members, each with a log of its own", intValue{&o.Members, 2, 8, "members"}},
		{"by", "clock that messages are ordered by", choiceValue{&o.By, []string{byLamport, byHLC, byVector}}},
		{"rate", "messages of each member that answer nothing", floatValue{&o.Rate, 0.1, 100, "messages/s"}},
		{"answers", "messages that a member answers", floatValue{&o.Answers, 0, 0.4, "probability"}},
		{"duration", "virtual time", durationValue{&o.Duration, 10 * time.Second, 10 * time.Minute}},
	}
}

// The mutants of Order.
const (
	mutantWallClock    = "wall-clock"
	mutantNoWitness    = "no-witness"
	mutantArrivalOrder = "arrival-order"
	mutantRoundRobin   = "round-robin"
)

// Mutants implements [Scenario].
func (*Order) Mutants() []Mutant {
	return []Mutant{
		{mutantWallClock, "messages are ordered by the wall clocks of their publishers", "Causal"},
		{mutantNoWitness, "a member's logical clock does not advance by what it receives", "Causal"},
		{mutantArrivalOrder, "messages are shown as they arrive", "TotalOrder"},
		{mutantRoundRobin, "a member's messages go to all logs in turn, and are shown as they arrive", "FIFO"},
	}
}

// Mutate implements [Scenario].
func (o *Order) Mutate(name string) error { return mutate(o, name, &o.mutant) }

// Properties implements [Scenario].
func (o *Order) Properties() []model.Property {
	all := []model.Property{properties.FIFO(), properties.Causal()}
	if o.By != byVector {
		all = append(all, properties.TotalOrder())
	}
	return all
}

// Length implements [Scenario].
func (o *Order) Length() time.Duration { return o.Duration }

// chat is the chat of whose parts the conversation consists.
func (o *Order) chat() *Chat {
	c := NewChat()
	c.Duration = o.Duration
	return c
}

// Run implements [Scenario].
func (o *Order) Run(w *sim.World) error {
	c := o.chat()
	inside, outside := netsim.Link{Latency: time.Millisecond}, netsim.Link{Latency: c.Latency, Jitter: c.Jitter, Loss: c.Loss}
	w.Link("*", "*", inside)
	w.Link("client-*", "lb", outside)
	from, err := addSource(w, c.Hop2, sourceOptions{})
	w.Fail(err)
	var backends []string
	for i := range c.Edges {
		name := fmt.Sprintf("edge-%d", i+1)
		w.Node(name, endpoint(from))
		backends = append(backends, name+":80")
	}
	forwardPackets(w, "lb", netsim.BalancerConfig{Backends: backends})
	for i := range o.Members {
		m := &member{order: o, index: i}
		w.Node(o.member(i), m.run)
	}
	w.Plan(o.Faults())
	w.RunFor(o.Duration)
	w.Check(o.Properties()...)
	return nil
}

// member is a member's name. To hazards, members are clients.
func (*Order) member(i int) string { return fmt.Sprintf("client-%d", i+1) }

// Faults implements [Faulty]: unless others were chosen, an edge crashes while one member's clock is behind and
// another's ahead.
func (o *Order) Faults() sim.Schedule {
	if o.chosen {
		return o.faults
	}
	return sim.Schedule{
		{Fault: sim.Skew(o.member(0), -2*time.Second), At: 2 * time.Second, For: o.Duration - 4*time.Second},
		{Fault: sim.Skew(o.member(1), time.Second), At: 2 * time.Second, For: o.Duration - 4*time.Second},
		{Fault: sim.Crash("edge-1"), At: o.Duration / 4, For: o.Duration / 8},
	}
}

// Window implements [Faulty].
func (o *Order) Window() sim.Window { return o.chat().Window() }

// Hazards implements [Faulty]: those of a chat, and wrong clocks.
func (o *Order) Hazards() []sim.Hazard {
	var skews []sim.Fault
	for i := range o.Members {
		skews = append(skews, sim.Skew(o.member(i), -2*time.Second), sim.Skew(o.member(i), 500*time.Millisecond))
	}
	skewed := sim.Hazard{Faults: skews, Least: 2 * time.Second, Most: o.Duration, Group: "clocks"}
	return append(o.chat().Hazards(), skewed)
}
