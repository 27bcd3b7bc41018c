package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/capture"
	"github.com/twohop/twohop/netsim/tcp"
)

var (
	epoch  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	client = netip.MustParseAddrPort("10.0.0.1:40000")
	edge   = netip.MustParseAddrPort("10.0.0.2:80")
)

// newCapture begins a capture with two hosts, client-1 (interface 0) and edge-1 (interface 1).
func newCapture(t require.TestingT, out io.Writer) *capture.Writer {
	w, err := capture.New(out, time.Time{})
	require.NoError(t, err)
	for i, host := range []struct {
		name string
		addr netip.Addr
	}{{"client-1", client.Addr()}, {"edge-1", edge.Addr()}} {
		id, err := w.Interface(host.name, host.addr)
		require.NoError(t, err)
		require.Equal(t, i, id)
	}
	return w
}

func Example() {
	var file bytes.Buffer // an *os.File, usually
	w, err := capture.New(&file, time.Time{})
	if err != nil {
		panic(err)
	}
	iface, err := w.Interface("client-1", netip.MustParseAddr("10.0.0.1"))
	if err != nil {
		panic(err)
	}
	p := capture.Packet{
		At: 3 * time.Millisecond, Interface: iface, Direction: capture.Out,
		Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("10.0.0.2:80"),
		Note: "lost",
	}
	syn := tcp.Segment{Seq: 1000, Flags: tcp.SYN, Window: 64240, MSS: 1460, WScale: 7, SACKPermitted: true}
	id, err := w.TCP(p, &syn)
	if err != nil {
		panic(err)
	}
	fmt.Println("packet", id, "of client-1, error:", w.Close())
	// Output: packet 1 of client-1, error: <nil>
}

func TestInterfaces(t *testing.T) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	for i, dir := range []capture.Direction{capture.Out, capture.In} {
		_, err := w.UDP(capture.Packet{Interface: i, Direction: dir, Src: client, Dst: edge}, nil)
		require.NoError(t, err)
	}
	// Hosts may come later, too, with names of every length that padding depends on.
	names := []string{"a", "ab", "abc", "abcd", "Zürich", strings.Repeat("x", 255)}
	for i, name := range names {
		id, err := w.Interface(name, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}))
		require.NoError(t, err)
		require.Equal(t, 2+i, id)
	}
	require.NoError(t, w.Close())

	all, r := readAll(t, file.Bytes())
	require.Len(t, all, 2)
	require.Equal(t, "twohop", r.SectionInfo().Application)
	names = append([]string{"client-1", "edge-1"}, names...)
	require.Equal(t, len(names), r.NInterfaces())
	require.Equal(t, len(names), r.NNames())
	for i, name := range names {
		iface, err := r.Interface(i)
		require.NoError(t, err)
		require.Equal(t, name, iface.Name)
		require.Contains(t, iface.Description, name)
		require.Equal(t, layers.LinkTypeRaw, iface.LinkType)
		require.EqualValues(t, 9, iface.TimestampResolution, "nanoseconds")
		rec, err := r.Name(i)
		require.NoError(t, err)
		require.Equal(t, []string{name}, rec.Names)
	}
}

// Goal: a packet has one identification wherever it is recorded, and hosts count for themselves.
func TestIdentification(t *testing.T) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	var want []uint16
	record := func(p capture.Packet, expected uint16) {
		t.Helper()
		p.Src, p.Dst = client, edge
		id, err := w.UDP(p, nil)
		require.NoError(t, err)
		require.Equal(t, expected, id)
		want = append(want, id)
	}
	record(capture.Packet{Interface: 0, Direction: capture.Out}, 1)
	record(capture.Packet{Interface: 0, Direction: capture.Out}, 2)
	record(capture.Packet{Interface: 1, Direction: capture.Out}, 1)
	record(capture.Packet{Interface: 1, Direction: capture.In, ID: 2}, 2)
	record(capture.Packet{Interface: 1, Direction: capture.Out, ID: 2}, 2) // forwarded
	record(capture.Packet{Interface: 1, Direction: capture.In}, 0)         // not known
	record(capture.Packet{Interface: 1}, 0)
	record(capture.Packet{Interface: 1, Direction: capture.Out}, 2)
	for i := 3; i <= math.MaxUint16; i++ {
		record(capture.Packet{Interface: 0, Direction: capture.Out}, uint16(i))
	}
	record(capture.Packet{Interface: 0, Direction: capture.Out}, 1) // 0 is left out
	require.NoError(t, w.Close())
	all, _ := readAll(t, file.Bytes())
	require.Len(t, all, len(want))
	for i, id := range want {
		require.Equal(t, id, all[i].ip.Id)
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := capture.New(nil, time.Time{})
	require.ErrorContains(t, err, "w is nil")
	for _, year := range []int{1969, 2262} {
		_, err = capture.New(io.Discard, time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC))
		require.ErrorContains(t, err, "want a year from 1970 to 2261")
	}
}

func TestInterfaceRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		host string
		addr netip.Addr
		want string
	}{
		"no name":   {"", client.Addr(), "hostName is empty"},
		"long name": {strings.Repeat("x", 256), client.Addr(), "hostName has 256 bytes; want at most 255"},
		"not UTF-8": {"\xff", client.Addr(), "want valid UTF-8"},
		"zero byte": {"a\x00b", client.Addr(), "want no zero byte"},
		"IPv6":      {"a", netip.MustParseAddr("fe80::1"), "addr of \"a\" is fe80::1; want an IPv4 address"},
		"no addr":   {"a", netip.Addr{}, "want an IPv4 address"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCapture(t, io.Discard)
			_, err := w.Interface(c.host, c.addr)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, err, w.Close())
		})
	}
}

func TestPacketRefuses(t *testing.T) {
	good := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	change := func(f func(p *capture.Packet)) capture.Packet { p := good; f(&p); return p }
	for name, c := range map[string]struct {
		p    capture.Packet
		want string
	}{
		"interface too great": {change(func(p *capture.Packet) { p.Interface = 2 }), "Interface is 2; the capture has 2"},
		"interface negative":  {change(func(p *capture.Packet) { p.Interface = -1 }), "Interface is -1"},
		"time negative":       {change(func(p *capture.Packet) { p.At = -1 }), "At is -1ns"},
		"time too great":      {change(func(p *capture.Packet) { p.At = math.MaxInt64 }), "beyond the year 2262"},
		"direction":           {change(func(p *capture.Packet) { p.Direction = 3 }), "Direction is 3"},
		"source":              {change(func(p *capture.Packet) { p.Src = netip.AddrPort{} }), "Src is invalid AddrPort"},
		"destination":         {change(func(p *capture.Packet) { p.Dst = netip.MustParseAddrPort("[::1]:80") }), "Dst is [::1]:80; want an IPv4"},
		"hops":                {change(func(p *capture.Packet) { p.Hops = 64 }), "Hops is 64; want 0 to 63"},
		"note not UTF-8":      {change(func(p *capture.Packet) { p.Note = "\xff" }), "Note is"},
		"note too long":       {change(func(p *capture.Packet) { p.Note = strings.Repeat("x", 1<<16) }), "Note has 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			w := newCapture(t, &file)
			_, err := w.UDP(c.p, nil)
			require.ErrorContains(t, err, c.want)
			_, tcpErr := w.TCP(c.p, &tcp.Segment{})
			require.Equal(t, err, tcpErr)
			id, err := w.UDP(good, nil)
			require.NoError(t, err, "the next packet is recorded")
			require.EqualValues(t, 1, id, "what was refused takes no identification")
			require.Equal(t, tcpErr, w.Close(), "Close reports the first error")
			all, _ := readAll(t, file.Bytes())
			require.Len(t, all, 1)
		})
	}
}

// brokenDisk fails after a number of bytes.
type brokenDisk struct{ room int }

var errDisk = errors.New("disk full")

func (d *brokenDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return 0, errDisk
	}
	d.room -= len(p)
	return len(p), nil
}

func TestWriteErrors(t *testing.T) {
	w := newCapture(t, &brokenDisk{})
	require.ErrorIs(t, w.Flush(), errDisk)
	require.ErrorIs(t, w.Close(), errDisk)

	w = newCapture(t, &brokenDisk{room: 1 << 20})
	p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	var err error
	for range 1000 {
		if _, err = w.UDP(p, make([]byte, 60_000)); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, errDisk, "a packet that does not fit into the buffer reports it")
	require.ErrorIs(t, w.Close(), errDisk)

	_, err = newCapture(t, &brokenDisk{}).Interface("late", edge.Addr())
	require.NoError(t, err, "it is buffered")
}

func TestFirstError(t *testing.T) {
	w := newCapture(t, io.Discard)
	_, first := w.UDP(capture.Packet{Interface: 7}, nil)
	require.Error(t, first)
	_, second := w.Interface("", edge.Addr())
	require.Error(t, second)
	require.Equal(t, first, w.Flush())
	require.Equal(t, first, w.Close())
}

func TestClosed(t *testing.T) {
	var file bytes.Buffer
	w := newCapture(t, &file)
	require.NoError(t, w.Close())
	size := file.Len()
	p := capture.Packet{Direction: capture.Out, Src: client, Dst: edge}
	_, err := w.UDP(p, nil)
	require.ErrorContains(t, err, "closed")
	_, err = w.TCP(p, &tcp.Segment{})
	require.ErrorContains(t, err, "closed")
	_, err = w.Interface("late", edge.Addr())
	require.ErrorContains(t, err, "closed")
	require.NoError(t, w.Close())
	require.Equal(t, size, file.Len())

	file.Reset()
	w, err = capture.New(&file, time.Time{})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Zero(t, file.Len(), "nothing was captured")
}

func TestEpoch(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for _, begin := range []time.Time{time.Unix(0, 0), time.Date(2026, 7, 1, 12, 0, 0, 123456789, berlin), time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)} {
		var file bytes.Buffer
		w, err := capture.New(&file, begin)
		require.NoError(t, err)
		_, err = w.Interface("a", client.Addr())
		require.NoError(t, err)
		_, err = w.UDP(capture.Packet{At: 90*time.Minute + 1, Src: client, Dst: edge}, nil)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		all, _ := readAll(t, file.Bytes())
		require.Len(t, all, 1)
		require.True(t, begin.Add(90*time.Minute+1).Equal(all[0].info.Timestamp), "to the nanosecond")
	}
}

func TestDirectionString(t *testing.T) {
	require.Equal(t, "in out unknown", fmt.Sprint(capture.In, " ", capture.Out, " ", capture.Direction(0)))
}
