package netsim

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// silentFor sends from one end to the other, and reports whether nothing arrives for a while.
func silentFor(t *testing.T, n *Network, d time.Duration, from, to *Conn) bool {
	_, err := from.Write([]byte("x"))
	require.NoError(t, err)
	read := false
	go func() {
		_, err := to.Read(make([]byte, 1))
		read = err == nil
	}()
	require.NoError(t, n.RunUntil(n.Now()+d))
	return !read
}

// apply makes a fault happen, and reports how often it has bitten so far.
func apply(t *testing.T, n *Network, f Fault) *int {
	bites := new(int)
	require.NoError(t, f.ApplyTo(n, func() { *bites++ }))
	return bites
}

// Goal: a black hole swallows one direction, a dead interface both; each bites, and ends with its
// opposite only.
func TestBlackholeAndNIC(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		hole := apply(t, n, Blackhole("server", "client"))
		require.False(t, silentFor(t, n, time.Second, client, server), "the other direction works")
		require.True(t, silentFor(t, n, time.Second, server, client))
		require.Positive(t, *hole)
		require.Zero(t, *apply(t, n, NICUp("server")), "that is not what ended it")
		require.Equal(t, 1, *apply(t, n, Heal()))
		require.NoError(t, n.RunUntil(n.Now()+30*time.Second))

		down := apply(t, n, NICDown("client"))
		require.Zero(t, *apply(t, n, Heal()), "a heal does not plug in a cable")
		require.True(t, silentFor(t, n, time.Second, client, server))
		require.Positive(t, *down)
		require.Equal(t, 1, *apply(t, n, NICUp("client")))
		require.NoError(t, n.RunUntil(n.Now()+30*time.Second))
		require.False(t, silentFor(t, n, time.Second, client, server))
		finish(t, n)
	})
}

// Goal: after a change of address old connections are dead without a word, and new ones work.
func TestChangeIP(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		require.NoError(t, n.SetLink("*", "*", Link{Latency: 10 * time.Millisecond}))
		before := client.host.Addr()
		require.Equal(t, 1, *apply(t, n, ChangeIP("client")))
		require.NotEqual(t, before, client.host.Addr())
		require.Equal(t, before.String(), client.local.addrPort().Addr().String())
		require.True(t, silentFor(t, n, 10*time.Second, client, server))
		require.True(t, silentFor(t, n, 10*time.Second, server, client))
		eventually(t, n, time.Second, func() {
			_, err := client.host.Dial("tcp", "server:80")
			require.NoError(t, err)
		})
		eventually(t, n, time.Second, func() {
			_, err := server.host.Dial("tcp", "client:80")
			require.ErrorContains(t, err, "connection refused", "the host is there, at its new address")
		})
		finish(t, n)
	})
}

// Goal: a NAT that is rebound gives new ports: UDP goes on from another one, TCP is dead.
func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "nat", "phone", "server")
		_, err = hosts[0].NAT(NATConfig{Inside: "phone"})
		require.NoError(t, err)
		require.Zero(t, *apply(t, n, Rebind("nat")), "there was nothing to forget")
		phone, server := listenUDP(t, hosts[1], 5000), listenUDP(t, hosts[2], 1)
		phone.tell(t, server.addr(), "hello")
		tcpClient, tcpServer := connect(t, n, hosts[1], hosts[2], "server:80")
		require.Equal(t, 1, *apply(t, n, Rebind("nat")))
		phone.tell(t, server.addr(), "hello")
		require.Len(t, server.got, 2)
		require.NotEqual(t, server.from[0], server.from[1])
		require.True(t, silentFor(t, n, 10*time.Second, tcpClient, tcpServer))
		finish(t, n)
	})
}

// Goal: faults print as in schedules, and one that names what is not there says so.
func TestFaultText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		newHosts(t, n, "a", "b")
		for text, f := range map[string]Fault{
			"partition(a, x-*)":         Partition("a", "x-*"),
			"blackhole(x, a)":           Blackhole("x", "a"),
			"nic-down(x)":               NICDown("x"),
			"ipchange(x)":               ChangeIP("x"),
			"rebind(a)":                 Rebind("a"),
			"dns(api.example, 1m0s, x)": ChangeDNS("api.example", time.Minute, "x"),
			"dns-fail(a..b)":            FailDNS("a..b"),
		} {
			require.Equal(t, text, f.String())
			err := f.ApplyTo(n, func() {})
			require.ErrorContains(t, err, text+": ")
			require.NotErrorIs(t, err, errors.ErrUnsupported)
		}
		require.Equal(t, "heal()", Heal().String())
		require.NoError(t, SetLink("a", "b", Link{Latency: time.Second}).ApplyTo(n, func() {}))
		require.Error(t, SetLink("a", "b", Link{Loss: 7}).ApplyTo(n, func() {}))
	})
}
