package netsim

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: datagrams arrive after the latency, with their sender's address; some get lost; nothing comes
// twice or is changed.
func TestUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Seed: 1})
		require.NoError(t, err)
		hosts := newHosts(t, n, "a", "b")
		require.NoError(t, n.SetLink("a", "b", Link{Latency: 30 * time.Millisecond, Loss: 0.1}))
		server, err := hosts[1].ListenPacket("udp", ":53")
		require.NoError(t, err)
		client, err := hosts[0].Dial("udp", "b:53")
		require.NoError(t, err)
		got := map[string]int{}
		var latency time.Duration
		go func() {
			buf := make([]byte, 100)
			for {
				m, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				got[string(buf[:m])]++
				if from.String() != client.LocalAddr().String() {
					got["from "+from.String()]++
				}
				latency = n.Now() % (100 * time.Millisecond)
			}
		}()
		go func() {
			for i := range 1000 {
				_, _ = fmt.Fprint(client, i)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		require.NoError(t, n.RunUntil(200*time.Second))
		require.InDelta(t, 900, len(got), 30)
		for text, times := range got {
			require.Equal(t, 1, times, text)
		}
		require.Equal(t, 30*time.Millisecond, latency)
		finish(t, n)
	})
}

// Goal: a socket's errors are those of the operating system.
func TestUDPErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "a", "b")
		c, err := hosts[0].Dial("udp", "b:9")
		require.NoError(t, err)
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		eventually(t, n, time.Second, func() {
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNREFUSED, "the host answers that nobody listens")
			require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
			_, err = c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		})
		_, err = c.Write(make([]byte, 70000))
		require.ErrorIs(t, err, syscall.EMSGSIZE)
		_, err = hosts[0].ListenPacket("udp", c.LocalAddr().String())
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NoError(t, c.Close())
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, c.Close(), net.ErrClosed)
		_, err = hosts[0].ListenPacket("tcp", ":1")
		require.ErrorContains(t, err, "unknown network tcp")
		hosts[1].Crash()
		_, err = hosts[1].ListenPacket("udp", ":1")
		require.ErrorIs(t, err, ErrHostDown)
	})
}
