package sim_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/sim"
)

// Goal: what a crash leaves on a node's disk, the loss of the disk does not; either way the node is down until
// it is restarted.
func TestLoseDisk(t *testing.T) {
	for fault, want := range map[string][]int{
		"crash(n)@5s for 2s":                     {0, 1, 2},
		"disk-lose(n)@5s for 2s":                 {0, 0, 1},
		"crash(n)@5s for 2s; disk-lose(n)@6s":    {0, 0, 1}, // while it is down
		"disk-lose(n)@5s; restart(n)@7s":         {0, 0, 1},
		"disk-lose(n)@20s for 1s":                {0, 1},
		"disk-lose(n)@5s for 1s; stop(n)@8s":     {0, 0},
		"disk-lose(n)@10ns for 5s; stop(n)@5.5s": {0},
	} {
		s, err := sim.ParseSchedule(fault)
		require.NoError(t, err)
		var found []int
		res := sim.Run(t, sim.Config{Faults: s, Repeat: 2}, func(w *sim.World) error {
			found = nil
			disk := 0
			w.OnDiskLose("n", func() bool { lost := disk > 0; disk = 0; return lost })
			w.Node("n", func(ctx context.Context, _ *sim.Node) error {
				for {
					found = append(found, disk)
					disk++
					select {
					case <-ctx.Done():
						return nil
					case <-time.After(8 * time.Second):
					}
				}
			})
			w.RunFor(16 * time.Second)
			return nil
		})
		require.NoError(t, res.Err, fault)
		require.Equal(t, want, found, fault)
		for _, r := range res.Faults {
			if r.Fault.Kind() == "disk-lose" && r.Begun() {
				require.Equal(t, r.At > time.Microsecond, r.Bites > 0, "%s: %v bites if there is something to lose", fault, r)
			}
		}
	}
}

// Goal: a disk that nobody can lose, or that two could, is an error that says so.
func TestLoseNoDisk(t *testing.T) {
	run := func(setup func(w *sim.World)) error {
		return sim.Run(t, sim.Config{}, func(w *sim.World) error {
			for _, name := range []string{"a", "b"} {
				w.Node(name, func(ctx context.Context, _ *sim.Node) error { <-ctx.Done(); return nil })
			}
			setup(w)
			w.RunFor(2 * time.Second)
			return nil
		}).Err
	}
	lose := func() bool { return false }
	err := run(func(w *sim.World) { w.OnDiskLose("b", lose); w.At(time.Second, sim.LoseDisk("a")) })
	require.ErrorContains(t, err, "disk-lose(a) at 1s: the node has no disk that can be lost; the nodes with one are b")
	err = run(func(w *sim.World) { w.At(time.Second, sim.LoseDisk("a")) })
	require.ErrorContains(t, err, "no node has one")
	err = run(func(w *sim.World) { w.At(time.Second, sim.LoseDisk("x")) })
	require.ErrorContains(t, err, `there is no node "x"; the nodes are a, b`)
	err = run(func(w *sim.World) { w.OnDiskLose("b", lose); w.OnDiskLose("b", lose) })
	require.ErrorContains(t, err, `the disk of "b" is lost by two functions`)
}
