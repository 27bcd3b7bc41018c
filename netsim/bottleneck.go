package netsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bottleneck is a transmitter of limited rate that all packets of one or more hosts go through, whatever
// pipe they take: a network card, an access line, a cell. As the uplink of a host it is passed before the
// path, so that what a server sends to many clients queues there; as a downlink, after it.
//
// Packets queue and are dropped as with [Link].Rate, and the same holds when it changes in mid-run. There is
// none between two programs on one host. Bottlenecks are values: they compare with ==, print and parse.
type Bottleneck struct {
	// Name, if set, is that of one bottleneck that all hosts share which are given it, such as a cell.
	// It is 1 to 63 characters of [A-Za-z0-9._-]. Without a name each host has its own.
	Name string
	// Rate is the capacity in bits per second, at most 10^15; 0 means unlimited, as without a bottleneck.
	Rate int64
	// Queue is how many bytes may wait, at most 1 GiB; 0 means 100 ms of Rate. See [Link].
	Queue int
	// QueuePackets is how many packets may wait; 0 means any number.
	QueuePackets int
}

func (b Bottleneck) validate() error {
	if len(b.Name) > 63 {
		return fmt.Errorf("bottleneck: Name %.80q has %d characters; want at most 63", b.Name, len(b.Name))
	}
	for _, r := range b.Name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_' {
			return fmt.Errorf("bottleneck: Name %q has %q; allowed are letters, digits, '.', '_' and '-'", b.Name, r)
		}
	}
	return validateQueue("bottleneck", b.Rate, b.Queue, b.QueuePackets)
}

var bottleneckFields = []field[Bottleneck]{
	fieldOf("name", func(b *Bottleneck) *string { return &b.Name },
		func(s string) string { return s }, func(s string) (string, error) { return s, nil }),
	fieldOf("rate", func(b *Bottleneck) *int64 { return &b.Rate }, formatRate, parseRate),
	fieldOf("queue", func(b *Bottleneck) *int { return &b.Queue }, strconv.Itoa, parseInt),
	fieldOf("queue-packets", func(b *Bottleneck) *int { return &b.QueuePackets }, strconv.Itoa, parseInt),
}

// String gives the text form, which [ParseBottleneck] reads back, as in "name=cell-7 rate=50Mbit".
func (b Bottleneck) String() string {
	s := printFields(bottleneckFields, &b)
	if b.Rate == 0 {
		s = strings.TrimPrefix(s+" rate=0bit", " ")
	}
	return s
}

// ParseBottleneck reads the text form of a bottleneck: fields in any order, separated by spaces. The keys
// are name, rate (bits per second, with bit, kbit, Mbit or Gbit), queue (bytes) and queue-packets.
func ParseBottleneck(s string) (Bottleneck, error) {
	b, err := parseFields(bottleneckFields, s)
	if err == nil {
		err = b.validate()
	}
	if err != nil {
		return Bottleneck{}, fmt.Errorf("%.200q: %w", s, err)
	}
	return b, nil
}

// MarshalText is String, for flag.TextVar and JSON.
func (b Bottleneck) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is ParseBottleneck.
func (b *Bottleneck) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBottleneck(string(text))
	return err
}

// bottleneck is a Bottleneck at work. It belongs to the loop. A nil one is none: it lets everything pass
// at once.
type bottleneck struct {
	limit Bottleneck
	queue dropTail
}

// take takes a packet that comes at now and tells when it leaves, or that the queue is full. Calls come
// in order of time.
func (b *bottleneck) take(now time.Duration, size int) (time.Duration, fate) {
	if b == nil || b.limit.Rate == 0 {
		return now, fateArrives
	}
	leaves, taken := b.queue.take(now, size, b.limit.Rate, b.limit.Queue, b.limit.QueuePackets)
	if !taken {
		return 0, fateQueueFull
	}
	return leaves, fateArrives
}

// least is the least time that a packet spends in the bottleneck: the loop's lookahead there.
func (b *bottleneck) least(size int) time.Duration {
	if b == nil || b.limit.Rate == 0 {
		return 0
	}
	return transmitTime(size, b.limit.Rate)
}

// access is the bottlenecks on one side of all hosts: their uplinks, or their downlinks.
type access struct {
	rules []accessRule
	named map[string]*bottleneck
}

// accessRule gives a bottleneck to each host that matches a pattern.
type accessRule struct {
	hosts string
	limit Bottleneck
}

// set adds a rule. Where rules overlap, the last one holds. A named bottleneck that exists already is
// changed for all who share it.
func (a *access) set(hosts string, b Bottleneck) error {
	if err := checkPattern(hosts); err != nil {
		return err
	}
	if err := b.validate(); err != nil {
		return fmt.Errorf("netsim: %s: %w", hosts, err)
	}
	a.rules = append(a.rules, accessRule{hosts, b})
	if b.Name == "" {
		return nil
	}
	if a.named == nil {
		a.named = make(map[string]*bottleneck)
	}
	if a.named[b.Name] == nil {
		a.named[b.Name] = new(bottleneck)
	}
	a.named[b.Name].limit = b
	return nil
}

// accessPoint is one host's place at one side of the network.
type accessPoint struct {
	epoch  uint64 // of Network.rules when holds was looked up
	holds  *bottleneck
	itsOwn bottleneck // used if the rule's has no name; it keeps its queue when the rule changes
}

// bottleneck finds what holds for a host, brought up to date with the rules; nil if nothing does.
func (p *accessPoint) bottleneck(a *access, host string, epoch uint64) *bottleneck {
	if p.epoch == epoch {
		return p.holds
	}
	p.epoch, p.holds = epoch, nil
	for i := len(a.rules) - 1; i >= 0; i-- {
		r := &a.rules[i]
		if !matches(r.hosts, host) {
			continue
		}
		if r.limit.Name != "" {
			p.holds = a.named[r.limit.Name]
		} else {
			p.itsOwn.limit = r.limit
			p.holds = &p.itsOwn
		}
		break
	}
	return p.holds
}
