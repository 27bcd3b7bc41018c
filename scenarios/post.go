package scenarios

import (
	"context"

	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// post publishes one message of a node. Its attempts have luck of their own: without, they would draw from what
// the whole process draws from, and so depend on what else, in libraries too, does. It fails only when the run
// ends; what became of the message is in the history.
func post(ctx context.Context, n *sim.Node, p hop1.Publisher, room, id string, body []byte) {
	p.Rand = n.Rand("publish " + id)
	_, _ = p.Publish(ctx, room, id, body)
}
