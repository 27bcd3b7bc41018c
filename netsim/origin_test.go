package netsim

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Goal: an address is traced back to its host, through NATs, and what is none is nobody's.
func TestOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "server", "phone", "home", "carrier")
		server, phone, home, carrier := hosts[0], hosts[1], hosts[2], hosts[3]
		_, err = carrier.NAT(NATConfig{Inside: "home"})
		require.NoError(t, err)
		_, err = home.NAT(NATConfig{Inside: "phone"})
		require.NoError(t, err)
		at, from := listenUDP(t, server, 9), listenUDP(t, phone, 0)
		from.tell(t, at.addr(), "hello")
		require.Len(t, at.from, 1)
		require.Equal(t, carrier.Addr(), at.from[0].Addr(), "all that the server sees")
		require.Equal(t, "phone", n.Origin(at.from[0].String()))
		require.Equal(t, "carrier", n.Origin(carrier.Addr().String()))
		require.Equal(t, "server", n.Origin(at.addr().String()))
		for _, nobodys := range []string{"", "x", "1.2.3.4", "1.2.3.4:5", "::1", "[::1]:80", "1.2.3.4:99999"} {
			require.Empty(t, n.Origin(nobodys), nobodys)
		}
		finish(t, n)
	})
}
