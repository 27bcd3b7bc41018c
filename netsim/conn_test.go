package netsim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// Goal: a Conn keeps every promise of net.Conn that nettest knows of.
// Method: nettest makes subtests, which a bubble's own T does not allow; a T made inside the bubble
// does. The loop runs beside them.
func TestNettest(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "client", "server")
		require.NoError(t, n.SetLink("client", "server", Link{Latency: time.Millisecond}))
		pipes := 0
		makePipe := func() (net.Conn, net.Conn, func(), error) {
			pipes++
			l, err := hosts[1].Listen("tcp", ":0")
			if err != nil {
				return nil, nil, nil, err
			}
			client, err := hosts[0].Dial("tcp", l.Addr().String())
			if err != nil {
				return nil, nil, nil, err
			}
			server, err := l.Accept()
			stop := func() { _ = errors.Join(client.Close(), server.Close(), l.Close()) }
			return client, server, stop, err
		}
		eventually(t, n, 10*time.Minute, func() {
			all := func(string, string) (bool, error) { return true, nil }
			require.True(t, testing.RunTests(all, []testing.InternalTest{{
				Name: "conn", F: func(t *testing.T) { nettest.TestConn(t, makePipe) },
			}}))
		})
		require.Zero(t, pipes%11, "not all of nettest's cases have run") // with -cpu they run repeatedly
		require.NotZero(t, pipes)
		finish(t, n)
	})
}

// pair adds a client and a server to a network, and returns both ends of a connection.
func pair(t *testing.T, n *Network, l Link) (client, server *Conn) {
	t.Helper()
	hosts := newHosts(t, n, "client", "server")
	require.NoError(t, n.SetLink("client", "server", l))
	return connect(t, n, hosts[0], hosts[1], "server:80")
}

// connect has a client dial an address that leads to port 80 of a server, and returns both ends.
func connect(t *testing.T, n *Network, from, to *Host, address string) (client, server *Conn) {
	t.Helper()
	listener, err := to.Listen("tcp", ":80")
	require.NoError(t, err)
	var accepted, dialled net.Conn
	var errs [2]error
	go func() { accepted, errs[0] = listener.Accept() }()
	go func() { dialled, errs[1] = from.Dial("tcp", address) }()
	require.NoError(t, n.RunUntil(n.Now()+10*time.Second))
	require.NoError(t, errors.Join(errs[:]...))
	return dialled.(*Conn), accepted.(*Conn)
}

// exchange sends something from one end to the other.
func exchange(t *testing.T, n *Network, from, to *Conn) {
	t.Helper()
	_, err := from.Write([]byte("hello"))
	require.NoError(t, err)
	eventually(t, n, 10*time.Second, func() {
		buf := make([]byte, 5)
		_, err := io.ReadFull(to, buf)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf))
	})
}

// eventually runs f on a goroutine of its own for at most limit of virtual time.
func eventually(t *testing.T, n *Network, limit time.Duration, f func()) {
	t.Helper()
	done := false
	go func() { f(); done = true }()
	end := n.Now() + limit
	for {
		require.NoError(t, n.RunUntil(min(end, n.Now()+10*time.Millisecond)))
		if done || n.Now() == end {
			break
		}
	}
	require.True(t, done, "not done after %v", limit)
}

// Goal: both directions carry a megabyte, intact, over a bad link.
func TestTransfer(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.02})
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(i ^ i>>8 ^ i>>16)
		}
		var got [2][]byte
		var errs [4]error
		ends := []*Conn{client, server}
		for i, c := range ends {
			go func() {
				_, err := c.Write(data)
				errs[i] = errors.Join(err, c.CloseWrite())
			}()
			go func() { got[i], errs[2+i] = io.ReadAll(c) }()
		}
		require.NoError(t, n.RunUntil(n.Now()+5*time.Minute))
		require.NoError(t, errors.Join(errs[:]...))
		for i := range got {
			require.Equal(t, len(data), len(got[i]))
			require.Equal(t, data, got[i])
		}
		finish(t, n)
	})
}

// Goal: a Write blocks while the other end does not read, and goes on when it does.
func TestBackPressure(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 5 * time.Millisecond})
		const total = 16 << 20
		written, read := 0, 0
		go func() {
			chunk := make([]byte, 64<<10)
			for written < total {
				m, err := client.Write(chunk)
				written += m
				if err != nil {
					return
				}
			}
		}()
		require.NoError(t, n.RunUntil(n.Now()+time.Minute))
		require.Less(t, written, total, "nobody reads, and the writer has not noticed")
		stuck := written
		require.NoError(t, n.RunUntil(n.Now()+time.Minute))
		require.Equal(t, stuck, written)
		go func() {
			chunk := make([]byte, 64<<10)
			for read < total {
				m, err := server.Read(chunk)
				read += m
				if err != nil {
					return
				}
			}
		}()
		require.NoError(t, n.RunUntil(n.Now()+10*time.Minute))
		require.Equal(t, total, written)
		require.Equal(t, total, read)
		finish(t, n)
	})
}

// Goal: the errors are those that real code tests for.
func TestConnErrors(t *testing.T) {
	link := Link{Latency: 10 * time.Millisecond}
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, link)
		buf := make([]byte, 10)

		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Second)))
		start := n.Now()
		eventually(t, n, 2*time.Second, func() {
			_, err := client.Read(buf)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, start+time.Second, n.Now())
			require.NoError(t, client.SetReadDeadline(time.Time{}))
		})

		require.NoError(t, server.CloseWrite())
		eventually(t, n, time.Second, func() {
			_, err := client.Read(buf)
			require.Equal(t, io.EOF, err)
		})
		_, err := server.Write(buf)
		require.ErrorIs(t, err, syscall.EPIPE)

		// Data for an end that has closed: it answers with a RST.
		require.NoError(t, server.Close())
		eventually(t, n, time.Second, func() {
			for err == nil || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				_, err = client.Write(buf)
				time.Sleep(100 * time.Millisecond)
				if n.Now() > start+10*time.Second {
					break
				}
			}
			require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
		})
		_, err = server.Read(buf)
		require.ErrorIs(t, err, net.ErrClosed)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "tcp", op.Net)
		finish(t, n)
	})
}

// Goal: a crash is silent, and after the reboot the half-open connection is reset by the first segment
// that reaches the host.
func TestHalfOpen(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		require.Equal(t, 1, server.host.Crash())
		var readErr error
		returned := time.Duration(0)
		go func() {
			_, readErr = client.Read(make([]byte, 1))
			returned = n.Now()
		}()
		require.NoError(t, n.RunUntil(n.Now()+time.Minute))
		require.Zero(t, returned, "a crash says nothing")
		_, err := server.Write([]byte("x"))
		require.ErrorIs(t, err, ErrHostDown)

		_, err = client.Write([]byte("anyone there?"))
		require.NoError(t, err)
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		require.Zero(t, returned)
		server.host.Boot()
		require.NoError(t, n.RunUntil(n.Now()+time.Minute))
		require.NotZero(t, returned, "the retransmission should have met a host that knows nothing of it")
		require.ErrorIs(t, readErr, syscall.ECONNRESET)
		finish(t, n)
	})
}

// Goal: a partition swallows packets while it holds, bites, and TCP recovers when it heals.
func TestPartition(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		bites := 0
		require.NoError(t, Partition("client", "server").ApplyTo(n, func() { bites++ }))
		_, err := client.Write([]byte("hello"))
		require.NoError(t, err)
		var got []byte
		var at time.Duration
		go func() {
			buf := make([]byte, 10)
			m, err := server.Read(buf)
			if err == nil {
				got, at = buf[:m], n.Now()
			}
		}()
		healed := n.Now() + 3*time.Second
		require.NoError(t, n.RunUntil(healed))
		require.Empty(t, got)
		require.Positive(t, bites)
		require.NoError(t, Heal().ApplyTo(n, func() {}))
		require.NoError(t, n.RunUntil(n.Now()+10*time.Second))
		require.Equal(t, "hello", string(got))
		require.Greater(t, at, healed)
		require.Less(t, at, healed+4*time.Second, "the time-out doubles: it cannot have waited longer than the partition took")

		require.ErrorContains(t, Partition("nobody", "server").ApplyTo(n, func() {}), `no host is named or matches "nobody"`)
		finish(t, n)
	})
}

// Goal: two listeners cannot have one port, and a closed one frees it.
func TestListen(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		h := newHosts(t, n, "a")[0]
		l, err := h.Listen("tcp", ":80")
		require.NoError(t, err)
		_, err = h.Listen("tcp", "a:80")
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.Close(), net.ErrClosed)
		l, err = h.Listen("tcp4", "10.0.0.1:80")
		require.NoError(t, err)
		eventually(t, n, time.Second, func() {
			go func() {
				time.Sleep(time.Millisecond)
				_ = l.Close()
			}()
			_, err := l.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
		})
		_, err = h.Listen("tcp", "b:80")
		require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
		_, err = h.Listen("tcp", ":99999")
		require.ErrorContains(t, err, `port "99999" is not a number from 0 to 65535`)
		_, err = h.Listen("unix", "/tmp/x")
		require.ErrorContains(t, err, "unknown network unix")
		free, err := h.Listen("tcp", ":0")
		require.NoError(t, err)
		require.NotZero(t, free.Addr().(*net.TCPAddr).Port)
	})
}

// Goal: wrong set-up is an error that names the thing and the value.
func TestSetUpErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		newHosts(t, n, "a")
		for _, c := range []struct {
			err  error
			want string
		}{
			{hostError(n, "a"), `there is a host named "a" already`},
			{hostError(n, ""), "has 0 characters; want 1 to 63"},
			{hostError(n, "Ä"), `host name "Ä" has 'Ä'`},
			{hostError(n, "10.0.0.9"), `host name "10.0.0.9" is an IP address`},
			{n.SetLink("a", "", Link{}), `pattern "" has an empty part`},
			{n.SetLink("a", "[", Link{}), `pattern "["`},
			{n.SetLink("a", "b", Link{Latency: -1}), "a -> b: link: Latency is -1ns"},
			{n.SetLink("a", "b", Link{Jitter: 1}), "Jitter is 1ns; it must lie between 0 and the Latency of 0s"},
			{n.SetLink("a", "b", Link{Loss: 1.5}), "Loss is 1.5; it is a probability in [0, 1]"},
			{n.SetLink("a", "b", Link{Rate: -1}), "Rate is -1 bit/s"},
			{n.SetLink("a", "a", Link{}), "a link from a to itself"},
			{n.SetUplink("a", Bottleneck{Rate: -1}), "Rate is -1 bit/s"},
		} {
			require.ErrorContains(t, c.err, c.want)
		}
		require.NoError(t, n.RunUntil(time.Second))
		require.NoError(t, n.SetLink("a|servr", "*", Link{}))
		require.ErrorContains(t, n.RunUntil(2*time.Second), `the link a|servr -> * names a host "servr" that does not exist; the hosts are a`)
		_, err = New(Config{Fidelity: 9})
		require.ErrorContains(t, err, "Config.Fidelity is Fidelity(9)")
	})
}

func hostError(n *Network, name string) error {
	_, err := n.NewHost(name)
	return err
}

// Goal: a balancer spreads connections evenly, notices a dead backend, and puts it back.
func TestBalancer(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "lb", "s1", "s2", "client")
		accepted := map[string]int{}
		serve := func(h *Host) {
			l, err := h.Listen("tcp", ":80")
			require.NoError(t, err)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
							t.Errorf("%s has accepted a health check: %v", h.name, err)
							return
						}
						accepted[h.name]++
						_, _ = io.WriteString(c, h.name)
					}()
				}
			}()
		}
		serve(hosts[1])
		serve(hosts[2])
		b, err := hosts[0].Balance(BalancerConfig{Backends: []string{"s1:80", "s2:80"}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		go b.Run(ctx)
		dial := func(count int) (served map[string]int, failed int) {
			served = map[string]int{}
			for range count {
				c, err := hosts[3].Dial("tcp", "lb:80")
				if err != nil {
					failed++
					continue
				}
				_, _ = io.WriteString(c, "hi")
				buf := make([]byte, 2)
				_, err = io.ReadFull(c, buf)
				if err != nil {
					failed++
					continue
				}
				served[string(buf)]++
			}
			return served, failed
		}
		eventually(t, n, time.Minute, func() {
			served, failed := dial(20)
			require.Equal(t, map[string]int{"s1": 10, "s2": 10}, served)
			require.Zero(t, failed)
		})
		hosts[1].Crash()
		require.NoError(t, n.RunUntil(n.Now()+5*time.Second))
		eventually(t, n, time.Minute, func() {
			served, failed := dial(10)
			require.Equal(t, map[string]int{"s2": 10}, served, "health checks have found s1 dead")
			require.Zero(t, failed)
		})
		hosts[1].Boot()
		serve(hosts[1])
		require.NoError(t, n.RunUntil(n.Now()+5*time.Second))
		eventually(t, n, time.Minute, func() {
			served, failed := dial(4)
			require.Positive(t, served["s1"])
			require.Zero(t, failed)
		})
		_, err = hosts[1].Balance(BalancerConfig{})
		require.ErrorContains(t, err, "Backends is empty")
		_, err = hosts[1].Balance(BalancerConfig{Backends: []string{"nobody:80"}})
		require.ErrorContains(t, err, `backend "nobody:80": no other host has that name; the hosts are lb, s1, s2, client`)
		cancel()
		finish(t, n)
	})
}

// Goal: a listener whose program does not accept holds a bounded number of connections; what comes
// beyond is not refused but tries again, and gets in when there is room.
func TestBacklog(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "client", "server")
		l, err := hosts[1].Listen("tcp", ":80")
		require.NoError(t, err)
		dialled := 0
		const more = 10
		for range backlog + more {
			go func() {
				if _, err := hosts[0].Dial("tcp", "server:80"); err == nil {
					dialled++
				}
			}()
		}
		require.NoError(t, n.RunUntil(500*time.Millisecond))
		require.Equal(t, backlog, dialled)
		eventually(t, n, time.Second, func() {
			for range more {
				_, err := l.Accept()
				require.NoError(t, err)
			}
		})
		require.NoError(t, n.RunUntil(5*time.Second))
		require.Equal(t, backlog+more, dialled)
		finish(t, n)
	})
}

// Goal: a host that has used up its ports towards one address says so, and no sooner.
func TestPortExhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Fidelity: Stream})
		require.NoError(t, err)
		hosts := newHosts(t, n, "client", "server")
		for _, port := range []string{":80", ":81"} {
			l, err := hosts[1].Listen("tcp", port)
			require.NoError(t, err)
			go func() {
				for {
					if _, err := l.Accept(); err != nil {
						return
					}
				}
			}()
		}
		const ports = lastEphemeralPort - firstEphemeralPort + 1
		eventually(t, n, time.Hour, func() {
			for range ports {
				_, err := hosts[0].Dial("tcp", "server:80")
				require.NoError(t, err)
			}
			_, err := hosts[0].Dial("tcp", "server:80")
			require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
			_, err = hosts[0].Dial("tcp", "server:81")
			require.NoError(t, err, "towards another address all ports are free")
		})
		finish(t, n)
	})
}

// Goal: data and the end behind it, which arrive together, are two events: whoever reads the data has come to
// rest when the end shows.
// Method: a client that has written and closed while nothing of it arrived; a server that, like net/http's,
// answers what it reads while another goroutine waits for the end.
func TestEndComesAfterData(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		client, server := pair(t, n, Link{Latency: 10 * time.Millisecond})
		hole := Blackhole("client", "server")
		apply(t, n, hole)
		_, err := client.Write([]byte("request"))
		require.NoError(t, err)
		require.NoError(t, n.RunUntil(n.Now()+time.Millisecond))
		require.NoError(t, client.Close())
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		apply(t, n, Undo(hole))
		var rounds []uint64 // when the request was read, and when the end was
		go func() {
			buf := make([]byte, 100)
			for {
				_, err := io.ReadAtLeast(server, buf, 7)
				rounds = append(rounds, n.rounds.Load())
				if err != nil {
					return
				}
			}
		}()
		require.NoError(t, n.RunUntil(n.Now()+30*time.Second))
		require.Len(t, rounds, 2)
		require.Greater(t, rounds[1], rounds[0])
		finish(t, n)
	})
}
