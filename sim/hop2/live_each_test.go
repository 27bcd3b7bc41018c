package hop2

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// liveKinds are the strategies whose brokers Debian has.
var liveKinds = []struct {
	name, storage, binary string
	args                  func(port int, dir string) []string
	durable               bool
}{
	{"redis-streams", "", "redis-server", redisArgs, true},
	{"redis-pubsub", "", "redis-server", redisArgs, true}, // its count is
	{"nats", "", "nats-server", natsArgs, false},
	{"jetstream", "file", "nats-server", natsArgs, true},
	{"jetstream", "memory", "nats-server", natsArgs, false},
}

func redisArgs(port int, dir string) []string {
	return []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", ""}
}

func natsArgs(port int, dir string) []string {
	return []string{"--addr", "127.0.0.1", "--port", fmt.Sprint(port), "--jetstream", "--store_dir", dir}
}

// Real brokers do for every strategy what the embedded ones do: each ID is appended once, all that is published
// comes in order, and a broker that is killed in the middle and restarted with its data loses nothing for those
// that keep a log. What is not kept is announced, and so is a restart without the data.
func TestLiveEach(t *testing.T) {
	if !*live {
		t.Skip("needs redis-server and nats-server: run with -live")
	}
	for _, k := range liveKinds {
		t.Run(k.name+k.storage, func(t *testing.T) {
			binary, err := exec.LookPath(k.binary)
			require.NoError(t, err, "install %s (Debian package %s)", k.binary, k.binary)
			port := freePort(t)
			kept := t.TempDir()
			stop := liveServer(t, binary, k.args(port, kept)...)
			cfg := Config{
				Addr: fmt.Sprintf("127.0.0.1:%d", port), History: 50, Storage: k.storage,
				CheckEvery: 100 * time.Millisecond, RetryMin: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond,
			}
			if k.name == "nats" {
				liveSequencer(t, cfg)
			}
			open := func() Strategy {
				s, err := New(k.name, cfg)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				return s
			}
			s, other := open(), open()
			sub := subscribe(t, s, "r.1", model.Cursor{})
			start := sub.Start().Cursor
			end := publish(t, other, "r.1", 1, 40)
			require.Equal(t, model.Cursor{Epoch: start.Epoch, Seq: 40}, end)
			require.Equal(t, uint64(7), publish(t, s, "r.1", 7, 7).Seq)
			seqs, gaps := collect(t, sub, start, end)
			require.Equal(t, simtest.UpTo(1, 40), seqs)
			require.Empty(t, gaps)
			require.Contains(t, subscribe(t, s, "r.1", model.Cursor{Epoch: end.Epoch, Seq: 99}).Start().Gap, "future")

			published := make(chan model.Cursor, 1)
			go func() { published <- publish(t, other, "r.1", 41, 90) }() // as many as History keeps: nobody reads yet
			time.Sleep(20 * time.Millisecond)
			stop() // in the middle of it
			stop = liveServer(t, binary, k.args(port, kept)...)
			next := <-published
			last := model.Cursor{Epoch: end.Epoch, Seq: 90}
			switch {
			case k.durable || k.name == "nats": // whose sequencer was not killed
				require.Equal(t, last, next)
			default:
				require.NotEqual(t, last.Epoch, next.Epoch)
			}
			seqs, gaps = collect(t, sub, end, next)
			if PromisesOf(k.name).Resume && k.durable {
				require.Equal(t, simtest.UpTo(41, 90), seqs)
				require.Empty(t, gaps)
			}
			if next.Epoch != end.Epoch {
				require.NotEmpty(t, gaps)
			}

			stop()
			liveServer(t, binary, k.args(port, t.TempDir())...)
			fresh := publish(t, other, "r.1", 200, 203)
			if k.name != "nats" {
				require.NotEqual(t, next.Epoch, fresh.Epoch)
				require.Equal(t, uint64(4), fresh.Seq)
			}
			_, gaps = collect(t, sub, next, fresh)
			if k.name != "nats" {
				require.Contains(t, gaps[0].Why, "other epoch")
			}
		})
	}
}

// liveSequencer runs a sequencer until the test's end.
func liveSequencer(t *testing.T, cfg Config) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- RunSequencer(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// freePort gives a port of loopback that nobody listens on.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().(*net.TCPAddr).Port
}

// liveServer starts a server; the function it returns kills it.
func liveServer(t *testing.T, binary string, args ...string) (stop func()) {
	cmd := exec.Command(binary, args...)
	var said bytes.Buffer // read when the server has ended
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait(), "it was killed")
			if t.Failed() {
				t.Logf("%s said:\n%s", binary, said.String())
			}
		}
	}
	t.Cleanup(stop)
	return stop
}
