package sim_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// Goal: a trail has one order, whoever was first, and changes nothing else.
// Method: goroutines of a server note in one instant whom they answer, through a balancer.
func TestTrail(t *testing.T) {
	const clients = 5
	world := func(noting bool) func(*sim.World) error {
		return func(w *sim.World) error {
			w.Link("*", "*", netsim.Link{Latency: time.Millisecond})
			w.Node("server", func(ctx context.Context, n *sim.Node) error {
				l, err := n.Listen("tcp", ":80")
				if err != nil {
					return err
				}
				all := make(chan struct{})
				var gone sync.WaitGroup
				defer gone.Wait()
				for range clients {
					c, err := l.Accept()
					if err != nil {
						return err
					}
					defer c.Close()
					gone.Go(func() {
						<-all
						if noting {
							n.Trail(model.Event{Kind: model.Copy, Room: "r", Seq: 1, Peer: n.Origin(c.RemoteAddr().String())})
							n.Trail(model.Event{Kind: model.Receive, Room: "r", Seq: 1})
						}
					})
				}
				close(all)
				<-ctx.Done()
				return nil
			})
			w.Node("lb", func(ctx context.Context, n *sim.Node) error {
				b, err := n.Host().Balance(netsim.BalancerConfig{Backends: []string{"server:80"}})
				if err != nil {
					return err
				}
				b.Run(ctx)
				return nil
			})
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				w.Node(name, func(ctx context.Context, n *sim.Node) error {
					var c net.Conn
					var err error
					if c, err = n.DialContext(ctx, "tcp", "lb:80"); err != nil {
						return err
					}
					defer c.Close()
					<-ctx.Done()
					return nil
				})
			}
			w.RunFor(time.Second)
			return nil
		}
	}
	var first *sim.Result
	for range 5 {
		res := sim.Run(t, sim.Config{}, world(true))
		require.NoError(t, res.Err)
		if first == nil {
			first = res
		}
		require.Equal(t, first.Trail, res.Trail)
		require.Equal(t, first.Trace.Hash(), res.Trace.Hash())
	}
	var peers []string
	for _, e := range first.Trail {
		if e.Kind == model.Copy {
			peers = append(peers, e.Peer)
		} else {
			require.Empty(t, peers, "what a node got is before what it sent on")
		}
		require.Equal(t, "server", e.Node)
		at, ok := first.Trace.At(e.Step)
		require.True(t, ok)
		next, _ := first.Trace.At(e.Step + 1)
		require.True(t, at.Time <= e.Time && e.Time < next.Time, "%v, and not %v, is the last step by %v", at, next, e.Time)
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, peers)

	silent := sim.Run(t, sim.Config{}, world(false))
	require.Empty(t, silent.Trail)
	require.Equal(t, first.Trace.Hash(), silent.Trace.Hash())
	require.Empty(t, sim.Run(t, sim.Config{DropTrace: true}, world(true)).Trail)
}
