package properties

import "github.com/twohop/twohop/model"

// HonestRecovery: a gap is never silent. A client that goes on elsewhere than where it was is told so,
// before anything else happens to it.
//
// Formally, for each client and room, its position being the highest that it got, was told of, or
// started from:
//
//   - A Deliver is of the position after it, or of one at or before it, in the same epoch.
//   - A Connected that is Resumed is at it.
//   - A Connected that is ahead of it, or in another epoch, has as the client's next event of the room a
//     Discontinuity: one that reaches at least as far, in that epoch or in a third.
//
// It is a question of safety, and judged up to any step: unlike [NoLoss] it objects to a gap although
// what was skipped arrives after all. It does not cover repetitions and disorder ([NoDuplicate],
// [InOrder]), discontinuities that are told of without need, or clients that wait for ever
// ([Staleness]). A Connected behind the position skips nothing. With no delivery and no connection
// after a client's first there is nothing to check, and the verdict is Unknown.
func HonestRecovery() model.Property { return property{"HonestRecovery", checkHonestRecovery} }

// candour is what one subscription was told.
type candour struct {
	position position
	jump     *model.Event // a Connected elsewhere that is yet to be announced
}

func checkHonestRecovery(h *model.History) model.Verdict {
	subs := map[subscription]*candour{}
	deliveries, recoveries := 0, 0
	for i := range h.Events {
		e := &h.Events[i]
		if !observes(e) && e.Kind != model.Disconnected {
			continue
		}
		sub := subscription{e.Node, e.Room}
		c := subs[sub]
		if c == nil {
			c = &candour{}
			subs[sub] = c
		}
		if e.Kind == model.Connected && c.position.known {
			recoveries++
		}
		if e.Kind == model.Deliver {
			deliveries++
		}
		if why := c.take(sub, e); why != "" {
			return c.illegal(e.Step, sub, why)
		}
	}
	if h.Complete() {
		if sub, c := firstUnannounced(subs); c != nil {
			return c.illegal(h.Events[len(h.Events)-1].Step, sub, c.silent(sub))
		}
	}
	if deliveries == 0 && recoveries == 0 {
		return unknown("nothing to check: nothing was delivered, and nobody connected again")
	}
	return ok("%d deliveries and %d connections after the first, and no gap was silent", deliveries, recoveries)
}

// firstUnannounced finds the client whose jump was the first not to be announced.
func firstUnannounced(subs map[subscription]*candour) (sub subscription, c *candour) {
	for s, x := range subs {
		if x.jump != nil && (c == nil || x.jump.Step < c.jump.Step) {
			sub, c = s, x
		}
	}
	return sub, c
}

// illegal is the verdict on a client that was not told of what follows its position.
func (c *candour) illegal(step uint64, sub subscription, why string) model.Verdict {
	return sub.about(illegal(step, "%s", why), model.Cursor{Epoch: c.position.at.Epoch, Seq: c.position.at.Seq + 1}, "")
}

// silent says that a jump was not announced.
func (c *candour) silent(sub subscription) string {
	return sub.String() + " went from " + c.position.at.In(sub.room) + " to " + c.jump.Cursor().In(sub.room) + " without a discontinuity"
}

// take takes what happened to the client, and says what is wrong with it.
func (c *candour) take(sub subscription, e *model.Event) (why string) {
	was, at := c.position, e.Cursor()
	if c.jump != nil {
		to := c.jump.Cursor()
		reaches := at.Epoch == to.Epoch && at.Seq >= to.Seq || at.Epoch != to.Epoch && at.Epoch != was.at.Epoch
		if e.Kind != model.Discontinuity || !reaches {
			return c.silent(sub)
		}
		c.jump = nil
	}
	if e.Kind == model.Disconnected {
		return ""
	}
	elsewhere := at.Epoch != was.at.Epoch
	switch {
	case !was.known:
	case e.Kind == model.Deliver && (elsewhere || at.Seq > was.at.Seq && at.Seq-was.at.Seq > 1):
		return sub.String() + " saw " + at.In(e.Room) + " after " + was.at.In(e.Room) + " without a discontinuity"
	case e.Kind == model.Connected && e.Resumed && at != was.at:
		return sub.String() + " resumed at " + at.In(e.Room) + ", but had got to " + was.at.In(e.Room)
	case e.Kind == model.Connected && (elsewhere || at.Seq > was.at.Seq):
		c.jump = e
		return ""
	}
	c.position.move(e)
	return ""
}
