package hop2

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// raw is a client that speaks the protocol by hand.
func raw(t *testing.T, n *network) net.Conn {
	c, err := n.dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ask(t *testing.T, c net.Conn, line string) string {
	t.Helper()
	_, err := c.Write([]byte(line + "\r\n"))
	require.NoError(t, err)
	buf := make([]byte, 4096)
	k, err := c.Read(buf)
	require.NoError(t, err)
	return string(buf[:k])
}

// command writes a command in the protocol's array form.
func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for i, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s", len(w), w)
		if i < len(words)-1 {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

// A subscriber that does not read stops nobody: neither the broker nor virtual time. When too much waits
// for it, its connection is closed.
func TestStalledSubscriber(t *testing.T) {
	lanes := everywhere
	if testing.Short() {
		lanes = inBubble // sockets take their time to fill
	}
	lanes(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		store.outputLimit = 1 << 20
		n.serve(t, store)
		s := n.strategy(t, nil)
		stalled := raw(t, n)
		require.Contains(t, ask(t, stalled, command("SUBSCRIBE", s.channel("r"))), "subscribe")
		messages := 3
		if !n.pipes {
			messages = 24 // sockets have buffers of their own, of some megabytes
		}
		sub := subscribe(t, s, "r", model.Cursor{})
		at := sub.Start().Cursor
		body := make([]byte, 500_000) // two thirds of a megabyte in base64
		for i := range messages {
			to, err := s.Publish(within(t, patience), model.Message{Room: "r", ID: fmt.Sprint(i), Body: body})
			require.NoError(t, err)
			collect(t, sub, at, to)
			at = to
		}
		time.Sleep(time.Millisecond) // it is asleep until the broker has written all that it can
		closed := make(chan int64, 1)
		go func() {
			total, err := io.Copy(io.Discard, stalled)
			t.Log(err) // on a socket, either an end or a reset
			closed <- total
		}()
		select {
		case total := <-closed:
			require.Less(t, total, int64(messages*600_000))
		case <-time.After(patience):
			require.Fail(t, "the connection is still open")
		}
	})
}

// The broker ends with its context, closes its listener and connections, and leaves the store for the
// next; nobody can serve it beside.
func TestServeRedis(t *testing.T) {
	everywhere(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		crash := n.serve(t, store)
		c := raw(t, n)
		require.Equal(t, "+OK\r\n", ask(t, c, command("SET", "k", "v")))
		other := n.listen(t)
		require.ErrorContains(t, ServeRedis(t.Context(), other, store), "already")
		_, err := other.Accept()
		require.Error(t, err, "the listener must be closed")

		crash = restart(t, n, store, crash)
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err, "the connection must be closed")
		require.Equal(t, "$1\r\nv\r\n", ask(t, raw(t, n), command("GET", "k")))
		restart(t, n, NewRedisStore(), crash)
		require.Equal(t, "$-1\r\n", ask(t, raw(t, n), command("GET", "k")))

		l := n.listen(t)
		require.NoError(t, l.Close())
		require.ErrorIs(t, ServeRedis(t.Context(), l, NewRedisStore()), net.ErrClosed)
	})
}

func restart(t *testing.T, n *network, store *RedisStore, crash func()) func() {
	crash()
	return n.serve(t, store)
}

// Keys expire in virtual time, also while the broker is down; blocking commands work after a restart.
func TestStoreClock(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		store := NewRedisStore()
		crash := n.serve(t, store)
		c := raw(t, n)
		require.Equal(t, "+OK\r\n", ask(t, c, command("SET", "k", "v", "EX", "100")))
		time.Sleep(30 * time.Second)
		require.Equal(t, ":70\r\n", ask(t, c, command("TTL", "k")))
		crash()
		time.Sleep(30 * time.Second)
		n.serve(t, store)
		c = raw(t, n)
		require.Equal(t, ":40\r\n", ask(t, c, command("TTL", "k")))
		began := time.Now()
		require.Equal(t, "*-1\r\n", ask(t, c, command("BLPOP", "q", "10")))
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}
