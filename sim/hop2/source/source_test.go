package source_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/hop2/coord"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/hop2/source"
	"github.com/twohop/twohop/sim/hop2/store"
	"github.com/twohop/twohop/sim/hop2/wire"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) { os.Exit(simtest.Main(m, "sim/hop2")) }

// Goal: a source delivers a room's messages to its owner alone, and to both owners while that changes; what
// was published before is not delivered. Before it knows the assignment it accepts no stream.
func TestDelivers(t *testing.T) {
	for _, mutant := range []source.Mutant{"", source.NoDualSend} {
		got := map[string][]uint64{}
		var stats source.Stats
		early := 0
		res := sim.Run(t, sim.Config{Seed: 1, Repeat: 2}, func(w *sim.World) error {
			clear(got)
			w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
			w.Node("coord-1", func(ctx context.Context, n *sim.Node) error {
				node, err := coord.Start(coord.Config{ID: 1, Peers: []string{"coord-1:2380"}, Disk: disk.New(), Dial: n.DialContext})
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
				return node.Run(ctx, peers, clients)
			})
			client := func(n *sim.Node) (*coord.Client, error) {
				return coord.NewClient(coord.ClientConfig{Name: n.Name(), Nodes: []string{"coord-1:2379"}, Dial: n.DialContext})
			}
			var src *source.Source
			w.Node("source", func(ctx context.Context, n *sim.Node) error {
				logs, err := store.Open(store.Config{Disk: disk.New(), Rand: n.Rand("identity")})
				if err != nil {
					return err
				}
				defer logs.Close()
				c, err := client(n)
				if err != nil {
					return err
				}
				defer c.Close()
				if src, err = source.New(source.Config{Store: logs, Coord: c, Mutant: mutant}); err != nil {
					return err
				}
				go func() { _ = src.Run(ctx) }() // it ends with ctx
				return n.Serve(ctx, ":80", src.Handler())
			})
			for _, name := range []string{"a", "b"} {
				w.Node(name, func(ctx context.Context, n *sim.Node) error {
					for ctx.Err() == nil {
						status, err := follow(ctx, n, got)
						if status == http.StatusServiceUnavailable {
							early++
						} else if err != nil && ctx.Err() == nil {
							return err
						}
						time.Sleep(100 * time.Millisecond)
					}
					return nil
				})
			}
			w.Node("publisher", func(ctx context.Context, n *sim.Node) error {
				c, err := client(n)
				if err != nil {
					return err
				}
				defer c.Close()
				log, err := hop2.NewPull(hop2.PullConfig{Config: hop2.Config{Addr: "source:80", Dial: n.DialContext, Rand: n.Rand("x")}})
				if err != nil {
					return err
				}
				defer log.Close()
				publish := func(from, to int) error {
					for i := from; i <= to; i++ {
						if _, err := log.Publish(ctx, model.Message{Room: "room", ID: fmt.Sprint(i)}); err != nil {
							return err
						}
					}
					return nil
				}
				a := model.Placement{Kind: model.Modulo, Members: []string{"a"}}
				b := model.Placement{Kind: model.Modulo, Members: []string{"b"}}
				time.Sleep(2 * time.Second)
				if err := publish(1, 5); err != nil {
					return err
				}
				t1, err := model.NewTransition(a)
				if err != nil {
					return err
				}
				t2, err := t1.Announce(b)
				if err != nil {
					return err
				}
				t3, err := t2.Move("a")
				if err != nil {
					return err
				}
				t4, err := t3.Commit()
				if err != nil {
					return err
				}
				for i, tr := range []model.Transition{t1, t2, t4} {
					text, err := encode(tr)
					if err != nil {
						return err
					}
					if _, err := c.Put(ctx, hop2.RingAssignment, text, ""); err != nil {
						return err
					}
					time.Sleep(time.Second)
					said, found, err := c.Get(ctx, hop2.RingSource)
					if err != nil || !found || said.Value != hop2.RingStep(tr) {
						return fmt.Errorf("the source said %q (%t, %v); want %s", said.Value, found, err, hop2.RingStep(tr))
					}
					if err := publish(6+5*i, 10+5*i); err != nil {
						return err
					}
				}
				return nil
			})
			w.RunFor(8 * time.Second)
			stats = src.Stats()
			return nil
		})
		require.NoError(t, res.Err)
		require.Positive(t, early)
		if mutant == source.NoDualSend {
			require.Equal(t, map[string][]uint64{"a": simtest.UpTo(6, 10), "b": simtest.UpTo(11, 20)}, got)
			require.Zero(t, stats.Dual)
			continue
		}
		require.Equal(t, map[string][]uint64{"a": simtest.UpTo(6, 15), "b": simtest.UpTo(11, 20)}, got)
		require.Equal(t, source.Stats{Appended: 20, Sent: 20, Dual: 5}, stats)
	}
}

func encode(t model.Transition) (string, error) {
	var b strings.Builder
	err := json.NewEncoder(&b).Encode(t)
	return b.String(), err
}

// follow reads a node's stream to its end.
func follow(ctx context.Context, n *sim.Node, got map[string][]uint64) (status int, err error) {
	client := n.HTTPClient()
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://source/deliver?edge="+n.Name(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, nil
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		d, err := wire.DecodeDelivery(lines.Bytes())
		if err != nil {
			return resp.StatusCode, err
		}
		if d.Room != "" {
			got[n.Name()] = append(got[n.Name()], d.Record.Seq)
		}
	}
	return resp.StatusCode, lines.Err()
}

func TestConfig(t *testing.T) {
	logs, err := store.Open(store.Config{Disk: disk.New()})
	require.NoError(t, err)
	defer func() { require.NoError(t, logs.Close()) }()
	c, err := coord.NewClient(coord.ClientConfig{Name: "c", Nodes: []string{"x:1"}})
	require.NoError(t, err)
	for want, cfg := range map[string]source.Config{
		"Store and Coord are needed": {},
		"Queue: -1":                  {Store: logs, Coord: c, Queue: -1},
		"Heartbeat: 1ns":             {Store: logs, Coord: c, Heartbeat: 1},
		`Mutant: "x"; want none or`:  {Store: logs, Coord: c, Mutant: "x"},
	} {
		_, err := source.New(cfg)
		require.ErrorContains(t, err, want)
	}
}
