//go:build !wasip1

package sim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// benchRooms and benchAtOnce are how many rooms are published to, and how many messages are under way in
// each.
const benchRooms, benchAtOnce = 10, 50

// benchStrategies are the brokers that are measured.
var benchStrategies = []string{"redis-streams", "kafka", "nats", "jetstream"}

// BenchmarkBrokers carries 200-byte messages from one publisher through a broker to one subscriber: over
// pipes, over pipes in virtual time, and in the simulator, all on one processor, so that the processor times can
// be compared. An op is one message; -benchtime=100000x makes it a hundred thousand.
//
// In real time the clients wait 50 µs for company before they write, in virtual time they do not have to: the
// batches of the first differ from those of the other two, which are what tells best what the network costs. For
// the simulator, x-pipe and x-virtual are its processor time in terms of theirs.
func BenchmarkBrokers(b *testing.B) {
	for _, strategy := range benchStrategies {
		b.Run(strategy, func(b *testing.B) {
			var pipe, virtual float64
			b.Run("pipe", func(b *testing.B) {
				pipe = reportCPU(b, func() { brokersOverPipes(b, strategy, b.N) })
			})
			b.Run("virtual", func(b *testing.B) {
				virtual = reportCPU(b, func() { brokersInBubble(b, strategy, b.N) })
			})
			b.Run("simulated", func(b *testing.B) {
				simulated := reportCPU(b, func() { brokersSimulated(b, strategy, b.N) })
				if pipe > 0 && virtual > 0 { // else they have not been asked for
					b.ReportMetric(simulated/pipe, "x-pipe")
					b.ReportMetric(simulated/virtual, "x-virtual")
				}
			})
		})
	}
}

// reportCPU reports what a benchmark costs in nanoseconds of processor time per message.
func reportCPU(b *testing.B, run func()) float64 {
	each := float64(processorTime(b, run)) / float64(b.N)
	b.ReportMetric(each, "cpu-ns/msg")
	return each
}

// processorTime gives the time that the process spends on any processor while it runs something on one. What is
// garbage of others is collected before.
func processorTime(tb testing.TB, run func()) time.Duration {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.GC()
	used := func() time.Duration {
		var u syscall.Rusage
		require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	run()
	return used() - before
}

// Goal: the simulator adds at most as much processor time again as brokers and their clients cost over pipes.
// Method: a few thousand messages over pipes in virtual time and over the simulated network. Whatever else the
// machine does can only make it more, so the best of several attempts counts.
func TestBrokersCost(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	const messages, attempts = 3000, 5
	for _, strategy := range benchStrategies {
		t.Run(strategy, func(t *testing.T) {
			virtual, simulated := time.Hour, time.Hour
			for range attempts {
				virtual = min(virtual, processorTime(t, func() { brokersInBubble(t, strategy, messages) }))
				simulated = min(simulated, processorTime(t, func() { brokersSimulated(t, strategy, messages) }))
				if simulated <= 2*virtual {
					break
				}
			}
			t.Logf("%v over pipes, %v simulated", virtual, simulated)
			require.LessOrEqual(t, simulated, 2*virtual)
		})
	}
}

// dialFunc makes connections to the broker.
type dialFunc = func(context.Context, string, string) (net.Conn, error)

// carryOver carries messages from one strategy to another of the kind.
func carryOver(ctx context.Context, strategy, addr string, dial dialFunc, messages int) error {
	// There is room for all that is under way.
	cfg := hop2.Config{Addr: addr, Dial: dial, Inbox: 1 << 20, History: 1 << 20, Storage: "memory"}
	publisher, err := hop2.New(strategy, cfg)
	if err != nil {
		return err
	}
	subscriber, err := hop2.New(strategy, cfg)
	if err != nil {
		return errors.Join(err, publisher.Close())
	}
	return errors.Join(carry(ctx, publisher, subscriber, messages), publisher.Close(), subscriber.Close())
}

// carry publishes messages to all rooms and reads them.
func carry(ctx context.Context, publisher, subscriber hop2.Strategy, messages int) error {
	errs := make(chan error, benchRooms*(benchAtOnce+1))
	subs := make([]hop2.Subscription, benchRooms)
	for i := range subs {
		var err error
		if subs[i], err = subscriber.Subscribe(ctx, fmt.Sprint(i), model.Cursor{}); err != nil {
			return err
		}
	}
	each := messages/benchRooms + 1
	for i, sub := range subs {
		go func() {
			for got := 0; got < each; {
				batch, err := sub.Next(ctx)
				if err == nil && batch.Gap != nil {
					err = fmt.Errorf("a gap: %+v", *batch.Gap)
				}
				if err != nil {
					errs <- err
					return
				}
				got += len(batch.Messages)
			}
			errs <- nil
		}()
		for w := range benchAtOnce {
			go func() {
				var err error
				for n := w; n < each && err == nil; n += benchAtOnce {
					_, err = publisher.Publish(ctx, model.Message{Room: fmt.Sprint(i), ID: fmt.Sprint(n), Body: make([]byte, 200)})
				}
				errs <- err
			}()
		}
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func brokersSimulated(b testing.TB, strategy string, messages int) {
	inWorld(b, sim.Config{DropTrace: true}, func(w *sim.World) error {
		const addr = "broker:4000"
		dir, done := w.T().TempDir(), false
		w.Node("broker", func(ctx context.Context, n *sim.Node) error {
			l, err := n.Listen("tcp", ":4000")
			if err != nil {
				return err
			}
			return serveBroker(ctx, strategy, dir, l, addr, n.DialContext)
		})
		w.Node("client", func(ctx context.Context, n *sim.Node) error {
			err := carryOver(ctx, strategy, addr, n.DialContext, messages)
			done = err == nil
			return err
		})
		for range 600 {
			if w.RunFor(time.Second); done {
				return nil
			}
		}
		return fmt.Errorf("%s did not carry %d messages in ten minutes", strategy, messages)
	})
}

// serveBroker runs a strategy's broker, and the sequencer if it needs one.
func serveBroker(ctx context.Context, strategy, dir string, l net.Listener, addr string, dial dialFunc) error {
	switch strategy {
	case "redis-streams":
		return hop2.ServeRedis(ctx, l, hop2.NewRedisStore())
	case "kafka":
		return hop2.ServeKafka(ctx, l, hop2.NewKafkaStore(""))
	case "jetstream":
		return hop2.ServeNATS(ctx, l, hop2.NewNATSStore(dir))
	default:
		ended := make(chan error, 1)
		go func() { ended <- hop2.RunSequencer(ctx, hop2.Config{Addr: addr, Dial: dial}) }()
		err := hop2.ServeNATS(ctx, l, hop2.NewNATSStore(""))
		<-ended
		return err
	}
}

// brokersInBubble is brokersOverPipes in virtual time: a bubble needs a *testing.T.
func brokersInBubble(b testing.TB, strategy string, messages int) {
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: b.Name(),
		F: func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // here, since RunTests sets it
			synctest.Test(t, func(t *testing.T) { brokersOverPipes(t, strategy, messages) })
		},
	}})
	require.True(b, ok)
}

func brokersOverPipes(b testing.TB, strategy string, messages int) {
	ctx, cancel := context.WithCancel(context.Background())
	l := simtest.Listen()
	dial := func(context.Context, string, string) (net.Conn, error) { return l.Connect() }
	ended := make(chan error, 1)
	dir := b.TempDir()
	go func() { ended <- serveBroker(ctx, strategy, dir, l, "broker:4000", dial) }()
	require.NoError(b, carryOver(ctx, strategy, "broker:4000", dial, messages))
	cancel()
	require.ErrorIs(b, <-ended, context.Canceled)
}
