package tcp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sink drops what is sent.
type sink struct{ segments int }

func (s *sink) Send(*Segment) { s.segments++ }

// fuzzSegment reads a segment from the front of in: numbers near those that the connection expects,
// for others are thrown away at the door.
func fuzzSegment(c *Conn, in []byte) (seg Segment, rest []byte) {
	var b [24]byte
	n := copy(b[:], in)
	near := func(at uint32, i int) uint32 { return at + uint32(int32(int16(binary.LittleEndian.Uint16(b[i:])))) }
	seg = Segment{
		Flags: Flags(b[0]), Window: binary.LittleEndian.Uint16(b[2:]),
		Seq: near(c.rcvNxt(), 4), Ack: near(c.una, 6),
		MSS: uint16(b[8]) << (b[9] & 8), WScale: int8(b[9]), SACKPermitted: b[1]&1 != 0,
		HasTS: b[1]&2 != 0, TSVal: near(c.seen.recent, 10), TSEcr: uint32(b[12]),
		NumSACK: int(int8(b[13])) % 8,
	}
	if b[1]&4 != 0 {
		seg.Seq = c.rcvNxt()
	}
	if b[1]&8 != 0 {
		seg.Ack = c.nxt
	}
	for i := range seg.SACK {
		seg.SACK[i] = Block{near(c.una, 14+2*i), near(c.una, 15+2*i)}
	}
	seg.Payload = make([]byte, int(b[23])*(1+int(b[1]>>4)))
	for i := range seg.Payload {
		seg.Payload[i] = byte(seg.Seq + uint32(i)) // the byte at each sequence number is always the same
	}
	return seg, in[n:]
}

// Whatever segments arrive in whatever state: no panic, a state that is consistent, and no byte that
// was not at that place in the stream.
func FuzzInput(f *testing.F) {
	f.Add([]byte{0}, false)
	f.Add([]byte{1, 16, 12, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 3, 9}, true)
	f.Add([]byte("0100000000000000000000000200000000000000000000000300000000000000000000000"), false)
	f.Fuzz(func(t *testing.T, in []byte, client bool) {
		c := New(mustSettings(Config{KeepAlive: KeepAlive{Idle: time.Minute}}), NewPool(), 0xfffffff0)
		out := new(sink)
		now := time.Second
		syn := &Segment{Flags: SYN, Seq: 0xffffff00, Window: 5000, MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 1}
		if client {
			c.Connect(now, out)
			if len(in) > 0 && in[0]&1 != 0 {
				syn.Flags, syn.Ack = SYN|ACK, c.nxt
				c.Input(now, syn, out)
			}
		} else {
			c.Accept(now, syn, out)
		}
		at := uint32(0)
		for len(in) > 0 {
			op := in[0]
			in = in[1:]
			switch op % 8 {
			case 0:
				c.Write(make([]byte, 300*int(op/8)))
			case 1:
				buf := make([]byte, 1+int(op)*20)
				if c.rcv.len > 0 {
					at = c.rcv.nxt - uint32(c.rcv.len)
				}
				for i := range c.Read(buf) {
					require.Equal(t, byte(at+uint32(i)), buf[i], "byte at %d", at+uint32(i))
				}
			case 2:
				if d, ok := c.Deadline(); ok {
					require.GreaterOrEqual(t, d, time.Second)
					now = max(now, d)
					c.Timer(now, out)
					d, ok = c.Deadline()
					require.True(t, !ok || d > now, "deadline %v after Timer at %v", d, now)
				}
			case 3:
				switch op / 8 {
				case 0:
					c.CloseWrite()
				case 1:
					c.Close()
				case 2:
					c.Abort(now, out)
				}
			default:
				var seg Segment
				seg, in = fuzzSegment(c, in)
				c.Input(now, &seg, out)
			}
			c.check("fuzzed", now)
			c.Flush(now, out)
			c.check("fuzzed", now)
			now += time.Duration(op) * 100 * time.Microsecond
		}
	})
}
