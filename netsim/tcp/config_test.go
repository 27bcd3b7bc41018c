package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfigDefaults(t *testing.T) {
	s, err := Config{}.Settings()
	require.NoError(t, err)
	c := s.Config()
	require.Equal(t, 1460, c.MSS)
	require.Equal(t, 10, c.InitialWindow)
	require.Equal(t, time.Second, c.InitialRTO)
	require.Equal(t, 200*time.Millisecond, c.MinRTO)
	require.Zero(t, c.KeepAlive, "keep-alive is off")
	require.EqualValues(t, 7, s.wscale, "what Linux announces with tcp_rmem's default of 6 MiB")
	// RFC 1122 §4.2.3.5 wants R2 to be 100 s or more; Linux documents 924.6 s for tcp_retries2=15.
	require.Equal(t, 924600*time.Millisecond, s.retries2)
}

// A resolved configuration resolves to itself.
func TestConfigIsStable(t *testing.T) {
	once := mustSettings(Config{KeepAlive: KeepAlive{Idle: time.Minute}}).Config()
	require.Equal(t, 75*time.Second, once.KeepAlive.Interval)
	require.Equal(t, once, mustSettings(once).Config())
}

// An explicit buffer does not grow, unless it may.
func TestConfigBuffers(t *testing.T) {
	fixed := mustSettings(Config{SendBuffer: 1000, ReceiveBuffer: 2000})
	require.Equal(t, 1000, fixed.cfg.SendBufferMax)
	require.Equal(t, 2000, fixed.cfg.ReceiveBufferMax)
	require.True(t, fixed.sndFixed && fixed.rcvFixed)
	grows := mustSettings(Config{SendBuffer: 1000, SendBufferMax: 5000})
	require.False(t, grows.sndFixed || grows.rcvFixed)
}

// An error names the field, the value and what is allowed.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{MSS: 5}, "tcp: Config.MSS is 5: want 88 to 65495, or 0 for the default 1460"},
		{Config{SynRetries: -2}, "tcp: Config.SynRetries is -2: want -1 to 100, or 0 for the default 6"},
		{Config{MinRTO: -time.Second}, "tcp: Config.MinRTO is -1s: want 1ms to 1m0s, or 0 for the default 200ms"},
		{Config{MaxRTO: time.Millisecond}, "tcp: Config.MaxRTO is 1ms: want 200ms to 24h0m0s, or 0 for the default 2m0s"},
		{Config{Congestion: 7}, "tcp: Config.Congestion is 7: want CUBIC (0) or Reno (1)"},
		{Config{SendBuffer: 9, SendBufferMax: 8}, "tcp: Config.SendBufferMax is 8: want 9 to 268435456, or 0 for the default 4194304"},
		{Config{ReceiveBuffer: -1}, "tcp: Config.ReceiveBuffer is -1: want 1 to 268435456, or 0 for the default 65535"},
		{Config{KeepAlive: KeepAlive{Count: 3}}, "tcp: Config.KeepAlive.Idle is 0 with Interval 0s and Count 3: want all zero, or Idle above 0"},
		{Config{KeepAlive: KeepAlive{Idle: -1}}, "tcp: Config.KeepAlive.Idle is -1ns: want 1ms to 8760h0m0s, or 0 for the default 0s"},
	} {
		_, err := c.cfg.Settings()
		require.EqualError(t, err, c.want)
	}
	require.Equal(t, "reno", Reno.String())
	require.Equal(t, "Congestion(9)", Congestion(9).String())
}
