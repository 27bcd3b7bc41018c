package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twohop/twohop/netsim"
)

// Layout is where the parts of a two-hop system are, as data: it prints, parses ([ParseLayout]), is drawn
// ([Topology]) and made smaller, and is applied to a world ([World.Apply]). Its zero value has no region, and is
// not valid.
type Layout []Region

// Region is one place: endpoint servers in a data centre, and clients near by.
type Region struct {
	// Edges is how many endpoint servers there are, 1 to 100, and Clients how many clients each has, 0 to 10000.
	Edges, Clients int
	// Access is how the clients reach the network: the name of a profile ([netsim.ProfileNamed]).
	Access string
	// Away is how far the region is from all others, and from whatever else there is, one way: 0 to 1 s. The
	// first region, where all else is, is 0 away.
	Away time.Duration
}

// Place is a node of a layout.
type Place struct {
	// Name is the node's: "edge-1" or "client-1", counted through all regions.
	Name string
	// Region is its region's index, and Edge, for a client, the name of the endpoint server that it is near to.
	Region int
	Edge   string
}

// Validate says what is wrong with a layout, with the region, the value and what is allowed.
func (l Layout) Validate() error {
	if len(l) == 0 {
		return errors.New("layout: there is no region; want one at least")
	}
	clients := 0
	for i, r := range l {
		field := func(name string, value any, want string) error {
			return fmt.Errorf("layout: region %d: %s: %v; want %s", i+1, name, value, want)
		}
		clients += r.Clients
		switch _, err := netsim.ProfileNamed(r.Access); {
		case r.Edges < 1 || r.Edges > 100:
			return field("edges", r.Edges, "1 to 100")
		case r.Clients < 0 || r.Clients > 10000:
			return field("clients", r.Clients, "0 to 10000")
		case err != nil:
			return field("access", fmt.Sprintf("%.40q", r.Access), strings.Join(netsim.ProfileNames(), ", "))
		case i == 0 && r.Away != 0:
			return field("away", r.Away, "0s: the first region is where all else is")
		case r.Away < 0 || r.Away > time.Second:
			return field("away", r.Away, "0s to 1s")
		}
	}
	if clients == 0 {
		return errors.New("layout: no region has clients; want one client at least")
	}
	return nil
}

// Edges lists the endpoint servers, region by region.
func (l Layout) Edges() []Place {
	var edges []Place
	for i, r := range l {
		for range r.Edges {
			edges = append(edges, Place{Name: fmt.Sprintf("edge-%d", len(edges)+1), Region: i})
		}
	}
	return edges
}

// Clients lists the clients, edge by edge.
func (l Layout) Clients() []Place {
	var clients []Place
	for _, e := range l.Edges() {
		for range l[e.Region].Clients {
			clients = append(clients, Place{Name: fmt.Sprintf("client-%d", len(clients)+1), Region: e.Region, Edge: e.Name})
		}
	}
	return clients
}

// String is the text form, such as "edges=2 clients=3 access=lte; edges=1 clients=5 access=cable away=40ms".
func (l Layout) String() string {
	regions := make([]string, len(l))
	for i, r := range l {
		regions[i] = fmt.Sprintf("edges=%d clients=%d access=%s", r.Edges, r.Clients, r.Access)
		if r.Away != 0 {
			regions[i] += fmt.Sprintf(" away=%v", r.Away)
		}
	}
	return strings.Join(regions, "; ")
}

// ParseLayout reads the text form of a layout: regions with ";" between them, and in each its fields, in any
// order. What is left out is 1 edge, 1 client, access by lte, and 0s away. The layout is valid.
func ParseLayout(text string) (Layout, error) {
	var l Layout
	for part := range strings.SplitSeq(text, ";") {
		r := Region{Edges: 1, Clients: 1, Access: "lte"}
		for _, field := range strings.Fields(part) {
			name, value, _ := strings.Cut(field, "=")
			var err error
			switch name {
			case "edges":
				r.Edges, err = strconv.Atoi(value)
			case "clients":
				r.Clients, err = strconv.Atoi(value)
			case "access":
				r.Access = value
			case "away":
				r.Away, err = time.ParseDuration(value)
			default:
				err = errors.New("the fields are edges, clients, access and away")
			}
			if err != nil {
				return nil, fmt.Errorf("layout: region %d: %.40q: %w", len(l)+1, field, err)
			}
		}
		l = append(l, r)
	}
	return l, l.Validate()
}

// Apply sets the links of a world as a layout says. The world must have, before it runs, a node of each name that
// the layout has ([Layout.Edges], [Layout.Clients]); whatever else it has stands in the first region's data
// centre. Links that are set later hold in their place, and links that were set before do not hold any more.
func (w *World) Apply(l Layout) {
	if err := l.Validate(); err != nil {
		w.Fail(fmt.Errorf("sim: Apply: %w", err))
		return
	}
	inside := netsim.DataCenter()
	w.Fail(w.net.SetProfile("*", "*", inside))
	edges, clients := byRegion(l.Edges(), len(l)), byRegion(l.Clients(), len(l))
	for i, r := range l {
		w.Fail(w.net.SetProfile(edges[i], "*", further(inside, r.Away)))
		w.Fail(w.net.SetProfile("*", edges[i], further(inside, r.Away)))
	}
	for i, r := range l {
		for j, s := range l {
			if i != j || r.Edges > 1 { // there is no link from a host to itself
				w.Fail(w.net.SetProfile(edges[i], edges[j], further(inside, between(i, j, r, s))))
			}
		}
	}
	for i, r := range l {
		if clients[i] == "" {
			continue
		}
		access, err := netsim.ProfileNamed(r.Access)
		w.Fail(err)
		w.Fail(w.net.SetProfile(clients[i], "*", further(access, r.Away)))
		for j, s := range l {
			w.Fail(w.net.SetProfile(clients[i], edges[j], further(access, between(i, j, r, s))))
		}
	}
}

// byRegion gives, for each region, a pattern for its nodes; "" if it has none.
func byRegion(places []Place, regions int) []string {
	patterns := make([]string, regions)
	for _, p := range places {
		if patterns[p.Region] != "" {
			patterns[p.Region] += "|"
		}
		patterns[p.Region] += p.Name
	}
	return patterns
}

// between is how far two regions are from each other, by way of where all else is.
func between(i, j int, a, b Region) time.Duration {
	if i == j {
		return 0
	}
	return a.Away + b.Away
}

// further is a profile with so much more latency.
func further(p netsim.Profile, by time.Duration) netsim.Profile {
	p.Up.Latency += by
	p.Down.Latency += by
	return p
}
