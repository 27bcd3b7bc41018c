package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A timer fires on a tick, never early, and late by no more than two grains of its level: 4 ms up to
// a quarter of a second, 32 ms up to 2 s, and so on.
func TestTimerWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(mustSettings(Config{}), NewPool(), rapid.Uint32().Draw(t, "iss"))
		now := time.Duration(rapid.Int64Range(0, int64(day)).Draw(t, "now"))
		d := time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "delay"))
		at := c.alarm(now, d)
		require.Greater(t, at, now)
		require.GreaterOrEqual(t, at, now+d)
		grain := 4 * ms
		for limit := 63 * grain; limit <= d+grain; limit *= 8 {
			grain *= 8
		}
		require.LessOrEqual(t, at, now+d+grain+4*ms)
		phase := time.Duration(mix(c.iss)) % (4 * ms)
		require.Zero(t, (at+phase)%(4*ms), "on a tick")
	})
}

// Two connections do not tick together.
func TestTickPhase(t *testing.T) {
	a := New(mustSettings(Config{}), NewPool(), 1)
	b := New(mustSettings(Config{}), NewPool(), 2)
	require.NotEqual(t, a.alarm(0, time.Second), b.alarm(0, time.Second))
	exact := New(mustSettings(Config{Tick: -1}), NewPool(), 1)
	require.Equal(t, 1234*time.Microsecond, exact.alarm(234*time.Microsecond, ms))
}

// Timer is harmless when nothing is due, and an idle connection has nothing due at all.
func TestTimerHarmless(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.pass(time.Second)
	_, ok := k.a.c.Deadline()
	require.False(t, ok)
	k.a.c.Timer(k.now, k.a)
	k.write(k.a, 10)
	k.forget()
	k.a.c.Timer(k.now, k.a)
	require.Empty(t, k.log[0])
}

// RFC 6298 §5.5 and RFC 1122 §4.2.3.5: the timeout doubles, and after R2 the connection is given up.
func TestRetries2(t *testing.T) {
	k := connected(t, Config{Retries2: 3}, Config{})
	k.pass(time.Second)
	k.links[0].drop = func(*Segment) bool { return true }
	start := k.now
	k.write(k.a, 10)
	k.pass(time.Hour)
	require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
	segs := k.data(k.a)
	var gaps []time.Duration
	for i := 1; i < len(segs); i++ {
		gaps = append(gaps, segs[i].at-segs[i-1].at)
	}
	// The tail probe goes out just before the timeout would; then RTO = SRTT + 200 ms, doubled.
	require.Equal(t, start+300*ms, segs[1].at)
	require.Equal(t, []time.Duration{300 * ms, 300 * ms, 600 * ms, 1200 * ms}, gaps)
}

// RFC 5482: the user timeout bounds how long data may stay unacknowledged.
func TestUserTimeout(t *testing.T) {
	k := connected(t, Config{UserTimeout: 5 * time.Second}, Config{})
	k.links[0].drop = func(*Segment) bool { return true }
	start := k.now
	k.write(k.a, 10)
	var died time.Duration
	k.runUntil(time.Hour, func() bool { died = k.now; return k.a.c.State() == Closed })
	require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
	require.InDelta(t, start+5*time.Second, died, float64(5*ms))

	k = connected(t, Config{}, Config{})
	require.NoError(t, k.a.c.SetUserTimeout(time.Second))
	require.Error(t, k.a.c.SetUserTimeout(-1))
	k.links[0].drop = func(*Segment) bool { return true }
	k.write(k.a, 10)
	k.pass(2 * time.Second)
	require.Equal(t, syscall.ETIMEDOUT, k.a.c.Err())
}
