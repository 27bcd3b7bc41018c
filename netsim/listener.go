package netsim

import (
	"net"
	"sync"
)

// backlog is how many connections a listener holds that nobody has accepted yet, handshakes under
// way included (Linux's somaxconn since 5.4). A SYN beyond it is dropped, and the client tries again.
const backlog = 4096

// Listener accepts connections on one port of a host.
type Listener struct {
	host  *Host
	local endpoint

	// Guarded by net.mu.
	cond    sync.Cond
	ready   []*Conn // established and not accepted
	opening int     // handshakes under way
	waiting int
	closed  bool
}

func newListener(h *Host, port uint16) *Listener {
	l := &Listener{host: h, local: endpoint{h.ip, port}}
	l.cond.L = &h.net.mu
	return l
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for {
		if l.closed {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		}
		if len(l.ready) > 0 {
			c := l.ready[0]
			l.ready[0] = nil
			l.ready = l.ready[1:]
			return c, nil
		}
		l.waiting++
		l.cond.Wait()
		l.waiting--
	}
}

// Close stops listening. Connections that nobody has accepted are reset.
func (l *Listener) Close() error {
	l.host.net.enter()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	l.close()
	return nil
}

func (l *Listener) close() {
	l.closed = true
	delete(l.host.listeners, l.local.port)
	for _, c := range l.ready {
		c.abort()
	}
	l.ready = nil
	l.cond.Broadcast()
}

// Addr is the address that the listener listens on.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.local.addrPort()) }

// full reports whether the backlog has no room for another handshake. It is the loop's, like
// established and abandoned.
func (l *Listener) full() bool { return l.opening+len(l.ready) >= backlog }

// established queues a connection for Accept.
func (l *Listener) established(c *Conn) (accepted, woke bool) {
	l.opening--
	if l.closed {
		return false, false
	}
	l.ready = append(l.ready, c)
	l.cond.Signal()
	return true, l.waiting > 0
}

// abandoned takes note of a handshake that failed.
func (l *Listener) abandoned() { l.opening-- }
