package capture_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/capture"
	"github.com/twohop/twohop/netsim/tcp"
)

var live = flag.Bool("live", false, "also run the tests that need tshark")

// onDisk writes a capture where tshark can read it.
func onDisk(t *testing.T, file []byte) string {
	if !*live {
		t.Skip("needs tshark; run with -live")
	}
	name := filepath.Join(t.TempDir(), "net.pcapng")
	require.NoError(t, os.WriteFile(name, file, 0o600))
	return name
}

// tshark gives what tshark says of a file, with checksums verified.
func tshark(t *testing.T, file string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("tshark")
	require.NoError(t, err, "-live needs tshark: apt-get install tshark (Debian, Ubuntu), or the wireshark package elsewhere")
	args = append([]string{
		"-r", file, "-n",
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
	}, args...)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "tshark %v: %s", args, &stderr)
	return stdout.String()
}

// fields gives the values of fields in the packets that pass a display filter: a row for each packet.
func fields(t *testing.T, file, filter string, names ...string) [][]string {
	t.Helper()
	args := []string{"-Y", filter, "-T", "fields", "-E", "separator=|"}
	for _, name := range names {
		args = append(args, "-e", name)
	}
	rows := [][]string{}
	for line := range strings.Lines(tshark(t, file, args...)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
	}
	return rows
}

// requireSound checks what every capture must be: whole packets with good checksums.
func requireSound(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	all, _ := readAll(t, raw)
	const good = "1"
	rows := fields(t, file, "frame", "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status")
	require.Len(t, rows, len(all), "tshark sees every packet")
	for i, row := range rows {
		want := []string{good, good, ""}
		if all[i].udp != nil {
			want = []string{good, "", good}
		}
		require.Equal(t, want, row, "checksums of packet %d", i+1)
	}
	require.Empty(t, fields(t, file, "_ws.malformed || _ws.unreassembled", "frame.number"))
	require.NotContains(t, tshark(t, file, "-T", "json"), "_ws.malformed")
	const warning = "6291456" // of expert information; notes and chats are less
	require.Empty(t, fields(t, file, "_ws.expert.severity >= "+warning+" && !tcp.analysis.flags", "frame.number", "_ws.expert.message"))
}

// view writes the packets that pass a display filter to a file of their own.
func view(t *testing.T, file, filter string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "view.pcapng")
	tshark(t, file, "-Y", filter, "-w", name)
	return name
}

// views are the two ways to read a capture that the package's documentation gives, and what the
// server saw besides.
var views = map[string]string{
	"client": `frame.interface_name == "client-1"`,
	"server": `frame.interface_name == "edge-1"`,
	"sent":   `frame.packet_flags_direction == 2`,
}

// Goal: tshark reads HTTP out of a capture, knows which packet was lost and why, and finds nothing
// odd but the retransmission that followed.
func TestLiveHTTP(t *testing.T) {
	file := onDisk(t, httpCapture(t))
	requireSound(t, file)
	require.Equal(t, [][]string{{"client-1", "10.0.0.2", "64", "cut by partition(edge-1, client-*)"}},
		fields(t, file, "frame.comment", "frame.interface_name", "ip.dst", "ip.ttl", "frame.comment"))
	require.Contains(t, tshark(t, file, "-N", "n"), "client-1 → edge-1", "the file knows the hosts' names")

	for name, filter := range views {
		t.Run(name, func(t *testing.T) {
			part := view(t, file, filter)
			// The client sent the request as packet 4 and again as packet 5. The server never saw what
			// was lost, so to it nothing came twice.
			again := [][]string{{"5"}}
			if name == "server" {
				again = [][]string{}
			}
			require.Equal(t, again, fields(t, part, "tcp.analysis.retransmission", "frame.number"))
			require.Equal(t, again, fields(t, part, "tcp.analysis.flags", "frame.number"))
			// tshark does not dissect a retransmission a second time.
			require.Equal(t, [][]string{{"/rooms/1?after=41"}}, fields(t, part, "http.request", "http.request.uri"))
			require.Equal(t, [][]string{{"200", "application/json"}}, fields(t, part, "http.response", "http.response.code", "http.content_type"))
			require.Equal(t, [][]string{{"cursor,messages"}}, fields(t, part, "json", "json.key"))
		})
	}
}

// The golden file is what TestLiveHTTP shows to tshark.
func TestLiveGolden(t *testing.T) {
	file := onDisk(t, httpCapture(t))
	golden := filepath.Join("testdata", "http.pcapng")
	require.Equal(t, tshark(t, file, "-V"), tshark(t, golden, "-V"))
}

// Goal: tshark reads the events out of a stream that net/http wrote.
func TestLiveSSE(t *testing.T) {
	file := onDisk(t, sseCapture(t))
	requireSound(t, file)
	var events []string
	for i, text := range greetings {
		events = append(events, hex.EncodeToString(fmt.Appendf(nil, "id: a1:%d\ndata: %s\n\n", i+1, text)))
	}
	for name, filter := range views {
		t.Run(name, func(t *testing.T) {
			part := view(t, file, filter)
			require.Empty(t, fields(t, part, "tcp.analysis.flags", "frame.number"))
			require.Equal(t, [][]string{{"/events", "text/event-stream"}}, fields(t, part, "http.request", "http.request.uri", "http.accept"))
			// tshark has no dissector for the events: a chunk's data is as far as it goes.
			require.Equal(t, [][]string{{"text/event-stream", "chunked", strings.Join(events, ",")}},
				fields(t, part, "http.response", "http.content_type", "http.transfer_encoding", "http.chunk_data"))
		})
	}
}

// Goal: tshark reads the messages out of a WebSocket that coder/websocket spoke.
func TestLiveWebSocket(t *testing.T) {
	file := onDisk(t, webSocketCapture(t))
	requireSound(t, file)
	for name, filter := range views {
		t.Run(name, func(t *testing.T) {
			part := view(t, file, filter)
			require.Empty(t, fields(t, part, "tcp.analysis.flags", "frame.number"))
			require.Equal(t, [][]string{{"101", "websocket"}}, fields(t, part, "http.response", "http.response.code", "http.upgrade"))
			var want [][]string
			for _, greeting := range greetings {
				want = append(want, []string{"40000", greeting}, []string{"80", "echo: " + greeting})
			}
			const text, closing = "1", "8" // opcodes (RFC 6455 §5.2)
			require.Equal(t, want, fields(t, part, "websocket.opcode == "+text, "tcp.srcport", "websocket.payload.text"))
			require.Len(t, fields(t, part, "websocket.opcode == "+text+" && websocket.mask == 1 && tcp.srcport == 40000", "frame.number"), len(greetings))
			require.Equal(t, [][]string{{"40000", "1000"}, {"80", "1000"}}, fields(t, part, "websocket.opcode == "+closing, "tcp.srcport", "websocket.payload.close.status_code"))
		})
	}
}

// Goal: datagrams are dissected, and packets of the greatest size, which no real link carries.
func TestLiveSizes(t *testing.T) {
	var buf bytes.Buffer
	w := newCapture(t, &buf)
	// A query for the A record of edge-1 (RFC 1035 §4.1).
	query, err := hex.DecodeString("abcd01000001000000000000" + "06656467652d31" + "00" + "0001" + "0001")
	require.NoError(t, err)
	p := capture.Packet{At: time.Second, Direction: capture.Out, Src: client, Dst: edge, Hops: 1}
	p.Dst = netip.AddrPortFrom(edge.Addr(), 53)
	_, err = w.UDP(p, query)
	require.NoError(t, err)
	p.Dst = netip.AddrPortFrom(edge.Addr(), 9999)
	_, err = w.UDP(p, pattern(maxDatagram))
	require.NoError(t, err)
	c := newConversation(t, w)
	c.server.addr = p.Dst // a port that is no protocol's
	c.open()
	for _, size := range []int{maxPiece, maxPiece + 1, 300_000} {
		c.record(c.client, tcp.Segment{Flags: tcp.ACK, Payload: pattern(size)}, "")
		c.record(c.server, tcp.Segment{Flags: tcp.ACK}, "")
	}
	c.close()
	require.NoError(t, w.Close())

	file := onDisk(t, buf.Bytes())
	requireSound(t, file)
	require.Equal(t, [][]string{{"edge-1", "1", "63"}}, fields(t, file, "dns", "dns.qry.name", "dns.qry.type", "ip.ttl"))
	part := view(t, file, views["client"])
	sum := 0
	for _, row := range fields(t, part, "tcp.len > 0", "tcp.len") {
		n, err := strconv.Atoi(row[0])
		require.NoError(t, err)
		sum += n
	}
	require.Equal(t, 2*maxPiece+1+300_000, sum)
	require.Empty(t, fields(t, part, "tcp.analysis.flags && !tcp.analysis.window_full", "frame.number", "_ws.expert.message"))
}
