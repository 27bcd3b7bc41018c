package sim_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// pingPong builds a server and clients that ask it something now and then, over a lossy link, while
// the server crashes and returns. Everybody records what they see.
func pingPong(w *sim.World) error {
	w.Link("client-*", "server", netsim.Link{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.05})
	w.Node("server", func(ctx context.Context, n *sim.Node) error {
		return n.Serve(ctx, ":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Record(model.Event{Kind: model.Deliver, Room: "r", ID: r.URL.Path})
			_, _ = io.WriteString(w, "pong")
		}))
	})
	for i := range 5 {
		w.Node(fmt.Sprintf("client-%d", i), func(ctx context.Context, n *sim.Node) error {
			client := n.HTTPClient()
			luck := n.Rand("pauses")
			for i := 0; ctx.Err() == nil; i++ {
				get(ctx, client, fmt.Sprintf("http://server/%s-%d", n.Name(), i))
				time.Sleep(time.Duration(luck.IntN(1000)) * time.Millisecond)
			}
			return nil
		})
	}
	w.At(2*time.Second, sim.Crash("server"))
	w.At(4*time.Second, sim.Restart("server"))
	w.RunFor(10 * time.Second)
	w.MustHaveBitten("crash")
	return nil
}

// get is a request whose failures are part of the game.
func get(ctx context.Context, client *http.Client, url string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// Goal: a number of runs that makes no sense is an error, and nothing is run.
func TestRepeatIsChecked(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 7, Repeat: -3}, func(*sim.World) error {
		t.Error("it runs")
		return nil
	})
	require.ErrorContains(t, res.Err, "sim: Repeat is -3; want 0 or more")
	require.False(t, res.Ok())
}

// Goal: the same seed gives the same steps, and another seed gives others.
func TestSameSeedSameTrace(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 7, Repeat: 20}, pingPong)
	require.NoError(t, res.Err)
	require.Greater(t, res.Trace.Steps(), uint64(500))
	require.Greater(t, len(res.History.Events), 50)
	other := sim.Run(t, sim.Config{Seed: 8}, pingPong)
	require.NoError(t, other.Err)
	require.NotEqual(t, res.Trace.Hash(), other.Trace.Hash())
}

// Goal: what an event is about stands in the trace, and so in its hash.
// Method: record two, and read the trace.
func TestTraceTellsOfObjects(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 1}, func(w *sim.World) error {
		w.Record(model.Event{Kind: model.Queue, Node: "edge-1", Object: "out", Value: 3, Limit: 10})
		w.Record(model.Event{Kind: model.Commit, Node: "coordinator", Room: "r", Peer: "edge-1", Object: "edge-2"})
		w.Record(model.Event{Kind: model.Copy, Node: "source", Room: "r", ID: "m1", Peer: "edge-2"})
		return nil
	})
	require.NoError(t, res.Err)
	var notes []string
	for _, s := range res.Trace.Window(res.Trace.Steps(), 10) {
		notes = append(notes, s.Kind+" "+s.Note)
	}
	require.Subset(t, notes, []string{"queue out 3/10", "commit edge-2 r from edge-1", "copy r m1 to edge-2"})
}

// Goal: a world that does not reproduce itself is found out, and the first different step is named.
// Method: a node that remembers across runs.
func TestDivergenceIsFound(t *testing.T) {
	runs := 0
	res := sim.Run(t, sim.Config{Repeat: 3}, func(w *sim.World) error {
		runs++
		delay := time.Duration(runs) * time.Millisecond
		w.Node("a", func(ctx context.Context, n *sim.Node) error {
			time.Sleep(time.Second + delay)
			n.Record(model.Event{Kind: model.PublishCall, Note: "now"})
			return nil
		})
		w.RunFor(2 * time.Second)
		return nil
	})
	diverged, ok := errors.AsType[*sim.DivergenceError](res.Err)
	require.True(t, ok, "%v", res.Err)
	require.Equal(t, 2, diverged.Run)
	require.NotZero(t, diverged.Step)
	require.ErrorContains(t, res.Err, "first difference at step")
	require.NotEqual(t, diverged.First, diverged.Other)
}

// Goal: goroutines that outlive the run are named, and do not take the process down.
func TestLeakIsNamed(t *testing.T) {
	for name, leak := range map[string]func(){
		"blocked for ever":  func() { select {} },
		"sleeping for ever": func() { forever(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
				w.Node("leaky", func(ctx context.Context, n *sim.Node) error {
					go leak()
					return nil
				})
				w.RunFor(time.Second)
				return nil
			})
			leaked, ok := errors.AsType[*sim.LeakError](res.Err)
			require.True(t, ok, "%v", res.Err)
			require.Len(t, leaked.Goroutines, 1)
			require.Contains(t, leaked.Goroutines[0], "sim_test.TestLeakIsNamed")
		})
	}
}

func forever(pause time.Duration) {
	for {
		time.Sleep(pause)
	}
}

// Goal: a world in which virtual time cannot pass is given up, with the culprit named.
// Method: a goroutine waits for a mutex whose owner waits for time to pass.
func TestHangIsNamed(t *testing.T) {
	res := sim.Run(t, sim.Config{WallLimit: 200 * time.Millisecond}, func(w *sim.World) error {
		w.Node("stuck", func(ctx context.Context, n *sim.Node) error {
			var mu sync.Mutex
			mu.Lock()
			go func() {
				mu.Lock()
				defer mu.Unlock()
			}()
			time.Sleep(time.Second)
			mu.Unlock()
			return nil
		})
		w.RunFor(2 * time.Second)
		return nil
	})
	hang, ok := errors.AsType[*sim.HangError](res.Err)
	require.True(t, ok, "%v", res.Err)
	require.Len(t, hang.Goroutines, 1)
	require.Contains(t, hang.Goroutines[0], "sync.Mutex.Lock")
}

// Goal: whatever goes wrong in a world is an error of the run, not the end of the process.
func TestFailuresAreReported(t *testing.T) {
	for _, c := range []struct {
		name, want string
		world      func(w *sim.World) error
	}{
		{"the function fails", "no luck", func(w *sim.World) error { return errors.New("no luck") }},
		{"the function panics", "the world's function panicked: oops", func(w *sim.World) error { panic("oops") }},
		{"a node fails", "node a: no luck", func(w *sim.World) error {
			w.Node("a", func(context.Context, *sim.Node) error { return errors.New("no luck") })
			w.RunFor(time.Second)
			return nil
		}},
		{"a node panics", "node a panicked: oops", func(w *sim.World) error {
			w.Node("a", func(context.Context, *sim.Node) error { panic("oops") })
			w.RunFor(time.Second)
			return nil
		}},
		{"two nodes of one name", `there is a host named "a" already`, func(w *sim.World) error {
			for range 2 {
				w.Node("a", func(context.Context, *sim.Node) error { return nil })
			}
			return nil
		}},
		{"a fault of an unknown node", `crash(b) at 1s: there is no node "b"; the nodes are a`, func(w *sim.World) error {
			w.Node("a", func(context.Context, *sim.Node) error { return nil })
			w.At(time.Second, sim.Crash("b"))
			w.RunFor(2 * time.Second)
			return nil
		}},
		{"a fault in the past", "is scheduled for 1s, which has passed", func(w *sim.World) error {
			w.RunFor(2 * time.Second)
			w.At(time.Second, netsim.Heal())
			return nil
		}},
		{"a fault without effect", `"partition" did not bite`, func(w *sim.World) error {
			w.Node("a", func(context.Context, *sim.Node) error { return nil })
			w.Node("b", func(context.Context, *sim.Node) error { return nil })
			w.At(time.Second, netsim.Partition("a", "b"))
			w.RunFor(2 * time.Second)
			w.MustHaveBitten("partition")
			return nil
		}},
		{"a bad link", "Loss is 2; it is a probability in [0, 1]", func(w *sim.World) error {
			w.Link("a", "b", netsim.Link{Loss: 2})
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorContains(t, sim.Run(t, sim.Config{}, c.world).Err, c.want)
		})
	}
}

// failNow tells a process of TestFailedAssertion to fail an assertion in a world.
const failNow = "TWOHOP_TEST_FAIL_NOW"

// Goal: an assertion that fails in a world fails the test at once, even if programs go on for ever.
// Method: this test runs itself, to see it fail.
func TestFailedAssertion(t *testing.T) {
	if os.Getenv(failNow) != "" {
		sim.Test(t, func(w *sim.World) {
			w.Node("ticker", func(ctx context.Context, n *sim.Node) error {
				for ctx.Err() == nil {
					time.Sleep(time.Second)
				}
				return nil
			})
			w.RunFor(time.Second)
			require.Equal(w.T(), 1, 2, "on purpose")
		})
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run", "^TestFailedAssertion$", "-test.timeout", "20s")
	cmd.Env = append(os.Environ(), failNow+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "on purpose")
	require.Contains(t, string(out), "replay: go test github.com/twohop/twohop/sim -run '^TestFailedAssertion$' -sim.seed=1")
	require.NotContains(t, string(out), "panic")
}

// Goal: an interrupted run ends early, keeps what it has, and says that it is partial.
func TestInterrupt(t *testing.T) {
	interrupt := make(chan struct{})
	res := sim.Run(t, sim.Config{
		Interrupt: interrupt,
		Progress: func(_ int, now time.Duration) {
			if now > time.Second {
				select {
				case <-interrupt:
				default:
					close(interrupt)
				}
			}
		},
	}, func(w *sim.World) error {
		w.Node("ticker", func(ctx context.Context, n *sim.Node) error {
			for ctx.Err() == nil {
				n.Record(model.Event{Kind: model.PublishCall})
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		w.RunFor(1000 * time.Hour)
		return nil
	})
	require.NoError(t, res.Err)
	require.True(t, res.Partial)
	require.True(t, res.History.Partial)
	require.Greater(t, res.Virtual, time.Second)
	require.Less(t, res.Virtual, 1000*time.Hour)
	require.NotEmpty(t, res.History.Events)
}

// Goal: a process that has crashed can do nothing any more, and its next life starts afresh.
func TestCrashedNodeIsDead(t *testing.T) {
	res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
		var late error
		w.Node("a", func(ctx context.Context, n *sim.Node) error {
			if n.Life() == 2 {
				_, err := n.Listen("tcp", ":80")
				return err
			}
			if _, err := n.Listen("tcp", ":80"); err != nil {
				return err
			}
			<-ctx.Done()
			time.Sleep(2 * time.Second) // a goroutine that did not notice
			_, late = n.Listen("tcp", ":81")
			n.Record(model.Event{Kind: model.PublishCall, Note: "from the grave"})
			return nil
		})
		w.At(time.Second, sim.Crash("a"))
		w.At(2*time.Second, sim.Restart("a"))
		w.RunFor(5 * time.Second)
		require.ErrorIs(w.T(), late, netsim.ErrHostDown)
		return nil
	})
	require.NoError(t, res.Err)
	for _, e := range res.History.Events {
		require.NotEqual(t, "from the grave", e.Note)
	}
	require.Equal(t, time.Second, res.Faults[0].At)
	require.Equal(t, 2*time.Second, res.Faults[0].Until)
	require.Equal(t, 1, res.Faults[0].Bites)
}

// Goal: the process-wide sources of randomness that can be seeded give the same in each run.
func TestProcessRandomnessIsSeeded(t *testing.T) {
	draws := func(seed uint64) (all [2]uint64) {
		res := sim.Run(t, sim.Config{Seed: seed}, func(w *sim.World) error {
			var b [8]byte
			if _, err := rand.Read(b[:]); err != nil {
				return err
			}
			all = [2]uint64{binary.LittleEndian.Uint64(b[:]), mathrand.Uint64()}
			return nil
		})
		require.NoError(t, res.Err)
		return all
	}
	require.Equal(t, draws(1), draws(1))
	require.NotEqual(t, draws(1)[0], draws(2)[0])
	require.NotEqual(t, draws(1)[1], draws(2)[1])
}

// Goal: what a library draws at one instant has no influence on what another draws at the next.
// Method: the same run with a draw more at the instant before.
func TestProcessRandomnessIsPerInstant(t *testing.T) {
	draws := func(before int) (later [3]string) {
		res := sim.Run(t, sim.Config{Seed: 1}, func(*sim.World) error {
			for range before {
				_ = rand.Text()
			}
			time.Sleep(time.Nanosecond)
			later[0], later[1] = rand.Text(), rand.Text()
			time.Sleep(time.Nanosecond)
			later[2] = rand.Text()
			return nil
		})
		require.NoError(t, res.Err)
		return later
	}
	later := draws(0)
	require.Equal(t, later, draws(3))
	require.NotEqual(t, later[0], later[1])
	require.NotEqual(t, later[0], later[2])
}

// Goal: runs that are not byte-exact are compared by their outcome, and told apart by it; an empty one proves
// nothing.
func TestOutcomeIsCompared(t *testing.T) {
	run := 0
	world := func(w *sim.World) error {
		run++
		w.Record(model.Event{Kind: model.Connected, Node: "c", Room: "r", Note: fmt.Sprint("not the same in run ", run)})
		w.RunFor(time.Second)
		return nil
	}
	var diverged *sim.DivergenceError
	require.ErrorAs(t, sim.Run(t, sim.Config{Repeat: 2}, world).Err, &diverged)
	require.False(t, diverged.Outcome)

	outcome := func(*model.History) []string { return []string{"a", "b"} }
	require.NoError(t, sim.Run(t, sim.Config{Repeat: 3, Outcome: outcome}, world).Err)
	outcome = func(h *model.History) []string { return []string{"a", h.Events[0].Note} }
	require.ErrorAs(t, sim.Run(t, sim.Config{Repeat: 2, Outcome: outcome}, world).Err, &diverged)
	require.True(t, diverged.Outcome)
	require.ErrorContains(t, diverged, "the outcome of run 2 differs from the first\n    run 1: not the same in run ")
	outcome = func(*model.History) []string { return nil }
	require.ErrorContains(t, sim.Run(t, sim.Config{Repeat: 2, Outcome: outcome}, world).Err, "no outcome")
}
