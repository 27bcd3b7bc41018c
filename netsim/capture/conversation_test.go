package capture_test

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/capture"
	"github.com/twohop/twohop/netsim/tcp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A conversation is a TCP connection between client-1 and edge-1, played by hand with one packet in
// flight at a time and recorded by both hosts.
type conversation struct {
	t              testing.TB
	w              *capture.Writer
	now            time.Duration
	client, server *end
}

type end struct {
	iface int
	addr  netip.AddrPort
	next  uint32 // the sequence number of its next byte
	clock uint32 // what its timestamps count from
	heard uint32 // the last timestamp that came from the other end
}

// Of the path and the hosts: what Linux has on Ethernet, 25 ms from each other.
const (
	oneWay = 25 * time.Millisecond
	rto    = 250 * time.Millisecond
	mss    = 1460
)

func newConversation(t testing.TB, w *capture.Writer) *conversation {
	return &conversation{
		t: t, w: w, now: time.Second,
		client: &end{iface: 0, addr: client, next: 1_000_000_000, clock: 5_000},
		server: &end{iface: 1, addr: edge, next: 4_294_967_000, clock: 900_000},
	}
}

func (c *conversation) other(e *end) *end {
	if e == c.client {
		return c.server
	}
	return c.client
}

// record has the sender record a packet, and the receiver too unless a note says why it never came.
func (c *conversation) record(from *end, seg tcp.Segment, note string) {
	to := c.other(from)
	seg.Seq = from.next
	if !seg.Flags.Has(tcp.SYN) {
		seg.WScale = -1
	}
	if seg.Flags.Has(tcp.ACK) {
		seg.Ack = to.next
	}
	seg.Window = 502
	if seg.Flags.Has(tcp.SYN) {
		seg.Window = 64240
	}
	seg.HasTS, seg.TSVal, seg.TSEcr = true, from.clock+uint32(c.now/time.Millisecond), from.heard
	p := capture.Packet{At: c.now, Interface: from.iface, Direction: capture.Out, Src: from.addr, Dst: to.addr, Note: note}
	id, err := c.w.TCP(p, &seg)
	require.NoError(c.t, err)
	if note != "" {
		return
	}
	c.now += oneWay
	p.At, p.Interface, p.Direction, p.ID = c.now, to.iface, capture.In, id
	_, err = c.w.TCP(p, &seg)
	require.NoError(c.t, err)
	from.next += seg.Len()
	to.heard = seg.TSVal
}

func (c *conversation) open() {
	syn := tcp.Segment{Flags: tcp.SYN, MSS: mss, WScale: 7, SACKPermitted: true}
	c.record(c.client, syn, "")
	syn.Flags |= tcp.ACK
	c.record(c.server, syn, "")
	c.record(c.client, tcp.Segment{Flags: tcp.ACK}, "")
}

// say sends data, each segment of it acknowledged. A note is why the first segment is lost at first.
func (c *conversation) say(from *end, data []byte, note string) {
	for len(data) > 0 {
		n := min(len(data), mss-12) // beside a timestamp
		seg := tcp.Segment{Flags: tcp.ACK, Payload: data[:n]}
		data = data[n:]
		if len(data) == 0 {
			seg.Flags |= tcp.PSH
		}
		if note != "" {
			c.record(from, seg, note)
			c.now += rto
			note = ""
		}
		c.record(from, seg, "")
		c.record(c.other(from), tcp.Segment{Flags: tcp.ACK}, "")
	}
}

func (c *conversation) close() {
	c.record(c.client, tcp.Segment{Flags: tcp.FIN | tcp.ACK}, "")
	c.record(c.server, tcp.Segment{Flags: tcp.FIN | tcp.ACK}, "")
	c.record(c.client, tcp.Segment{Flags: tcp.ACK}, "")
}

// captureOf is the capture of one conversation.
func captureOf(t testing.TB, talk func(c *conversation)) []byte {
	var file bytes.Buffer
	w := newCapture(t, &file)
	c := newConversation(t, w)
	c.open()
	talk(c)
	c.close()
	require.NoError(t, w.Close())
	return file.Bytes()
}

// httpCapture is the conversation of the golden file: a request whose packet is lost once, and its
// response.
func httpCapture(t testing.TB) []byte {
	return captureOf(t, func(c *conversation) {
		c.say(c.client, []byte("GET /rooms/1?after=41 HTTP/1.1\r\nHost: edge-1\r\nAccept: application/json\r\n\r\n"), "cut by partition(edge-1, client-*)")
		body := `{"cursor":"a1:42","messages":["hello"]}`
		c.say(c.server, []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"+body), "")
	})
}

// Goal: the bytes of a capture do not change unnoticed.
// Method: compare with a file, which TestLiveHTTP shows to tshark.
func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "http.pcapng")
	got := httpCapture(t)
	if *update {
		require.NoError(t, os.WriteFile(name, got, 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "the capture differs from %s: compare them with tshark -V, and if the new one is right, rewrite the file with -update", name)
}
