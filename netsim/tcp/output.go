package tcp

import "time"

// prepare readies the pool's segment with what every segment carries: sequence numbers, window,
// timestamp.
func (c *Conn) prepare(now time.Duration, seq uint32, flags Flags) *Segment {
	seg := &c.pool.seg
	*seg = Segment{Seq: seq, Flags: flags, WScale: -1}
	if flags&ACK != 0 {
		seg.Ack = c.rcvNxt()
	}
	if c.flags&useTS != 0 {
		seg.HasTS = true
		seg.TSVal = c.timestamp(now)
		seg.TSEcr = c.seen.recent
	}
	return seg
}

// transmit sends a segment that acknowledges what has arrived, which all do after the handshake.
func (c *Conn) transmit(now time.Duration, out Output, seq uint32, flags Flags, payload []byte) {
	seg := c.prepare(now, seq, flags|ACK)
	seg.Window = c.advertise()
	seg.Payload = payload
	if c.flags&useSACK != 0 {
		c.fillSACK(seg)
		c.fitSACK(seg)
	}
	c.acknowledged()
	c.info.segmentsOut++
	out.Send(seg)
}

// sendAck sends an acknowledgement without data.
func (c *Conn) sendAck(now time.Duration, out Output) {
	c.transmit(now, out, c.nxt, ACK, nil)
}

// segmentSize is the payload of a full segment: the peer's MSS, but no more than half of the largest
// window the peer has ever offered, lest sender and receiver wait for each other (RFC 9293
// §3.8.6.2.1).
func (c *Conn) segmentSize() uint32 {
	limit := c.maxWnd
	if limit > defaultMSS {
		limit /= 2
	}
	return max(min(uint32(c.mss), limit), 1)
}

// Flush transmits what may be sent now. It is to be called after Write, CloseWrite and Close, and
// after Read, when it sends the window update or the acknowledgement that reading calls for.
func (c *Conn) Flush(now time.Duration, out Output) {
	if c.flags&wantReset != 0 {
		c.flags &^= wantReset
		c.reset(now, out, aborted)
		return
	}
	read, wrote := c.flags&readSinceFlush != 0, c.flags&wroteSinceFlush != 0
	c.flags &^= readSinceFlush | wroteSinceFlush
	if !c.synchronized() {
		return
	}
	if wrote {
		c.waitOrphaned(now)
		c.sendData(now, out)
	}
	if read {
		c.afterRead(now, out)
	}
}

// sendData transmits new data as far as the windows allow.
func (c *Conn) sendData(now time.Duration, out Output) {
	if c.synchronized() && c.unsent() {
		c.writeNew(now, out, false)
		c.armPersist(now)
	}
}

// unsent reports whether there are bytes or a FIN above SND.NXT.
func (c *Conn) unsent() bool {
	if c.flags&finSent != 0 {
		return false
	}
	return c.flags&finQueued != 0 || c.snd.end() != c.nxt
}

// writeNew sends segments that have not been sent before. A probe is a single one, for which the
// congestion window does not matter (RFC 8985 §7.3).
func (c *Conn) writeNew(now time.Duration, out Output, probe bool) (segments int) {
	if c.flight == nil {
		c.restartAfterIdle(now)
	}
	limited := false
	for c.unsent() {
		if !probe && c.inFlight() >= int(c.cc.cwnd) {
			limited = true
			break
		}
		n, fin, fits := c.next()
		if !fits || !probe && c.nagleHolds(n, fin) {
			break
		}
		c.sendNew(now, out, n, fin)
		segments++
		if probe {
			break
		}
	}
	if c.flight != nil {
		limited = limited || c.flight.inFlight() >= int(c.cc.cwnd)
		if segments > 0 || limited {
			c.validateWindow(now, limited)
		}
	}
	if segments > 0 {
		c.flight.rec.out += segments
		if !probe {
			c.armTailProbe(now, false)
		}
	}
	return segments
}

// next is the segment that would be sent next: n bytes, and whether the FIN is with them. fits is
// whether the peer's window has room for it: for all of it, lest the window be cut to pieces.
func (c *Conn) next() (n uint32, fin, fits bool) {
	room := int32(c.una + c.wnd - c.nxt)
	n = min(c.snd.end()-c.nxt, c.segmentSize())
	fin = c.flags&finQueued != 0 && c.nxt+n == c.snd.end()
	if fin && n > 0 && room == int32(n) {
		fin = false // the FIN can wait, the data need not
	}
	need := int32(n)
	if fin {
		need++
	}
	return n, fin, need <= room
}

// nagleHolds reports whether Nagle's algorithm, in Minshall's variant, keeps a segment of n bytes
// back: it is not full, and another such is unacknowledged.
func (c *Conn) nagleHolds(n uint32, fin bool) bool {
	return c.flags&nagle != 0 && !fin && n < c.segmentSize() && c.flight != nil &&
		seqGT(c.small, c.una) && seqLEQ(c.small, c.nxt)
}

// sendNew sends the next n bytes, and the FIN if they are the last.
func (c *Conn) sendNew(now time.Duration, out Output, n uint32, fin bool) {
	s := sent{seq: c.nxt, end: c.nxt + n, at: now}
	if fin {
		s.end++
		s.bits |= carriesFIN
		c.flags |= finSent
	}
	if n > 0 && (s.seq+n == c.snd.end() || s.seq+n-c.pushed > c.maxWnd/2) {
		s.bits |= carriesPush
		c.pushed = s.seq + n
	}
	if n < c.segmentSize() {
		c.small = s.end
	}
	first := c.flight == nil
	if first {
		c.flight = c.pool.flight()
		c.flight.fack = c.una
		c.cc.resume(now, c.lastSend)
		c.rtx.since = toMillis(now)
	}
	c.nxt = s.end
	c.flight.add(s)
	c.dataSent(now)
	c.transmitSent(now, out, &s)
	if first || c.rtx.kind == timerProbe {
		c.rearm(now)
	}
}

// transmitSent puts a segment of the scoreboard on the wire.
func (c *Conn) transmitSent(now time.Duration, out Output, s *sent) {
	flags, n := ACK, s.end-s.seq
	if s.bits&carriesFIN != 0 {
		flags |= FIN
		n--
	}
	if s.bits&carriesPush != 0 {
		flags |= PSH
	}
	c.transmit(now, out, s.seq, flags, c.snd.bytes(c.pool, &c.flight.cur, s.seq, int(n)))
}

// inFlight is the number of segments held to be in the network.
func (c *Conn) inFlight() int {
	if c.flight == nil {
		return 0
	}
	return c.flight.inFlight()
}

// retransmit sends segment i again, together with those behind it that fit into one segment with it
// and have not been SACKed. It reports whether the peer's window had room for it: the first segment
// always goes.
func (c *Conn) retransmit(now time.Duration, out Output, i uint32) bool {
	f := c.flight
	s := f.at(i)
	if i != f.first && seqGT(s.end, c.una+c.wnd) {
		return false
	}
	for j := i + 1; j != f.limit; j++ {
		t := f.at(j)
		if t.bits&merged != 0 {
			continue
		}
		if t.bits&sacked != 0 || t.end-s.seq > c.segmentSize() || seqGT(t.end, c.una+c.wnd) {
			break
		}
		f.merge(i, j)
	}
	s.at = now
	s.bits |= everRetrans
	f.list(i)
	c.info.retransmits++
	c.transmitSent(now, out, s)
	return true
}

// restartAfterIdle shrinks the congestion window after a pause (RFC 5681 §4.1, by RFC 2861's
// halvings).
func (c *Conn) restartAfterIdle(now time.Duration) {
	if c.s.cfg.KeepIdleWindow {
		return
	}
	rto := c.rto()
	idle := now - c.lastSend
	if idle <= rto {
		return
	}
	floor := min(uint32(c.s.cfg.InitialWindow), c.cc.cwnd)
	c.cc.ssthresh = c.currentThreshold()
	for idle -= rto; idle > 0 && c.cc.cwnd > floor; idle -= rto {
		c.cc.cwnd /= 2
	}
	c.cc.cwnd = max(c.cc.cwnd, floor)
	c.cc.stamp, c.cc.used = toMillis(now), 0
}
