package netsim

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Conn is one end of a TCP connection, a [net.Conn]. Its protocol is a [tcp.Conn], which the loop
// drives; the host's goroutines only move bytes in and out of its buffers, and wait.
type Conn struct {
	net           *Network
	host          *Host
	local, remote endpoint

	// All that follows is guarded by net.mu.

	proto               protocol
	state               connState
	err                 error // why it failed, if TCP does not know
	dirty               bool  // the loop has been asked to look at it
	aborting            bool  // the loop shall reset it
	hard                bool  // Close resets it
	readShut, writeShut bool
	ended               bool // readers may see that the other end has finished
	readSide, writeSide side

	id        uint32        // in order of creation by the loop; 0 before
	listener  *Listener     // for which its handshake is under way
	timerAt   time.Duration // of the planned timer event that counts; never if none
	timerStep uint64        // and its step
	stopBy    time.Duration // by when virtual time stops for the protocol's earliest deadline; never if there is none
	lateAcks  int           // acknowledgements under way to it that may be applied late
	critical  bool          // an acknowledgement may make it send, or wake a writer
}

type connState uint8

const (
	stateOpening connState = iota
	stateOpen
	stateClosed // the local program has closed it, or its dial has failed
)

func newConn(h *Host) *Conn {
	c := &Conn{net: h.net, host: h, local: endpoint{ip: h.ip}, timerAt: never, stopBy: never}
	c.readSide.cond.L = &h.net.mu
	c.writeSide.cond.L = &h.net.mu
	return c
}

// open has the loop open the connection, and waits until it is established or has failed.
func (c *Conn) open(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.net.enter()
		defer c.net.mu.Unlock()
		if c.state == stateOpening {
			c.err = contextError(ctx.Err())
			c.abort()
		}
	})
	defer stop()
	c.net.enter()
	defer c.net.mu.Unlock()
	c.net.submit(action{key: keyFor(c.host, actionDial, uint64(c.remote.ip)<<16|uint64(c.remote.port)), conn: c})
	for c.state == stateOpening {
		c.wait(&c.readSide)
	}
	if c.state == stateClosed {
		return c.err
	}
	return nil
}

// Read reads what has arrived, waiting for at least one byte.
func (c *Conn) Read(p []byte) (int, error) {
	c.net.enter()
	defer c.net.mu.Unlock()
	for {
		if err := c.usable(&c.readSide); err != nil {
			return 0, c.opError("read", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		if c.readShut {
			return 0, io.EOF
		}
		if n := c.proto.Read(p); n > 0 {
			if c.proto.NeedsFlush() {
				c.touch() // the window has to be opened
			}
			return n, nil
		}
		if c.ended {
			return 0, io.EOF
		}
		if err := c.proto.Err(); err != nil {
			return 0, c.opError("read", err)
		}
		c.wait(&c.readSide)
	}
}

// Write hands p to TCP, waiting while the send buffer is full.
func (c *Conn) Write(p []byte) (int, error) {
	c.net.enter()
	defer c.net.mu.Unlock()
	written := 0
	for {
		if err := c.usable(&c.writeSide); err != nil {
			return written, c.opError("write", err)
		}
		if c.writeShut {
			return written, c.opError("write", syscall.EPIPE)
		}
		if err := c.proto.Err(); err != nil {
			return written, c.opError("write", err)
		}
		if n := c.proto.Write(p[written:]); n > 0 {
			written += n
			c.touch()
		}
		if written == len(p) {
			return written, nil
		}
		c.touch() // acknowledgements are urgent from now on
		c.wait(&c.writeSide)
	}
}

// usable is the part of Read and Write that has nothing to do with TCP.
func (c *Conn) usable(s *side) error {
	switch {
	case c.state == stateClosed && c.err != nil:
		return c.err
	case c.state == stateClosed:
		return net.ErrClosed
	case s.pastDeadline(c.net):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait waits until the loop, a deadline or Close wakes this side.
func (c *Conn) wait(s *side) {
	if s.needsPlan() {
		c.touch()
	}
	s.wait()
}

// touch asks the loop to look at the connection in this instant.
func (c *Conn) touch() {
	if !c.dirty && c.id != 0 {
		c.dirty = true
		c.net.submit(action{key: keyFor(c.host, actionConn, uint64(c.id)), conn: c})
	}
}

// Close closes both directions, as close(2) does: what was written is still delivered, unless data
// that has arrived was left unread, which resets the connection.
func (c *Conn) Close() error {
	c.net.enter()
	defer c.net.mu.Unlock()
	if c.state == stateClosed {
		return c.opError("close", net.ErrClosed)
	}
	c.close()
	return nil
}

func (c *Conn) close() {
	if c.hard {
		c.abort()
		return
	}
	c.state = stateClosed
	if c.id != 0 {
		c.proto.Close()
	}
	c.wakeAll()
	c.touch()
}

// CloseWrite sends a FIN after what was written: the other end reads to the end of it.
func (c *Conn) CloseWrite() error {
	c.net.enter()
	defer c.net.mu.Unlock()
	if c.state == stateClosed {
		return c.opError("close", net.ErrClosed)
	}
	c.writeShut = true
	c.proto.CloseWrite()
	c.touch()
	return nil
}

// CloseRead makes further reads end at once.
func (c *Conn) CloseRead() error {
	c.net.enter()
	defer c.net.mu.Unlock()
	if c.state == stateClosed {
		return c.opError("close", net.ErrClosed)
	}
	c.readShut = true
	c.readSide.cond.Broadcast()
	return nil
}

// abort drops the connection and tells the other end with a RST.
func (c *Conn) abort() {
	c.state = stateClosed
	c.aborting = true
	c.wakeAll()
	c.touch()
}

func (c *Conn) wakeAll() {
	c.readSide.cond.Broadcast()
	c.writeSide.cond.Broadcast()
}

// LocalAddr is the local end's address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local.addrPort()) }

// RemoteAddr is the other end's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote.addrPort()) }

// SetDeadline sets both deadlines; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, &c.readSide, &c.writeSide)
}

// SetReadDeadline sets when Read fails with [os.ErrDeadlineExceeded]; the zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.readSide) }

// SetWriteDeadline sets when Write fails with [os.ErrDeadlineExceeded]; the zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.writeSide) }

func (c *Conn) setDeadline(t time.Time, sides ...*side) error {
	c.net.enter()
	defer c.net.mu.Unlock()
	if c.state == stateClosed {
		return c.opError("set", net.ErrClosed)
	}
	for _, s := range sides {
		s.set(c.net, t)
	}
	return nil
}
