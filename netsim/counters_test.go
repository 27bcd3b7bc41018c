package netsim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

// Goal: a host's counters say what it put on the wire, byte for byte.
// Method: connections and datagrams over a lossy link, held against what the capture has of each host.
func TestCountersMatchCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		n, err := New(Config{Seed: 1, Capture: &file})
		require.NoError(t, err)
		hosts := newHosts(t, n, "a", "b")
		require.NoError(t, n.SetLink("a", "b", Link{Latency: 20 * time.Millisecond, Loss: 0.1}))
		lost := 0
		n.cfg.Observe = func(e Event) {
			if e.Kind == Lost {
				lost++
			}
		}
		echo(t, hosts[1])
		socket, err := hosts[0].Dial("udp", "b:9")
		require.NoError(t, err)
		const dials = 5
		go func() {
			for range dials {
				c, err := hosts[0].Dial("tcp", "b:80")
				if err != nil {
					continue
				}
				_, _ = c.Write(make([]byte, 20_000))
				_, _ = io.ReadFull(c, make([]byte, 20_000))
				_ = c.Close()
			}
			for range 100 {
				_, _ = socket.Write(make([]byte, 100))
				time.Sleep(time.Millisecond)
			}
		}()
		require.NoError(t, n.RunUntil(time.Minute))
		finish(t, n)
		require.NoError(t, n.CloseCapture())

		packets, sizes := captured(t, file.Bytes())
		a, b := hosts[0].Counters(), hosts[1].Counters()
		for _, h := range hosts {
			// The ICMP answers of a port where nobody listens are not captured.
			unreachable := uint64(0)
			if h == hosts[1] {
				unreachable = h.counters.PacketsSent - packets[h.Addr()]
				require.Positive(t, unreachable)
			}
			require.Equal(t, packets[h.Addr()]+unreachable, h.Counters().PacketsSent, h.Name())
			require.Equal(t, sizes[h.Addr()]+unreachable*(ipHeader+udpHeader), h.Counters().BytesSent, h.Name())
		}
		require.Positive(t, lost, "what gets lost is sent, and not received")
		require.EqualValues(t, lost, a.PacketsSent+b.PacketsSent-a.PacketsReceived-b.PacketsReceived)
		require.EqualValues(t, dials, a.Dialed)
		require.EqualValues(t, dials, a.Opened)
		require.EqualValues(t, dials, b.Accepted)
		require.Zero(t, b.Opened+a.Accepted)
		require.Equal(t, a.BytesSent+a.BytesReceived, a.Bytes())
	})
}

// echo has a host send back what its connections bring.
func echo(t *testing.T, h *Host) {
	l, err := h.Listen("tcp", ":80")
	require.NoError(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}(c)
		}
	}()
}

// captured sums up a capture: packets and bytes by the host that sent them.
func captured(t *testing.T, file []byte) (packets, sizes map[netip.Addr]uint64) {
	packets, sizes = make(map[netip.Addr]uint64), make(map[netip.Addr]uint64)
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets, sizes
		}
		require.NoError(t, err)
		from := netip.AddrFrom4([4]byte(data[12:16])) // of the IPv4 header, RFC 791 §3.1
		packets[from]++
		sizes[from] += uint64(len(data))
	}
}

// Goal: a dial that nobody answers opens nothing, and what a crashed host is sent is not received.
func TestCountersOfFailures(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "a", "b", "c")
		hosts[1].Crash()
		go func() {
			_, _ = hosts[0].Dial("tcp", "c:80") // nobody listens
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, _ = hosts[0].DialContext(ctx, "tcp", "b:80")
		}()
		require.NoError(t, n.RunUntil(5*time.Minute))
		a := hosts[0].Counters()
		require.EqualValues(t, 2, a.Dialed)
		require.Zero(t, a.Opened)
		require.EqualValues(t, 1, a.PacketsReceived, "the reset")
		require.Greater(t, a.PacketsSent, uint64(2), "SYNs are sent again")
		require.Zero(t, hosts[1].Counters())
		require.EqualValues(t, 1, hosts[2].Counters().PacketsReceived)
	})
}
