package edge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// backend is a server behind a [Proxy].
type backend struct {
	addr string

	// The lock of the backends guards these.
	healthy  bool
	draining bool // told to take no new requests
	open     int  // requests that it is at
	requests int  // that it was ever given
}

func (be *backend) inService() bool { return be.healthy && !be.draining }

// backends are those of one proxy.
type backends struct {
	all []*backend

	mu   sync.Mutex // never held while waiting
	turn int
}

func newBackends(addrs []string) *backends {
	bs := &backends{}
	for _, addr := range addrs {
		bs.all = append(bs.all, &backend{addr: addr, healthy: true})
	}
	return bs
}

// begin chooses the backend of a request: the sticky one if it can, else the next in turn that is not
// tried yet; nil if there is none. end must follow.
func (bs *backends) begin(sticky string, tried []*backend) *backend {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	possible := func(be *backend) bool { return be.inService() && !slices.Contains(tried, be) }
	i := slices.IndexFunc(bs.all, func(be *backend) bool { return be.addr == sticky && possible(be) })
	for range bs.all {
		if i >= 0 && possible(bs.all[i]) {
			break
		}
		i = bs.turn % len(bs.all)
		bs.turn++
	}
	if i < 0 || !possible(bs.all[i]) {
		return nil
	}
	be := bs.all[i]
	be.open++
	be.requests++
	return be
}

// end says that a backend, unless nil, is done with a request.
func (bs *backends) end(be *backend) {
	if be == nil {
		return
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	be.open--
}

// BackendStats is a snapshot of what a backend of a [Proxy] does.
type BackendStats struct {
	// Addr is the backend's "host:port".
	Addr string
	// InService: it is healthy, and not drained.
	InService bool
	// Requests is how many requests it was ever given, failed attempts included, and Open how many of
	// them it is at: those that wait for a response, responses that have not ended, WebSockets.
	Requests, Open int
}

// Stats is a snapshot of all backends, in the order of the configuration.
func (p *Proxy) Stats() []BackendStats {
	p.backends.mu.Lock()
	defer p.backends.mu.Unlock()
	var all []BackendStats
	for _, be := range p.backends.all {
		all = append(all, BackendStats{be.addr, be.inService(), be.requests, be.open})
	}
	return all
}

// Drain takes a backend out of service for new requests, those of clients that are tied to it too, and
// leaves those alone that it is at; [Proxy.Stats] tells when they are done. The error says which backends
// there are.
func (p *Proxy) Drain(addr string) error { return p.backends.setDraining(addr, true) }

// Undrain puts a backend back into service; see [Proxy.Drain].
func (p *Proxy) Undrain(addr string) error { return p.backends.setDraining(addr, false) }

func (bs *backends) setDraining(addr string, draining bool) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	var addrs []string
	for _, be := range bs.all {
		if be.addr == addr {
			be.draining = draining
			return nil
		}
		addrs = append(addrs, be.addr)
	}
	return fmt.Errorf("edge proxy: there is no backend %.80q; there are %q", addr, addrs)
}

func (bs *backends) setHealthy(be *backend, healthy bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	be.healthy = healthy
}

// Run checks the backends' health until ctx ends. When it returns, nothing of it is left.
func (p *Proxy) Run(ctx context.Context) {
	// A connection that is open already says nothing of whether there can be another.
	tr := &http.Transport{DialContext: p.cfg.Dial, DisableKeepAlives: true}
	var checks sync.WaitGroup
	for i, be := range p.backends.all {
		// Not all at once: a proxy and what is behind it would be busy by the clock.
		first := p.cfg.HealthInterval * time.Duration(i+1) / time.Duration(len(p.backends.all))
		checks.Go(func() { p.check(ctx, tr, be, first) })
	}
	checks.Wait()
}

// check checks one backend's health, first after a while and then every HealthInterval.
func (p *Proxy) check(ctx context.Context, tr *http.Transport, be *backend, first time.Duration) {
	if pause(ctx, first) != nil {
		return
	}
	ticker := time.NewTicker(p.cfg.HealthInterval)
	defer ticker.Stop()
	for healthy, inARow := true, 0; ctx.Err() == nil; {
		inARow++
		if p.probe(ctx, tr, be) == healthy {
			inARow = 0
		}
		if healthy && inARow == p.cfg.Fall || !healthy && inARow == p.cfg.Rise {
			healthy, inARow = !healthy, 0
			p.backends.setHealthy(be, healthy)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// probe makes one health check.
func (p *Proxy) probe(ctx context.Context, tr *http.Transport, be *backend) bool {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.HealthTimeout)
	defer cancel()
	if p.cfg.HealthPath == "" {
		c, err := p.cfg.Dial(ctx, "tcp", be.addr)
		return err == nil && c.Close() == nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+be.addr+p.cfg.HealthPath, nil)
	if err != nil {
		return false
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	_ = resp.Body.Close() // what there was to learn from it is known
	return err == nil && resp.StatusCode == http.StatusOK
}
