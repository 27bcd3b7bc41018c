package tcp

import "time"

// counters are what a connection counts.
type counters struct {
	bytesIn      uint64
	segmentsOut  uint32
	segmentsIn   uint32
	retransmits  uint32
	lost         uint32
	timeouts     uint32
	recoveries   uint32
	tailProbes   uint32
	windowProbes uint32
	undone       uint32
	dsacks       uint32
}

// Info is a snapshot of a connection for its observers, like Linux's TCP_INFO.
type Info struct {
	State State

	Cwnd, Ssthresh uint32 // segments; Ssthresh is 0 until slow start has ended for the first time
	MSS            int    // bytes of payload in a full segment
	PeerWindow     uint32 // bytes that the peer offers
	Window         uint32 // bytes that are offered to the peer

	SRTT   time.Duration // 0 before the first sample
	RTTVar time.Duration
	MinRTT time.Duration
	RTO    time.Duration // backoff included

	InFlight int    // segments held to be in the network
	Unacked  int    // bytes written and not acknowledged
	BytesIn  uint64 // bytes received in order

	SegmentsOut, SegmentsIn uint32
	Retransmits             uint32 // segments sent again, SYNs and tail probes included
	Lost                    uint32 // segments held to be lost, rightly or not
	Timeouts                uint32 // of the retransmission timer
	Recoveries              uint32 // fast recoveries
	TailProbes              uint32
	WindowProbes            uint32
	Undone                  uint32 // reductions of the window taken back
	DSACKs                  uint32 // segments that the peer says have arrived twice
}

// Info returns a snapshot; a zero one if the connection has not been given to Init.
func (c *Conn) Info() Info {
	if c.s == nil {
		return Info{}
	}
	n := &c.info
	i := Info{
		State: c.state,
		Cwnd:  c.cc.cwnd, MSS: int(c.mss), PeerWindow: c.wnd, Window: c.offered(),
		SRTT: c.rtt.smoothed(), RTTVar: fromMicros(c.rtt.rttvar / 4),
		MinRTT: fromMicros(c.rtt.lowest.value()), RTO: c.rto(),
		InFlight: c.inFlight(), Unacked: c.snd.len, BytesIn: n.bytesIn,
		SegmentsOut: n.segmentsOut, SegmentsIn: n.segmentsIn, Retransmits: n.retransmits,
		Lost: n.lost, Timeouts: n.timeouts, Recoveries: n.recoveries, TailProbes: n.tailProbes,
		WindowProbes: n.windowProbes, Undone: n.undone, DSACKs: n.dsacks,
	}
	if c.cc.ssthresh != unlimited {
		i.Ssthresh = c.cc.ssthresh
	}
	return i
}
