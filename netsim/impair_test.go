package netsim

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// flood sends datagrams from one socket to another, a millisecond apart, and tells how many arrived.
func flood(t *testing.T, n *Network, from, to *udpSocket, count int) (arrived int) {
	before := len(to.got)
	for range count {
		_, err := from.WriteToUDPAddrPort([]byte("x"), to.addr())
		require.NoError(t, err)
		require.NoError(t, n.RunUntil(n.Now()+time.Millisecond))
	}
	require.NoError(t, n.RunUntil(n.Now()+time.Second))
	return len(to.got) - before
}

// Goal: a loss hits its direction with its probability, counts each packet that it took, adds to another,
// and ends alone.
func TestLossFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Seed: 1})
		require.NoError(t, err)
		hosts := newHosts(t, n, "a", "b")
		a, b := listenUDP(t, hosts[0], 1), listenUDP(t, hosts[1], 2)
		third := Loss("a", "b", false, 0.3)
		bites := apply(t, n, third)
		arrived := flood(t, n, a, b, 1000)
		require.InDelta(t, 700, arrived, 50)
		require.Equal(t, 1000-arrived, *bites)
		require.Equal(t, 100, flood(t, n, b, a, 100), "the other direction")

		all := Loss("a", "*", true, 1)
		apply(t, n, all)
		require.Zero(t, flood(t, n, a, b, 100))
		require.Zero(t, flood(t, n, b, a, 100))
		require.Equal(t, 1, *apply(t, n, Undo(all)))
		require.InDelta(t, 700, flood(t, n, a, b, 1000), 50, "the other goes on")
		apply(t, n, Undo(third))
		require.Equal(t, 100, flood(t, n, a, b, 100))
		require.Zero(t, *apply(t, n, Undo(third)), "there is nothing left to undo")
		finish(t, n)
	})
}

// Goal: duplicated packets arrive twice; TCP's reader notices nothing.
func TestDuplicateFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Seed: 1})
		require.NoError(t, err)
		hosts := newHosts(t, n, "a", "b")
		a, b := listenUDP(t, hosts[0], 1), listenUDP(t, hosts[1], 2)
		client, server := connect(t, n, hosts[0], hosts[1], "b:80")
		bites := apply(t, n, Duplicate("a", "b", true, 1))
		require.Equal(t, 20, flood(t, n, a, b, 10))
		require.Equal(t, 10, *bites)
		exchange(t, n, client, server)
		exchange(t, n, server, client)
		require.Greater(t, *bites, 10)
		finish(t, n)
	})
}

// Goal: a delay and a slow host make a round trip longer by just that, once each way.
func TestDelayFaults(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		oneWay := func(from, to *Conn) time.Duration {
			_, err := from.Write([]byte("x"))
			require.NoError(t, err)
			began, took := n.Now(), time.Duration(0)
			go func() {
				_, err := to.Read(make([]byte, 1))
				if err == nil {
					took = n.Now() - began
				}
			}()
			require.NoError(t, n.RunUntil(n.Now()+5*time.Second))
			return took
		}
		require.Equal(t, 10*time.Millisecond, oneWay(client, server))
		later := Delay("client", "server", false, 30*time.Millisecond)
		bites := apply(t, n, later)
		require.Equal(t, 40*time.Millisecond, oneWay(client, server))
		require.Equal(t, 10*time.Millisecond, oneWay(server, client))
		require.Positive(t, *bites)
		slow := Slow("server", time.Second)
		apply(t, n, slow)
		require.Equal(t, 1040*time.Millisecond, oneWay(client, server))
		require.Equal(t, 1010*time.Millisecond, oneWay(server, client))
		apply(t, n, Undo(later))
		apply(t, n, Undo(slow))
		require.Equal(t, 10*time.Millisecond, oneWay(client, server))
		finish(t, n)
	})
}

// heard reads from a connection until it ends, and keeps what came.
func heard(c *Conn) *string {
	text := new(string)
	go func() {
		buf := make([]byte, 100)
		for {
			m, err := c.Read(buf)
			if err != nil {
				return
			}
			*text += string(buf[:m])
		}
	}()
	return text
}

// Goal: a paused host neither sends nor takes anything; when it goes on, everything is there, in order.
func TestPause(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		atClient, atServer := heard(client), heard(server)
		say := func(c *Conn, text string) {
			_, err := c.Write([]byte(text))
			require.NoError(t, err)
			require.NoError(t, n.RunUntil(n.Now()+3*time.Second))
		}
		pause := Pause("server")
		bites := apply(t, n, pause)
		say(client, "a")
		held := *bites
		require.Positive(t, held)
		say(server, "1")
		require.Greater(t, *bites, held)
		again := Pause("*")
		apply(t, n, again)
		apply(t, n, Undo(pause))
		say(server, "2")
		say(client, "b")
		require.Empty(t, *atServer+*atClient, "the other pause goes on")
		apply(t, n, Undo(again))
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		require.Equal(t, "ab", *atServer)
		require.Equal(t, "12", *atClient)
		finish(t, n)
	})
}

// Goal: a crash takes what a paused host held, and it boots unpaused.
func TestCrashEndsPause(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		pause := Pause("server")
		apply(t, n, pause)
		require.True(t, silentFor(t, n, time.Second, client, server))
		server.host.Crash()
		require.Zero(t, *apply(t, n, Undo(pause)))
		server.host.Boot()
		eventually(t, n, 5*time.Second, func() {
			_, err := client.host.Dial("tcp", "server:80")
			require.ErrorContains(t, err, "connection refused")
		})
		finish(t, n)
	})
}

// Goal: amounts that make no sense are refused, with what is allowed, and so are hosts that are not there.
func TestImpairmentErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		newHosts(t, n, "a", "b")
		rejects := func(f Fault, want string) {
			require.ErrorContains(t, f.ApplyTo(n, func() {}), want)
		}
		for _, p := range []float64{0, -0.1, 1.1, math.NaN()} {
			rejects(Loss("a", "b", false, p), "want a probability above 0 and at most 1")
			rejects(Duplicate("a", "b", false, p), "want a probability above 0 and at most 1")
		}
		for _, d := range []time.Duration{0, -1, 2 * time.Hour} {
			rejects(Delay("a", "b", false, d), "want more than 0 and at most 1h0m0s")
			rejects(Slow("a", d), "want more than 0 and at most 1h0m0s")
		}
		for _, f := range []Fault{Loss("a", "x", false, 1), Slow("x", 1), Pause("x")} {
			rejects(f, `no host is named or matches "x"`)
		}
		require.Equal(t, "undo(pause(x))", Undo(Pause("x")).String())
	})
}
