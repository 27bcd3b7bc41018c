package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/twohop/twohop/netsim/tcp"
)

// Lengths of headers without options, and the greatest length of TCP options, in bytes.
const (
	ipv4Header    = 20
	tcpHeader     = 20
	udpHeader     = 8
	maxTCPOptions = 40
)

// The control bits that package tcp has no name for (RFC 9293 §3.1).
const (
	urg tcp.Flags = 1 << (iota + 5)
	ece
	cwr
)

// encoder makes IPv4 packets. What it returns is valid until the next call: memory is reused.
type encoder struct {
	buf      gopacket.SerializeBuffer
	ip       *layers.IPv4
	segment  *layers.TCP
	datagram *layers.UDP
	options  []layers.TCPOption
	optData  []byte // what options' data are slices of; never grows beyond its capacity
}

// serializing has lengths and checksums filled in.
var serializing = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}

func newEncoder() (encoder, error) {
	e := encoder{
		buf: gopacket.NewSerializeBufferExpectedSize(2048, 0),
		ip: &layers.IPv4{
			Version: 4, Flags: layers.IPv4DontFragment,
			SrcIP: make([]byte, 4), DstIP: make([]byte, 4),
		},
		segment:  &layers.TCP{},
		datagram: &layers.UDP{},
		options:  make([]layers.TCPOption, 0, 16),
		optData:  make([]byte, 0, maxTCPOptions),
	}
	if err := e.segment.SetNetworkLayerForChecksum(e.ip); err != nil {
		return encoder{}, err
	}
	return e, e.datagram.SetNetworkLayerForChecksum(e.ip)
}

// tcp encodes a packet with a segment, which has passed checkOptions and fits into it.
func (e *encoder) tcp(p *Packet, seg *tcp.Segment) ([]byte, error) {
	t := e.segment
	t.SrcPort, t.DstPort = layers.TCPPort(p.Src.Port()), layers.TCPPort(p.Dst.Port())
	t.Seq, t.Ack = seg.Seq, seg.Ack
	t.Window = seg.Window
	t.FIN, t.SYN, t.RST = seg.Flags.Has(tcp.FIN), seg.Flags.Has(tcp.SYN), seg.Flags.Has(tcp.RST)
	t.PSH, t.ACK = seg.Flags.Has(tcp.PSH), seg.Flags.Has(tcp.ACK)
	t.URG, t.ECE, t.CWR = seg.Flags.Has(urg), seg.Flags.Has(ece), seg.Flags.Has(cwr)
	t.Options = e.tcpOptions(seg)
	return e.packet(p, layers.IPProtocolTCP, t, seg.Payload)
}

// udp encodes a packet with a datagram, which fits into it.
func (e *encoder) udp(p *Packet, payload []byte) ([]byte, error) {
	e.datagram.SrcPort, e.datagram.DstPort = layers.UDPPort(p.Src.Port()), layers.UDPPort(p.Dst.Port())
	return e.packet(p, layers.IPProtocolUDP, e.datagram, payload)
}

// packet encodes from the inside out, as gopacket.SerializeLayers would if that did not allocate.
func (e *encoder) packet(p *Packet, protocol layers.IPProtocol, transport gopacket.SerializableLayer, payload []byte) ([]byte, error) {
	e.ip.Id = p.ID
	e.ip.TTL = initialTTL - p.Hops
	e.ip.Protocol = protocol
	src, dst := p.Src.Addr().As4(), p.Dst.Addr().As4()
	copy(e.ip.SrcIP, src[:])
	copy(e.ip.DstIP, dst[:])
	if err := e.buf.Clear(); err != nil {
		return nil, err
	}
	room, err := e.buf.PrependBytes(len(payload))
	if err != nil {
		return nil, err
	}
	copy(room, payload)
	if err := transport.SerializeTo(e.buf, serializing); err != nil {
		return nil, err
	}
	if err := e.ip.SerializeTo(e.buf, serializing); err != nil {
		return nil, err
	}
	return e.buf.Bytes(), nil
}

// tcpOptions lays out a segment's options in the order and with the padding of Linux, where every
// option ends on a word: [tcp.Segment.OptionBytes] counts the same. NOPs fill up, so that gopacket adds
// nothing.
func (e *encoder) tcpOptions(seg *tcp.Segment) []layers.TCPOption {
	e.options, e.optData = e.options[:0], e.optData[:0]
	syn := seg.Flags.Has(tcp.SYN)
	if seg.MSS != 0 {
		e.optData = binary.BigEndian.AppendUint16(e.optData, seg.MSS)
		e.option(layers.TCPOptionKindMSS, 2)
	}
	if seg.SACKPermitted {
		if !seg.HasTS {
			e.pad(2)
		}
		e.option(layers.TCPOptionKindSACKPermitted, 0)
	} else if seg.HasTS {
		e.pad(2)
	}
	if seg.HasTS {
		e.optData = binary.BigEndian.AppendUint32(e.optData, seg.TSVal)
		e.optData = binary.BigEndian.AppendUint32(e.optData, seg.TSEcr)
		e.option(layers.TCPOptionKindTimestamps, 8)
	}
	if syn && seg.WScale >= 0 {
		e.pad(1)
		e.optData = append(e.optData, byte(seg.WScale))
		e.option(layers.TCPOptionKindWindowScale, 1)
	}
	if seg.NumSACK > 0 {
		e.pad(2)
		for _, b := range seg.SACK[:seg.NumSACK] {
			e.optData = binary.BigEndian.AppendUint32(e.optData, b.Start)
			e.optData = binary.BigEndian.AppendUint32(e.optData, b.End)
		}
		e.option(layers.TCPOptionKindSACK, 8*seg.NumSACK)
	}
	return e.options
}

// option appends an option whose data are the last n bytes of optData.
func (e *encoder) option(kind layers.TCPOptionKind, n int) {
	e.options = append(e.options, layers.TCPOption{OptionType: kind, OptionData: e.optData[len(e.optData)-n:]})
}

// pad appends n no-operation options, a byte each.
func (e *encoder) pad(n int) {
	for range n {
		e.options = append(e.options, layers.TCPOption{OptionType: layers.TCPOptionKindNop})
	}
}

// checkOptions rejects options that no TCP header holds.
func checkOptions(seg *tcp.Segment) error {
	if seg.NumSACK < 0 || seg.NumSACK > tcp.MaxSACK {
		return fmt.Errorf("capture: NumSACK is %d; want 0 to %d", seg.NumSACK, tcp.MaxSACK)
	}
	if n := seg.OptionBytes(); n > maxTCPOptions {
		return fmt.Errorf("capture: the options take %d bytes; want at most %d: a timestamp leaves room for 3 SACK blocks, and SYN options for fewer", n, maxTCPOptions)
	}
	return nil
}
