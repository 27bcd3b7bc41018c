package scenarios

import (
	"context"
	"net/http"
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

// reload replaces a proxy's configuration at a time. Requests under way are not concerned.
type reload struct {
	at  time.Duration
	cfg edge.ProxyConfig
}

// proxyRequests adds a node that is an L7 balancer. Its reloads are in order.
func proxyRequests(w *sim.World, name string, cfg edge.ProxyConfig, reloads ...reload) {
	w.Node(name, func(ctx context.Context, n *sim.Node) error {
		var proxies []*edge.Proxy
		for _, r := range append([]reload{{0, cfg}}, reloads...) {
			r.cfg.Dial, r.cfg.HealthInterval = n.DialContext, healthInterval
			p, err := edge.NewProxy(r.cfg)
			if err != nil {
				return err
			}
			defer p.Close()
			proxies = append(proxies, p)
		}
		var checks sync.WaitGroup
		defer checks.Wait()
		for i, p := range proxies {
			checks.Go(func() {
				if i == 0 || sleepUntil(ctx, n, reloads[i-1].at) {
					p.Run(ctx)
				}
			})
		}
		return n.Serve(ctx, ":80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			i := 0
			for i < len(reloads) && reloads[i].at <= n.Now() {
				i++
			}
			proxies[i].ServeHTTP(rw, r)
		}))
	})
}

// sleepUntil waits for a virtual time, and reports whether it came before ctx ended.
func sleepUntil(ctx context.Context, n *sim.Node, at time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(at - n.Now()):
		return true
	}
}
