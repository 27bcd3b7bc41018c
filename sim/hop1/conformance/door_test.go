package conformance

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// door is a TCP proxy on loopback in front of the live edges, as an L4 balancer is, that can be made to
// misbehave.
type door struct {
	l     net.Listener
	idle  time.Duration // after which it forgets a connection: whoever speaks next is reset; 0 is never
	tasks sync.WaitGroup

	mu       sync.Mutex
	backends []string
	turn     int
	gate     chan struct{} // of new passages; nil is open
	passages map[*passage]bool
	closed   bool
}

// passage is one connection through the door.
type passage struct {
	near, far *net.TCPConn
	backend   string

	mu   sync.Mutex
	gate chan struct{} // nil, or closed when what was held up may go on
	used time.Time
}

func openDoor(t *testing.T, idle time.Duration) *door {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &door{l: l, idle: idle, passages: map[*passage]bool{}}
	d.tasks.Go(d.accept)
	t.Cleanup(func() {
		require.NoError(t, d.l.Close())
		d.mu.Lock()
		d.closed = true
		d.mu.Unlock()
		d.cut("")
		d.thaw()
		d.tasks.Wait()
	})
	return d
}

func (d *door) url() string { return "http://" + d.l.Addr().String() }

func (d *door) accept() {
	for {
		c, err := d.l.Accept()
		if err != nil {
			return
		}
		d.tasks.Go(func() { d.serve(c.(*net.TCPConn)) })
	}
}

// serve carries one connection, to the next backend in turn.
func (d *door) serve(near *net.TCPConn) {
	d.mu.Lock()
	var backend string
	if len(d.backends) > 0 {
		backend = d.backends[d.turn%len(d.backends)]
		d.turn++
	}
	d.mu.Unlock()
	far, err := net.Dial("tcp", backend)
	if err != nil {
		reset(near)
		return
	}
	p := &passage{near: near, far: far.(*net.TCPConn), backend: backend, used: time.Now()}
	d.mu.Lock()
	p.gate = d.gate
	closed := d.closed
	d.passages[p] = true
	d.mu.Unlock()
	if closed {
		p.cut()
	}
	var halves sync.WaitGroup
	halves.Go(func() { p.copy(p.far, p.near, d.idle) })
	halves.Go(func() { p.copy(p.near, p.far, d.idle) })
	halves.Wait()
	p.cut()
	d.mu.Lock()
	delete(d.passages, p)
	d.mu.Unlock()
}

func (p *passage) copy(dst, src *net.TCPConn, idle time.Duration) {
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		if !p.admit(idle) {
			p.cut()
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				p.cut()
				return
			}
		}
		if err != nil {
			_ = dst.CloseWrite() // the other half may go on
			if errors.Is(err, net.ErrClosed) {
				p.cut()
			}
			return
		}
	}
}

// admit waits while the passage is frozen, and tells whether the door still knows it.
func (p *passage) admit(idle time.Duration) bool {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := idle == 0 || time.Since(p.used) <= idle
	p.used = time.Now()
	return known
}

// cut resets both ends.
func (p *passage) cut() {
	reset(p.near)
	reset(p.far)
}

// reset closes a connection with a RST. That it may be closed already is no error.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// cut resets every present passage, or those to one backend.
func (d *door) cut(backend string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.passages {
		if backend == "" || p.backend == backend {
			p.cut()
		}
	}
}

// freeze makes every present passage, and the new ones too if so told, swallow time: nothing is
// carried, nothing refused, until thaw.
func (d *door) freeze(fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	for p := range d.passages {
		p.mu.Lock()
		p.gate = gate
		p.mu.Unlock()
	}
	if fresh {
		d.gate = gate
	}
}

func (d *door) thaw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate = nil
	for p := range d.passages {
		p.mu.Lock()
		if p.gate != nil {
			select {
			case <-p.gate: // another passage's as well
			default:
				close(p.gate)
			}
		}
		p.gate = nil
		p.mu.Unlock()
	}
}

func (d *door) add(backend string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backends = append(d.backends, backend)
}

func (d *door) remove(backend string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backends = slices.DeleteFunc(d.backends, func(b string) bool { return b == backend })
}
