package netsim

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
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

// The traffic of BenchmarkMessages: messages of 200 bytes over 50 ms.
const (
	messageInterval = 100 * time.Millisecond
	messageSize     = 200
)

// startTraffic has so many connections carry ten messages a second each for a length of time, from the
// second that is the next. They send in the same instants, or spread evenly over them, so that virtual
// time stops for each message. received counts what has arrived.
func startTraffic(t *testing.T, n *Network, connections int, spread bool, length time.Duration) (received *int) {
	received = new(int)
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
				buf := make([]byte, messageSize)
				for {
					if _, err := io.ReadFull(c, buf); err != nil {
						return
					}
					*received++
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
				offset += messageInterval * time.Duration(i) / time.Duration(connections)
			}
			send(conn, offset, length)
		}()
	}
	return received
}

// send sends a message at each interval, as real programs do: by a timer of their own.
func send(c net.Conn, offset, length time.Duration) {
	message := make([]byte, messageSize)
	time.Sleep(offset)
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(messageInterval) {
		if _, err := c.Write(message); err != nil {
			return
		}
	}
}

// BenchmarkMessages is TCP with everything on: each connection carries ten messages of 200 bytes a
// second over 50 ms, on one processor. An op is ten seconds of virtual time.
//
// What a message costs the network does not depend on how many connections there are, see
// TestWorkPerMessage; what it costs the machine does, as its caches hold a thousand connections and not ten
// thousand. BenchmarkGoroutines tells how much of that is the language's runtime alone.
func BenchmarkMessages(b *testing.B) {
	const length = 10 * time.Second
	for _, c := range []struct {
		connections int
		spread      bool
	}{{1000, false}, {10000, false}, {1000, true}, {10000, true}} {
		name := fmt.Sprintf("%d/together", c.connections)
		if c.spread {
			name = fmt.Sprintf("%d/spread", c.connections)
		}
		b.Run(name, func(b *testing.B) {
			now := wallClock(b)
			delivered, took := 0, time.Duration(0)
			for range b.N {
				inBubble(b, func(t *testing.T, n *Network) {
					received := startTraffic(t, n, c.connections, c.spread, length+3*time.Second)
					require.NoError(t, n.RunUntil(2*time.Second)) // all are connected, and have begun
					start, before := now(), *received
					require.NoError(t, n.RunUntil(2*time.Second+length))
					took += now().Sub(start)
					delivered += *received - before
					finish(t, n)
				})
			}
			b.ReportMetric(float64(delivered)/took.Seconds(), "msgs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkGoroutines is BenchmarkMessages without a network: what is left are the goroutines that it
// needs, one that sleeps from message to message and one that waits for them, on a condition variable
// each. No network could carry more messages between goroutines; how far this falls with their number,
// any network's must.
func BenchmarkGoroutines(b *testing.B) {
	for _, pairs := range []int{1000, 10000} {
		b.Run(fmt.Sprint(pairs), func(b *testing.B) {
			now := wallClock(b)
			delivered, took := 0, time.Duration(0)
			for range b.N {
				inBubble(b, func(t *testing.T, n *Network) {
					delivered += pairs * exchanges
					took += passMessages(pairs, now)
				})
			}
			b.ReportMetric(float64(delivered)/took.Seconds(), "msgs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// exchanges is how many messages each pair of BenchmarkGoroutines exchanges.
const exchanges = 100

// passMessages has pairs of goroutines exchange messages in step, and tells how long that took.
func passMessages(pairs int, now func() time.Time) time.Duration {
	var mu sync.Mutex
	var sent []int // by which pairs, in this instant
	over := false
	waiting := make([]*sync.Cond, pairs)
	for i := range pairs {
		waiting[i] = sync.NewCond(&mu)
		go func() {
			for range exchanges {
				time.Sleep(messageInterval)
				mu.Lock()
				sent = append(sent, i)
				mu.Unlock()
			}
		}()
		go func() {
			mu.Lock()
			defer mu.Unlock()
			for !over {
				waiting[i].Wait()
			}
		}()
	}
	synctest.Wait()
	start := now()
	for range exchanges {
		time.Sleep(messageInterval)
		synctest.Wait() // until all have sent
		for _, i := range sent {
			mu.Lock()
			waiting[i].Broadcast()
			mu.Unlock()
			synctest.Wait() // until it has received
		}
		sent = sent[:0]
	}
	took := now().Sub(start)
	mu.Lock()
	over = true
	for _, c := range waiting {
		c.Broadcast()
	}
	mu.Unlock()
	return took
}
