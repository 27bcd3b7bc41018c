package netsim

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// inBubble runs f in a bubble on one processor, from a benchmark: a bubble needs a *testing.T.
func inBubble(b *testing.B, f func(t *testing.T, n *Network)) {
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: b.Name(),
		F: func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // here, since RunTests sets it
			synctest.Test(t, func(t *testing.T) {
				n, err := New(Config{Seed: 1})
				require.NoError(t, err)
				f(t, n)
			})
		},
	}})
	require.True(b, ok)
}

// wallClock tells real time to whoever is inside a bubble.
func wallClock(t *testing.B) (now func() time.Time) {
	ask, answer := make(chan struct{}), make(chan time.Time)
	go func() {
		for range ask {
			answer <- time.Now()
		}
	}()
	t.Cleanup(func() { close(ask) })
	return func() time.Time {
		ask <- struct{}{}
		return <-answer
	}
}

// BenchmarkEvents is the bare event loop: events that do nothing, a thousand of them always planned.
func BenchmarkEvents(b *testing.B) {
	now := wallClock(b)
	inBubble(b, func(t *testing.T, n *Network) {
		left := b.N
		var again func(i int) func()
		again = func(i int) func() {
			return func() {
				if left > 0 {
					left--
					n.mu.Lock()
					n.planPatient(event{at: n.clock + time.Duration(1000+i), kind: eventFunc, fn: again(i)}, never)
					n.mu.Unlock()
				}
			}
		}
		for i := range 1000 {
			n.Schedule(time.Duration(i), again(i))
		}
		start := now()
		require.NoError(t, n.RunUntil(time.Duration(b.N)*10*time.Microsecond+time.Second))
		b.ReportMetric(float64(b.N)/now().Sub(start).Seconds(), "events/s")
	})
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMessages is TCP with everything on: each connection carries ten messages of 200 bytes a
// second over 50 ms, for 60 s of virtual time, on one processor. The connections send in the same
// instants, or spread evenly over them, so that virtual time stops for each message. An op is one such
// minute.
func BenchmarkMessages(b *testing.B) {
	const interval, length, size = 100 * time.Millisecond, 10 * time.Second, 200
	for _, c := range []struct {
		connections int
		spread      bool
	}{{1000, false}, {10000, false}, {1000, true}, {10000, true}} {
		connections, spread, name := c.connections, c.spread, fmt.Sprintf("%d/together", c.connections)
		if c.spread {
			name = fmt.Sprintf("%d/spread", c.connections)
		}
		b.Run(name, func(b *testing.B) {
			now := wallClock(b)
			delivered, took := 0, time.Duration(0)
			for range b.N {
				inBubble(b, func(t *testing.T, n *Network) {
					received := 0
					hosts := newHosts(t, n, "client", "server")
					require.NoError(t, n.SetLink("client", "server", Link{Latency: 50 * time.Millisecond}))
					l, err := hosts[1].Listen("tcp", ":80")
					require.NoError(t, err)
					go func() {
						for {
							c, err := l.Accept()
							if err != nil {
								return
							}
							go func() {
								buf := make([]byte, size)
								for {
									if _, err := io.ReadFull(c, buf); err != nil {
										return
									}
									received++
								}
							}()
						}
					}()
					for i := range connections {
						go func() {
							conn, err := hosts[0].Dial("tcp", "server:80")
							if err != nil {
								t.Error(err)
								return
							}
							offset := time.Second - n.Now()%time.Second
							if spread {
								offset += interval * time.Duration(i) / time.Duration(connections)
							}
							send(conn, offset, interval, length, size)
						}()
					}
					require.NoError(t, n.RunUntil(2*time.Second)) // all are connected, and have begun
					start, before := now(), received
					require.NoError(t, n.RunUntil(2*time.Second+length))
					took += now().Sub(start)
					delivered += received - before
					finish(t, n)
				})
			}
			b.ReportMetric(float64(delivered)/took.Seconds(), "msgs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// send sends a message at each interval, as real programs do: by a timer of their own.
func send(c net.Conn, offset, interval, length time.Duration, size int) {
	message := make([]byte, size)
	time.Sleep(offset)
	for end := time.Now().Add(length + 3*time.Second); time.Now().Before(end); time.Sleep(interval) {
		if _, err := c.Write(message); err != nil {
			return
		}
	}
}
