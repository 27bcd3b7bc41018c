package hop2

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// outbox is a connection whose Write never blocks: a goroutine of its own writes what has piled up.
// The peer that lets too much pile up loses its connection, as with Redis's
// client-output-buffer-limit.
//
// Those who write hold a lock that others need (miniredis its only one while it publishes, go-redis's
// PubSub its own while it subscribes). Were they to block on a stalled network, the others would wait
// for a lock, which virtual time does not pass over, and the world would stand still.
//
// Close drops what has not been written. Only read deadlines have an effect: a write that the peer does
// not take is the peer's to be closed for.
type outbox struct {
	net.Conn
	limit int

	mu     sync.Mutex
	filled sync.Cond
	buf    []byte
	err    error // once set, nothing is written any more
}

func newOutbox(conn net.Conn, limit int) *outbox {
	o := &outbox{Conn: conn, limit: limit}
	o.filled.L = &o.mu
	go o.drain()
	return o
}

// Write takes all of b, or fails.
func (o *outbox) Write(b []byte) (int, error) {
	o.mu.Lock()
	if o.err == nil && len(o.buf)+len(b) > o.limit {
		o.err = fmt.Errorf("output buffer of %d bytes is full: the peer does not read", o.limit)
		o.buf = nil
		o.filled.Signal()
	}
	err := o.err
	if err == nil {
		o.buf = append(o.buf, b...)
		o.filled.Signal()
	}
	o.mu.Unlock()
	if err != nil {
		_ = o.Conn.Close() // err says all there is to say
		return 0, err
	}
	return len(b), nil
}

// Close closes the connection.
func (o *outbox) Close() error {
	o.mu.Lock()
	if o.err == nil {
		o.err = net.ErrClosed
	}
	o.buf = nil
	o.filled.Signal()
	o.mu.Unlock()
	return o.Conn.Close()
}

// SetDeadline sets the read deadline.
func (o *outbox) SetDeadline(t time.Time) error { return o.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (o *outbox) SetWriteDeadline(time.Time) error { return nil }

// drain writes until the connection fails or is closed.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		for len(o.buf) == 0 && o.err == nil {
			o.filled.Wait()
		}
		buf, err := o.buf, o.err
		o.buf = nil
		o.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := o.Conn.Write(buf); err != nil {
			o.fail(err)
			return
		}
	}
}

// fail closes the connection, so that whoever reads it learns of the error.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.buf = nil
	o.mu.Unlock()
	_ = o.Conn.Close() // err says all there is to say
}
