package netsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Profile is a ready-made pair of links: how a kind of access network behaves, both ways, from a client to
// a server near by. Sources are cited where there are any; numbers that the citation does not cover are
// round assumptions, most of all about loss, tails and queues.
type Profile struct {
	// Up is from the client to the server, Down from the server to the client.
	Up, Down Link
}

// SetProfile sets the links between clients and servers, which are patterns as for [Network.SetLink].
// Each pair of hosts has the profile's rates for itself.
func (n *Network) SetProfile(clients, servers string, p Profile) error {
	if err := n.SetLinkOneWay(clients, servers, p.Up); err != nil {
		return err
	}
	return n.SetLinkOneWay(servers, clients, p.Down)
}

// Access takes the rates and queues out of the links, for clients that talk to several hosts: what is left
// is the path, and the two bottlenecks are the client's uplink and downlink, which all its traffic shares.
func (p Profile) Access() (path Profile, up, down Bottleneck) {
	take := func(l *Link) Bottleneck {
		b := Bottleneck{Rate: l.Rate, Queue: l.Queue, QueuePackets: l.QueuePackets}
		l.Rate, l.Queue, l.QueuePackets = 0, 0, 0
		return b
	}
	up = take(&p.Up)
	down = take(&p.Down)
	return p, up, down
}

// DataCenter is two machines in one data centre: 10 Gbit/s, about 0.5 ms for a round trip, nothing lost but
// in queues. These are round assumptions.
func DataCenter() Profile {
	l := Link{Latency: 200 * time.Microsecond, Variation: LogNormal(30*time.Microsecond, 1), Rate: 10e9}
	return Profile{Up: l, Down: l}
}

// CrossRegion is two data centres on both sides of the Atlantic: 80 ms for a round trip. The speed of light
// in fibre (about 204 m/µs) makes 55 ms the least between New York and London, and providers promise a
// monthly mean of at most 90 ms (Verizon's service level agreement for its hubs there). Variation and
// loss are round assumptions.
func CrossRegion() Profile {
	l := Link{Latency: 39 * time.Millisecond, Variation: LogNormal(time.Millisecond, 0.5), Loss: 1e-5, Rate: 1e9}
	return Profile{Up: l, Down: l}
}

// Cable is a home on a cable modem: 1 Mbit/s up, 5 Mbit/s down, 28 ms for a round trip, as in WebPageTest's
// profile "Cable" (settings/connectivity.ini), which has been many projects' baseline. The variation,
// within these 28 ms, is a round assumption.
func Cable() Profile {
	l := Link{Latency: 12 * time.Millisecond, Variation: LogNormal(2*time.Millisecond, 0.5)}
	return Profile{Up: withRate(l, 1e6), Down: withRate(l, 5e6)}
}

// LTE is a phone on a 4G network: 6 Mbit/s up and 13 Mbit/s down, the medians in Huang et al., A Close
// Examination of Performance and Power Characteristics of 4G LTE Networks (MobiSys 2012), and a median of 70 ms
// for a round trip, as in WebPageTest's profile "LTE". The tail, the residual loss after the radio's own
// retransmissions, and queues of 300 ms are round assumptions.
func LTE() Profile {
	l := Link{Latency: 24 * time.Millisecond, Variation: LogNormal(10*time.Millisecond, 0.7), Burst: Fades(0.001, 20*time.Millisecond)}
	return Profile{Up: withQueue(l, 6e6, 300*time.Millisecond), Down: withQueue(l, 13e6, 300*time.Millisecond)}
}

// UMTS is a phone on a 3G network: 768 kbit/s up, 1.6 Mbit/s down, and a mean of 300 ms for a round trip, as
// in WebPageTest's profile "3G". RFC 3481 §2 describes delay spikes and loss on such links. How heavy the
// tail is, how much is lost, and queues of half a second are round assumptions.
func UMTS() Profile {
	l := Link{Latency: 90 * time.Millisecond, Variation: Pareto(40*time.Millisecond, 3), Burst: Fades(0.002, 50*time.Millisecond)}
	return Profile{Up: withQueue(l, 768e3, 500*time.Millisecond), Down: withQueue(l, 1600e3, 500*time.Millisecond)}
}

// GEO is a home behind a geostationary satellite. Up and down again takes 239.6 to 279.0 ms (RFC 2488 §2). The
// rates of 2.96 Mbit/s up and 18.75 Mbit/s down and the median of 629 ms for a round trip are what Ookla
// measured at Viasat's customers in the third quarter of 2021. Variation, loss and queues of half a second
// are round assumptions.
func GEO() Profile {
	l := Link{Latency: 280 * time.Millisecond, Variation: LogNormal(33*time.Millisecond, 0.5), Burst: Fades(0.001, 50*time.Millisecond)}
	return Profile{Up: withQueue(l, 2960e3, 500*time.Millisecond), Down: withQueue(l, 18750e3, 500*time.Millisecond)}
}

// LEO is a home behind a constellation in low orbit: 13.54 Mbit/s up, 87.25 Mbit/s down and a median of 44 ms
// for a round trip, as Ookla measured at Starlink's customers in the third quarter of 2021. The least that
// Michel et al. saw was 20 ms (A First Look at Starlink Performance, IMC 2022). Loss in bursts at handovers is
// reported in A Browser-side View of Starlink Connectivity (IMC 2022); how much is a round assumption, and so
// is the variation.
func LEO() Profile {
	l := Link{Latency: 10 * time.Millisecond, Variation: LogNormal(12*time.Millisecond, 0.4), Burst: Fades(0.005, 100*time.Millisecond)}
	return Profile{Up: withRate(l, 13540e3), Down: withRate(l, 87250e3)}
}

// FlakyWiFi is a laptop at the edge of its access point's range: 20 Mbit/s, a heavy tail of delays, 3 % of
// packets lost in fades of 20 ms, some out of order. All of it is a round assumption. Bursts are even more
// irregular in reality: Carvalho, Angeja and Navarro, A New Packet Loss Model of the IEEE 802.11g Wireless
// Network for Multimedia Communications (2005), find their lengths heavy-tailed.
func FlakyWiFi() Profile {
	l := Link{
		Latency: 2 * time.Millisecond, Variation: Pareto(2*time.Millisecond, 2), Burst: Fades(0.03, 20*time.Millisecond),
		Reorder: 0.005, ReorderBy: 10 * time.Millisecond,
	}
	return Profile{Up: withRate(l, 20e6), Down: withRate(l, 20e6)}
}

func withRate(l Link, rate int64) Link {
	l.Rate = rate
	return l
}

// withQueue gives a link a rate and a queue that takes a given time to drain.
func withQueue(l Link, rate int64, drain time.Duration) Link {
	l.Rate = rate
	l.Queue = int(rate * int64(drain/time.Millisecond) / 8000)
	return l
}

// profiles are all that ProfileNamed knows.
var profiles = map[string]func() Profile{
	"datacenter": DataCenter, "crossregion": CrossRegion, "cable": Cable, "lte": LTE, "umts": UMTS,
	"geo": GEO, "leo": LEO, "flakywifi": FlakyWiFi,
}

// ProfileNames lists the names that [ProfileNamed] knows, in alphabetical order.
func ProfileNames() []string {
	names := make([]string, 0, len(profiles))
	for name := range profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ProfileNamed finds a profile by the name of its function in lower case, such as "lte".
func ProfileNamed(name string) (Profile, error) {
	make, found := profiles[name]
	if !found {
		return Profile{}, fmt.Errorf("netsim: no profile is named %.40q; want %s", name, strings.Join(ProfileNames(), ", "))
	}
	return make(), nil
}
