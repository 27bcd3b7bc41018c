package scenarios

import (
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/sim"
)

// Metrics is what one transport cost and did in a run, over all its clients. A client is a host in whose
// name events of one transport were recorded; what publishers and servers used is not in it, nor what
// clients did that never connected.
type Metrics struct {
	Clients   int `json:"clients"`
	Delivered int `json:"delivered"`
	// BytesSent and BytesReceived are those of IP packets at the clients, headers, acknowledgements and
	// retransmissions included, and Packets how many there were, both ways.
	BytesSent     uint64 `json:"bytes_sent"`
	BytesReceived uint64 `json:"bytes_received"`
	Packets       uint64 `json:"packets"`
	// BytesPerMessage is both together by what was delivered; 0 if nothing was.
	BytesPerMessage float64 `json:"bytes_per_message"`
	// Connections counts subscriptions that were agreed: one for each time that a client was connected.
	Connections int `json:"connections"`
	// Handshakes counts TCP connections that the clients opened, Requests their HTTP requests, and Upgrades
	// the handshakes of WebSockets, by which some of these ended.
	Handshakes uint64 `json:"tcp_handshakes"`
	Requests   uint64 `json:"http_requests"`
	Upgrades   uint64 `json:"websocket_upgrades"`
	// ReconnectMS is the time from a client's noticing that its connection is lost to the next one, and
	// OutageMS from the fault, where there was one; see [model.Outage].
	ReconnectMS Quantiles `json:"reconnect_ms"`
	OutageMS    Quantiles `json:"outage_ms"`
	// MemoryBytes is what an idle connection takes of the process, both ends together. It is measured, so
	// that it differs from run to run, unlike all else; 0 if it was not.
	MemoryBytes int `json:"memory_bytes_per_connection,omitempty"`
}

// metrics sums up a run by transport.
func metrics(res *sim.Result) map[string]*Metrics {
	all := make(map[string]*Metrics)
	of := func(transport string) *Metrics {
		m := all[transport]
		if m == nil {
			m = new(Metrics)
			all[transport] = m
		}
		return m
	}
	for i := range res.History.Events {
		switch e := &res.History.Events[i]; e.Kind {
		case model.Connected:
			of(e.Transport).Connections++
		case model.Deliver:
			of(e.Transport).Delivered++
		}
	}
	for client, transport := range clientTransports(res.History) {
		if used, ok := res.Usage[client]; ok {
			of(transport).add(used)
		}
	}
	for _, m := range all {
		if m.Delivered > 0 {
			m.BytesPerMessage = tenths(float64(m.BytesSent+m.BytesReceived) / float64(m.Delivered))
		}
	}
	reconnects, outages := make(map[string][]time.Duration), make(map[string][]time.Duration)
	for _, o := range model.Outages(res.History) {
		reconnects[o.Transport] = append(reconnects[o.Transport], o.Reconnect())
		outages[o.Transport] = append(outages[o.Transport], o.Length())
	}
	for transport := range outages {
		of(transport).ReconnectMS = quantilesOf(reconnects[transport])
		of(transport).OutageMS = quantilesOf(outages[transport])
	}
	return all
}

// clientTransports says what each client used: those that used one transport only.
func clientTransports(h *model.History) map[string]string {
	of := make(map[string]string)
	several := make(map[string]bool)
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind != model.Connected && e.Kind != model.Deliver {
			continue
		}
		if t, known := of[e.Node]; known && t != e.Transport {
			several[e.Node] = true
		}
		of[e.Node] = e.Transport
	}
	for client := range several {
		delete(of, client)
	}
	return of
}

func (m *Metrics) add(u sim.Usage) {
	m.Clients++
	m.BytesSent += u.BytesSent
	m.BytesReceived += u.BytesReceived
	m.Packets += u.PacketsSent + u.PacketsReceived
	m.Handshakes += u.Opened
	m.Requests += u.Requests
	m.Upgrades += u.Upgrades
}

// tenths rounds to one decimal.
func tenths(v float64) float64 { return micro(v/100) * 100 }

// quantilesOf sums up durations, in any order.
func quantilesOf(ds []time.Duration) Quantiles {
	if len(ds) == 0 {
		return Quantiles{}
	}
	ms := make([]float64, len(ds))
	for i, d := range ds {
		ms[i] = float64(d) / float64(time.Millisecond)
	}
	slices.Sort(ms)
	q := func(p float64) float64 { return micro(stat.Quantile(p, stat.Empirical, ms, nil)) }
	return Quantiles{len(ms), q(0.5), q(0.9), q(0.99), micro(ms[len(ms)-1])}
}

// wireFigure draws what a message cost on each transport, if there is more than one to compare.
func (r *Report) wireFigure() []plots.Named {
	var bars []plots.WireBar
	for _, name := range r.Transports() {
		if m := r.Metrics[name]; m != nil && m.Clients > 0 && m.Delivered > 0 {
			bars = append(bars, plots.WireBar{
				Transport: name, Messages: m.Delivered, Sent: m.BytesSent, Received: m.BytesReceived,
			})
		}
	}
	if len(bars) < 2 {
		return nil
	}
	return []plots.Named{{Name: "bytes-per-message", Figure: plots.BytesPerMessage(bars)}}
}
