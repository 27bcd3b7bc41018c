package scenarios

import (
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// brokerLoad is what a run says of one load.
type brokerLoad struct {
	offered     float64 // share of the card's rate
	rate        float64 // of the publisher, messages per second
	utilization float64 // of the card, headers, acknowledgements and answers included
	took        model.Distribution
	queue       model.QueueWindow // the messages at the card, as they were published
	form        model.FanoutQueue
	headers     float64       // share of the bytes that is headers of packets, if each copy and each answer has one of its own
	turns       time.Duration // by which the average copy is later if copies take turns, packet by packet; 0 if each is one packet
}

// loads sums a history up by load; none if it is not that of the latest run.
func (l *BrokerLoad) loads(h *model.History) []brokerLoad {
	if len(l.sent) != len(brokerLoads) {
		return nil
	}
	of := func(at time.Duration) int { return max(0, int((at-brokerLoadStart)/l.Each)) }
	all := make([]brokerLoad, len(brokerLoads))
	copies := make([]int, len(all)) // that came
	for i := range h.Events {
		e := &h.Events[i]
		load := of(e.Time)
		if load >= len(all) {
			break
		}
		switch e.Kind {
		case model.PublishCall:
			all[load].queue.Arrivals = append(all[load].queue.Arrivals, e.Time)
		case model.Deliver:
			copies[load]++
		}
	}
	took := make([][]model.Latency, len(all))
	for _, latency := range model.Latencies(h) {
		if load := of(latency.Published); load < len(all) && latency.Published >= brokerLoadStart {
			took[load] = append(took[load], latency)
		}
	}
	var before cardBytes
	last, left := time.Duration(0), time.Duration(0)
	for i := range all {
		a, sent := &all[i], l.sent[i]
		// Both are counted where they come, so that what waits at the card counts for neither.
		messages := float64(max(copies[i], 1)) / float64(l.Edges)
		bytes := float64(sent.edges+sent.publishers-before.edges-before.publishers) / messages
		rest := float64(sent.publishers-before.publishers) / messages
		a.form = model.FanoutQueue{Copies: l.Edges, Service: l.sending(bytes), Rest: l.sending(rest)}
		a.headers = tcpHeaders * float64(l.Edges+1) / bytes
		if bytes-rest > fullPacket*float64(l.Edges) {
			a.turns = l.sending(bytes-rest) * time.Duration(l.Edges-1) / time.Duration(2*l.Edges)
		}
		a.queue.From, a.queue.To, a.queue.Service, a.queue.Start = last, l.end(i), a.form.Service, left
		_, left = a.queue.Waits()
		a.offered, a.rate = brokerLoads[i], l.rates[i]
		a.utilization = bytes * messages * 8 / l.bitsPerSecond() / (a.queue.To - last).Seconds()
		if ds := model.Distributions(took[i]); len(ds) == 1 {
			a.took = ds[0]
		}
		before, last = sent, a.queue.To
	}
	return all
}

// tcpHeaders is how many bytes a packet of TCP over IPv4 has at least before its data (RFC 791, RFC 9293), and
// fullPacket how many it has at most, on Ethernet (RFC 894).
const (
	tcpHeaders = 40
	fullPacket = 1500
)

// sending is how long the card needs for so many bytes.
func (l *BrokerLoad) sending(bytes float64) time.Duration {
	return time.Duration(bytes * 8 / l.bitsPerSecond() * float64(time.Second))
}

// mean is the closed form's mean latency: twice across the network, and through the card.
func (l *BrokerLoad) mean(q model.FanoutQueue, utilization float64) time.Duration {
	if d := q.Delay(utilization); d < time.Hour {
		return 2*l.Latency + d
	}
	return time.Hour
}

// overloaded tells whether the load is more than the card can take.
func (a *brokerLoad) overloaded() bool { return a.offered >= 1 || a.utilization >= 0.99 }

// cardPath is what a card with the messages of a run must do at one load.
type cardPath struct {
	mean time.Duration // latency
	most time.Duration // that a copy takes through the queue and the card
}

// path is the closed form for the moments at which the run's messages were published. Each is so many times the work
// that those of its load are on average.
func (l *BrokerLoad) path(loads []brokerLoad, work func(*brokerLoad) float64) []cardPath {
	var messages []model.FanoutMessage
	for i := range loads {
		a := &loads[i]
		times := work(a)
		rest := time.Duration(times * float64(a.form.Rest))
		copies := time.Duration(times*float64(a.form.Service)) - rest
		for _, at := range a.queue.Arrivals {
			messages = append(messages, model.FanoutMessage{At: at, Copies: copies, Rest: rest})
		}
	}
	form := model.FanoutPath{Copies: l.Edges}
	if strings.HasPrefix(l.Hop2, "redis") {
		// Its client has one pipeline of commands on its way at a time.
		form.Gather, form.Turn = redisGather, 2*l.Latency
	}
	delays := form.Delays(messages)
	paths := make([]cardPath, len(loads))
	for i, a := range loads {
		n, sum := 0, time.Duration(0)
		for k, d := range delays[:len(a.queue.Arrivals)] {
			if a.queue.Arrivals[k] >= brokerLoadStart {
				n, sum = n+1, sum+d
			}
			paths[i].most = max(paths[i].most, d)
		}
		paths[i].mean = 2*l.Latency + sum/time.Duration(max(n, 1))
		delays = delays[len(a.queue.Arrivals):]
	}
	return paths
}

// asMeasured has all messages of a load be the work that they are on average.
func asMeasured(*brokerLoad) float64 { return 1 }

// redisGather is how long a client of Redis waits for further commands before it sends one; see package hop2.
const redisGather = 50 * time.Microsecond
