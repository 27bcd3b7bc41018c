package capture

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/twohop/twohop/netsim/tcp"
)

// Direction says which way a packet crossed the interface that recorded it. It has the values of
// pcapng's epb_flags, and the zero value says that the direction is not known.
type Direction uint8

// The directions.
const (
	In  Direction = 1
	Out Direction = 2
)

// String is "in", "out" or "unknown".
func (d Direction) String() string {
	switch d {
	case In:
		return "in"
	case Out:
		return "out"
	}
	return "unknown"
}

// initialTTL is the time to live of a packet that leaves its sender (RFC 1700, "IP Time to Live Parameter").
const initialTTL = 64

// Packet is what a record says of a packet besides its content.
type Packet struct {
	// At is when it was seen: virtual time, at least 0.
	At time.Duration
	// Interface is where it was seen: an id that [Writer.Interface] gave.
	Interface int
	// Direction is which way it went there.
	Direction Direction
	// Src and Dst are IPv4 addresses and ports, as the packet carries them at this place.
	Src, Dst netip.AddrPort
	// ID is its IP identification. A packet keeps it on its way: the call that records the sending
	// returns it, for the calls that record the same packet elsewhere. 0 means the next of the
	// Interface if the Direction is Out, and otherwise that it is not known.
	ID uint16
	// Hops is how many balancers or routers sent it on before it came here, 0 to 63. Each takes one
	// from the time to live, which begins at 64.
	Hops uint8
	// Note becomes the packet's comment: at most 65535 bytes of UTF-8, none of them 0. "" means none.
	Note string
}

// maxIPv4 is the greatest length of an IPv4 packet (RFC 791 §3.1, Total Length), and maxPiece and
// maxDatagram what it holds of a segment, however many options that has, and of a datagram. In bytes.
const (
	maxIPv4     = math.MaxUint16
	maxPiece    = maxIPv4 - ipv4Header - tcpHeader - maxTCPOptions
	maxDatagram = maxIPv4 - ipv4Header - udpHeader
)

// TCP records a segment, which it does not keep, and returns the packet's IP identification.
//
// A payload of more than 65455 bytes, which is what surely fits into an IPv4 packet, is recorded as
// several packets, as a network card with segmentation offload makes them: sequence numbers and
// identifications follow one another, SYN and its options are on the first only, FIN, RST and PSH on
// the last only.
//
// It is an error if the options take more than 40 bytes, as they do if four SACK blocks stand beside
// a timestamp.
func (w *Writer) TCP(p Packet, seg *tcp.Segment) (id uint16, err error) {
	if w.closed {
		return 0, errClosed
	}
	if err := w.check(&p); err != nil {
		return 0, w.fail(err)
	}
	if err := checkOptions(seg); err != nil {
		return 0, w.fail(err)
	}
	pieces := max(1, (len(seg.Payload)+maxPiece-1)/maxPiece)
	id = w.identify(&p, pieces)
	rest := *seg
	for range pieces {
		piece := cut(&rest)
		data, err := w.packet.tcp(&p, &piece)
		if err == nil {
			err = w.write(&p, data)
		}
		if err != nil {
			return 0, w.fail(fmt.Errorf("capture: TCP packet: %w", err))
		}
		p.ID = after(p.ID)
	}
	return id, nil
}

// cut takes off a segment's front as much as surely fits into a packet.
func cut(rest *tcp.Segment) tcp.Segment {
	piece := *rest
	if len(rest.Payload) <= maxPiece {
		return piece
	}
	piece.Payload = rest.Payload[:maxPiece]
	piece.Flags &^= tcp.FIN | tcp.RST | tcp.PSH
	rest.Seq += piece.Len()
	rest.Payload = rest.Payload[maxPiece:]
	rest.Flags &^= tcp.SYN
	rest.MSS, rest.WScale, rest.SACKPermitted = 0, -1, false
	return piece
}

// UDP records a datagram, which it does not keep, and returns the packet's IP identification. The
// payload has at most 65507 bytes, which is what an IPv4 packet holds.
func (w *Writer) UDP(p Packet, payload []byte) (id uint16, err error) {
	if w.closed {
		return 0, errClosed
	}
	if err := w.check(&p); err != nil {
		return 0, w.fail(err)
	}
	if len(payload) > maxDatagram {
		return 0, w.fail(fmt.Errorf("capture: UDP payload has %d bytes; want at most %d", len(payload), maxDatagram))
	}
	id = w.identify(&p, 1)
	data, err := w.packet.udp(&p, payload)
	if err == nil {
		err = w.write(&p, data)
	}
	if err != nil {
		return 0, w.fail(fmt.Errorf("capture: UDP packet: %w", err))
	}
	return id, nil
}

func (w *Writer) check(p *Packet) error {
	switch {
	case p.Interface < 0 || p.Interface >= len(w.nextID):
		return fmt.Errorf("capture: Interface is %d; the capture has %d, counted from 0", p.Interface, len(w.nextID))
	case p.At < 0:
		return fmt.Errorf("capture: At is %v; it must not be negative", p.At)
	case int64(p.At) > math.MaxInt64-w.epoch.UnixNano():
		return fmt.Errorf("capture: At is %v, which after an epoch of %v is beyond the year 2262", p.At, w.epoch)
	case p.Direction > Out:
		return fmt.Errorf("capture: Direction is %d; want In, Out, or 0 for not known", uint8(p.Direction))
	case !p.Src.Addr().Unmap().Is4():
		return fmt.Errorf("capture: Src is %v; want an IPv4 address and port", p.Src)
	case !p.Dst.Addr().Unmap().Is4():
		return fmt.Errorf("capture: Dst is %v; want an IPv4 address and port", p.Dst)
	case p.Hops >= initialTTL:
		return fmt.Errorf("capture: Hops is %d; want 0 to %d", p.Hops, initialTTL-1)
	}
	return checkText("Note", p.Note, maxNote)
}

// identify gives a packet, the first of n, its identification.
func (w *Writer) identify(p *Packet, n int) uint16 {
	if p.ID == 0 && p.Direction == Out {
		next := &w.nextID[p.Interface]
		p.ID = *next
		for range n {
			*next = after(*next)
		}
	}
	return p.ID
}

// after is the identification that follows id: that of 65535 is 1, and what follows one that is not
// known is not known either.
func after(id uint16) uint16 {
	switch id {
	case 0:
		return 0
	case math.MaxUint16:
		return 1
	}
	return id + 1
}

// write writes an enhanced packet block.
func (w *Writer) write(p *Packet, data []byte) error {
	var opts pcapgo.NgPacketOptions
	if p.Direction != 0 {
		w.flags.Direction = pcapgo.NgEpbFlag(p.Direction)
		opts.Flags = &w.flags
	}
	if p.Note != "" {
		w.note[0] = p.Note
		opts.Comments = w.note[:]
	}
	return w.blocks.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp:      w.epoch.Add(p.At),
		CaptureLength:  len(data),
		Length:         len(data),
		InterfaceIndex: p.Interface,
	}, data, opts)
}
