package model

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Latency is how long one message took to one client.
type Latency struct {
	Transport string
	Client    string
	Room      string
	ID        string
	Seq       uint64
	// Step is the step of the delivery.
	Step uint64
	// Published and Delivered are the virtual times of the first call of publish for the message and
	// of its first delivery to the client.
	Published, Delivered time.Duration
}

// Value is the latency itself, from the publisher's call to the client's application. It includes
// whatever the publisher retried and however long the client was away.
func (l Latency) Value() time.Duration { return l.Delivered - l.Published }

// Latencies lists a history's latencies, sorted by transport, then step. Only the first delivery of a
// message to a client counts. Left out is a delivery of what nobody had called publish for; package
// properties rejects those.
func Latencies(h *History) []Latency {
	type message struct{ room, id string }
	type receipt struct {
		client string
		message
	}
	if h == nil {
		return nil
	}
	published := map[message]time.Duration{}
	got := map[receipt]bool{}
	var ls []Latency
	for i := range h.Events {
		e := &h.Events[i]
		m := message{e.Room, e.ID}
		switch e.Kind {
		case PublishCall:
			if _, again := published[m]; !again {
				published[m] = e.Time
			}
		case Deliver:
			at, known := published[m]
			if key := (receipt{e.Node, m}); known && !got[key] {
				got[key] = true
				ls = append(ls, Latency{
					Transport: e.Transport, Client: e.Node, Room: e.Room, ID: e.ID, Seq: e.Seq,
					Step: e.Step, Published: at, Delivered: e.Time,
				})
			}
		}
	}
	slices.SortFunc(ls, func(a, b Latency) int {
		return cmp.Or(cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.Step, b.Step))
	})
	return ls
}

// Distribution is the latencies of one transport.
type Distribution struct {
	Transport string
	// Sorted has every latency, the smallest first. It is never empty.
	Sorted []time.Duration
}

// Distributions groups latencies by transport, sorted by the transport's name.
func Distributions(ls []Latency) []Distribution {
	values := map[string][]time.Duration{}
	for _, l := range ls {
		values[l.Transport] = append(values[l.Transport], l.Value())
	}
	var ds []Distribution
	for transport, sorted := range values {
		slices.Sort(sorted)
		ds = append(ds, Distribution{transport, sorted})
	}
	slices.SortFunc(ds, func(a, b Distribution) int { return cmp.Compare(a.Transport, b.Transport) })
	return ds
}

// Quantile is the nearest-rank quantile: the smallest latency that at least a fraction q of all do not
// exceed. q outside [0, 1] counts as the nearer bound, and NaN as 0.
func (d Distribution) Quantile(q float64) time.Duration {
	n := len(d.Sorted)
	switch {
	case n == 0:
		return 0
	case !(q > 0):
		return d.Sorted[0]
	case q >= 1:
		return d.Sorted[n-1]
	}
	// The tolerance keeps 0.99 × 100, which floating point puts just above 99, at rank 99.
	rank := int(math.Ceil(q*float64(n) - 1e-9*float64(n)))
	return d.Sorted[min(max(rank, 1), n)-1]
}

// Mean is the arithmetic mean; 0 for no latencies.
func (d Distribution) Mean() time.Duration {
	if len(d.Sorted) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range d.Sorted {
		sum += float64(v)
	}
	return time.Duration(math.Round(sum / float64(len(d.Sorted))))
}
