package scenarios

import (
	"context"
	"errors"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
)

// endpoint is the program of an endpoint server that gets its messages from a source.
func endpoint(from source) sim.Program { return endpointWith(from, edge.Config{}) }

// endpointWith is endpoint with a configuration, of which it fills in what is the node's own.
func endpointWith(from source, cfg edge.Config) sim.Program {
	return watchedEndpoint(from, cfg, new(gauges))
}

// watchedEndpoint is endpointWith, watched by gauges.
func watchedEndpoint(from source, cfg edge.Config, g *gauges) sim.Program {
	return func(ctx context.Context, n *sim.Node) error {
		hop, err := from.open(n, from.config(n))
		if err != nil {
			return err
		}
		cfg := cfg
		cfg.Name, cfg.Strategy, cfg.WebRTC = n.Name(), hop, &hop1.WebRTC{Net: pionnet.New(n)}
		cfg.Observe = func(e model.Event) {
			if e.Kind != model.Copy {
				e.Peer = from.node
			}
			n.Trail(e)
		}
		cfg.Who = func(ctx context.Context) string { return n.Origin(hop1.Remote(ctx)) }
		server, err := edge.New(cfg)
		if err != nil {
			return errors.Join(err, hop.Close())
		}
		g.watch(ctx, n, server)
		handler := server.Handler()
		if hop.front != nil {
			handler = hop.front(handler)
		}
		// Told to stop, it hands over what it is in charge of, and then drains: clients are told to go
		// elsewhere before the listener closes.
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		defer context.AfterFunc(ctx, func() {
			hop.handOver(serving)
			drain, cancel := context.WithTimeout(serving, drainLimit)
			defer cancel()
			_ = server.Shutdown(drain) // so is what has not drained
			stop()
		})()
		return errors.Join(n.Serve(serving, ":80", handler), hop.Close())
	}
}

// drainLimit is how long an endpoint server that is told to stop waits for its clients to leave, and leaveLimit
// how long, before that, for what it is in charge of to be handed over.
const (
	drainLimit = 5 * time.Second
	leaveLimit = 30 * time.Second
)
