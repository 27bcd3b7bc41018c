package netsim

import (
	"context"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/tcp"
)

// Goal: a timer that virtual time has ceased to stop for, as it was not needed any more, is kept when it is needed
// again before it is due.
// Method: what a client sends is acknowledged; what it sends next, while the timer for the first is still planned, is
// not, as the server is gone. It is sent again by the back-off of RFC 6298, each time at its own time.
func TestTimerNeededAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Duration
		n, err := New(Config{Seed: 1, Observe: func(e Event) {
			if e.Kind == Sent && e.Len > 0 {
				sent = append(sent, e.Time)
			}
		}})
		require.NoError(t, err)
		client, server := pair(t, n, Link{Latency: 20 * time.Millisecond})
		exchange(t, n, client, server)
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		n.Schedule(n.Now()+84*time.Millisecond, func() { server.host.Crash(); sent = nil })
		go func() {
			_, _ = client.Write([]byte("a"))
			time.Sleep(88 * time.Millisecond)
			_, _ = client.Write([]byte("x"))
		}()
		require.NoError(t, n.RunUntil(n.Now()+86*time.Millisecond))
		require.Equal(t, never, client.stopBy, "a has been acknowledged")
		require.Greater(t, client.timerAt, n.Now())
		require.NoError(t, n.RunUntil(n.Now()+10*time.Second))
		require.GreaterOrEqual(t, len(sent), 5)
		for i := 3; i < len(sent); i++ {
			require.InDelta(t, 2, float64(sent[i]-sent[i-1])/float64(sent[i-1]-sent[i-2]), 0.2, "%v", sent)
		}
		finish(t, n)
	})
}

// Goal: virtual time stops in time for every timer, however often it has been put off and brought forward.
// Method: both ends write at random over a lossy link, and now and then it is seen for which of the
// protocol's deadlines virtual time stops.
func TestTimersAreInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Seed: 1})
		require.NoError(t, err)
		client, server := pair(t, n, Link{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.05})
		for _, c := range []*Conn{client, server} {
			luck := NewRand(1, c.host.name)
			go func() {
				for range 2000 {
					_, _ = c.Write(make([]byte, 1+luck.IntN(300)))
					time.Sleep(time.Duration(luck.IntN(300)) * time.Millisecond)
				}
				_ = c.Close()
			}()
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
		end, putOff := n.Now()+5*time.Minute, 0
		look := NewRand(1, "look")
		var see func()
		see = func() {
			n.mu.Lock()
			for _, c := range []*Conn{client, server} {
				if at, ok := c.proto.Deadline(); ok {
					require.LessOrEqual(t, c.stopBy, at+c.slack())
					if c.timerAt < at {
						putOff++
					}
				}
			}
			n.mu.Unlock()
			if n.Now() < end {
				n.Schedule(n.Now()+997*time.Microsecond*time.Duration(100+look.IntN(200)), see)
			}
		}
		n.Schedule(n.Now(), see)
		require.NoError(t, n.RunUntil(end))
		require.Greater(t, putOff, 100)
		finish(t, n)
	})
}

// Goal: virtual time stops in time for what a balancer sends, also if it has lost its table since that was planned.
// Method: the link to the client is slow, that to the server fast. While an answer is on its way to the balancer, it
// crashes and comes back; what it answers with goes over the fast link, when nothing else happens.
func TestBalancerForgetsInFlight(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "lb", "server", "client")
		require.NoError(t, n.SetLink("lb", "client", Link{Latency: 200 * time.Millisecond}))
		require.NoError(t, n.SetLink("server", "lb", Link{Latency: 10 * time.Millisecond}))
		_, err := hosts[0].Balance(BalancerConfig{Backends: []string{"server:80"}})
		require.NoError(t, err)
		client, server := connect(t, n, hosts[2], hosts[1], "lb:80")
		exchange(t, n, client, server)
		require.NoError(t, n.RunUntil(n.Now()+5*time.Second))
		_, err = server.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, n.RunUntil(n.Now()+5*time.Millisecond))
		hosts[0].Crash()
		hosts[0].Boot()
		began, reset := n.Now(), time.Duration(0)
		go func() {
			_, err := server.Read(make([]byte, 1))
			require.ErrorContains(t, err, "connection reset by peer")
			reset = n.Now() - began
		}()
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		require.Equal(t, 15*time.Millisecond, reset.Round(time.Millisecond))
		finish(t, n)
	})
}

// Goal: a program learns that its peer was given up at the very moment, whatever else happens on the network.
// Method: the server is gone, and the link so slow that what the timer might send would take long. It is the
// only thing that virtual time could stop for.
func TestGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Seed: 1, TCP: tcp.Config{UserTimeout: 3 * time.Second}})
		require.NoError(t, err)
		client, server := pair(t, n, Link{Latency: 200 * time.Millisecond})
		exchange(t, n, client, server)
		n.Schedule(n.Now(), func() { server.host.Crash() })
		require.NoError(t, n.RunUntil(n.Now()+time.Second))
		var due, told time.Duration
		go func() {
			_, _ = client.Write([]byte("x"))
			_, err := client.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ETIMEDOUT)
			told = n.Now()
		}()
		n.Schedule(n.Now()+2900*time.Millisecond, func() { due, _ = client.proto.Deadline() })
		require.NoError(t, n.RunUntil(n.Now()+5*time.Second))
		require.Equal(t, due, told)
		finish(t, n)
	})
}

// Goal: when virtual time stops changes nothing but how much work it is.
// Method: clients talk to servers through a balancer over lossy links, a server crashes and returns, and links change.
// Another run has virtual time stop every 200 µs.
func TestStopsChangeNothing(t *testing.T) {
	run := func(t *testing.T, stops bool) (events []Event) {
		synctest.Test(t, func(t *testing.T) {
			n, err := New(Config{Seed: 1, TCP: tcp.Config{UserTimeout: 2 * time.Second}, Observe: func(e Event) { events = append(events, e) }})
			require.NoError(t, err)
			hosts := newHosts(t, n, "lb", "server-1", "server-2", "client-1", "client-2")
			require.NoError(t, n.SetLink("*", "*", Link{Latency: time.Millisecond}))
			require.NoError(t, n.SetLink("lb", "client-*", Link{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.03}))
			b, err := hosts[0].Balance(BalancerConfig{Backends: []string{"server-1:80", "server-2:80"}})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			go b.Run(ctx)
			serve := func(h *Host) {
				l, err := h.Listen("tcp", ":80")
				require.NoError(t, err)
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
					}
				}()
			}
			serve(hosts[1])
			serve(hosts[2])
			for _, h := range hosts[3:] {
				luck := NewRand(1, h.Name())
				go func() {
					for ctx.Err() == nil {
						time.Sleep(time.Duration(luck.Int64N(int64(time.Second))))
						c, err := h.Dial("tcp", "lb:80")
						for err == nil && luck.IntN(100) > 0 && ctx.Err() == nil {
							if _, err = c.Write(make([]byte, 1+luck.IntN(100))); err == nil {
								_, err = c.Read(make([]byte, 100))
							}
							time.Sleep(time.Duration(luck.Int64N(int64(300 * time.Millisecond))))
						}
						if c != nil {
							_ = c.Close()
						}
					}
				}()
			}
			n.Schedule(8*time.Second+1, func() { hosts[1].Crash() })
			n.Schedule(11*time.Second+1, func() { hosts[1].Boot(); serve(hosts[1]) })
			n.Schedule(15*time.Second+1, func() { require.NoError(t, Duplicate("*", "*", true, 0.1).ApplyTo(n, func() {})) })
			n.Schedule(18*time.Second+1, func() { hosts[0].Crash(); hosts[0].Boot() })
			var stop func()
			stop = func() { n.Schedule(n.Now()+200*time.Microsecond, stop) }
			if stops {
				stop()
			}
			require.NoError(t, n.RunUntil(25*time.Second))
			cancel()
			stop = func() {}
			finish(t, n)
		})
		return events
	}
	plain := run(t, false)
	require.Greater(t, len(plain), 3000)
	require.Equal(t, plain, run(t, true))
}
