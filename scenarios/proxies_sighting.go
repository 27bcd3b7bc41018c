package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// sighting is what the clients of one transport behind one balancer saw.
type sighting struct {
	clients   int
	connected map[string]bool
	cuts      int // connections that ended against the client's will
	waits     []time.Duration
	peers     map[string]map[string]bool // by client
	failure   string                     // of the first client that never connected, if that is known
}

// sightings sorts what a history has of the time when the options were in force, by transport and balancer.
func (p *Proxies) sightings(h *model.History) map[sightingKey]*sighting {
	all := make(map[sightingKey]*sighting)
	of := make(map[string]*sighting) // by client
	for _, k := range p.kinds() {
		for _, transport := range p.transports() {
			s := &sighting{clients: p.Clients, connected: make(map[string]bool), peers: make(map[string]map[string]bool)}
			all[sightingKey{k.name, transport}] = s
			for i := range p.Clients {
				of[clientName(k.name, transport, i)] = s
			}
		}
	}
	for i := range h.Events {
		e := &h.Events[i]
		s := of[e.Node]
		if s == nil || e.Time > p.Duration {
			continue
		}
		switch e.Kind {
		case model.Connected:
			s.connected[e.Node] = true
		case model.Disconnected:
			if e.Note != model.NoteStopped {
				s.cuts++
			}
		}
		if e.Peer != "" {
			if s.peers[e.Node] == nil {
				s.peers[e.Node] = make(map[string]bool)
			}
			s.peers[e.Node][e.Peer] = true
		}
	}
	for _, l := range model.Latencies(h) {
		if l.Delivered > p.Duration {
			continue
		}
		of[l.Client].waits = append(of[l.Client].waits, l.Value())
	}
	for client, s := range of {
		slices.Sort(s.waits)
		if why := p.failure(client); !s.connected[client] && why != "" && (s.failure == "" || why < s.failure) {
			s.failure = why
		}
	}
	return all
}

// quantile of a sighting's latencies; 0 if there are none.
func (s *sighting) quantile(q float64) time.Duration {
	if len(s.waits) == 0 {
		return 0
	}
	return s.waits[int(q*float64(len(s.waits)-1))].Round(time.Millisecond)
}

// outcome says it in a few words: it works if nobody is cut off and at most one in ten messages is late by
// more than what the baseline's slowest in a hundred are, half as much again.
func (s *sighting) outcome(baseline *sighting) string {
	if len(s.connected) < s.clients {
		return fmt.Sprintf("fails: %s", shorten(s.failure))
	}
	word := "works"
	if s.cuts > 0 || s.quantile(0.9) > baseline.quantile(0.99)*3/2 {
		word = "degraded"
	}
	text := fmt.Sprintf("%s: p50 %v, p99 %v", word, s.quantile(0.5), s.quantile(0.99))
	if s.cuts > 0 {
		text += fmt.Sprintf(", %.1f cuts each", float64(s.cuts)/float64(s.clients))
	}
	return text
}

// edges is how many edges served a client, on average.
func (s *sighting) edges() string {
	if len(s.peers) == 0 {
		return "-"
	}
	sum := 0
	for _, peers := range s.peers {
		sum += len(peers)
	}
	return fmt.Sprintf("%.1f", float64(sum)/float64(len(s.peers)))
}

// shorten cuts an error's text for a cell of a table.
func shorten(text string) string {
	const most = 60
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
