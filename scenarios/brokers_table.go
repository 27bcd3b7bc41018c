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
	recovers := b.Fault == faultRestart || b.Fault == faultPartition
	if recovers {
		t.Head = append(t.Head, "back after")
	}
	for _, strategy := range b.strategies() {
		tally := b.tally(h, strategy)
		if len(tally.undisturbed) == 0 {
			continue
		}
		q, used := quantilesOf(tally.undisturbed), b.used[strategy]
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
	// undisturbed are the latencies, from the publisher's call to the edge, of what was published early enough
	// to come before the fault.
	undisturbed     []time.Duration
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

// undisturbedFor is how long before the fault a message must have been published to count as undisturbed: much
// longer than a message takes that nothing holds up but a poll's interval.
const undisturbedFor = 1500 * time.Millisecond

func (b *Brokers) tally(h *model.History, strategy string) (t brokersTally) {
	from, to := b.Duration/4, b.Duration/4+b.Outage
	for _, l := range model.Latencies(h) {
		if l.Transport == strategy && l.Published < from-undisturbedFor {
			t.undisturbed = append(t.undisturbed, l.Value())
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
