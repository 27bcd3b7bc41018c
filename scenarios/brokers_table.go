package scenarios

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
)

// Tables implements [Tabulator]: what each strategy took and cost.
func (b *Brokers) Tables(h *model.History) []Table {
	t := Table{
		Title: "What each strategy took and cost",
		Head:  []string{"strategy", "latency p50", "p99", "gaps", "packets at the source", "bytes", "bytes/message"},
	}
	recovers := b.recovers()
	if recovers {
		t.Head = append(t.Head, "back after")
	}
	for _, strategy := range b.strategies() {
		tally := b.tally(h, strategy)
		if len(tally.undisturbed) == 0 {
			continue
		}
		q, used := quantilesOf(distribution(tally.undisturbed).Sorted), b.used[strategy]
		row := []string{
			strategy, fmt.Sprintf("%.1f ms", q.P50), fmt.Sprintf("%.1f ms", q.P99), fmt.Sprint(tally.gaps),
			fmt.Sprint(used.PacketsSent + used.PacketsReceived), fmt.Sprint(used.Bytes()),
			fmt.Sprintf("%.0f", float64(used.Bytes())/float64(max(tally.published, 1))),
		}
		if recovers {
			row = append(row, tally.back())
		}
		t.Rows = append(t.Rows, row)
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []Table{t}
}

// brokersTally is what a history says of one strategy.
type brokersTally struct {
	// undisturbed are the latencies, from the publisher's call to the edge, of what was published late enough not to
	// wait for connections, and early enough to come before anything failed.
	undisturbed     []model.Latency
	calm            stretch // in which that was published
	published, gaps int
	// recovered is when, counted from the fault's end, the last of the edges and rooms that were served got
	// a message again; missing is how many of them never did.
	recovered time.Duration
	missing   int
}

// back says when all were served again.
func (t *brokersTally) back() string {
	if t.missing > 0 {
		return fmt.Sprintf("never, %d of the edges' rooms", t.missing)
	}
	return milliseconds(t.recovered)
}

// undisturbedFor is how long before a fault a message must have been published to count as undisturbed: much
// longer than a message takes that nothing holds up but a poll's interval. connecting is how long after the first one it
// must have been, if there is as much time again.
const (
	undisturbedFor = 1500 * time.Millisecond
	connecting     = time.Second
)

// stretch is a stretch of time, without its end.
type stretch struct{ from, to time.Duration }

func (s stretch) has(at time.Duration) bool { return at >= s.from && at < s.to }

// calm is when messages are published undisturbed, if the first fault begins then.
func (b *Brokers) calm(fault time.Duration) stretch {
	first, last := b.publishing(), fault-undisturbedFor
	return stretch{first + max(0, min(connecting, (last-first)/2)), last}
}

func (b *Brokers) tally(h *model.History, strategy string) (t brokersTally) {
	from, to := b.faulty()
	t.calm = b.calm(from)
	for i := range h.Events {
		if e := &h.Events[i]; e.Kind == model.FaultBegin {
			t.calm = b.calm(min(from, e.Time))
			break
		}
	}
	for _, l := range model.Latencies(h) {
		if l.Transport == strategy && t.calm.has(l.Published) {
			t.undisturbed = append(t.undisturbed, l)
		}
	}
	rooms, again := map[string]bool{}, map[reader]time.Duration{}
	for i := range b.Rooms {
		rooms[strategyRoom(strategy, i)] = true
	}
	for i := range h.Events {
		e := &h.Events[i]
		if !rooms[e.Room] {
			continue
		}
		switch e.Kind {
		case model.PublishOK:
			t.published++
		case model.Discontinuity:
			t.gaps++
		case model.Deliver:
			r := reader{e.Node, e.Room}
			if _, known := again[r]; !known && e.Time >= to {
				again[r] = e.Time - to
				t.recovered = max(t.recovered, e.Time-to)
			}
		}
	}
	t.missing = b.Rooms - len(again)
	if !b.shared(strategy) {
		t.missing = b.allEdges()*b.Rooms - len(again)
	}
	return t
}

// measure keeps what the sources have used of the network.
func (sys *BrokersSystem) measure(net *netsim.Network) {
	sys.brokers.used = map[string]netsim.Counters{}
	for strategy, from := range sys.sources {
		var sum netsim.Counters
		for _, node := range from.nodes {
			c := net.Host(node).Counters()
			sum.PacketsSent += c.PacketsSent
			sum.PacketsReceived += c.PacketsReceived
			sum.BytesSent += c.BytesSent
			sum.BytesReceived += c.BytesReceived
		}
		sys.brokers.used[strategy] = sum
	}
}
