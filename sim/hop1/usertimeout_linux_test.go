package hop1

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Goal: the option is set on a real socket, in the kernel's unit.
func TestUserTimeoutOfRealSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	for d, want := range map[time.Duration]int{3 * time.Second: 3000, time.Microsecond: 1} {
		require.NoError(t, setUserTimeout(c, d))
		raw, err := c.(*net.TCPConn).SyscallConn()
		require.NoError(t, err)
		got := 0
		require.NoError(t, raw.Control(func(fd uintptr) {
			got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		}))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, c.Close())
	require.Error(t, setUserTimeout(c, time.Second))
}
