package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 9293 §3.1: the control bits have the values of the wire.
func TestFlags(t *testing.T) {
	require.Equal(t, []Flags{0x01, 0x02, 0x04, 0x08, 0x10}, []Flags{FIN, SYN, RST, PSH, ACK})
	require.Equal(t, "SYN|ACK", (SYN | ACK).String())
	require.Equal(t, "-", Flags(0).String())
	require.True(t, (SYN | ACK).Has(ACK))
	require.False(t, ACK.Has(SYN|ACK))
}

func TestSegmentString(t *testing.T) {
	seg := Segment{Flags: ACK, Seq: 1, Ack: 2, Window: 3, Payload: []byte("abcd"), NumSACK: 1}
	seg.SACK[0] = Block{5, 6}
	require.Equal(t, "ACK seq=1 ack=2 win=3 len=4 sack=5-6", seg.String())
	seg.NumSACK = 77 // from elsewhere
	require.NotPanics(t, func() { _ = seg.String() })
}

// RFC 9293 §3.10.7.1: what answers a segment to no connection.
func TestReset(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Segment
		want Segment
		ok   bool
	}{
		{"a RST is not answered", Segment{Flags: RST | ACK, Seq: 5}, Segment{}, false},
		{"with ACK: <SEQ=SEG.ACK><CTL=RST>", Segment{Flags: ACK, Seq: 5, Ack: 9}, Segment{Flags: RST, Seq: 9, WScale: -1}, true},
		{"without: <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>", Segment{Flags: SYN | FIN, Seq: 0xffffffff, Payload: make([]byte, 3)},
			Segment{Flags: RST | ACK, Ack: 4, WScale: -1}, true},
	} {
		got, ok := Reset(&c.in)
		require.Equal(t, c.ok, ok, c.name)
		require.Equal(t, c.want, got, c.name)
	}
}

// The options of a segment take whole words, 40 bytes at most (RFC 9293 §3.1).
func TestOptionBytes(t *testing.T) {
	syn := Segment{Flags: SYN, MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true}
	require.Equal(t, 20, syn.OptionBytes())
	full := Segment{WScale: -1, HasTS: true, NumSACK: 3}
	require.Equal(t, 40, full.OptionBytes())
	require.Equal(t, 36, (&Segment{WScale: -1, NumSACK: 4}).OptionBytes())
	require.Equal(t, 4, (&Segment{Flags: SYN, WScale: -1, SACKPermitted: true}).OptionBytes())
	require.Zero(t, (&Segment{WScale: -1}).OptionBytes())
}
