package tcp

import "time"

// receiveWindow decides how much the peer may send. The buffer grows with what the reader takes per
// round trip (dynamic right-sizing, Fisk and Feng 2001, as Linux does it), and the window grows
// within the buffer with what arrives, so that it is never opened wide to a peer that sends little.
type receiveWindow struct {
	buffer uint32 // bytes of payload that may be held: grows
	limit  uint32 // bytes of window to offer: grows up to buffer
	acked  uint32 // RCV.NXT when the last acknowledgement was sent
	wnd    uint32 // window in it
	shift  uint8  // of the window that we send

	// One measurement of what the reader takes in a round trip.
	taken   uint32 // most bytes taken in one so far
	begin   uint32 // sequence number of the next byte to be read when the measurement began
	begun   millis // and when that was
	rtt     micros // 8·round-trip time as the receiver sees it; 0 before the first sample
	rttFrom millis // without timestamps: when the sample began; 0 is not yet
	rttMark uint32 // and it ends when this arrives; with them: the last TSEcr that was measured
}

// initWindow sets the window up for the handshake.
func (c *Conn) initWindow() {
	w, cfg := &c.win, &c.s.cfg
	w.buffer = uint32(cfg.ReceiveBuffer)
	w.limit = min(w.buffer, 65535)
	if mss := uint32(cfg.MSS); w.limit > mss {
		w.limit -= w.limit % mss
	}
	w.wnd = w.limit
	w.taken = min(w.limit, uint32(cfg.InitialWindow)*uint32(cfg.MSS))
	w.acked, w.begin = c.rcv.nxt, c.rcv.nxt
	c.ack.init(cfg.MSS, w.wnd)
}

// offered is what is left of the window last offered.
func (c *Conn) offered() uint32 {
	if end := c.win.acked + c.win.wnd; seqGT(end, c.rcvNxt()) {
		return end - c.rcvNxt()
	}
	return 0
}

// roundUp rounds a window up to what can be expressed.
func (w *receiveWindow) roundUp(n uint32) uint32 {
	unit := uint32(1)<<w.shift - 1
	return (n + unit) &^ unit
}

// selectWindow is the window to offer now, without regard to what was offered before. It avoids the
// silly window syndrome (RFC 9293 §3.8.6.2.2): a window of less than a segment, or of less than a
// sixteenth of the buffer, is closed.
func (c *Conn) selectWindow() uint32 {
	w := &c.win
	free := w.buffer - min(uint32(c.rcv.held()), w.buffer)
	segment := min(uint32(c.ack.segment), w.buffer)
	if free < w.buffer/2 && (free < w.buffer/16 || free < segment) {
		return 0
	}
	free = min(free, w.limit)
	if w.shift > 0 {
		return w.roundUp(free)
	}
	if w.wnd <= free-min(segment, free) || w.wnd > free {
		return free - free%max(segment, 1)
	}
	return w.wnd
}

// advertise chooses the window for a segment that is about to be sent, and returns it as it goes on
// the wire. What has been offered is not taken back (RFC 9293 §3.8.6).
func (c *Conn) advertise() uint16 {
	w := &c.win
	wnd := c.selectWindow()
	if left := c.offered(); wnd < left {
		wnd = w.roundUp(left)
	}
	wire := min(wnd>>w.shift, 65535)
	w.wnd = wire << w.shift
	w.acked = c.rcvNxt()
	return uint16(wire)
}

// growWindow lets the window follow what arrives: by two segments for each.
func (c *Conn) growWindow(n int) {
	w := &c.win
	room := int64(w.buffer) - int64(c.rcv.len) - int64(w.limit)
	if n < 128 || room <= 0 {
		return
	}
	w.limit += uint32(min(room, int64(max(2*int(c.s.cfg.MSS), 2*n))))
	c.ack.quick = max(c.ack.quick, 1)
}

// measureReceiverRTT takes a sample of the round trip for right-sizing: by the timestamp that comes
// back, or else by the time until a whole window has arrived.
func (c *Conn) measureReceiverRTT(now time.Duration, seg *Segment) {
	w := &c.win
	if c.flags&useTS == 0 {
		if w.rttFrom != 0 && seqLT(c.rcv.nxt, w.rttMark) {
			return
		}
		if w.rttFrom != 0 {
			if m := 8 * toMicros(toMillis(now).since(w.rttFrom)); w.rtt == 0 || m < w.rtt {
				w.rtt = m
			}
		}
		w.rttMark, w.rttFrom = c.rcv.nxt+w.wnd, max(toMillis(now), 1)
		return
	}
	if !seg.HasTS || seg.TSEcr == 0 || seg.TSEcr == w.rttMark || len(seg.Payload) < int(c.ack.segment) {
		return
	}
	w.rttMark = seg.TSEcr
	ms := int32(c.timestamp(now) - seg.TSEcr)
	if ms < 0 {
		return
	}
	m := uint32(min(max(ms, 1), 1<<20)) * 1000
	if w.rtt == 0 {
		w.rtt = 8 * m
	} else {
		w.rtt += m - w.rtt/8
	}
}

// rightSize lets the buffer grow once per round trip, when the reader has taken more than in any
// before: to twice what was taken, and as much again as slow start may add meanwhile.
func (c *Conn) rightSize(now time.Duration) {
	w := &c.win
	if w.rtt == 0 || toMillis(now).since(w.begun) < fromMicros(w.rtt/8) {
		return
	}
	read := c.rcv.nxt - uint32(c.rcv.len)
	if taken := read - w.begin; taken > w.taken {
		want := 2 * uint64(taken)
		want += 2 * (want * uint64(taken-w.taken) / uint64(max(w.taken, 1)))
		want += uint64(c.rcv.highest() - c.rcv.nxt)
		w.taken = taken
		if !c.s.rcvFixed {
			w.buffer = uint32(max(uint64(w.buffer), min(want, uint64(c.s.cfg.ReceiveBufferMax))))
		}
	}
	w.begin, w.begun = read, toMillis(now)
}
