package scenarios

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
)

// P2P is people who edit one document: the document's messages come from a server, over WebSocket, and their
// cursors go from each to each over WebRTC, once over a reliable and once over an unreliable data channel,
// for comparison. Peers are behind NATs. [NewP2P] gives it its defaults.
type P2P struct {
	// Peers is how many people there are; each opens a pair with every other.
	Peers int
	// NAT is what each peer is behind: "public" for nothing, a NAT's type, or "mixed" for one after the other.
	NAT string
	// TURN says whether there is a relay, "on" or "off".
	TURN string
	// Rate is how many cursor positions each peer sends per second, to each other.
	Rate float64
	// Latency, Jitter, Loss and Reorder are those of every link of the wide area, one way. What is reordered is
	// held up by at most two intervals of Rate.
	Latency, Jitter time.Duration
	Loss, Reorder   float64
	// Duration is how long a run takes. Cursors rest for its last fifth, at least 4 s.
	Duration time.Duration

	mutant string
}

// NewP2P gives six peers behind a mixture of NATs.
func NewP2P() *P2P {
	return &P2P{
		Peers: 6, NAT: "mixed", TURN: "on", Rate: 10,
		Latency: 30 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.02, Reorder: 0.02,
		Duration: 20 * time.Second,
	}
}

// Name implements [Scenario].
func (*P2P) Name() string { return "p2p" }

// Summary implements [Scenario].
func (*P2P) Summary() string {
	return "peers behind NATs share cursors over WebRTC, beside a document from a server"
}

// accesses are what a peer can be behind; "public" is nothing.
var accesses = []string{
	"public", netsim.FullCone.String(), netsim.RestrictedCone.String(), netsim.PortRestrictedCone.String(), netsim.Symmetric.String(),
}

const mixedNAT = "mixed"

// Params implements [Scenario].
func (p *P2P) Params() []Param {
	return []Param{
		{"peers", "people, each with a pair to every other", intValue{&p.Peers, 2, 30, "peers"}},
		{"nat", "what peers are behind; mixed is one after the other", choiceValue{&p.NAT, append([]string{mixedNAT}, accesses...)}},
		{"turn", "whether there is a relay", choiceValue{&p.TURN, []string{"on", "off"}}},
		{"rate", "cursor positions of each peer", floatValue{&p.Rate, 0.1, 200, "positions/s"}},
		{"latency", "one-way delay of the wide area", durationValue{&p.Latency, 0, 2 * time.Second}},
		{"jitter", "how much that delay varies, each way; at most latency", durationValue{&p.Jitter, 0, 2 * time.Second}},
		{"loss", "packets lost there, each way", floatValue{&p.Loss, 0, 0.5, "probability"}},
		{"reorder", "packets that may be overtaken there", floatValue{&p.Reorder, 0, 1, "probability"}},
		{"duration", "virtual time", durationValue{&p.Duration, 15 * time.Second, time.Hour}},
	}
}

// The mutants of P2P.
const (
	mutantStaleCursor = "stale-cursor"
	mutantNoRelay     = "no-relay"
)

// Mutants implements [Scenario].
func (*P2P) Mutants() []Mutant {
	return []Mutant{
		{mutantStaleCursor, "a peer shows every position that comes, even one that was overtaken", "LatestWins"},
		{mutantNoRelay, "peers do not use the relay that is there", "Pairs"},
	}
}

// Mutate implements [Scenario].
func (p *P2P) Mutate(name string) error { return mutate(p, name, &p.mutant) }

// Properties implements [Scenario]: those of every log, for the document, and two of this experiment.
func (p *P2P) Properties() []model.Property {
	var all []model.Property
	for _, of := range properties.All() {
		all = append(all, ofDocument{of})
	}
	return append(all, pairs{*p}, latestWins{})
}

// Length implements [Scenario].
func (p *P2P) Length() time.Duration { return p.Duration }

// Validate implements [Scenario].
func (p *P2P) Validate() error {
	if p.Jitter > p.Latency {
		return fmt.Errorf("parameter jitter: %v is not allowed: want at most the latency, %v", p.Jitter, p.Latency)
	}
	return nil
}

// Configure implements [Scenario].
func (*P2P) Configure(*sim.Config) {}

// Run implements [Scenario].
func (p *P2P) Run(w *sim.World) error {
	p.Build(w)
	w.RunFor(p.Duration)
	w.Check(p.Properties()...)
	return nil
}

// Outcome implements [Inexact]: runs are compared by the kinds of addresses that each pair selected, or that
// it could not be opened, by what is in the document, and by the last position that everyone saw of everyone.
func (p *P2P) Outcome() func(*model.History) []string { return p.outcome }

// Figures implements [Illustrator].
func (*P2P) Figures(h *model.History) []plots.Named {
	return []plots.Named{{Name: "staleness", Figure: plots.Staleness(cursorsOf(h))}}
}

// access is what the i-th peer is behind, counting from 1.
func (p *P2P) access(i int) string {
	if p.NAT == mixedNAT {
		return accesses[(i-1)%len(accesses)]
	}
	return p.NAT
}

// punches says whether peers behind these can reach each other without a relay: not if one of them is given a new
// mapping for each destination, and the other lets in only the very port that it has sent to, which it cannot
// know (RFC 5128 §3.3).
func punches(a, b string) bool {
	strict := func(s string) bool {
		return s == netsim.PortRestrictedCone.String() || s == netsim.Symmetric.String()
	}
	symmetric := netsim.Symmetric.String()
	return !(a == symmetric && strict(b) || b == symmetric && strict(a))
}

// What happens between peers goes into the history as that of rooms. Room "pairs" has a message for each pair,
// which the peer that offers publishes, and which both deliver as soon as the pair is open. A peer's cursor is
// one room for each channel, whose positions are its messages.
const (
	documentRoom = "document"
	pairsRoom    = "pairs"

	reliable   = "reliable"
	unreliable = "unreliable"
)

func peerName(i int) string { return fmt.Sprintf("peer-%d", i) }

func pairID(i, j int) string { return peerName(min(i, j)) + "+" + peerName(max(i, j)) }

func cursorRoom(channel, peer string) string { return "cursor-" + channel + "-" + peer }
