package scenarios

import (
	"context"
	"errors"
	"time"

	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// endpoint is the program of an endpoint server that gets its messages from a source, by a strategy of
// hop 2.
func endpoint(strategy string, from source) sim.Program {
	return func(ctx context.Context, n *sim.Node) error {
		strategy, err := hop2.New(strategy, from.config(n))
		if err != nil {
			return err
		}
		server, err := edge.New(edge.Config{Name: n.Name(), Strategy: strategy, WebRTC: &hop1.WebRTC{Net: pionnet.New(n)}})
		if err != nil {
			return err
		}
		// Told to stop, it drains: clients are told to go elsewhere before the listener closes.
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		defer context.AfterFunc(ctx, func() {
			drain, cancel := context.WithTimeout(serving, drainLimit)
			defer cancel()
			_ = server.Shutdown(drain) // what has not drained by then is cut
			stop()
		})()
		return errors.Join(n.Serve(serving, ":80", server.Handler()), strategy.Close())
	}
}

// drainLimit is how long an endpoint server that is told to stop waits for its clients to leave.
const drainLimit = 5 * time.Second
