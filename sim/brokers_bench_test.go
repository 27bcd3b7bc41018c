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

// BenchmarkBrokers carries 200-byte messages from one publisher through a broker to one subscriber, in the
// simulator and over pipes, both on one processor, so that the processor time of both can be compared. An op
// is one message; -benchtime=100000x makes it a hundred thousand.
func BenchmarkBrokers(b *testing.B) {
	for _, strategy := range []string{"redis-streams", "kafka", "nats", "jetstream"} {
		b.Run(strategy+"/pipe", func(b *testing.B) {
			reportCPU(b, func() { brokersOverPipes(b, strategy, b.N) })
		})
		b.Run(strategy+"/simulated", func(b *testing.B) {
			reportCPU(b, func() { brokersSimulated(b, strategy, b.N) })
		})
	}
}

// reportCPU reports the processor time of the process: that is what the simulator costs.
func reportCPU(b *testing.B, run func()) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	used := func() time.Duration {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	run()
	b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/msg")
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

func brokersSimulated(b *testing.B, strategy string, messages int) {
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

func brokersOverPipes(b *testing.B, strategy string, messages int) {
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
