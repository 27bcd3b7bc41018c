package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// network is what goes wrong while a check is made, between the third and the eighth second.
type network struct {
	name  string
	short bool // it is part of the tests with -short
	// change makes a plan's network this one.
	change func(p *plan)
	// bites names the kinds of faults that must have bitten.
	bites []string
	// evidence counts what else shows that something went wrong; nil if the bites do.
	evidence func(o *outcome) int
}

// quiet leaves out the posts of a span.
func (p *plan) quiet(s span) {
	p.posts = slices.DeleteFunc(p.posts, s.has)
}

func (p *plan) add(at time.Duration, f sim.Fault) { p.events = append(p.events, event{at, f}) }

var latency = netsim.Link{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond}

var networks = []network{
	{
		name:   "clean",
		short:  true,
		change: func(p *plan) { p.link = latency },
	},
	{
		name: "loss of 3 percent",
		change: func(p *plan) {
			p.link = latency
			p.link.Loss = 0.03
		},
		evidence: func(o *outcome) int { return o.steps(netsim.Lost, func(string) bool { return true }) },
	},
	{
		name: "partition of 500 ms",
		change: func(p *plan) {
			p.link = latency
			p.add(4*time.Second, netsim.Partition("client-*|publisher", frontage))
			p.add(4500*time.Millisecond, netsim.Heal())
		},
		bites: []string{"partition"},
	},
	{
		name: "edge crash",
		change: func(p *plan) {
			p.link = latency
			p.add(3*time.Second, sim.Crash("edge-1"))
			p.add(5*time.Second, sim.Restart("edge-1"))
		},
		bites: []string{"crash"},
	},
	{
		name: "rolling restart",
		change: func(p *plan) {
			p.link = latency
			p.add(3*time.Second, sim.Stop("edge-1"))
			p.add(4600*time.Millisecond, sim.Restart("edge-1"))
			p.add(5400*time.Millisecond, sim.Stop("edge-2"))
			p.add(7*time.Second, sim.Restart("edge-2"))
		},
		bites: []string{"stop", "restart"},
	},
	{
		// It is shorter than any transport's silence, polls included.
		name: "balancer idle time-out",
		change: func(p *plan) {
			p.link, p.idle = latency, 800*time.Millisecond
			p.quiet(span{4 * time.Second, 6500 * time.Millisecond})
		},
		evidence: func(o *outcome) int {
			return o.steps(netsim.Dialed, func(host string) bool { return strings.HasPrefix(host, "client-") }) - clients
		},
	},
	{
		name: "NAT rebinding",
		change: func(p *plan) {
			p.link, p.nat = latency, true
			p.add(4*time.Second, netsim.Rebind("nat"))
		},
		bites: []string{"rebind"},
		evidence: func(o *outcome) int {
			return o.steps(netsim.Dropped, func(host string) bool { return host == "nat" })
		},
	},
}
