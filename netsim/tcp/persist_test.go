package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 9293 §3.8.6.1: a window that stays closed is probed, with exponential backoff, and for as long
// as the peer answers; when the reader reads, all arrives.
func TestZeroWindow(t *testing.T) {
	k := connected(t, Config{}, Config{ReceiveBuffer: 4000})
	k.write(k.a, 10_000)
	k.pass(2 * time.Second)
	require.Zero(t, k.a.c.Info().PeerWindow)
	require.GreaterOrEqual(t, k.b.c.Readable(), 2900)
	k.forget()
	k.pass(time.Hour)
	require.Equal(t, Established, k.a.c.State())
	probes := k.log[0]
	require.Greater(t, len(probes), 20)
	require.Less(t, len(probes), 60)
	for i, p := range probes {
		require.Empty(t, p.Payload)
		require.Equal(t, k.a.c.una-1, p.Seq)
		if i > 8 {
			require.InDelta(t, 120*time.Second, p.at-probes[i-1].at, float64(time.Second))
		}
	}
	reader(k.b)
	k.b.settle()
	k.pass(time.Second)
	require.EqualValues(t, 10_000, k.b.c.Info().BytesIn, "the window update was enough")
}

// The window update is lost: a probe finds out.
func TestWindowUpdateLost(t *testing.T) {
	k := connected(t, Config{}, Config{ReceiveBuffer: 4000})
	k.write(k.a, 10_000)
	k.pass(5 * time.Second)
	k.links[1].drop = func(*Segment) bool { return true }
	reader(k.b)
	k.b.settle()
	k.links[1].drop = nil
	k.pass(10 * time.Second)
	require.EqualValues(t, 10_000, k.b.c.Info().BytesIn)
}

// A peer that does not answer probes is given up, and so is a window closed for longer than the user
// timeout allows.
func TestPersistGivesUp(t *testing.T) {
	for _, cfg := range []Config{{Retries2: 4}, {UserTimeout: 20 * time.Second}} {
		k := connected(t, cfg, Config{ReceiveBuffer: 4000})
		k.write(k.a, 10_000)
		k.pass(2 * time.Second)
		if cfg.UserTimeout == 0 {
			k.links[1].drop = func(*Segment) bool { return true }
		} else {
			k.links[0].drop = func(*Segment) bool { return true }
		}
		k.pass(2 * time.Hour)
		require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
	}
}

// RFC 9293 §3.8.6.2.1: a window smaller than a segment is not cut to pieces at once, but used when
// nothing better comes.
func TestSmallWindow(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.inject(k.a, func(s *Segment) { s.Window = 2 }) // 256 bytes
	k.forget()
	k.write(k.a, 5000)
	require.Empty(t, k.data(k.a))
	k.pass(time.Second)
	require.NotEmpty(t, k.data(k.a))
	require.Len(t, k.data(k.a)[0].Payload, 256)
}
