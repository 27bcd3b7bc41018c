package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/capture"
	"github.com/twohop/twohop/netsim/tcp"
)

// record is one packet of a capture as it is read back.
type record struct {
	info     gopacket.CaptureInfo
	comments []string
	flags    *pcapgo.NgEpbFlags
	ip       *layers.IPv4
	tcp      *layers.TCP // nil if it is a datagram
	udp      *layers.UDP // nil if it is a segment
	payload  []byte
}

// readAll decodes a capture with gopacket, and checks what holds of every packet.
func readAll(t require.TestingT, file []byte) ([]record, *pcapgo.NgReader) {
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	var all []record
	for {
		data, info, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return all, r
		}
		require.NoError(t, err)
		require.Equal(t, len(data), info.Length)
		packet := gopacket.NewPacket(data, layers.LinkTypeRaw, gopacket.Default)
		require.NotNil(t, packet.Layer(layers.LayerTypeIPv4))
		rec := record{info: info, comments: opts.Comments, flags: opts.Flags, ip: packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)}
		if l := packet.Layer(layers.LayerTypeTCP); l != nil {
			rec.tcp = l.(*layers.TCP)
			rec.payload = rec.tcp.Payload
		} else {
			require.NotNil(t, packet.Layer(layers.LayerTypeUDP))
			rec.udp = packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
			rec.payload = rec.udp.Payload
			require.EqualValues(t, 8+len(rec.payload), rec.udp.Length)
			require.NotZero(t, rec.udp.Checksum, "0 would say that there is none (RFC 768)")
		}
		checkSums(t, data)
		require.EqualValues(t, 4, rec.ip.Version)
		require.EqualValues(t, 5, rec.ip.IHL)
		require.EqualValues(t, len(data), rec.ip.Length)
		require.Equal(t, layers.IPv4DontFragment, rec.ip.Flags)
		require.Zero(t, rec.ip.FragOffset)
		require.Zero(t, rec.ip.TOS)
		all = append(all, rec)
	}
}

// checkSums verifies the checksums as receivers do (RFC 1071 §1): the one's complement sum of all the
// words, the checksum among them, is all ones.
func checkSums(t require.TestingT, packet []byte) {
	require.EqualValues(t, 0xffff, onesComplementSum(packet[:20]), "IPv4 header checksum")
	transport := packet[20:]
	pseudo := append([]byte(nil), packet[12:20]...)
	pseudo = append(pseudo, 0, packet[9])
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(transport)))
	require.EqualValues(t, 0xffff, onesComplementSum(append(pseudo, transport...)), "transport checksum")
}

func onesComplementSum(b []byte) uint16 {
	sum := uint16(0)
	for i := 0; i < len(b); i += 2 {
		word := uint16(b[i]) << 8
		if i+1 < len(b) {
			word |= uint16(b[i+1])
		}
		next := sum + word
		if next < sum {
			next++ // the carry comes round
		}
		sum = next
	}
	return sum
}

// requirePacket compares a record with what was asked for, but for the identification.
func requirePacket(t require.TestingT, want capture.Packet, got record) {
	require.Equal(t, epoch.Add(want.At), got.info.Timestamp)
	require.Equal(t, want.Interface, got.info.InterfaceIndex)
	if want.Direction == 0 {
		require.Nil(t, got.flags)
	} else {
		require.NotNil(t, got.flags)
		require.EqualValues(t, want.Direction, got.flags.ToUint32())
	}
	if want.Note == "" {
		require.Empty(t, got.comments)
	} else {
		require.Equal(t, []string{want.Note}, got.comments)
	}
	require.Equal(t, want.Src.Addr().Unmap().String(), got.ip.SrcIP.String())
	require.Equal(t, want.Dst.Addr().Unmap().String(), got.ip.DstIP.String())
	require.Equal(t, 64-want.Hops, got.ip.TTL)
	src, dst := uint16(0), uint16(0)
	if got.tcp != nil {
		src, dst = uint16(got.tcp.SrcPort), uint16(got.tcp.DstPort)
	} else {
		src, dst = uint16(got.udp.SrcPort), uint16(got.udp.DstPort)
	}
	require.Equal(t, want.Src.Port(), src)
	require.Equal(t, want.Dst.Port(), dst)
}

// requireSegment compares every field of the TCP header and every option.
func requireSegment(t require.TestingT, want *tcp.Segment, got record) {
	require.NotNil(t, got.tcp)
	h := got.tcp
	require.Equal(t, want.Seq, h.Seq)
	require.Equal(t, want.Ack, h.Ack)
	require.Equal(t, want.Window, h.Window)
	require.Zero(t, h.Urgent)
	require.Equal(t, byte(want.Flags), h.Contents[13], "the flags' byte")
	require.EqualValues(t, 20+want.OptionBytes(), 4*int(h.DataOffset))
	require.True(t, bytes.Equal(want.Payload, got.payload))

	expected := map[layers.TCPOptionKind][]byte{}
	if want.MSS != 0 {
		expected[layers.TCPOptionKindMSS] = binary.BigEndian.AppendUint16(nil, want.MSS)
	}
	if want.WScale >= 0 && want.Flags.Has(tcp.SYN) {
		expected[layers.TCPOptionKindWindowScale] = []byte{byte(want.WScale)}
	}
	if want.SACKPermitted {
		expected[layers.TCPOptionKindSACKPermitted] = []byte{}
	}
	if want.HasTS {
		expected[layers.TCPOptionKindTimestamps] = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, want.TSVal), want.TSEcr)
	}
	if want.NumSACK > 0 {
		var b []byte
		for _, k := range want.SACK[:want.NumSACK] {
			b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, k.Start), k.End)
		}
		expected[layers.TCPOptionKindSACK] = b
	}
	for _, o := range h.Options {
		if o.OptionType == layers.TCPOptionKindNop {
			continue
		}
		data, ok := expected[o.OptionType]
		require.True(t, ok, "option %v is there twice or unasked", o.OptionType)
		require.True(t, bytes.Equal(data, o.OptionData), "option %v has %x; want %x", o.OptionType, o.OptionData, data)
		require.EqualValues(t, 2+len(data), o.OptionLength)
		delete(expected, o.OptionType)
	}
	require.Empty(t, expected, "options that are missing")
}

// The receiver's check that the tests rely on: the example of RFC 1071 §3.
func TestOnesComplementSum(t *testing.T) {
	require.EqualValues(t, 0xddf2, onesComplementSum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}))
	require.EqualValues(t, 0xff00, onesComplementSum([]byte{0xff}))
}
