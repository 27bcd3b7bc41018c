package sim

import (
	"net/http"
	"sync/atomic"

	"github.com/twohop/twohop/netsim"
)

// Usage is what a host has used of the network by the end of a run, through all of its node's lives. To
// measure it changes nothing in the run: its trace hash is the same.
type Usage struct {
	netsim.Counters
	// Requests counts the HTTP requests that went through [Node.Metered], whatever became of them, and
	// Upgrades those that were answered with 101 Switching Protocols, as a WebSocket's opening is.
	Requests uint64 `json:"requests"`
	Upgrades uint64 `json:"upgrades"`
}

// meter counts the HTTP requests of one host.
type meter struct {
	requests, upgrades atomic.Uint64
}

// Metered gives a client that counts its requests in the [Result]'s Usage, and is like client otherwise.
func (n *Node) Metered(client *http.Client) *http.Client {
	metered := *client
	metered.Transport = &meteredTransport{client.Transport, n.w.meterOf(n.Name())}
	return &metered
}

// meterOf gives the meter of a node's host. Nodes of several goroutines may ask.
func (w *World) meterOf(host string) *meter {
	w.metersMu.Lock()
	defer w.metersMu.Unlock()
	m := w.meters[host]
	if m == nil {
		m = new(meter)
		w.meters[host] = m
	}
	return m
}

// meteredTransport counts what passes.
type meteredTransport struct {
	base  http.RoundTripper // nil means http.DefaultTransport
	meter *meter
}

func (t *meteredTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.meter.requests.Add(1)
	resp, err := t.through().RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		t.meter.upgrades.Add(1)
	}
	return resp, err
}

func (t *meteredTransport) through() http.RoundTripper {
	if t.base == nil {
		return http.DefaultTransport
	}
	return t.base
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (t *meteredTransport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// usage reads all counters.
func (w *World) usage() map[string]Usage {
	all := make(map[string]Usage)
	for _, h := range w.net.Hosts() {
		m := w.meterOf(h.Name())
		all[h.Name()] = Usage{Counters: h.Counters(), Requests: m.requests.Load(), Upgrades: m.upgrades.Load()}
	}
	return all
}
