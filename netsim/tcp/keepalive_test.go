package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var probing = Config{KeepAlive: KeepAlive{Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}

// RFC 9293 §3.8.4: a probe has SEG.SEQ = SND.NXT-1 and no data, and an idle peer that lives answers it.
func TestKeepAlive(t *testing.T) {
	k := connected(t, probing, Config{})
	start := k.now
	k.pass(time.Minute)
	require.Equal(t, Established, k.a.c.State())
	probes := k.acks(k.a)
	require.Len(t, probes, 3)
	require.InDelta(t, start+15*time.Second, probes[0].at, float64(100*ms))
	for _, p := range probes {
		require.Equal(t, k.a.c.nxt-1, p.Seq)
		require.Empty(t, p.Payload)
	}
	require.Len(t, k.log[1], 3, "each is answered")
}

// A peer that is silent is given up after the last probe, with a RST that may still find it.
func TestKeepAliveGivesUp(t *testing.T) {
	k := connected(t, probing, Config{})
	k.links[0].drop = func(*Segment) bool { return true }
	start := k.now
	var died time.Duration
	k.runUntil(time.Hour, func() bool { died = k.now; return k.a.c.State() == Closed })
	require.InDelta(t, start+30*time.Second, died, float64(100*ms))
	require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
	require.Equal(t, RST|ACK, k.last(k.a).Flags)
}

// Traffic in either direction puts probes off.
func TestKeepAliveNotWhileBusy(t *testing.T) {
	k := connected(t, probing, Config{})
	reader(k.a)
	for range 20 {
		k.pass(10 * time.Second)
		k.write(k.b, 5)
	}
	for _, s := range k.log[0] {
		require.Equal(t, k.a.c.nxt, s.Seq, "no probe")
	}
}

// Keep-alive can be turned on and off while the connection lives.
func TestSetKeepAlive(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.pass(time.Second)
	require.NoError(t, k.a.c.SetKeepAlive(k.now, probing.KeepAlive))
	k.links[0].drop = func(*Segment) bool { return true }
	k.pass(20 * time.Second)
	require.NoError(t, k.a.c.SetKeepAlive(k.now, KeepAlive{}))
	k.pass(time.Hour)
	require.Equal(t, Established, k.a.c.State())
	require.ErrorContains(t, k.a.c.SetKeepAlive(k.now, KeepAlive{Idle: time.Second, Count: 1000}), "KeepAlive.Count is 1000")
}
