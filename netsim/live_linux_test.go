package netsim_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/kernel"
	"github.com/twohop/twohop/netsim/tcp"
	"github.com/twohop/twohop/sim"
)

var live = flag.Bool("live", false, "run the tests that need a real kernel: Linux, root and /dev/net/tun")

const (
	liveDelay = 50 * time.Millisecond // one way
	liveLimit = 80 * time.Second      // of wall time, for everything on the real kernel
	liveNoise = 10 * time.Millisecond // how late the forwarder may be: a measurement that it spoils is repeated
)

// liveWork is done once on the kernel and, with different luck, liveWorlds times in simulation.
var liveWork = liveJob{Connections: 8, Messages: 400, Interval: 20 * time.Millisecond, Small: 8, Large: 8, Congestion: "cubic"}

const liveWorlds = 25

// observation is what a job measured, by connection and by fetch.
type observation struct {
	messages     []kernel.Distribution
	small, large []liveFetch
}

// Goal: the same client and server, on the kernel of this machine and in simulation, take equally long.
// Method: two network namespaces, joined by a forwarder with 50 ms of delay, without loss and with 2 % in
// both directions. What is compared, and how far it may differ, is in compareStatistics.
func TestLiveKernel(t *testing.T) {
	if !*live {
		t.Skip("needs root and /dev/net/tun: run with -live")
	}
	require.Zero(t, os.Geteuid(), "-live needs root: it makes network namespaces")
	_, err := os.Stat("/dev/net/tun")
	require.NoError(t, err, "-live needs /dev/net/tun: load the module tun, or pass the device into the container")

	deadline := time.Now().Add(liveLimit)
	server := startEndpoint(t, serverAddress, deadline)
	client := startEndpoint(t, clientAddress, deadline)
	path := startPath(client.tun, server.tun, liveDelay)
	t.Cleanup(func() { require.NoError(t, path.close()) })

	for _, loss := range []float64{0, 0.02} {
		t.Run(fmt.Sprintf("%g %%", 100*loss), func(t *testing.T) {
			path.setLoss(loss)
			measured, noise := observeKernel(t, path, server, client, liveWork)
			for attempts := 1; noise >= liveNoise && attempts < 3; attempts++ {
				measured, noise = observeKernel(t, path, server, client, liveWork)
			}
			require.Less(t, noise, liveNoise, "this machine is too busy to measure: its forwarder is late")
			for _, c := range compareStatistics(measured, simulate(t, sim.Config{}, liveWorlds, liveDelay, loss), loss, noise) {
				t.Log(c)
				if !c.allowed() {
					t.Errorf("this cannot be chance: %v", c)
				}
			}
		})
	}
}

// Goal: the comparison above would notice a difference, and takes luck for what it is.
// Method: simulations in the kernel's place: with other luck, a path that is a fifth longer, and without
// selective acknowledgements.
func TestLiveComparison(t *testing.T) {
	worlds, losses := 10, []float64{0, 0.02}
	if testing.Short() {
		worlds, losses = 3, losses[1:]
	}
	rejected := func(cfg sim.Config, delay time.Duration, loss float64, reference observation) (names []string) {
		cfg.Seed = 1000
		for _, c := range compareStatistics(simulate(t, cfg, 1, delay, loss), reference, loss, time.Millisecond) {
			if !c.allowed() {
				names = append(names, c.name)
			}
		}
		return names
	}
	for _, loss := range losses {
		reference := simulate(t, sim.Config{}, worlds, liveDelay, loss)
		require.Empty(t, rejected(sim.Config{}, liveDelay, loss, reference), "other luck")
		require.Subset(t, rejected(sim.Config{}, liveDelay*6/5, loss, reference),
			[]string{"p50 of messages", "median of connect", "median of first byte"}, "a longer path")
		if loss > 0 {
			noSACK := sim.Config{TCP: tcp.Config{NoSACK: true}}
			require.Subset(t, rejected(noSACK, liveDelay, loss, reference), []string{"p90 of messages", "p99 of messages"}, "no SACK")
		}
	}
}

// observeKernel does a job once on the kernel. It also tells how late the forwarder was, at the 99th
// percentile.
func observeKernel(t *testing.T, path *livePath, server, client *endpoint, job liveJob) (observation, time.Duration) {
	_, err := path.lateness() // of what was before
	require.NoError(t, err, "the forwarder")
	fetches := client.do(t, endpointJob{Client: &job}).Fetches
	require.NotNil(t, fetches)
	o := observation{small: fetches.Small, large: fetches.Large}
	for _, r := range server.do(t, endpointJob{Receive: job.Connections}).Received {
		require.Empty(t, r.Err)
		o.add(t, r, job)
	}
	lateness, err := path.lateness()
	require.NoError(t, err, "the forwarder")
	late := kernel.Distribution(lateness)
	require.NotEmpty(t, late)
	t.Logf("the forwarder was late by %v (median), %v (p99), %v (most), over %d packets",
		late.Median(), late.Quantile(0.99), late.Quantile(1), len(late))
	return o, late.Quantile(0.99)
}

func (o *observation) add(t *testing.T, r liveResult, job liveJob) {
	require.Len(t, r.Latencies, job.Messages)
	slices.Sort(r.Latencies)
	o.messages = append(o.messages, r.Latencies)
}

// simulate does the job in some worlds, with seeds from cfg's on, and pools what they observed.
func simulate(t *testing.T, cfg sim.Config, worlds int, delay time.Duration, loss float64) observation {
	cfg.DropTrace = true
	var all observation
	for range worlds {
		cfg.Seed++
		received := make(chan liveResult, liveWork.Connections)
		var fetches *liveFetches
		res := sim.Run(t, cfg, func(w *sim.World) error {
			w.Link("*", "*", netsim.Link{Latency: delay, Loss: loss})
			shared := func() time.Duration { return time.Duration(time.Now().UnixNano()) }
			w.Node("server", func(ctx context.Context, n *sim.Node) error {
				return serveNode(ctx, n, shared, received)
			})
			w.Node("client", func(_ context.Context, n *sim.Node) (err error) {
				dial := func(port string) (net.Conn, error) { return n.Dial("tcp", "server"+port) }
				fetches, err = runClient(dial, shared, liveWork)
				return err
			})
			w.RunFor(10 * time.Minute)
			return nil
		})
		require.NoError(t, res.Err, "seed %d", cfg.Seed)
		require.NotNil(t, fetches, "seed %d: the client has not finished", cfg.Seed)
		all.small, all.large = append(all.small, fetches.Small...), append(all.large, fetches.Large...)
		for range liveWork.Connections {
			r := <-received
			require.Empty(t, r.Err)
			all.add(t, r, liveWork)
		}
	}
	return all
}

// serveNode runs the server on a node until the run is over.
func serveNode(ctx context.Context, n *sim.Node, now clock, received chan liveResult) error {
	messages, err := n.Listen("tcp", messagesPort)
	if err != nil {
		return err
	}
	fetches, err := n.Listen("tcp", fetchesPort)
	if err != nil {
		return err
	}
	// The channel is the test's, outside the bubble: a goroutine must not wait for it, and need not.
	go runServer(messages, fetches, now, received)
	<-ctx.Done()
	_, _ = messages.Close(), fetches.Close() // they cannot fail, being open
	return nil
}

// statistic is a number that sums up an observation.
type statistic struct {
	name string
	of   func(o observation) float64
	// tolerance is by how much, relative, the kernel may be outside of what chance allows; absolute is
	// by how much in addition.
	tolerance, absolute float64
}

// statistics lists what is compared. noise is how late the forwarder was.
func statistics(loss float64, noise time.Duration) []statistic {
	quantile := func(p float64) func(observation) float64 {
		return func(o observation) float64 { return float64(kernel.Pool(o.messages...).Quantile(p)) }
	}
	median := func(fetches func(observation) []liveFetch, of func(liveFetch) time.Duration) func(observation) float64 {
		return func(o observation) float64 {
			var times kernel.Distribution
			for _, f := range fetches(o) {
				times = append(times, of(f))
			}
			return float64(kernel.Pool(times).Median())
		}
	}
	small := func(o observation) []liveFetch { return o.small }
	large := func(o observation) []liveFetch { return o.large }
	both := func(o observation) []liveFetch { return slices.Concat(o.small, o.large) }
	late := float64(noise)
	all := []statistic{
		{"p50 of messages", quantile(0.50), 0.02, late},
		{"p90 of messages", quantile(0.90), 0.10, late},
		{"p95 of messages", quantile(0.95), 0.10, late},
		{"median of connect", median(both, func(f liveFetch) time.Duration { return f.Connect }), 0.02, 2 * late},
		{"median of first byte", median(both, func(f liveFetch) time.Duration { return f.FirstByte }), 0.02, 2 * late},
		{"median of 200 B", median(small, func(f liveFetch) time.Duration { return f.Total }), 0.02, 4 * late},
		{"median of 1 MiB", median(large, func(f liveFetch) time.Duration { return f.Total }), 0.10, 16 * late},
	}
	if loss > 0 { // without loss, what is in the tail is the forwarder's
		all = append(all,
			statistic{"p99 of messages", quantile(0.99), 0.10, late},
			statistic{"share later than 70 ms", func(o observation) float64 {
				return kernel.Pool(o.messages...).Later(70 * time.Millisecond)
			}, 0.20, 0})
	}
	return all
}

// verdict is one statistic of both, and what chance allows it to be.
type verdict struct {
	statistic
	kernel, simulated, low, high float64
}

// allowed reports whether the kernel's could be one of the simulation's.
func (v verdict) allowed() bool {
	return v.kernel >= v.low*(1-v.tolerance) && v.kernel <= v.high*(1+v.tolerance)+v.absolute
}

func (v verdict) String() string {
	return fmt.Sprintf("%s: kernel %s, simulated %s, by chance %s to %s",
		v.name, inUnits(v.kernel), inUnits(v.simulated), inUnits(v.low), inUnits(v.high))
}

// compareStatistics finds how much the statistics of so few messages and fetches vary by chance.
//
// It does so by resampling (Efron, Bootstrap Methods, 1979): as many connections and fetches as the kernel
// had are drawn, with replacement, from all simulated ones, many times. Whole connections are drawn, since
// messages of one are not independent. All but one in a thousand of these on either side span what chance
// allows; the kernel's may be outside by the statistic's tolerance.
func compareStatistics(measured, simulated observation, loss float64, noise time.Duration) []verdict {
	const resamples = 1000
	luck := rand.New(rand.NewPCG(1, 2))
	all := statistics(loss, noise)
	values := make([][]float64, len(all))
	for range resamples {
		drawn := observation{
			draw(luck, simulated.messages, len(measured.messages)),
			draw(luck, simulated.small, len(measured.small)), draw(luck, simulated.large, len(measured.large)),
		}
		for i, s := range all {
			values[i] = append(values[i], s.of(drawn))
		}
	}
	var verdicts []verdict
	for i, s := range all {
		slices.Sort(values[i])
		verdicts = append(verdicts, verdict{
			s, s.of(measured), s.of(simulated), values[i][resamples/1000], values[i][resamples-1-resamples/1000],
		})
	}
	return verdicts
}

// draw draws n values with replacement.
func draw[T any](luck *rand.Rand, from []T, n int) []T {
	drawn := make([]T, n)
	for i := range drawn {
		drawn[i] = from[luck.IntN(len(from))]
	}
	return drawn
}

// inUnits writes a share as it is, and everything else as the nanoseconds that it is.
func inUnits(v float64) string {
	if v < 1 {
		return fmt.Sprintf("%.4f", v)
	}
	return time.Duration(v).Round(10 * time.Microsecond).String()
}
