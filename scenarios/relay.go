package scenarios

import (
	"context"
	"errors"
	"fmt"

	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2"
)

// relayed is a source with relays before it: each gets its messages from there, and who comes i-th is sent to
// one of them in turn.
type relayed struct {
	source
	relays []string
}

// addRelays adds so many relays of a source to a world, whose names begin with a prefix; none means that
// everybody goes to the source itself. They may have a bug.
func addRelays(w *sim.World, from source, prefix string, relays int, bug hop2.Mutant) relayed {
	r := relayed{source: from}
	for i := range relays {
		r.relays = append(r.relays, relayName(prefix, i))
		w.Node(r.relays[i], relayProgram(from, bug))
	}
	return r
}

func relayName(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i+1) }

// of gives the source of who comes i-th, counting from 0.
func (r relayed) of(i int) source {
	if len(r.relays) == 0 {
		return r.source
	}
	return relaySource(r.relays[i%len(r.relays)])
}

// relayProgram is the program of a relay that gets its messages from a source, or from a further relay.
func relayProgram(from source, bug hop2.Mutant) sim.Program {
	return func(ctx context.Context, n *sim.Node) error {
		up, err := from.open(n, from.config(n))
		if err != nil {
			return err
		}
		relay, err := hop2.NewRelay(hop2.RelayConfig{Upstream: up, Mutant: bug})
		if err != nil {
			return errors.Join(err, up.Close())
		}
		return errors.Join(n.Serve(ctx, ":80", relay.Handler()), relay.Close(), up.Close())
	}
}

// relaySource is a relay as who gets messages from it sees it.
func relaySource(node string) source {
	return source{
		node: node, config: brokerConfig(node, "80"),
		open: func(_ *sim.Node, cfg hop2.Config) (joint, error) {
			s, err := hop2.NewRelayed(cfg)
			return joint{Strategy: s}, err
		},
	}
}
