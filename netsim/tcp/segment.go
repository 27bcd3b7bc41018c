package tcp

import (
	"fmt"
	"strings"
)

// Flags are the control bits of a segment, with the values they have on the wire (RFC 9293 §3.1).
type Flags uint8

// The control bits that connections use.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Has reports whether all the bits of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// String lists the bits as in "SYN|ACK"; no bit is "-".
func (f Flags) String() string {
	var b strings.Builder
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if f&(1<<i) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('|')
		}
		b.WriteString(name)
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// Block is a range of sequence numbers, Start included and End not (RFC 2018 §3).
type Block struct {
	Start, End uint32
}

// MaxSACK is how many blocks the SACK option holds beside a timestamp option or alone (RFC 2018 §3).
const MaxSACK = 4

// Segment is a TCP segment: what a header with its options says, and the payload. It is valid only
// during the call that it is passed to.
type Segment struct {
	Seq, Ack uint32
	Flags    Flags
	Window   uint16 // as on the wire: not yet scaled

	// MSS is the maximum segment size option, in bytes; 0 when absent. Only with SYN.
	MSS uint16
	// WScale is the window scale option, 0 to 14; -1 when absent. Only with SYN.
	WScale int8
	// SACKPermitted is the option of that name. Only with SYN.
	SACKPermitted bool

	// HasTS says that the timestamp option is there, with TSVal and TSEcr (milliseconds).
	HasTS        bool
	TSVal, TSEcr uint32

	// SACK holds NumSACK blocks. A first block at or below Ack, or inside the second, is a D-SACK
	// (RFC 2883 §4).
	SACK    [MaxSACK]Block
	NumSACK int

	Payload []byte
}

// Len is how much sequence space the segment takes: the payload, and one for each of SYN and FIN.
func (s *Segment) Len() uint32 {
	n := uint32(len(s.Payload))
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// OptionBytes is the length of the segment's options on the wire, padded to whole words the way that
// Linux pads them: a timestamp takes 12 bytes, n SACK blocks 4+8n. It is a multiple of 4, at most 40.
func (s *Segment) OptionBytes() int {
	n := 0
	if s.MSS != 0 {
		n += 4
	}
	if s.HasTS {
		n += 12
	}
	if s.WScale >= 0 && s.Flags&SYN != 0 {
		n += 4
	}
	if s.SACKPermitted && !s.HasTS {
		n += 4 // with a timestamp it takes the place of the padding
	}
	if s.NumSACK > 0 {
		n += 4 + 8*s.NumSACK
	}
	return n
}

// String is one line for traces, as in "SYN|ACK seq=1 ack=2 win=65535 len=0".
func (s *Segment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v seq=%d ack=%d win=%d len=%d", s.Flags, s.Seq, s.Ack, s.Window, len(s.Payload))
	for _, k := range s.SACK[:s.numSACK()] {
		fmt.Fprintf(&b, " sack=%d-%d", k.Start, k.End)
	}
	return b.String()
}

// numSACK is NumSACK forced into its range, for segments that come from elsewhere.
func (s *Segment) numSACK() int { return min(max(s.NumSACK, 0), MaxSACK) }

// Reset says which RST, if any, answers a segment that belongs to no connection (RFC 9293
// §3.10.7.1). A segment with RST is never answered.
func Reset(seg *Segment) (rst Segment, ok bool) {
	if seg.Flags.Has(RST) {
		return Segment{}, false
	}
	rst.WScale = -1
	if seg.Flags.Has(ACK) {
		rst.Flags = RST
		rst.Seq = seg.Ack
		return rst, true
	}
	rst.Flags = RST | ACK
	rst.Ack = seg.Seq + seg.Len()
	return rst, true
}
