package netsim

import (
	"context"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// A balancer's health checks are HAProxy's of TCP: a SYN, which whoever listens answers with SYN and ACK, and a RST
// for that, so that the handshake is never complete and no program of the backend notices. (So does the monitor
// tcp_half_open of F5's BIG-IP.) A RST in answer to the SYN fails the check, and so does silence.

// probe is a check under way.
type probe struct {
	box     *Balancer
	backend *backend
	key     connKey
	iss     uint32
}

// checking is a life of the balancer's process: what was planned in an earlier one is void.
type checking struct{ began time.Duration }

// Run checks the backends' health until ctx ends. It is the balancer's process, to be run by a
// goroutine of its host.
func (b *Balancer) Run(ctx context.Context) {
	n, life := b.host.net, new(checking)
	n.Submit(b.host, 0, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if ctx.Err() != nil || !b.host.up {
			return
		}
		b.life, life.began = life, n.clock
		for _, be := range b.backends {
			be.inARow = 0
			b.planCheck(life, be, 1)
		}
	})
	<-ctx.Done()
	n.Submit(b.host, 0, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if b.life == life {
			b.endChecks()
		}
	})
}

// endChecks gives up the checks under way, and makes no more.
func (b *Balancer) endChecks() {
	b.life = nil
	clear(b.host.probes)
	for _, be := range b.backends {
		be.probe = nil
	}
}

// planCheck plans a backend's count-th check in a life, and so on.
func (b *Balancer) planCheck(life *checking, be *backend, count time.Duration) {
	at := life.began + count*b.cfg.HealthInterval
	b.host.net.planPatient(event{at: at, kind: eventBox, fn: func() {
		if b.life != life {
			return
		}
		if be.probe == nil {
			b.check(be)
		}
		b.planCheck(life, be, count+1)
	}}, at+b.host.leastLatency())
}

// check begins a check.
func (b *Balancer) check(be *backend) {
	h := b.host
	port, ok := h.freePort(be.addr)
	if !ok {
		b.checked(be, false)
		return
	}
	p := &probe{box: b, backend: be, key: keyOf(be.addr, port), iss: uint32(h.luck.Uint64())}
	be.probe, h.probes[p.key] = p, p
	syn := tcp.Segment{Seq: p.iss, Flags: tcp.SYN, Window: 1<<16 - 1, WScale: -1}
	h.net.planPatient(event{at: h.net.clock + b.cfg.HealthTimeout, kind: eventBox, fn: func() {
		if be.probe == p {
			p.end(false)
		}
	}}, never)
	h.net.send(h, nil, h.net.newSegment(endpoint{h.ip, port}, be.addr, &syn))
}

// answer is what has come for a check.
func (p *probe) answer(got *packet) {
	opens := got.seg.Flags.Has(tcp.SYN | tcp.ACK)
	switch {
	case !got.seg.Flags.Has(tcp.ACK) || got.seg.Ack != p.iss+1:
		// not for this SYN
	case got.seg.Flags.Has(tcp.RST):
		p.end(false)
	case opens:
		p.end(true)
	}
	p.box.host.refuse(got)
}

func (p *probe) end(healthy bool) {
	delete(p.box.host.probes, p.key)
	p.backend.probe = nil
	p.box.checked(p.backend, healthy)
}

// checked takes a check's result.
func (b *Balancer) checked(be *backend, healthy bool) {
	if healthy == be.healthy {
		be.inARow = 0
		return
	}
	be.inARow++
	if be.healthy && be.inARow == b.cfg.Fall || !be.healthy && be.inARow == b.cfg.Rise {
		be.healthy, be.inARow = healthy, 0
	}
}
