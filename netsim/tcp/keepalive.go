package tcp

import "time"

// SetKeepAlive changes keep-alive for this connection, as Config.KeepAlive does for all. The error
// names the field that is out of range.
func (c *Conn) SetKeepAlive(now time.Duration, ka KeepAlive) error {
	cfg := c.s.cfg
	cfg.KeepAlive = ka
	if err := c.reconfigure(cfg); err != nil {
		return err
	}
	c.probes = 0
	if c.keepAliveState() {
		c.idle.at = 0
		c.armKeepAlive(now)
	}
	return nil
}

// SetUserTimeout changes the user timeout for this connection, as Config.UserTimeout does for all.
// The error says what is allowed.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	cfg := c.s.cfg
	cfg.UserTimeout = d
	return c.reconfigure(cfg)
}

// reconfigure gives the connection settings of its own.
func (c *Conn) reconfigure(cfg Config) error {
	s, err := cfg.Settings()
	if err != nil {
		return err
	}
	s.sndFixed, s.rcvFixed = c.s.sndFixed, c.s.rcvFixed
	c.s = s
	return nil
}

// keepAliveState reports whether keep-alive may run: the idle timer is not needed for closing.
func (c *Conn) keepAliveState() bool {
	return c.synchronized() && c.state != TimeWait && !(c.state == FinWait2 && c.flags&orphan != 0)
}

func (c *Conn) armKeepAlive(now time.Duration) {
	if ka := &c.s.cfg.KeepAlive; ka.Idle > 0 {
		c.idle.at = c.alarm(now, ka.Idle)
	}
}

// idleTimer is the end of a closing connection's patience, or keep-alive.
func (c *Conn) idleTimer(now time.Duration, out Output) {
	c.idle.at = 0
	if !c.keepAliveState() {
		c.finish(noFailure) // TIME-WAIT and FIN-WAIT-2 end
		return
	}
	c.keepAlive(now, out)
}

// keepAlive probes a peer that has been silent, and gives it up if it stays so (RFC 9293 §3.8.4).
// It is not for connections with data under way, which the retransmission timer watches over.
func (c *Conn) keepAlive(now time.Duration, out Output) {
	ka := &c.s.cfg.KeepAlive
	if ka.Idle == 0 {
		return
	}
	silent := toMillis(now).since(c.idle.heard)
	if c.flight != nil || c.unsent() {
		c.idle.at = c.alarm(now, ka.Idle)
		return
	}
	if silent < ka.Idle {
		c.idle.at = c.alarm(now, ka.Idle-silent)
		return
	}
	limit := c.userTimeout()
	if limit > 0 && c.probes > 0 && silent >= limit || limit == 0 && int(c.probes) >= ka.Count {
		c.reset(now, out, timedOut)
		return
	}
	c.sendProbe(now, out)
	c.probes++
	c.idle.at = c.alarm(now, ka.Interval)
}
