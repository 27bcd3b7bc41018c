package simtest

import (
	"net"
	"sync"
	"syscall"
)

// Pipes is a listener whose connections are pipes in memory. It is safe for concurrent use.
type Pipes struct {
	backlog chan net.Conn
	done    chan struct{}

	mu     sync.Mutex // never held while waiting
	closed bool
}

// backlogLimit is how many connections wait to be accepted; more are refused.
const backlogLimit = 1000

// Listen gives a listener that is open.
func Listen() *Pipes {
	return &Pipes{backlog: make(chan net.Conn, backlogLimit), done: make(chan struct{})}
}

// Connect makes a connection, which is there before it is accepted. A listener that is closed, or whose
// backlog is full, refuses it with ECONNREFUSED.
func (p *Pipes) Connect() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.backlog) == backlogLimit {
		return nil, syscall.ECONNREFUSED
	}
	near, far := net.Pipe()
	p.backlog <- far
	return near, nil
}

// Accept waits for a connection, or fails with net.ErrClosed.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.backlog:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close refuses connections from now on, and drops those that nobody has accepted. It is idempotent.
func (p *Pipes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.done)
	for {
		select {
		case c := <-p.backlog:
			_ = c.Close() // a pipe's never fails
		default:
			return nil
		}
	}
}

// Addr is the same for all.
func (p *Pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
