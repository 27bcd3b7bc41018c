package scenarios

import (
	"context"
	"time"

	"github.com/twohop/twohop/sim/hop2"
)

// turns has one edge of a ring at a time read a room for those who are interested in it. They are one reader, as a
// client is: it stays with the edge that it is at until that edge lets go of the room, and then goes to the new owner,
// with its cursor. For each room, by name, there is an element while nobody has it.
type turns map[string]chan struct{}

func (t turns) add(room string) {
	t[room] = make(chan struct{}, 1)
	t[room] <- struct{}{}
}

// take waits until a room belongs to an edge and the edge before has let go of it, and has the edge read it until it
// lets go, too. If ctx ends before, it does nothing.
func (t turns) take(ctx context.Context, edge *hop2.Ring, room string, read func()) {
	if err := edge.Await(ctx, room); err != nil {
		return // it is the end
	}
	select {
	case <-t[room]:
	case <-ctx.Done():
		return
	}
	read()
	time.Sleep(2 * journalDelay) // until all that was read stands in the history
	t[room] <- struct{}{}
}
