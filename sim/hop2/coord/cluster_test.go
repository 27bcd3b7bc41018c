package coord_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2/coord"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) { os.Exit(simtest.Main(m, "sim/hop2")) }

// cluster is three nodes in a world.
type cluster struct {
	w      *sim.World
	mutant coord.Mutant
	every  int // SnapshotEvery

	mu    sync.Mutex
	nodes map[string]*coord.Node // in their present lives
}

func build(w *sim.World, mutant coord.Mutant, every int) *cluster {
	c := &cluster{w: w, mutant: mutant, every: every, nodes: map[string]*coord.Node{}}
	w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
	for id := 1; id <= 3; id++ {
		d := disk.New()
		w.Node(fmt.Sprintf("coord-%d", id), func(ctx context.Context, n *sim.Node) error {
			if n.Life() > 1 {
				d.Crash(n.Rand("disk"))
			}
			return c.serve(ctx, n, id, d)
		})
	}
	return c
}

func (c *cluster) serve(ctx context.Context, n *sim.Node, id int, d *disk.Disk) error {
	node, err := coord.Start(coord.Config{
		ID: id, Peers: []string{"coord-1:2380", "coord-2:2380", "coord-3:2380"}, Disk: d, Dial: n.DialContext,
		SnapshotEvery: c.every, Mutant: c.mutant,
	})
	if err != nil {
		return err
	}
	peers, err := n.Listen("tcp", ":2380")
	if err != nil {
		return err
	}
	clients, err := n.Listen("tcp", ":2379")
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.nodes[n.Name()] = node
	c.mu.Unlock()
	return node.Run(ctx, peers, clients)
}

// leader gives the name of the node that leads, with its statistics.
func (c *cluster) leader() (string, coord.Stats) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	for id := 1; id <= 3; id++ {
		name := fmt.Sprintf("coord-%d", id)
		c.mu.Lock()
		node := c.nodes[name]
		c.mu.Unlock()
		done := make(chan coord.Stats, 1)
		go func() {
			s, err := node.Stats(ctx)
			if err == nil {
				done <- s
			}
			close(done)
		}()
		c.w.RunFor(time.Microsecond)
		select {
		case s := <-done:
			if s.Leads {
				return name, s
			}
		default: // it is down
		}
	}
	return "", coord.Stats{}
}

func client(n *sim.Node) (*coord.Client, error) {
	return coord.NewClient(coord.ClientConfig{
		Name: fmt.Sprintf("%s/%d", n.Name(), n.Life()), Nodes: []string{"coord-1:2379", "coord-2:2379", "coord-3:2379"}, Dial: n.DialContext,
	})
}

// history is what clients called and saw. Steps are taken from one counter, so that they never tie.
type history struct {
	step atomic.Int64
	mu   sync.Mutex
	ops  []porcupine.Operation
}

func (h *history) begin(client int, in input) porcupine.Operation {
	return porcupine.Operation{ClientId: client, Input: in, Call: h.step.Add(1)}
}

func (h *history) end(o porcupine.Operation, out output) {
	o.Output, o.Return = out, h.step.Add(1)
	if out.unknown {
		o.Return = math.MaxInt64 // it may happen yet
	}
	h.mu.Lock()
	h.ops = append(h.ops, o)
	h.mu.Unlock()
}

type input struct {
	key, value string
	write      bool
	version    uint64 // of a write: that the key must have
}

type output struct {
	unknown, done bool
	value         string
	version       uint64 // 0: there is no such key
}

// register is the state of a key. A version that nobody has seen yet is 0 though there is a value.
type register struct {
	value   string
	version uint64
}

// specification is one key: a read sees the latest write, and a write happens if the version is the latest.
var specification = (&porcupine.NondeterministicModel{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range ops {
			byKey[o.Input.(input).key] = append(byKey[o.Input.(input).key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{register{}} },
	Step: func(state, in, out any) []any {
		s, i, o := state.(register), in.(input), out.(output)
		unseen := s.value != "" && s.version == 0
		seen := register{o.value, o.version}
		switch {
		case i.write && o.unknown:
			if unseen {
				return []any{s, register{value: i.value}}
			}
			if s.version == i.version {
				return []any{register{value: i.value}}
			}
			return []any{s}
		case o.unknown:
			return []any{s}
		case i.write && o.done:
			if s.version == i.version || unseen {
				return []any{register{i.value, o.version}}
			}
		case s == seen, unseen && s.value == o.value && o.version != 0: // a read, or a write that was refused
			if !i.write || i.version != o.version {
				return []any{seen}
			}
		}
		return nil
	},
}).ToModel()

// workload has clients read and write a few keys until the end.
func workload(w *sim.World, h *history, clients int, end time.Duration) {
	for i := range clients {
		w.Node(fmt.Sprintf("client-%d", i+1), func(ctx context.Context, n *sim.Node) error {
			c, err := client(n)
			if err != nil {
				return err
			}
			defer c.Close()
			luck := n.Rand("client")
			seen := map[string]uint64{}
			for count := 1; n.Now() < end && ctx.Err() == nil; count++ {
				key := fmt.Sprintf("key-%d", 1+luck.IntN(2))
				in := input{key: key, write: luck.IntN(2) == 0 && i > 0, value: fmt.Sprintf("%s/%d", n.Name(), count), version: seen[key]}
				limit, cancel := context.WithTimeout(ctx, 2*time.Second)
				o := h.begin(i, in)
				var out output
				var it coord.Item
				if in.write {
					it, out.done, err = c.CompareAndSwap(limit, key, in.version, in.value)
				} else {
					it, out.done, err = c.Get(limit, key)
				}
				cancel()
				if err != nil && !errors.Is(err, coord.ErrUnavailable) {
					return err
				}
				out.unknown, out.value, out.version = err != nil, it.Value, it.Version
				h.end(o, out)
				if err == nil {
					seen[key] = it.Version
				}
				time.Sleep(time.Duration(luck.Int64N(int64(200 * time.Millisecond))))
			}
			return nil
		})
	}
}

// Goal: the registry is linearizable, whatever happens to its nodes and the network between them.
// Method: clients read and compare-and-swap while nodes crash in turn, lose what their disks had not synced,
// and are cut off; Porcupine judges outside the bubble.
func TestLinearizable(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		var h history
		applied := 0
		res := sim.Run(t, sim.Config{Seed: seed, DropTrace: true}, func(w *sim.World) error {
			c := build(w, "", 20)
			workload(w, &h, 5, 25*time.Second)
			w.At(4*time.Second, netsim.Partition("coord-1", "coord-2|coord-3"))
			w.At(8*time.Second, netsim.Heal())
			for i := range 3 {
				at := time.Duration(11+4*i) * time.Second
				w.At(at, sim.Crash(fmt.Sprintf("coord-%d", i+1)))
				w.At(at+2*time.Second, sim.Restart(fmt.Sprintf("coord-%d", i+1)))
			}
			w.RunFor(28 * time.Second)
			w.MustHaveBitten("partition", "crash")
			_, stats := c.leader()
			applied = stats.Applied
			return nil
		})
		require.NoError(t, res.Err)
		require.Positive(t, applied, "there is no leader in the end")
		done := 0
		for _, o := range h.ops {
			if o.Output.(output).done {
				done++
			}
		}
		require.Greater(t, done, 150, "the service was hardly ever available")
		require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(specification, h.ops, 20*time.Second), "seed %d", seed)
	}
}

// Goal: a node that answers reads from what it knows is caught: it is cut off, and its readers see the past.
func TestStaleReadsAreCaught(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		var h history
		res := sim.Run(t, sim.Config{Seed: seed, DropTrace: true}, func(w *sim.World) error {
			build(w, coord.StaleReads, 0)
			workload(w, &h, 5, 12*time.Second)
			w.At(4*time.Second, netsim.Partition("coord-1", "coord-2|coord-3"))
			w.RunFor(15 * time.Second)
			w.MustHaveBitten("partition")
			return nil
		})
		require.NoError(t, res.Err)
		require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(specification, h.ops, 20*time.Second), "seed %d", seed)
	}
}

// Goal: the specification of a key accepts what may happen and rejects what may not.
func TestSpecification(t *testing.T) {
	type o = porcupine.Operation
	put := func(call, ret int64, version uint64, value string, out output) o {
		return o{Input: input{key: "k", write: true, version: version, value: value}, Call: call, Return: ret, Output: out}
	}
	get := func(call, ret int64, out output) o {
		return o{Input: input{key: "k"}, Call: call, Return: ret, Output: out}
	}
	one := put(1, 2, 0, "a", output{done: true, value: "a", version: 5})
	lost := put(3, math.MaxInt64, 5, "b", output{unknown: true})
	for name, c := range map[string]struct {
		ok  bool
		ops []o
	}{
		"read the write":            {true, []o{one, get(3, 4, output{done: true, value: "a", version: 5})}},
		"read nothing after it":     {false, []o{one, get(3, 4, output{})}},
		"read another version":      {false, []o{one, get(3, 4, output{done: true, value: "a", version: 6})}},
		"refused, rightly":          {true, []o{one, put(3, 4, 4, "x", output{value: "a", version: 5})}},
		"refused, wrongly":          {false, []o{one, put(3, 4, 5, "x", output{value: "a", version: 5})}},
		"done though too late":      {false, []o{one, put(3, 4, 0, "x", output{done: true, value: "x", version: 6})}},
		"an unknown one happened":   {true, []o{one, lost, get(4, 5, output{done: true, value: "b", version: 9})}},
		"or not":                    {true, []o{one, lost, get(4, 5, output{done: true, value: "a", version: 5})}},
		"but cannot come and go":    {false, []o{one, lost, get(4, 5, output{done: true, value: "b", version: 9}), get(6, 7, output{done: true, value: "a", version: 5})}},
		"nor have had two versions": {false, []o{one, lost, get(4, 5, output{done: true, value: "b", version: 9}), get(6, 7, output{done: true, value: "b", version: 10})}},
	} {
		require.Equal(t, c.ok, porcupine.CheckOperations(specification, c.ops), name)
	}
}

// Goal: the same seed gives the same trace, elections included.
func TestClusterReproduces(t *testing.T) {
	run := func(seed uint64, repeat int) *sim.Result {
		var h history
		return sim.Run(t, sim.Config{Seed: seed, Repeat: repeat}, func(w *sim.World) error {
			build(w, "", 20)
			workload(w, &h, 3, 6*time.Second)
			w.At(2*time.Second, sim.Crash("coord-2"))
			w.At(4*time.Second, sim.Restart("coord-2"))
			w.RunFor(8 * time.Second)
			return nil
		})
	}
	repeat := 4
	if testing.Short() {
		repeat = 2
	}
	a, b := run(1, repeat), run(2, 1)
	require.NoError(t, a.Err)
	require.NoError(t, b.Err)
	require.NotEqual(t, a.Trace.Hash(), b.Trace.Hash())
}

// Goal: keys live as long as their lease is renewed, through the loss of the leader; a watch sees them go,
// and never goes back.
func TestLeasesAndWatches(t *testing.T) {
	type sight struct {
		at       time.Duration
		revision uint64
		keys     int
	}
	var seen []sight
	res := sim.Run(t, sim.Config{Seed: 3}, func(w *sim.World) error {
		c := build(w, "", 0)
		w.Node("holder", func(ctx context.Context, n *sim.Node) error {
			cl, err := client(n)
			if err != nil {
				return err
			}
			defer cl.Close()
			if err := cl.Grant(ctx, "holder", 2*time.Second); err != nil {
				return err
			}
			if _, err := cl.Put(ctx, "edges/holder", "here", "holder"); err != nil {
				return err
			}
			for ctx.Err() == nil {
				time.Sleep(500 * time.Millisecond)
				if err := cl.Grant(ctx, "holder", 2*time.Second); err != nil {
					return err
				}
			}
			return nil
		})
		w.Node("watcher", func(ctx context.Context, n *sim.Node) error {
			cl, err := client(n)
			if err != nil {
				return err
			}
			defer cl.Close()
			for after := uint64(0); ; {
				items, revision, err := cl.Watch(ctx, "edges/", after)
				if err != nil {
					return err
				}
				seen = append(seen, sight{n.Now(), revision, len(items)})
				after = revision
			}
		})
		w.RunFor(5 * time.Second)
		leader, _ := c.leader()
		require.NotEmpty(w.T(), leader)
		w.Inflict(sim.Crash(leader))
		w.RunFor(5 * time.Second)
		next, _ := c.leader()
		require.NotEmpty(w.T(), next)
		require.NotEqual(w.T(), leader, next)
		w.Inflict(sim.Restart(leader))
		w.RunFor(5 * time.Second)
		require.Len(w.T(), seen, 1, "the key has gone though its lease was renewed")
		require.Equal(w.T(), 1, seen[0].keys)
		w.Inflict(sim.Crash("holder"))
		w.RunFor(5 * time.Second)
		require.Len(w.T(), seen, 2)
		require.Zero(w.T(), seen[1].keys)
		require.Greater(w.T(), seen[1].revision, seen[0].revision)
		require.InDelta(w.T(), 17, seen[1].at.Seconds(), 0.6, "2 s after its last renewal at 14.5 s to 15 s")
		w.MustHaveBitten("crash")
		return nil
	})
	require.NoError(t, res.Err)
}

// Goal: a node that was away for longer than the log goes back catches up by a snapshot.
func TestSnapshot(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 5, DropTrace: true}, func(w *sim.World) error {
		c := build(w, "", 10)
		w.At(2*time.Second, sim.Crash("coord-3"))
		w.At(6*time.Second, sim.Restart("coord-3"))
		w.Node("writer", func(ctx context.Context, n *sim.Node) error {
			cl, err := client(n)
			if err != nil {
				return err
			}
			defer cl.Close()
			for i := range 100 {
				if _, err := cl.Put(ctx, fmt.Sprintf("key-%d", i), "x", ""); err != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		})
		w.RunFor(9 * time.Second)
		// Only the node that was away and one other are left: together they must know everything.
		leader, _ := c.leader()
		require.NotEmpty(w.T(), leader)
		for _, name := range []string{"coord-1", "coord-2"} {
			if name == leader {
				w.Inflict(sim.Crash(name))
				break
			}
		}
		found := 0
		w.Node("reader", func(ctx context.Context, n *sim.Node) error {
			cl, err := client(n)
			if err != nil {
				return err
			}
			defer cl.Close()
			items, _, err := cl.List(ctx, "key-")
			found = len(items)
			return err
		})
		w.RunFor(5 * time.Second)
		require.Equal(w.T(), 100, found)
		return nil
	})
	require.NoError(t, res.Err)
}

func TestConfig(t *testing.T) {
	dial := (&sim.Node{}).DialContext
	for want, cfg := range map[string]coord.Config{
		"Peers: there are 0":               {},
		"ID: 4; want 1 to 3":               {ID: 4, Peers: make([]string, 3)},
		"Disk and Dial are needed":         {ID: 1, Peers: make([]string, 3)},
		"Tick: 1ns":                        {ID: 1, Peers: make([]string, 3), Disk: disk.New(), Dial: dial, Tick: 1},
		"SnapshotEvery: -1":                {ID: 1, Peers: make([]string, 3), Disk: disk.New(), Dial: dial, SnapshotEvery: -1},
		`Mutant: "x"; want none or "stale`: {ID: 1, Peers: make([]string, 3), Disk: disk.New(), Dial: dial, Mutant: "x"},
	} {
		_, err := coord.Start(cfg)
		require.ErrorContains(t, err, want)
	}
	for want, cfg := range map[string]coord.ClientConfig{
		"Name: it has 0 bytes": {}, "Nodes: there are none": {Name: "c"},
		"Timeout: -1s": {Name: "c", Nodes: []string{"x"}, Timeout: -time.Second}, "Pause: 1ns": {Name: "c", Nodes: []string{"x"}, Pause: 1},
	} {
		_, err := coord.NewClient(cfg)
		require.ErrorContains(t, err, want)
	}
}
