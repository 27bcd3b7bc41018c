package tcp

import (
	"syscall"
	"time"
)

// State is a state of the connection's state machine (RFC 9293 §3.3.2). LISTEN is not among them: a
// listener makes a Conn for each SYN.
type State uint8

// The states.
const (
	Closed State = iota
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
)

var stateNames = [...]string{"CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"}

// String is the state's name as RFC 9293 spells it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "State(?)"
}

// Output takes what a connection transmits. Send must not keep the segment or its payload, and must
// not call into a connection that shares the sender's [Pool].
type Output interface {
	Send(seg *Segment)
}

// Conn is one end of a TCP connection. Init it, or use New, then call Connect or Accept. It is for
// one goroutine at a time.
//
// now is the time since the run began, in every method that has it; it never decreases from one call
// to the next.
type Conn struct {
	s    *Settings
	pool *Pool

	// Sender. Sequence numbers first; una ≤ nxt ≤ una + the largest window.
	iss, una, nxt uint32
	wnd           uint32 // peer's window in bytes, scaled
	wl1           uint32 // Seq of the segment that last updated wnd (RFC 9293 §3.10.7.4)
	maxWnd        uint32 // largest wnd ever
	pushed        uint32 // end of the last segment that carried PSH
	small         uint32 // end of the last segment that was not full
	snd           sendBuffer
	space         uint32  // size that the send buffer has grown to
	flight        *flight // nil while nothing is in flight
	lastSend      time.Duration
	rtt           rttEstimator
	cc            congestion
	rack          rackMemory

	// Receiver.
	rcv  recvBuffer
	win  receiveWindow
	ack  acknowledger
	seen peerClock

	// Timers: what is due when; 0 is never.
	rtx  retransmitTimer
	idle idleTimer

	mss      uint16 // payload bytes in a full segment, options with every segment taken off
	probes   uint8  // keep-alive probes in a row without an answer
	sndShift uint8  // shift of the windows that the peer sends
	state    State
	err      failure
	flags    connFlags
	finSeq   uint32 // sequence number of the peer's FIN, with finSeen
	undo     undo
	info     counters
}

// connFlags are what a connection has agreed on, and what its user has asked for.
type connFlags uint16

const (
	useSACK         connFlags = 1 << iota // both ends sent SACK-permitted
	useTS                                 // both ends sent timestamps
	scales                                // both ends sent the window scale option
	active                                // opened by Connect
	lingers                               // an orphan whose wait in FIN-WAIT-2 has begun
	finQueued                             // FIN goes out after the data
	finSent                               // FIN is below nxt
	finSeen                               // the peer's FIN has come, maybe before other data
	finReceived                           // the peer's FIN is below RCV.NXT
	orphan                                // the user has closed both directions
	wantReset                             // Close left data unread: RST at the next Flush
	nagle                                 // NoDelay is off
	readSinceFlush                        // Read has taken something since Flush last looked
	wroteSinceFlush                       // Write, CloseWrite or Close has
)

// failure is why a connection ended early.
type failure uint8

const (
	noFailure  failure = iota
	refused            // RST in answer to our SYN
	reset              // RST later
	brokenPipe         // RST after the peer's FIN
	timedOut
	aborted // by our own user
)

// New returns a connection that is closed. iss is its initial sequence number.
func New(s *Settings, pool *Pool, iss uint32) *Conn {
	c := new(Conn)
	c.Init(s, pool, iss)
	return c
}

// Init makes c a connection that is closed, whatever it was before; memory that it held is given
// back to its pool. iss is its initial sequence number.
func (c *Conn) Init(s *Settings, pool *Pool, iss uint32) {
	if c.pool != nil {
		c.Release()
	}
	*c = Conn{s: s, pool: pool, iss: iss, una: iss, nxt: iss}
	c.pushed, c.small = iss, iss
	if s.cfg.Nagle {
		c.flags |= nagle
	}
	c.cc.init(&s.cfg)
	c.rack.reset()
}

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Err says why the connection ended: syscall.ECONNREFUSED, ECONNRESET, EPIPE (reset after the peer
// had closed its side), ETIMEDOUT, or ECONNABORTED when it was this end's Abort. It is nil while the
// connection lives and after an orderly close.
func (c *Conn) Err() error {
	switch c.err {
	case refused:
		return syscall.ECONNREFUSED
	case reset:
		return syscall.ECONNRESET
	case brokenPipe:
		return syscall.EPIPE
	case timedOut:
		return syscall.ETIMEDOUT
	case aborted:
		return syscall.ECONNABORTED
	}
	return nil
}

// Readable is how many bytes Read can return now. Bytes that arrived before the connection failed can
// still be read.
func (c *Conn) Readable() int { return c.rcv.len }

// EOF reports whether the peer has closed its side and everything before that has been read.
func (c *Conn) EOF() bool { return c.flags&finReceived != 0 && c.rcv.len == 0 }

// Finished reports whether the peer has closed its side, and all of what it sent has arrived; some of it may
// still have to be read.
func (c *Conn) Finished() bool { return c.flags&finReceived != 0 }

// Unacked is how many bytes have been written that the peer has not yet acknowledged.
func (c *Conn) Unacked() int { return c.snd.len }

// Read moves bytes that have arrived into p and returns how many. Call Flush afterwards: reading may
// open the window or bring forth an acknowledgement.
func (c *Conn) Read(p []byte) int {
	n := c.rcv.read(c.pool, p)
	if n > 0 {
		c.flags |= readSinceFlush
	}
	return n
}

// Write copies into the send buffer what of p fits and returns how much that is; 0 when the buffer is
// full, this side is closed, or the connection has failed. Nothing is transmitted until Flush.
func (c *Conn) Write(p []byte) int {
	n := min(len(p), c.Writable())
	if n <= 0 {
		return 0
	}
	c.snd.write(c.pool, p[:n])
	c.flags |= wroteSinceFlush
	return n
}

// Writable is how many bytes Write would take now; 0 too once this side is closed.
func (c *Conn) Writable() int {
	switch c.state {
	case SynSent, SynReceived, Established, CloseWait:
	default:
		return 0
	}
	if c.flags&finQueued != 0 {
		return 0
	}
	return max(c.sendSpace()-c.snd.len, 0)
}

// sendSpace is the size of the send buffer. Unless the user has fixed it, it grows with the
// congestion window, and does not shrink with it: to three windows, so that it never is what limits
// the connection, not in recovery either. (Linux reserves two windows in kernel memory, of which
// payload needs some two thirds.)
func (c *Conn) sendSpace() int {
	cfg := &c.s.cfg
	if c.s.sndFixed || c.mss == 0 {
		return cfg.SendBuffer
	}
	segments := max(c.cc.cwnd, uint32(cfg.InitialWindow), uint32(c.rack.reordering)+1)
	c.space = max(c.space, uint32(min(3*int64(segments)*int64(c.mss), int64(cfg.SendBufferMax))))
	return max(int(c.space), cfg.SendBuffer)
}

// MaySend reports whether an acknowledgement that arrives could make this end transmit or let its
// user go on: there is unsent data, a pending FIN, loss recovery, a full send buffer, or the
// connection is opening or closing. While it is false, an acknowledgement only moves numbers; but
// see [Conn.Patient] for which segments that is true.
func (c *Conn) MaySend() bool {
	if c.state != Established && c.state != CloseWait || c.flags&finQueued != 0 {
		return true
	}
	if seqGT(c.snd.end(), c.nxt) || 2*c.snd.len > c.sendSpace() || c.flags&useSACK == 0 {
		return true
	}
	f := c.flight
	return f != nil && (f.rec.phase != phaseOpen || f.leftOut() > 0 || f.tlp.out)
}

// Patient reports whether a segment that is on its way here can wait while MaySend is false: it
// acknowledges, and does nothing else. It is to be asked when no other segment from the peer that
// was sent later can overtake it.
func (c *Conn) Patient(seg *Segment) bool {
	return seg.Flags == ACK && len(seg.Payload) == 0 && seg.NumSACK == 0 && seqGEQ(seg.Seq, c.rcvNxt())
}

// NeedsFlush reports whether Flush has anything to look at since it was last called.
func (c *Conn) NeedsFlush() bool {
	if c.flags&wroteSinceFlush != 0 {
		return true
	}
	return c.flags&readSinceFlush != 0 && c.readMatters()
}

// rcvNxt is RCV.NXT: the next sequence number expected, a FIN counted.
func (c *Conn) rcvNxt() uint32 {
	if c.flags&finReceived != 0 {
		return c.rcv.nxt + 1
	}
	return c.rcv.nxt
}

// synchronized reports whether both ends know each other's sequence numbers.
func (c *Conn) synchronized() bool { return c.state >= Established }

// SetNoDelay turns Nagle's algorithm off or on, as TCP_NODELAY does.
func (c *Conn) SetNoDelay(on bool) {
	c.flags |= nagle
	if on {
		c.flags &^= nagle
		c.flags |= wroteSinceFlush // what was held back may go
	}
}

// Release gives back all memory that the connection took from its pool. What has not been read is
// lost. It is for connections that are closed or forgotten.
func (c *Conn) Release() {
	c.dropSend()
	c.rcv.dropGaps(c.pool)
	c.rcv.clear(c.pool)
}

// dropSend gives back the memory of the sending side.
func (c *Conn) dropSend() {
	c.snd.clear(c.pool)
	c.snd.base = c.nxt
	c.dropFlight()
}

func (c *Conn) dropFlight() {
	if c.flight != nil {
		c.pool.freeFlight(c.flight)
		c.flight = nil
	}
}

// finish ends the connection. What has arrived in order can still be read.
func (c *Conn) finish(why failure) {
	c.state = Closed
	if c.err == noFailure {
		c.err = why
	}
	c.dropSend()
	c.rcv.dropGaps(c.pool)
	if c.flags&orphan != 0 {
		c.rcv.clear(c.pool)
	}
	c.rtx = retransmitTimer{}
	c.idle = idleTimer{}
	c.ack.at = 0
}
