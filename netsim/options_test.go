package netsim

import (
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// tcpPair is a connection at TCP fidelity.
func tcpPair(t *testing.T, test func(n *Network, client, server *Conn)) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Seed: 1})
		require.NoError(t, err)
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		test(n, client, server)
		finish(t, n)
	})
}

// dies waits for a read to fail, and tells when and why.
func dies(t *testing.T, n *Network, c *Conn, within time.Duration) (time.Duration, error) {
	start := n.Now()
	var err error
	eventually(t, n, within, func() { _, err = c.Read(make([]byte, 1)) })
	return n.Now() - start, err
}

// Goal: keep-alive finds a half-open connection when it should: idle time, then count probes.
func TestKeepAlive(t *testing.T) {
	tcpPair(t, func(n *Network, client, server *Conn) {
		require.NoError(t, client.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3}))
		require.NoError(t, n.RunUntil(n.Now()+time.Minute))
		require.NoError(t, client.proto.Err(), "a live peer answers")
		server.host.Crash()
		after, err := dies(t, n, client, time.Minute)
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		require.InDelta(t, 16*time.Second, after, float64(12*time.Second))
	})
}

// Goal: the user timeout ends a connection whose data is not acknowledged; without it TCP would go on
// for a quarter of an hour.
func TestUserTimeout(t *testing.T) {
	tcpPair(t, func(n *Network, client, server *Conn) {
		require.NoError(t, client.SetUserTimeout(5*time.Second))
		server.host.Crash()
		_, err := client.Write([]byte("x"))
		require.NoError(t, err)
		after, err := dies(t, n, client, time.Minute)
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		require.InDelta(t, 5*time.Second, after, float64(2*time.Second))
	})
}

// Goal: without either, an unanswered write is given up after Linux's quarter of an hour.
func TestRetransmissionLimit(t *testing.T) {
	tcpPair(t, func(n *Network, client, server *Conn) {
		server.host.Crash()
		_, err := client.Write([]byte("x"))
		require.NoError(t, err)
		after, err := dies(t, n, client, time.Hour)
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		require.Greater(t, after, 10*time.Minute)
		require.Less(t, after, 20*time.Minute)
	})
}

// Goal: with a linger time of 0, Close resets.
func TestLinger(t *testing.T) {
	tcpPair(t, func(n *Network, client, server *Conn) {
		require.NoError(t, client.SetLinger(0))
		require.NoError(t, client.Close())
		_, err := dies(t, n, server, time.Second)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.ErrorIs(t, client.SetLinger(0), net.ErrClosed)
		require.ErrorIs(t, client.SetNoDelay(true), net.ErrClosed)
	})
}

// Goal: with Nagle's algorithm, small writes wait for the acknowledgement of the first.
func TestNagle(t *testing.T) {
	tcpPair(t, func(n *Network, client, server *Conn) {
		require.NoError(t, client.SetNoDelay(false))
		reads := 0
		go func() {
			for {
				if _, err := server.Read(make([]byte, 100)); err != nil {
					return
				}
				reads++
			}
		}()
		for range 5 {
			_, err := client.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, n.RunUntil(n.Now()+time.Millisecond))
		}
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		require.Equal(t, 2, reads, "the first at once, the others together")
	})
}
