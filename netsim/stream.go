package netsim

import (
	"slices"
	"syscall"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// stream is one end of a connection at Stream fidelity. Its segments have TCP's form, so that the
// same hosts, balancers and captures handle them, but they never get lost: the network sends a lost
// one again by itself, later (see Network.retry), and the receiver puts them in order. The only
// segments that carry no data are the three of the handshake, FIN, RST, and a credit whenever the
// reader has taken half a window.
type stream struct {
	state tcp.State
	err   error

	out    []byte // written, not sent
	next   uint32 // sequence number of the first byte of out
	limit  uint32 // up to where the other end has room
	finish bool   // a FIN follows out
	sent   bool   // the FIN has been sent

	in       []byte // received in order, not read
	taken    int    // how much of in has been read
	expected uint32 // sequence number of the next byte to receive
	credited uint32 // up to where the reader had read when the other end was last told
	held     []heldSegment
	ended    bool // a FIN has been received
	deaf     bool // closed: what is received is not wanted
}

// heldSegment is a segment that has overtaken an earlier one.
type heldSegment struct {
	seq  uint32
	data []byte
	fin  bool
}

const (
	// streamWindow is how many bytes may be under way or unread, per direction.
	streamWindow = 256 << 10
	// streamSegment is the most that one segment carries: what a kernel hands to a network card at
	// once (GSO).
	streamSegment = 64 << 10
)

func (s *stream) Connect(_ time.Duration, out tcp.Output) {
	s.state = tcp.SynSent
	s.send(out, tcp.SYN, nil)
	s.next++
}

func (s *stream) Accept(_ time.Duration, syn *tcp.Segment, out tcp.Output) {
	s.state = tcp.SynReceived
	s.learn(syn)
	s.send(out, tcp.SYN|tcp.ACK, nil)
	s.next++
}

// learn takes the other end's initial sequence number from its SYN.
func (s *stream) learn(syn *tcp.Segment) {
	s.expected = syn.Seq + 1
	s.credited = s.expected
}

func (s *stream) send(out tcp.Output, flags tcp.Flags, payload []byte) {
	seg := tcp.Segment{Seq: s.next, Flags: flags, Window: 1<<16 - 1, WScale: -1, Payload: payload}
	if flags&tcp.ACK != 0 {
		seg.Ack = s.credited
	}
	out.Send(&seg)
}

func (s *stream) Input(now time.Duration, seg *tcp.Segment, out tcp.Output) {
	switch {
	case s.state == tcp.Closed:
		return
	case seg.Flags&tcp.RST != 0 && s.state == tcp.SynSent:
		s.end(syscall.ECONNREFUSED)
		return
	case seg.Flags&tcp.RST != 0:
		s.end(syscall.ECONNRESET)
		return
	case s.state == tcp.SynSent:
		if seg.Flags&(tcp.SYN|tcp.ACK) != tcp.SYN|tcp.ACK {
			return
		}
		s.learn(seg)
		s.limit = seg.Ack + streamWindow
		s.state = tcp.Established
		s.send(out, tcp.ACK, nil)
		s.Flush(now, out)
		return
	case s.state == tcp.SynReceived:
		s.state = tcp.Established
		s.limit = s.next + streamWindow
	}
	if seg.Flags&tcp.ACK != 0 && int32(seg.Ack+streamWindow-s.limit) > 0 {
		s.limit = seg.Ack + streamWindow
	}
	s.receive(seg)
	if s.deaf && len(seg.Payload) > 0 {
		s.Abort(now, out) // data for a program that has closed the connection
		return
	}
	s.Flush(now, out)
}

// receive puts a segment's data in its place.
func (s *stream) receive(seg *tcp.Segment) {
	fin := seg.Flags&tcp.FIN != 0
	if len(seg.Payload) == 0 && !fin {
		return
	}
	if int32(seg.Seq-s.expected) < 0 {
		return // a duplicate
	}
	if seg.Seq != s.expected {
		at, again := slices.BinarySearchFunc(s.held, seg.Seq, func(h heldSegment, seq uint32) int {
			return int(int32(h.seq - seq))
		})
		if again {
			return
		}
		s.held = slices.Insert(s.held, at, heldSegment{seg.Seq, slices.Clone(seg.Payload), fin})
		return
	}
	s.append(seg.Payload, fin)
	for len(s.held) > 0 && s.held[0].seq == s.expected {
		h := s.held[0]
		s.held = slices.Delete(s.held, 0, 1)
		s.append(h.data, h.fin)
	}
}

func (s *stream) append(data []byte, fin bool) {
	s.in = append(s.in, data...)
	s.expected += uint32(len(data))
	if fin {
		s.expected++
		s.ended = true
	}
}

// Flush sends what the other end has room for, then the FIN, and a credit if one is due.
func (s *stream) Flush(_ time.Duration, out tcp.Output) {
	if s.state == tcp.SynSent || s.state == tcp.SynReceived || s.state == tcp.Closed {
		return
	}
	said := false
	for {
		n := min(len(s.out), streamSegment, int(int32(s.limit-s.next)))
		if n <= 0 {
			break
		}
		s.credit()
		s.send(out, tcp.ACK|tcp.PSH, s.out[:n])
		said = true
		s.next += uint32(n)
		s.out = s.out[n:]
	}
	if len(s.out) == 0 {
		s.out = nil // an idle connection holds no memory
	}
	if s.finish && !s.sent && len(s.out) == 0 {
		s.credit()
		s.send(out, tcp.ACK|tcp.FIN, nil)
		said = true
		s.next++
		s.sent = true
	}
	if !said && s.unread() >= streamWindow/2 {
		s.credit()
		s.send(out, tcp.ACK, nil)
	}
	if s.sent && s.ended {
		s.end(nil)
	}
}

// credit brings what the other end is told up to date.
func (s *stream) credit() { s.credited = s.readUpTo() }

// readUpTo is the sequence number of the first byte that the reader has not taken.
func (s *stream) readUpTo() uint32 { return s.expected - uint32(len(s.in)-s.taken) }

// unread is how much the reader has taken since the other end was last told.
func (s *stream) unread() int { return int(s.readUpTo() - s.credited) }

// end is the end of the connection; what has been received can still be read.
func (s *stream) end(err error) {
	s.state, s.err = tcp.Closed, err
	s.out, s.held = nil, nil
}

func (s *stream) Write(p []byte) int {
	if s.state == tcp.Closed || s.finish {
		return 0
	}
	n := min(len(p), s.Writable())
	s.out = append(s.out, p[:n]...)
	return n
}

func (s *stream) Read(p []byte) int {
	n := copy(p, s.in[s.taken:])
	s.taken += n
	if s.taken == len(s.in) {
		s.in, s.taken = nil, 0
	}
	return n
}

func (s *stream) Close() {
	s.finish, s.deaf = true, true
	if s.state == tcp.SynSent {
		s.end(nil)
	}
}

func (s *stream) CloseWrite() { s.finish = true }

func (s *stream) Abort(_ time.Duration, out tcp.Output) {
	if s.state != tcp.Closed && s.state != tcp.SynSent {
		s.send(out, tcp.RST|tcp.ACK, nil)
	}
	s.end(syscall.ECONNRESET)
}

// giveUp ends a connection one of whose segments did not get through.
func (s *stream) giveUp() { s.end(syscall.ETIMEDOUT) }

func (s *stream) State() tcp.State { return s.state }
func (s *stream) Err() error       { return s.err }
func (s *stream) Finished() bool   { return s.ended }
func (s *stream) Readable() int    { return len(s.in) - s.taken }
func (s *stream) Writable() int    { return max(streamWindow-len(s.out), 0) }

// MaySend reports that a credit would be acted on.
func (s *stream) MaySend() bool { return len(s.out) > 0 }

// Patient reports whether a segment can wait while MaySend is false: a credit can.
func (s *stream) Patient(seg *tcp.Segment) bool {
	return seg.Flags == tcp.ACK && len(seg.Payload) == 0
}

// NeedsFlush reports whether there is something to send, or a credit is due.
func (s *stream) NeedsFlush() bool {
	return len(s.out) > 0 || s.finish && !s.sent || s.unread() >= streamWindow/2
}

// Deadline, MayGiveUp and Timer: a stream has no timers; the network sends lost segments again.
func (s *stream) Deadline() (time.Duration, bool) { return 0, false }
func (s *stream) MayGiveUp() bool                 { return false }
func (s *stream) Timer(time.Duration, tcp.Output) {}
