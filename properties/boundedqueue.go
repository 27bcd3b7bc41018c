package properties

import "github.com/twohop/twohop/model"

// BoundedQueue: no queue is ever deeper than allowed.
//
// Formally: the Value of every Queue event is at most its Limit, if that is not 0, and at most limit,
// if that is not 0; and one of the two is not 0.
//
// It does not cover queues that nobody records, or what becomes of what does not fit: whether a client
// was told is a question of [HonestRecovery] and [NoLoss]. With no Queue event there is nothing to
// check, and the verdict is Unknown. So it is for a negative limit.
func BoundedQueue(limit int64) model.Property {
	return property{"BoundedQueue", func(h *model.History) model.Verdict { return checkBoundedQueue(h, limit) }}
}

func checkBoundedQueue(h *model.History, limit int64) model.Verdict {
	if limit < 0 {
		return unknown("the limit is %d; it must not be negative", limit)
	}
	recorded := 0
	var deepest *model.Event
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind != model.Queue {
			continue
		}
		recorded++
		switch {
		case e.Limit == 0 && limit == 0:
			return illegal(e.Step, "%s declares no limit; it holds %d", queueName(e), e.Value)
		case e.Limit > 0 && e.Value > e.Limit:
			return illegal(e.Step, "%s holds %d; it declares to keep to %d", queueName(e), e.Value, e.Limit)
		case limit > 0 && e.Value > limit:
			return illegal(e.Step, "%s holds %d; allowed are %d", queueName(e), e.Value, limit)
		}
		if deepest == nil || e.Value > deepest.Value {
			deepest = e
		}
	}
	if recorded == 0 {
		return unknown("nothing to check: no queue was recorded")
	}
	return ok("%d depths, of which the greatest is %d, of %s", recorded, deepest.Value, queueName(deepest))
}

// queueName names a queue for people.
func queueName(e *model.Event) string {
	name := "queue " + e.Object + " of \"" + e.Node + "\""
	if e.Peer != "" {
		name += " for \"" + e.Peer + "\""
	}
	return name
}
