package netsim

import (
	"net"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// The socket options of [net.TCPConn]. They are off unless set, here or in Config.TCP; unlike package
// net, a network does not turn keep-alive on by itself. At Stream fidelity they have no effect.

// SetNoDelay says whether small writes are sent at once (true, as in package net) or may wait for an
// acknowledgement (Nagle's algorithm, RFC 896).
func (c *Conn) SetNoDelay(on bool) error {
	return c.setOption(func(t *tcp.Conn) error {
		t.SetNoDelay(on)
		return nil
	})
}

// The defaults of package net: what a zero field of a net.KeepAliveConfig means.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// SetKeepAliveConfig turns keep-alive on or off and configures it, with package net's meaning of zero
// and negative fields.
func (c *Conn) SetKeepAliveConfig(cfg net.KeepAliveConfig) error {
	ka := tcp.KeepAlive{}
	if cfg.Enable {
		ka = tcp.KeepAlive{Idle: cfg.Idle, Interval: cfg.Interval, Count: cfg.Count}
		if ka.Idle <= 0 {
			ka.Idle = keepAliveIdle
		}
		if ka.Interval <= 0 {
			ka.Interval = keepAliveInterval
		}
		if ka.Count <= 0 {
			ka.Count = keepAliveCount
		}
	}
	return c.setOption(func(t *tcp.Conn) error { return t.SetKeepAlive(c.net.clock, ka) })
}

// SetKeepAlive turns keep-alive on, with package net's defaults, or off.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: on})
}

// SetUserTimeout says how long sent data may stay unacknowledged before the connection fails with
// ETIMEDOUT (RFC 5482, Linux's TCP_USER_TIMEOUT); 0 leaves it to the retransmission limit.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.setOption(func(t *tcp.Conn) error { return t.SetUserTimeout(d) })
}

// SetLinger with 0 makes Close reset the connection at once and drop what was not yet sent; any other
// value is the default, to deliver it in the background.
func (c *Conn) SetLinger(seconds int) error {
	c.net.enter()
	defer c.net.mu.Unlock()
	if c.state == stateClosed {
		return c.opError("set", net.ErrClosed)
	}
	c.hard = seconds == 0
	return nil
}

func (c *Conn) setOption(set func(*tcp.Conn) error) error {
	c.net.enter()
	defer c.net.mu.Unlock()
	if c.state == stateClosed {
		return c.opError("set", net.ErrClosed)
	}
	t, ok := c.proto.(*tcp.Conn)
	if !ok {
		return nil
	}
	if err := set(t); err != nil {
		return c.opError("set", err)
	}
	c.touch() // timers may have to be planned
	return nil
}
