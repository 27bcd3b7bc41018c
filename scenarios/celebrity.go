package scenarios

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
)

// Celebrity publishes to one room with many followers, by three designs side by side: one edge that sends to
// all of them; one broker that sends to as many edges as it takes; and a tree of regional relays, in which
// nobody sends more than Branch copies of an update and each region has it once. All servers have an uplink of
// the same rate, so that whoever sends many copies queues on its own. Each design is built for several numbers
// of followers, each in a system of its own. [NewCelebrity] gives it its defaults.
type Celebrity struct {
	// Clients is the greatest number of followers, and Sizes how many numbers are tried: each is a third of
	// the one before it. Numbers that a single server may serve, up to Branch, are left out.
	Clients, Sizes int
	// Branch is how many copies of an update a node of the tree sends at most.
	Branch int
	// Design is "edge", "broker" or "tree", or "compare" for all of them.
	Design string
	// Updates is how many the celebrity publishes, with bodies of Body bytes.
	Updates, Body int
	// Uplink is the rate of every server's uplink, in Mbit/s.
	Uplink int
	// Latency is one way between any two hosts.
	Latency time.Duration
	// Fidelity is how closely connections are modelled: "tcp" or "stream".
	Fidelity string

	mutant  string
	systems []*celebritySystem // of the latest run
}

// NewCelebrity gives the catalogue's: 5,000 followers, and a tree of 18 branches, which has three levels.
func NewCelebrity() *Celebrity {
	return &Celebrity{
		Clients: 5000, Sizes: 4, Branch: 18, Design: compare, Updates: 3, Body: 900,
		Uplink: 100, Latency: 20 * time.Millisecond, Fidelity: netsim.Stream.String(),
	}
}

// The designs, in the order in which they are shown.
const (
	designEdge   = "edge"
	designBroker = "broker"
	designTree   = "tree"
)

// The mutants of Celebrity besides mutantSlowPath.
const (
	mutantBypass   = "bypass"
	mutantSlowNIC  = "slow-nic"
	mutantTreeOnly = "tree-only"
)

// Name implements [Scenario].
func (*Celebrity) Name() string { return "celebrity" }

// Summary implements [Scenario].
func (*Celebrity) Summary() string {
	return "one room with many followers: one edge, or one broker, for all against a tree of regional relays"
}

// Params implements [Scenario].
func (c *Celebrity) Params() []Param {
	return []Param{
		{"clients", "the greatest number of followers", intValue{&c.Clients, 3, 20000, "clients"}},
		{"sizes", "how many numbers of followers are tried, each a third of the one before", intValue{&c.Sizes, 1, 6, "numbers"}},
		{"branch", "copies that a node of the tree sends at most", intValue{&c.Branch, 2, 1000, "copies"}},
		{"design", "how updates get around; compare is all designs, side by side", choiceValue{&c.Design, []string{compare, designEdge, designBroker, designTree}}},
		{"updates", "updates that are published", intValue{&c.Updates, 1, 100, "messages"}},
		{"body", "size of an update's body", intValue{&c.Body, 0, 65536, "bytes"}},
		{"uplink", "rate of every server's uplink", intValue{&c.Uplink, 1, 100000, "Mbit/s"}},
		{"latency", "one-way delay between any two hosts", durationValue{&c.Latency, time.Millisecond, time.Second}},
		{"fidelity", "how closely connections are modelled", choiceValue{&c.Fidelity, []string{netsim.TCP.String(), netsim.Stream.String()}}},
	}
}

// Mutants implements [Scenario].
func (*Celebrity) Mutants() []Mutant {
	return []Mutant{
		{mutantBypass, "the edges of the tree subscribe to the broker, past their regions' relays", "FanoutBound"},
		{mutantSlowPath, "everybody is a fifth further away than they should be", "FanoutBound"},
		{mutantTreeOnly, "the naive designs are built as trees, too", "NaiveBreaks"},
		{mutantSlowNIC, "uplinks have three quarters of the rate that they should have", "ClosedForm"},
	}
}

// Mutate implements [Scenario].
func (c *Celebrity) Mutate(name string) error { return mutate(c, name, &c.mutant) }

// Properties implements [Scenario]: of those of its own, such as can be judged with its design.
func (c *Celebrity) Properties() []model.Property {
	all := properties.All()
	if c.builds(designTree) {
		all = append(all, c.FanoutBound())
	}
	if c.builds(designEdge) || c.builds(designBroker) {
		all = append(all, c.NaiveBreaks())
	}
	return append(all, c.ClosedForm())
}

// builds tells whether a design is among those that are built.
func (c *Celebrity) builds(design string) bool { return c.Design == compare || c.Design == design }

// designs lists what is built.
func (c *Celebrity) designs() []string {
	return slices.DeleteFunc([]string{designEdge, designBroker, designTree}, func(d string) bool { return !c.builds(d) })
}

// sizes are the numbers of followers, in ascending order.
func (c *Celebrity) sizes() []int {
	var sizes []int
	for n := c.Clients; len(sizes) < c.Sizes && n > c.Branch; n /= 3 {
		sizes = append(sizes, n)
	}
	slices.Reverse(sizes)
	return sizes
}

// Validate implements [Scenario].
func (c *Celebrity) Validate() error {
	if c.Clients <= c.Branch {
		return fmt.Errorf("parameter clients: %d is not allowed: want more than branch, %d, which one server may serve alone", c.Clients, c.Branch)
	}
	if wait := c.spacing(); wait > time.Hour {
		return fmt.Errorf("parameter uplink: %d Mbit/s is not allowed: an update takes one edge %v to send to %d clients; want less than an hour",
			c.Uplink, c.form(c.Clients).Naive(), c.Clients)
	}
	return nil
}

// resends tells whether TCP sends copies again because they have waited too long for an uplink: at least 200 ms
// and a round trip, Linux's least retransmission time-out. A real machine would know that they are still there;
// of these uplinks, TCP knows nothing.
func (c *Celebrity) resends() bool {
	return c.Fidelity == netsim.TCP.String() && c.builds(designEdge) && c.form(c.Clients).Naive() > 200*time.Millisecond+c.Latency
}

// Warnings implements [Warner].
func (c *Celebrity) Warnings() []string {
	if !c.resends() {
		return nil
	}
	return []string{fmt.Sprintf("parameter uplink: at %d Mbit/s one edge takes %v for %d clients, after which TCP sends again: the closed form has only what it sends at first",
		c.Uplink, c.form(c.Clients).Naive()-c.Latency, c.Clients)}
}

// Configure implements [Scenario].
func (c *Celebrity) Configure(cfg *sim.Config) {
	if f, err := netsim.ParseFidelity(c.Fidelity); err == nil {
		cfg.Fidelity = f
	}
}

// copyOverhead is how many bytes a copy of an update has around its body, at most: JSON, the transport's
// framing, and the headers of TCP and IP. An edge's copies to its clients are the longest.
const copyOverhead = 210

// mss is how many bytes of a copy go into a packet, and headers how many bytes a packet has besides them.
const (
	mss     = 1460
	headers = 40
)

// copyBytes is how many bytes of packets a copy takes at most. Bodies travel as base64.
func (c *Celebrity) copyBytes() int {
	n := (c.Body+2)/3*4 + copyOverhead
	return n + (n-headers-1)/mss*headers
}

// perCopy is how long an uplink takes for a copy.
func (c *Celebrity) perCopy() time.Duration {
	return time.Duration(c.copyBytes()) * 8 * time.Microsecond / time.Duration(c.Uplink)
}

// form is the closed form of the tree for so many followers.
func (c *Celebrity) form(clients int) model.Fanout {
	return model.Fanout{Branch: c.Branch, Leaves: clients, Hop: c.Latency, PerCopy: c.perCopy()}
}

// When things happen: clients connect from connectFrom on, within connecting, the first update is published when
// all that has settled, and after spread the clients leave, within as long as they came: all at one instant
// would be a great deal of work without progress.
const connectFrom = time.Second

func (c *Celebrity) connecting() time.Duration {
	return time.Second + time.Duration(c.Clients)*500*time.Microsecond
}

func (c *Celebrity) settled() time.Duration {
	return connectFrom + c.connecting() + time.Second + 50*c.Latency
}

// spacing is the time from one update to the next: more than any design takes for one.
func (c *Celebrity) spacing() time.Duration {
	return time.Second + 10*c.Latency + c.form(c.Clients).Naive()*3/2
}

// spread is when the last update has got around.
func (c *Celebrity) spread() time.Duration {
	return c.settled() + time.Duration(c.Updates)*c.spacing()
}

// Length implements [Scenario].
func (c *Celebrity) Length() time.Duration { return c.spread() + c.connecting() }

// Run implements [Scenario].
func (c *Celebrity) Run(w *sim.World) error {
	c.build(w)
	w.RunFor(c.settled() - w.Now())
	for _, sys := range c.systems {
		sys.before = sys.sent(w)
	}
	w.RunFor(c.spread() - w.Now())
	for _, sys := range c.systems {
		sys.after = sys.sent(w)
		if !sys.caughtUp(sys.clients) && !w.Interrupted() {
			w.Failf("celebrity: %s: not all of %d clients have connected and got everything by %v", sys.design, sys.clients, w.Now())
		}
	}
	w.RunFor(c.Length() - w.Now())
	w.Check(c.Properties()...)
	return nil
}

// build adds the systems to a world.
func (c *Celebrity) build(w *sim.World) {
	c.systems = nil
	latency, rate := c.Latency, int64(c.Uplink)*1e6
	switch c.mutant {
	case mutantSlowPath:
		latency += latency / 5
	case mutantSlowNIC:
		rate = rate * 3 / 4
	}
	w.Link("*", "*", netsim.Link{Latency: latency})
	for _, design := range c.designs() {
		for _, clients := range c.sizes() {
			sys := &celebritySystem{c: c, design: design, clients: clients}
			sys.build(w)
			c.systems = append(c.systems, sys)
		}
	}
	servers := "*-" + strings.Join([]string{roleBroker, roleRelay + "-*", roleEdge + "-*"}, "|*-")
	// Nothing is dropped: a sender waits for its own uplink, as a program does for its machine's.
	w.Fail(w.Net().SetUplink(servers, netsim.Bottleneck{Rate: rate, Queue: math.MaxInt32 / 2}))
}
