package scenarios

import (
	"context"
	"sync"
	"time"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
)

// healthInterval is how often balancers check a backend.
const healthInterval = 500 * time.Millisecond

// forwardPackets adds a node that is an L4 balancer.
func forwardPackets(w *sim.World, name string, cfg netsim.BalancerConfig) {
	cfg.HealthInterval = healthInterval
	var b *netsim.Balancer
	w.Node(name, func(ctx context.Context, n *sim.Node) error {
		b.Run(ctx)
		return nil
	})
	var err error
	b, err = w.Net().Host(name).Balance(cfg)
	w.Fail(err)
}

// proxyRequests adds a node that is an L7 balancer.
func proxyRequests(w *sim.World, name string, cfg edge.ProxyConfig) {
	w.Node(name, func(ctx context.Context, n *sim.Node) error {
		cfg := cfg
		cfg.Dial, cfg.HealthInterval = n.DialContext, healthInterval
		p, err := edge.NewProxy(cfg)
		if err != nil {
			return err
		}
		var checks sync.WaitGroup
		checks.Go(func() { p.Run(ctx) })
		err = n.Serve(ctx, ":80", p)
		p.Close()
		checks.Wait()
		return err
	})
}
