package netsim

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twohop/twohop/netsim/capture"
	"github.com/twohop/twohop/netsim/tcp"
)

// Config says how a network is made. The zero value is a network with seed 0 that nobody observes.
type Config struct {
	// Seed is what all of the network's luck is derived from.
	Seed uint64
	// TCP configures every host's TCP; the zero value is Linux's defaults.
	TCP tcp.Config
	// Fidelity says how closely connections are modelled; the zero value is TCP.
	Fidelity Fidelity
	// Capture, if set, is where the packets that hosts send are written to, as pcapng; see
	// [Network.CloseCapture].
	Capture io.Writer
	// Observe, if set, is called by the loop for every event, in order. It must not block.
	Observe func(Event)
}

// Network is a set of hosts and the links between them. One goroutine, the loop, owns it: the one
// that calls [Network.RunUntil]. Methods that set it up (NewHost, SetLink, …) are for the loop's
// goroutine while it is not running, or for functions that the loop runs (see Schedule).
type Network struct {
	cfg     Config
	tcp     *tcp.Settings
	smaller map[int]*tcp.Settings // by MTU, for links of less than 1500
	begin   time.Time

	hosts  []*Host
	byName map[string]*Host
	byIP   map[uint32]*Host
	newIPs uint32 // how many addresses were given to hosts that had one

	zone     Zone
	recorder recorder

	rules   uint64 // epoch of links and blocks
	checked uint64 // the epoch whose names were found to exist
	links   []linkRule
	blocks  []*block

	impairments []*impairment

	uplinks, downlinks access

	// The loop's.
	present     time.Duration // up to which everything has been applied
	clock       time.Duration // of the event that is being applied, which may be earlier
	step        uint64        // of events planned so far
	urgent      queue         // events for which virtual time must stop
	patient     queue         // events that may be applied late, but in order
	stops       stopHeap      // by when patient events must have been applied
	caughtUp    stop          // the last patient event applied
	impatient   int           // connections that need every patient event on time
	woke        bool          // the last event woke a goroutine of a host
	connections uint32
	freePackets *packet
	pool        *tcp.Pool
	timer       *time.Timer // has fired, or nil
	interrupted atomic.Bool
	progress    atomic.Int64 // virtual time, for watching from outside the bubble
	rounds      atomic.Uint64

	// mu guards everything that hosts' goroutines share with each other and with the loop: all
	// connections and listeners, what is pending, and the pool. The loop holds it while it works.
	// Nobody holds it while blocked, so that virtual time never waits for it.
	mu      sync.Mutex
	pending []action
	kicked  bool
	kick    chan struct{}

	spare []action  // the loop's: pending's memory of the round before
	order []ordered // the loop's: the canonical order of what it has taken
}

// ErrInterrupted is what RunUntil returns after [Network.Interrupt].
var ErrInterrupted = errors.New("netsim: interrupted")

// New makes an empty network whose virtual time begins now. It must be called inside a
// testing/synctest bubble, and everything that uses the network must run in that bubble. The error
// names what is wrong with the configuration.
func New(cfg Config) (*Network, error) {
	if cfg.Fidelity > Stream {
		return nil, fmt.Errorf("netsim: Config.Fidelity is %v: want TCP or Stream", cfg.Fidelity)
	}
	settings, err := cfg.TCP.Settings()
	if err != nil {
		return nil, fmt.Errorf("netsim: %w", err)
	}
	n := &Network{
		cfg:     cfg,
		tcp:     settings,
		smaller: make(map[int]*tcp.Settings),
		begin:   time.Now(),
		byName:  make(map[string]*Host),
		byIP:    make(map[uint32]*Host),
		zone:    Zone{records: make(map[string]record)},
		rules:   1,
		kick:    make(chan struct{}, 1),
		pool:    tcp.NewPool(),
	}
	if cfg.Capture != nil {
		out, err := capture.New(cfg.Capture, n.begin)
		if err != nil {
			return nil, fmt.Errorf("netsim: capture: %w", err)
		}
		n.recorder = recorder{out: out, interfaces: make(map[*Host]int)}
	}
	return n, nil
}

// Now is the virtual time since the network began. Any goroutine of the bubble may call it.
func (n *Network) Now() time.Duration { return time.Since(n.begin) }

// NewHost adds a host. Names are unique, 1 to 63 characters of [a-z0-9.-] as in DNS; the address is
// the next one of 10.0.0.0/9.
func (n *Network) NewHost(name string) (*Host, error) {
	if err := checkHostName(name); err != nil {
		return nil, err
	}
	if n.byName[name] != nil {
		return nil, fmt.Errorf("netsim: there is a host named %q already", name)
	}
	index := len(n.hosts)
	if index >= 1<<23-1 {
		return nil, fmt.Errorf("netsim: host %q: no address left in 10.0.0.0/9", name)
	}
	h := newHost(n, name, int32(index), 10<<24|uint32(index+1))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts = append(n.hosts, h)
	n.byIP[h.ip] = h
	n.byName[name] = h
	return h, nil
}

func checkHostName(name string) error {
	if len(name) == 0 || len(name) > 63 {
		return fmt.Errorf("netsim: host name %.80q has %d characters; want 1 to 63", name, len(name))
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return fmt.Errorf("netsim: host name %q has %q; allowed are a-z, 0-9, '-' and '.'", name, r)
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("netsim: host name %q is an IP address; addresses are given by the network", name)
	}
	return nil
}

// Host finds a host by name; nil if there is none.
func (n *Network) Host(name string) *Host { return n.byName[name] }

// lookup is Host for any goroutine.
func (n *Network) lookup(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byName[name]
}

// Hosts returns all hosts in order of creation.
func (n *Network) Hosts() []*Host { return append([]*Host(nil), n.hosts...) }

// HostName gives the name of the host with an [Event]'s index.
func (n *Network) HostName(index int32) string { return n.hosts[index].name }

// linkRule sets the link of every direction whose ends match its patterns.
type linkRule struct {
	from, to string
	link     Link
}

// SetLink sets the link between a and b, both ways. Each is a host's name or a pattern of [path.Match]
// such as "client-*", or several of them joined by '|'. Where rules overlap, the last one holds. It
// may be called at any time; packets under way keep the fate they have. Hosts may
// be added later, but [Network.RunUntil] fails for a name that is still unknown then.
func (n *Network) SetLink(a, b string, l Link) error {
	if err := n.SetLinkOneWay(a, b, l); err != nil {
		return err
	}
	return n.SetLinkOneWay(b, a, l)
}

// SetLinkOneWay sets the link from one host to another, in that direction only; see SetLink.
func (n *Network) SetLinkOneWay(from, to string, l Link) error {
	if err := l.validate(); err != nil {
		return fmt.Errorf("netsim: %s -> %s: %w", from, to, err)
	}
	for _, p := range []string{from, to} {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	if from == to && isName(from) {
		return fmt.Errorf("netsim: a link from %s to itself; programs of one host talk over the loopback, whose delay is fixed", from)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(n.links, linkRule{from, to, l})
	n.rulesChanged()
	return nil
}

// SetUplink makes all that the hosts of a pattern send go through a bottleneck before it goes its ways;
// see [Bottleneck]. It may be called at any time.
func (n *Network) SetUplink(hosts string, b Bottleneck) error {
	return n.setAccess(&n.uplinks, hosts, b)
}

// SetDownlink makes all that the hosts of a pattern receive go through a bottleneck; see [Bottleneck].
// It may be called at any time.
func (n *Network) SetDownlink(hosts string, b Bottleneck) error {
	return n.setAccess(&n.downlinks, hosts, b)
}

func (n *Network) setAccess(a *access, hosts string, b Bottleneck) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := a.set(hosts, b); err != nil {
		return err
	}
	n.rulesChanged()
	return nil
}

// uplinkTo is the bottleneck through which the host sends to another; nil if there is none.
func (h *Host) uplinkTo(to *Host) *bottleneck {
	if to == h {
		return nil
	}
	return h.uplink.bottleneck(&h.net.uplinks, h.name, h.net.rules)
}

// downlinkFrom is the bottleneck through which the host receives from another; nil if there is none.
func (h *Host) downlinkFrom(from *Host) *bottleneck {
	if from == h {
		return nil
	}
	return h.downlink.bottleneck(&h.net.downlinks, h.name, h.net.rules)
}

func checkPattern(pattern string) error {
	for p := range strings.SplitSeq(pattern, "|") {
		if p == "" {
			return fmt.Errorf("netsim: pattern %q has an empty part; want host names or patterns such as %q", pattern, "client-*")
		}
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("netsim: pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// isName reports whether a checked pattern can only match one name.
func isName(pattern string) bool { return !strings.ContainsAny(pattern, `*?[\|`) }

// checkNames reports a link between hosts of which one does not exist: most likely a misspelling.
func (n *Network) checkNames() error {
	if n.checked == n.rules {
		return nil
	}
	for _, r := range n.links {
		for _, pattern := range []string{r.from, r.to} {
			for part := range strings.SplitSeq(pattern, "|") {
				if isName(part) && n.byName[part] == nil {
					return fmt.Errorf("netsim: the link %s -> %s names a host %q that does not exist%s", r.from, r.to, part, n.hostList())
				}
			}
		}
	}
	n.checked = n.rules
	return nil
}

// matches reports whether name matches a checked pattern.
func matches(pattern, name string) bool {
	for p := range strings.SplitSeq(pattern, "|") {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

// Match returns the hosts whose names match a pattern (see SetLink), in order of creation, or an
// error if there are none.
func (n *Network) Match(pattern string) ([]*Host, error) {
	if err := checkPattern(pattern); err != nil {
		return nil, err
	}
	var found []*Host
	for _, h := range n.hosts {
		if matches(pattern, h.name) {
			found = append(found, h)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("netsim: no host is named or matches %q%s", pattern, n.hostList())
	}
	return found, nil
}

// hostList offers the names of hosts to whoever misspelt one.
func (n *Network) hostList() string {
	const most = 8
	names := make([]string, 0, most+1)
	for _, h := range n.hosts {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, h.name)
	}
	if len(names) == 0 {
		return "; there are no hosts yet"
	}
	return "; the hosts are " + strings.Join(names, ", ")
}

// loopbackLatency is the delay between two programs on one host: two passes through a kernel.
const loopbackLatency = 20 * time.Microsecond

// defaultLink holds between hosts for which no rule was set: a quiet data centre.
var defaultLink = Link{Latency: 500 * time.Microsecond}

func (n *Network) linkBetween(from, to *Host) Link {
	if from == to {
		return Link{Latency: loopbackLatency}
	}
	for i := len(n.links) - 1; i >= 0; i-- {
		if r := &n.links[i]; matches(r.from, from.name) && matches(r.to, to.name) {
			return r.link
		}
	}
	return defaultLink
}

// leastLatency is a lower bound of what any packet takes that leaves the host.
func (h *Host) leastLatency() time.Duration {
	n := h.net
	if h.leastEpoch != n.rules {
		h.leastEpoch = n.rules
		h.least = never
		toAll := false
		for i := range n.links {
			if r := &n.links[i]; matches(r.from, h.name) {
				h.least = min(h.least, r.link.minLatency())
				toAll = toAll || r.to == "*"
			}
		}
		if !toAll {
			h.least = min(h.least, defaultLink.minLatency())
		}
	}
	return h.least
}

func (n *Network) blockBetween(from, to *Host) *block {
	if from == to {
		return nil
	}
	for _, b := range n.blocks {
		if matches(b.from, from.name) && matches(b.to, to.name) {
			return b
		}
	}
	return nil
}

// pipeTo finds the direction from h to another host, brought up to date with the rules.
func (h *Host) pipeTo(to *Host) *pipe {
	p := h.pipes[to.index]
	if p == nil {
		p = &pipe{luck: newPCG(h.net.cfg.Seed, "link "+h.name+" -> "+to.name)}
		h.pipes[to.index] = p
	}
	if p.epoch != h.net.rules {
		p.link = h.net.linkBetween(h, to)
		p.block = h.net.blockBetween(h, to)
		p.worse = h.net.impairmentsBetween(h, to)
		p.epoch = h.net.rules
	}
	return p
}

// setTimer sets the loop's timer.
func (n *Network) setTimer(d time.Duration) {
	if n.timer == nil {
		n.timer = time.NewTimer(d)
		return
	}
	n.timer.Reset(d)
}

// stopTimer stops the loop's timer, for good: the runtime keeps a stopped timer in its heap, and to set it anew
// would have it look through all of that, which has every timer of the bubble. Another one costs less.
func (n *Network) stopTimer() {
	n.timer.Stop()
	n.timer = nil
}
