package netsim

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/netsim/tcp"
)

// Fidelity says how closely connections are modelled.
type Fidelity uint8

const (
	// TCP models every segment: acknowledgements, congestion control and loss recovery (see package
	// tcp). It is the default.
	TCP Fidelity = iota
	// Stream models a connection as a byte stream with the path's latency and rate, on which a lost
	// packet is one that arrives later. It knows neither acknowledgements nor congestion, takes less
	// than half the events, and is for runs with very many connections.
	Stream
)

var fidelityNames = [...]string{TCP: "tcp", Stream: "stream"}

// String is the fidelity's name.
func (f Fidelity) String() string {
	if int(f) < len(fidelityNames) {
		return fidelityNames[f]
	}
	return fmt.Sprintf("Fidelity(%d)", uint8(f))
}

// ParseFidelity reads a fidelity's name.
func ParseFidelity(name string) (Fidelity, error) {
	for i, n := range fidelityNames {
		if n == name {
			return Fidelity(i), nil
		}
	}
	return 0, fmt.Errorf("netsim: fidelity %q: want %q or %q", name, TCP, Stream)
}

// protocol is one end of a connection as a state machine: a *tcp.Conn or a *stream. Its methods are
// documented at tcp.Conn.
type protocol interface {
	Connect(now time.Duration, out tcp.Output)
	Accept(now time.Duration, syn *tcp.Segment, out tcp.Output)
	Input(now time.Duration, seg *tcp.Segment, out tcp.Output)
	Flush(now time.Duration, out tcp.Output)
	Timer(now time.Duration, out tcp.Output)
	Deadline() (time.Duration, bool)
	MayGiveUp() bool
	Write(p []byte) int
	Read(p []byte) int
	Close()
	CloseWrite()
	Abort(now time.Duration, out tcp.Output)
	State() tcp.State
	Err() error
	Finished() bool
	Readable() int
	Writable() int
	MaySend() bool
	Patient(seg *tcp.Segment) bool
	NeedsFlush() bool
}

// newProtocol makes the state machine of a new connection.
func (n *Network) newProtocol(c *Conn) protocol {
	iss := uint32(c.host.luck.Uint64())
	if n.cfg.Fidelity == Stream {
		return &stream{next: iss, limit: iss}
	}
	mtu := defaultMTU
	if hop := n.route(c.host, c.remote.ip); hop != nil {
		mtu = c.host.pipeTo(hop).link.mtu()
	}
	return tcp.New(n.settingsFor(mtu), n.pool, iss)
}

// settingsFor gives the TCP settings for connections that begin with a link of a given MTU: their MSS
// fits into it (RFC 9293 §3.7.1).
func (n *Network) settingsFor(mtu int) *tcp.Settings {
	most := mtu - ipHeader - tcpHeader
	if n.tcp.Config().MSS <= most {
		return n.tcp
	}
	s := n.smaller[mtu]
	if s == nil {
		cfg := n.cfg.TCP
		cfg.MSS = max(most, leastMSS)
		var err error
		if s, err = cfg.Settings(); err != nil {
			panic(fmt.Sprintf("netsim: step %d: TCP settings for an MTU of %d: %v", n.step, mtu, err))
		}
		n.smaller[mtu] = s
	}
	return s
}

// leastMSS is the smallest MSS that package tcp allows; what it makes is too big for links of a smaller
// MTU than 128 bytes.
const leastMSS = 88
