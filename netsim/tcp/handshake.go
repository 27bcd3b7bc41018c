package tcp

import "time"

// Connect opens the connection: it sends a SYN. The connection must be fresh from New or Init.
func (c *Conn) Connect(now time.Duration, out Output) {
	if c.state != Closed || c.nxt != c.iss {
		return
	}
	c.state = SynSent
	c.flags |= active
	c.nxt = c.iss + 1
	c.initWindow()
	c.rtx.since = toMillis(now)
	c.sendSYN(now, out, SYN)
	c.armHandshake(now)
}

// Accept opens the connection in answer to a SYN: it sends a SYN-ACK. The connection must be fresh
// from New or Init. A segment that is not a SYN is ignored.
func (c *Conn) Accept(now time.Duration, syn *Segment, out Output) {
	if c.state != Closed || c.nxt != c.iss || syn.Flags&(SYN|ACK|RST) != SYN {
		return
	}
	c.state = SynReceived
	c.nxt = c.iss + 1
	c.learn(now, syn)
	c.initWindow()
	c.rtx.since = toMillis(now)
	c.sendSYN(now, out, SYN|ACK)
	c.armHandshake(now)
}

// sendSYN sends the SYN or SYN-ACK. A SYN offers all options, a SYN-ACK those that the SYN offered.
func (c *Conn) sendSYN(now time.Duration, out Output, flags Flags) {
	cfg := &c.s.cfg
	c.lastSend = now
	answer := flags&ACK != 0
	seg := c.prepare(now, c.iss, flags)
	seg.Window = uint16(min(c.win.wnd, 65535)) // never scaled (RFC 7323 §2.2)
	seg.MSS = uint16(cfg.MSS)
	if answer {
		seg.SACKPermitted = c.flags&useSACK != 0
		if c.flags&scales != 0 {
			seg.WScale = c.s.wscale
		}
		c.win.acked = c.rcv.nxt
	} else {
		seg.SACKPermitted = !cfg.NoSACK
		seg.WScale = c.s.wscale
		if !cfg.NoTimestamps {
			seg.HasTS, seg.TSVal = true, c.timestamp(now)
		}
	}
	c.info.segmentsOut++
	out.Send(seg)
}

// learn takes over what the peer's SYN or SYN-ACK says: its sequence number, and which options both
// ends have.
func (c *Conn) learn(now time.Duration, seg *Segment) {
	cfg := &c.s.cfg
	c.rcv.nxt = seg.Seq + 1
	c.wl1 = seg.Seq
	c.wnd = uint32(seg.Window)
	c.maxWnd = c.wnd
	mss := min(int(seg.MSS), cfg.MSS)
	if seg.MSS == 0 {
		mss = min(defaultMSS, cfg.MSS)
	}
	if seg.HasTS && !cfg.NoTimestamps {
		c.flags |= useTS
		c.seen = peerClock{recent: seg.TSVal, at: uint32(now / time.Second)}
		mss -= 12
	}
	c.mss = uint16(max(mss, minSegment-12))
	if seg.SACKPermitted && !cfg.NoSACK {
		c.flags |= useSACK
	}
	if seg.WScale >= 0 && c.s.wscale >= 0 {
		c.flags |= scales
		c.sndShift = uint8(min(seg.WScale, 14))
		c.win.shift = uint8(c.s.wscale)
	}
}

// armHandshake starts the timer for the next SYN or SYN-ACK.
func (c *Conn) armHandshake(now time.Duration) {
	d := c.s.cfg.InitialRTO
	for range max(int(c.rtx.retries)-c.linearTries(), 0) {
		d = min(2*d, c.s.cfg.MaxRTO)
	}
	c.setRetransmit(now, timerRTO, d)
}

func (c *Conn) linearTries() int {
	if c.state == SynSent {
		return c.s.cfg.SynLinear
	}
	return 0
}

// handshakeTimer sends the SYN or SYN-ACK again, or gives up (RFC 6298 §5.5).
func (c *Conn) handshakeTimer(now time.Duration, out Output) {
	limit, flags := c.s.cfg.SynRetries, SYN
	if c.state == SynReceived {
		limit, flags = c.s.cfg.SynAckRetries, SYN|ACK
	}
	if int(c.rtx.retries) >= limit || c.userTimeout() > 0 && c.stuckFor(now) >= c.userTimeout() {
		c.finish(timedOut)
		return
	}
	c.rtx.retries++
	c.info.retransmits++
	c.sendSYN(now, out, flags)
	c.armHandshake(now)
}

// inputSynSent handles a segment in SYN-SENT (RFC 9293 §3.10.7.3).
func (c *Conn) inputSynSent(now time.Duration, seg *Segment, out Output) {
	acks := seg.Flags&ACK != 0
	if acks && (seqLEQ(seg.Ack, c.iss) || seqGT(seg.Ack, c.nxt)) {
		if rst, ok := Reset(seg); ok {
			c.sendReset(out, &rst)
		}
		return
	}
	if seg.Flags&RST != 0 {
		if acks {
			c.finish(refused)
		}
		return
	}
	if seg.Flags&SYN == 0 {
		return
	}
	c.learn(now, seg)
	c.initWindow()
	if !acks { // both ends have opened at once (RFC 9293 §3.5, figure 7)
		c.state = SynReceived
		c.sendSYN(now, out, SYN|ACK)
		c.armHandshake(now)
		return
	}
	c.establish(now, seg)
	c.sendAck(now, out)
	c.sendData(now, out)
}

// establish completes the handshake with the segment that acknowledges our SYN.
func (c *Conn) establish(now time.Duration, seg *Segment) {
	c.state = Established
	c.una = c.nxt
	c.snd.base = c.nxt
	c.pushed, c.small = c.nxt, c.nxt
	c.cc.cubic.hy.restart(now, c.nxt)
	if c.rtx.retries == 0 {
		c.rtt.sample(now, now-c.lastSend, c.s.cfg.MinRTO, c.una, c.nxt)
	} else if c.flags&(useTS|active) == useTS|active && seg.HasTS && seg.TSEcr != 0 {
		since := time.Duration(c.timestamp(now)-seg.TSEcr) * time.Millisecond
		c.rtt.sample(now, min(since, c.s.cfg.MaxRTO), c.s.cfg.MinRTO, c.una, c.nxt)
	}
	if c.rtx.retries > 1 {
		c.cc.cwnd = 1 // the path is in a bad way (RFC 5681 §3.1 would have it after one loss already)
	}
	c.rtx = retransmitTimer{}
	c.lastSend = now
	c.idle.heard = toMillis(now)
	c.win.begun = toMillis(now)
	c.armKeepAlive(now)
	if c.flags&finQueued != 0 {
		c.state = FinWait1 // the user has closed meanwhile
	}
}

// sendReset sends a RST that answers a segment.
func (c *Conn) sendReset(out Output, rst *Segment) {
	c.pool.seg = *rst
	c.info.segmentsOut++
	out.Send(&c.pool.seg)
}
