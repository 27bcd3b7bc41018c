package netsim

import (
	"net/netip"

	"github.com/twohop/twohop/netsim/tcp"
)

// endpoint is an IPv4 address and a port.
type endpoint struct {
	ip   uint32
	port uint16
}

func (e endpoint) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(addrOf(e.ip), e.port)
}

func addrOf(ip uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}

func ipOf(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// proto says what a packet carries.
type proto uint8

const (
	protoTCP proto = iota
	protoUDP
	// protoUnreachable is the ICMP message that nobody listens on the UDP port it comes from.
	protoUnreachable
)

// packet is an IP packet with a TCP segment or a UDP datagram in flight. Packets are recycled: whoever takes one out
// of an event either sends it on or releases it.
type packet struct {
	src, dst endpoint
	from, to *Host // the ends of the leg it is on
	proto    proto
	seg      tcp.Segment // of TCP
	payload  []byte      // what is carried; seg.Payload is this, whose memory is kept across lives
	// counted is the connection that counts this packet as an acknowledgement whose processing may be
	// put off; see Network.plan.
	counted *Conn
	// conn is the stream that the packet belongs to, and tries how often it was lost. At TCP fidelity
	// conn is nil, and what is lost is lost.
	conn  *Conn
	tries int
	// sender is whose packet it is that a paused host holds back.
	sender *Conn
	// dropped says that a middlebox did not let it through.
	dropped bool
	// ident is the IP identification in captures, and hops how many boxes have sent it on.
	ident uint16
	hops  uint8
	next  *packet
}

// The lengths of headers without options, in bytes.
const (
	ipHeader  = 20
	tcpHeader = 20
	udpHeader = 8
)

// wireLen is the packet's length in bytes, as IP sees it.
func (p *packet) wireLen() int {
	if p.proto == protoTCP {
		return ipHeader + tcpHeader + p.seg.OptionBytes() + len(p.payload)
	}
	return ipHeader + udpHeader + len(p.payload)
}

// newSegment copies a TCP segment into a packet of its own.
func (n *Network) newSegment(src, dst endpoint, seg *tcp.Segment) *packet {
	p := n.newPacket(src, dst, protoTCP, seg.Payload)
	p.seg = *seg
	p.seg.Payload = p.payload
	return p
}

// newPacket makes a packet with a copy of its payload.
func (n *Network) newPacket(src, dst endpoint, carries proto, payload []byte) *packet {
	p := n.freePackets
	if p == nil {
		p = new(packet)
	} else {
		n.freePackets = p.next
		p.next = nil
	}
	p.src, p.dst, p.proto = src, dst, carries
	p.payload = append(p.payload[:0], payload...)
	return p
}

// copyPacket is a second copy of a packet, as a link makes that duplicates.
func (n *Network) copyPacket(p *packet) *packet {
	d := n.newPacket(p.src, p.dst, p.proto, p.payload)
	d.seg = p.seg
	d.seg.Payload = d.payload
	d.from, d.to = p.from, p.to
	return d
}

func (n *Network) release(p *packet) {
	p.from, p.to, p.conn, p.tries, p.dropped = nil, nil, nil, 0, false
	p.ident, p.hops = 0, 0
	p.next = n.freePackets
	n.freePackets = p
}
