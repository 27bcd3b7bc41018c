package netsim

import "time"

// Kind says what an [Event] of the network was.
type Kind uint8

// The kinds of events.
const (
	// Dialed: a host began to open a connection.
	Dialed Kind = iota + 1
	// Established: an end of a connection completed the handshake.
	Established
	// Sent: a host put a packet on a link.
	Sent
	// Arrived: a packet reached a host.
	Arrived
	// Forwarded: a packet reached a balancer, which sends it on.
	Forwarded
	// Lost: a link lost a packet.
	Lost
	// Cut: a partition swallowed a packet.
	Cut
	// Overflowed: a packet found a link's queue full.
	Overflowed
	// TooBig: a packet was larger than a link's MTU.
	TooBig
	// Dropped: a NAT or firewall did not let a packet through, or a listener's backlog was full.
	Dropped
	// Undeliverable: a packet reached a host that is down, or nobody has its address.
	Undeliverable
	// Closed: an end of a connection ended, orderly or not.
	Closed
)

var kindNames = [...]string{
	Dialed: "dial", Established: "established", Sent: "send", Arrived: "arrive", Forwarded: "forward",
	Lost: "lost", Cut: "cut", Overflowed: "overflow", TooBig: "too-big", Dropped: "drop", Undeliverable: "undeliverable", Closed: "close",
}

// String gives the kind's name as it stands in a trace.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// Event is one thing that the network did.
type Event struct {
	Time time.Duration // virtual, since the network began
	Kind Kind
	// Host is where it happened and Peer the other end of the leg, as indices of [Network.HostName];
	// Peer is -1 where there is none.
	Host, Peer int32
	// Conn numbers the connection's end in order of creation, from 1; 0 where none is concerned.
	Conn uint32
	// Len is the payload's length in bytes.
	Len uint32
}

func (n *Network) observe(kind Kind, host, peer *Host, conn *Conn, length int) {
	if n.cfg.Observe == nil {
		return
	}
	e := Event{Time: n.clock, Kind: kind, Host: host.index, Peer: -1, Len: uint32(length)}
	if peer != nil {
		e.Peer = peer.index
	}
	if conn != nil {
		e.Conn = conn.id
	}
	n.cfg.Observe(e)
}
