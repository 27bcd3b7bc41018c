package capture_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/netsim/capture"
	"github.com/twohop/twohop/netsim/tcp"
)

// The greatest payload of a TCP packet, and that of a datagram.
const (
	maxPiece    = 65535 - 20 - 60
	maxDatagram = 65535 - 20 - 8
)

// pattern is a payload that differs from its own shifts.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

func TestTCPTable(t *testing.T) {
	blocks := [tcp.MaxSACK]tcp.Block{{Start: 10, End: 20}, {Start: math.MaxUint32 - 5, End: 4}, {Start: 50, End: 60}, {Start: 70, End: 80}}
	cases := map[string]tcp.Segment{
		"SYN of Linux":         {Flags: tcp.SYN, Seq: math.MaxUint32, Window: 64240, MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 1},
		"SYN, all but TS":      {Flags: tcp.SYN, MSS: 536, WScale: 0, SACKPermitted: true},
		"SYN, only SACK":       {Flags: tcp.SYN, WScale: -1, SACKPermitted: true},
		"SYN, no option":       {Flags: tcp.SYN, WScale: -1},
		"SYN, scale 14":        {Flags: tcp.SYN | tcp.ACK, WScale: 14, Ack: 1},
		"SYN with data":        {Flags: tcp.SYN, WScale: -1, Payload: pattern(100)},
		"ACK":                  {Flags: tcp.ACK, Seq: 1, Ack: math.MaxUint32, Window: math.MaxUint16},
		"ACK, 4 SACK":          {Flags: tcp.ACK, SACK: blocks, NumSACK: 4},
		"ACK, 3 SACK, TS":      {Flags: tcp.ACK, SACK: blocks, NumSACK: 3, HasTS: true, TSVal: math.MaxUint32, TSEcr: 7},
		"RST":                  {Flags: tcp.RST, Seq: 9},
		"FIN, odd payload":     {Flags: tcp.FIN | tcp.PSH | tcp.ACK, Payload: []byte("bye")},
		"largest in one":       {Flags: tcp.ACK, HasTS: true, Payload: pattern(maxPiece)},
		"payload of all ones":  {Flags: tcp.ACK, Payload: bytes.Repeat([]byte{0xff}, 1460)},
		"payload of all zeros": {Payload: make([]byte, 1459)},
	}
	for name, seg := range cases {
		t.Run(name, func(t *testing.T) {
			p := capture.Packet{At: time.Hour + 1, Direction: capture.Out, Src: client, Dst: edge, Note: name}
			var file bytes.Buffer
			w := newCapture(t, &file)
			before := seg
			_, err := w.TCP(p, &seg)
			require.NoError(t, err)
			require.Equal(t, before, seg)
			require.NoError(t, w.Close())
			all, _ := readAll(t, file.Bytes())
			require.Len(t, all, 1)
			requirePacket(t, p, all[0])
			requireSegment(t, &seg, all[0])
		})
	}
}

// Every combination of control bits, those that connections do not use among them.
func TestTCPFlags(t *testing.T) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	var segs []tcp.Segment
	for bits := range 256 {
		seg := tcp.Segment{Flags: tcp.Flags(bits), Seq: uint32(bits), WScale: 3}
		segs = append(segs, seg)
		_, err := w.TCP(p, &seg)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	all, _ := readAll(t, file.Bytes())
	require.Len(t, all, 256)
	for i := range all {
		requireSegment(t, &segs[i], all[i])
	}
}

func TestTCPRefuses(t *testing.T) {
	p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	for name, c := range map[string]struct {
		seg  tcp.Segment
		want string
	}{
		"SACK beside TS":  {tcp.Segment{HasTS: true, NumSACK: 4}, "options take 48 bytes; want at most 40"},
		"SACK beside SYN": {tcp.Segment{Flags: tcp.SYN, MSS: 1460, WScale: 1, NumSACK: 4}, "options take 44 bytes"},
		"NumSACK":         {tcp.Segment{NumSACK: 5}, "NumSACK is 5; want 0 to 4"},
		"NumSACK < 0":     {tcp.Segment{NumSACK: -1}, "NumSACK is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCapture(t, io.Discard)
			_, err := w.TCP(p, &c.seg)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, err, w.Close())
		})
	}
}

// Goal: what no IPv4 packet holds becomes several that carry the same bytes at the same places.
func TestTCPSplit(t *testing.T) {
	for _, size := range []int{maxPiece + 1, 65536, 2 * maxPiece, 2*maxPiece + 1, 300_000} {
		for _, flags := range []tcp.Flags{tcp.ACK, tcp.ACK | tcp.PSH, tcp.ACK | tcp.FIN | tcp.PSH, tcp.SYN, tcp.SYN | tcp.FIN, tcp.RST} {
			t.Run(fmt.Sprint(size, " ", flags), func(t *testing.T) {
				seg := tcp.Segment{
					Flags: flags, Seq: math.MaxUint32 - 70_000, Ack: 5, Window: 6, MSS: 1460, WScale: 7, SACKPermitted: true,
					HasTS: true, TSVal: 8, TSEcr: 9, SACK: [tcp.MaxSACK]tcp.Block{{Start: 1, End: 2}}, NumSACK: 1, Payload: pattern(size),
				}
				checkSplit(t, seg)
			})
		}
	}
}

func checkSplit(t *testing.T, seg tcp.Segment) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	p := capture.Packet{At: 5, Direction: capture.Out, Src: client, Dst: edge, ID: 65534, Note: "lost"}
	id, err := w.TCP(p, &seg)
	require.NoError(t, err)
	require.EqualValues(t, 65534, id)
	require.NoError(t, w.Close())

	all, _ := readAll(t, file.Bytes())
	pieces := (len(seg.Payload) + maxPiece - 1) / maxPiece
	require.Len(t, all, pieces)
	want := seg
	var got []byte
	for i, rec := range all {
		require.Equal(t, []uint16{65534, 65535, 1, 2, 3}[i], rec.ip.Id)
		want.Flags = seg.Flags
		if i > 0 {
			want.Flags &^= tcp.SYN
			want.MSS, want.WScale, want.SACKPermitted = 0, -1, false
		}
		if i < pieces-1 {
			want.Flags &^= tcp.FIN | tcp.PSH | tcp.RST
		}
		want.Payload = rec.payload
		requirePacket(t, p, rec)
		requireSegment(t, &want, rec)
		got = append(got, rec.payload...)
		want.Seq += want.Len()
	}
	require.True(t, bytes.Equal(seg.Payload, got))
	require.Equal(t, seg.Seq+seg.Len(), want.Seq, "it takes the same sequence space")
}

// A split segment takes as many of its host's identifications as it has packets.
func TestTCPSplitIdentification(t *testing.T) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	for i, size := range []int{1, 2*maxPiece + 1, 1} {
		id, err := w.TCP(p, &tcp.Segment{Payload: pattern(size)})
		require.NoError(t, err)
		require.Equal(t, []uint16{1, 2, 5}[i], id)
	}
	in := capture.Packet{Interface: 1, Direction: capture.In, Src: client, Dst: edge, ID: 2}
	_, err := w.TCP(in, &tcp.Segment{Payload: pattern(2*maxPiece + 1)})
	require.NoError(t, err)
	in.ID = 0
	_, err = w.TCP(in, &tcp.Segment{Payload: pattern(maxPiece + 1)})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	var ids []uint16
	all, _ := readAll(t, file.Bytes())
	for _, rec := range all {
		ids = append(ids, rec.ip.Id)
	}
	require.Equal(t, []uint16{1, 2, 3, 4, 5, 2, 3, 4, 0, 0}, ids)
}

func TestUDPSizes(t *testing.T) {
	for _, size := range []int{0, 1, 2, 1471, 1472, maxDatagram} {
		var file bytes.Buffer
		w := newCapture(t, &file)
		p := capture.Packet{Interface: 1, Direction: capture.In, Src: client, Dst: edge, ID: 77, Hops: 1}
		_, err := w.UDP(p, pattern(size))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		all, _ := readAll(t, file.Bytes())
		require.Len(t, all, 1)
		requirePacket(t, p, all[0])
		require.True(t, bytes.Equal(pattern(size), all[0].payload))
	}
	w := newCapture(t, io.Discard)
	_, err := w.UDP(capture.Packet{Src: client, Dst: edge}, make([]byte, maxDatagram+1))
	require.ErrorContains(t, err, "UDP payload has 65508 bytes; want at most 65507")
}

// A datagram whose checksum comes out as 0 carries all ones, since 0 would say that it has none (RFC 768).
func TestUDPZeroChecksum(t *testing.T) {
	checksum := func(payload ...byte) uint16 {
		var file bytes.Buffer
		w := newCapture(t, &file)
		_, err := w.UDP(capture.Packet{Src: client, Dst: edge}, payload)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		all, _ := readAll(t, file.Bytes())
		require.Len(t, all, 1)
		return all[0].udp.Checksum
	}
	// The word that a sum lacks is its checksum: with it among the data, there is nothing left to add.
	lacks := checksum(0, 0)
	require.EqualValues(t, 0xffff, checksum(byte(lacks>>8), byte(lacks)))
}

// sent is a packet that a property recorded.
type sent struct {
	p   capture.Packet
	seg *tcp.Segment // nil if it is a datagram
	raw []byte
	id  uint16
}

// Whatever is recorded is read back, field by field.
func TestRoundTrip(t *testing.T) { rapid.Check(t, roundTrip) }

func FuzzRoundTrip(f *testing.F) { f.Fuzz(rapid.MakeFuzz(roundTrip)) }

func roundTrip(t *rapid.T) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	var all []sent
	for range rapid.IntRange(1, 8).Draw(t, "packets") {
		s := sent{p: drawPacket(t)}
		var err error
		if rapid.Bool().Draw(t, "udp") {
			s.raw = drawPayload(t)
			s.id, err = w.UDP(s.p, s.raw)
		} else {
			s.seg = drawSegment(t)
			s.id, err = w.TCP(s.p, s.seg)
		}
		require.NoError(t, err)
		all = append(all, s)
	}
	require.NoError(t, w.Close())
	got, _ := readAll(t, file.Bytes())
	require.Len(t, got, len(all))
	for i, s := range all {
		requirePacket(t, s.p, got[i])
		require.Equal(t, s.id, got[i].ip.Id)
		if s.seg != nil {
			requireSegment(t, s.seg, got[i])
		} else {
			require.NotNil(t, got[i].udp)
			require.True(t, bytes.Equal(s.raw, got[i].payload))
		}
	}
}

func drawPacket(t *rapid.T) capture.Packet {
	addrPort := func(label string) netip.AddrPort {
		ip := rapid.Uint32().Draw(t, label+" address")
		a := netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
		if rapid.Bool().Draw(t, label+" mapped to IPv6") {
			a = netip.AddrFrom16(a.As16())
		}
		return netip.AddrPortFrom(a, rapid.Uint16().Draw(t, label+" port"))
	}
	return capture.Packet{
		At:        time.Duration(rapid.Int64Range(0, int64(200*365*24*time.Hour)).Draw(t, "at")),
		Interface: rapid.IntRange(0, 1).Draw(t, "interface"),
		Direction: capture.Direction(rapid.Uint8Range(0, 2).Draw(t, "direction")),
		Src:       addrPort("src"), Dst: addrPort("dst"),
		ID:   rapid.Uint16().Draw(t, "id"),
		Hops: rapid.Uint8Range(0, 63).Draw(t, "hops"),
		Note: rapid.StringOfN(rapid.RuneFrom([]rune("aé世 (\n\"*,")), 0, 40, -1).Draw(t, "note"),
	}
}

func drawSegment(t *rapid.T) *tcp.Segment {
	s := &tcp.Segment{
		Seq: rapid.Uint32().Draw(t, "seq"), Ack: rapid.Uint32().Draw(t, "ack"),
		Flags: tcp.Flags(rapid.Uint8().Draw(t, "flags")), Window: rapid.Uint16().Draw(t, "window"),
		WScale: -1, Payload: drawPayload(t),
	}
	if rapid.Bool().Draw(t, "timestamps") {
		s.HasTS = true
		s.TSVal, s.TSEcr = rapid.Uint32().Draw(t, "tsval"), rapid.Uint32().Draw(t, "tsecr")
	}
	if s.Flags.Has(tcp.SYN) {
		s.MSS = rapid.Uint16().Draw(t, "mss")
		s.WScale = rapid.Int8Range(-1, 14).Draw(t, "wscale")
		s.SACKPermitted = rapid.Bool().Draw(t, "sack permitted")
	}
	room := (40 - s.OptionBytes() - 4) / 8
	s.NumSACK = rapid.IntRange(0, min(max(room, 0), tcp.MaxSACK)).Draw(t, "blocks")
	for i := range s.NumSACK {
		s.SACK[i] = tcp.Block{Start: rapid.Uint32().Draw(t, "start"), End: rapid.Uint32().Draw(t, "end")}
	}
	return s
}

func drawPayload(t *rapid.T) []byte {
	if rapid.IntRange(0, 19).Draw(t, "kind of payload") == 0 {
		return pattern(rapid.IntRange(0, maxPiece).Draw(t, "large"))
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "payload")
}

// The hot path allocates next to nothing: pcapgo's list of options and their padding, and for a note
// its copies of that.
func TestAllocations(t *testing.T) {
	w := newCapture(t, io.Discard)
	p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	seg := tcp.Segment{Flags: tcp.ACK, HasTS: true, NumSACK: 3, Payload: pattern(1448)}
	record := func() {
		if _, err := w.TCP(p, &seg); err != nil {
			t.Fatal(err)
		}
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, record), 2.0)
	p.Note = "cut by partition(edge-1, client-*)"
	require.LessOrEqual(t, testing.AllocsPerRun(100, record), 5.0)
}

func BenchmarkTCP(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		note string
	}{{"ack", 0, ""}, {"full", 1448, ""}, {"full-note", 1448, "lost"}, {"64KiB", 64 << 10, ""}} {
		b.Run(c.name, func(b *testing.B) {
			w := newCapture(b, io.Discard)
			p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge, Note: c.note}
			seg := tcp.Segment{Flags: tcp.ACK, HasTS: true, Payload: pattern(c.size)}
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			for b.Loop() {
				if _, err := w.TCP(p, &seg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
