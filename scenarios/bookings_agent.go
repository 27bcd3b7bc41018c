package scenarios

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// agent is one agent of [Bookings]. It makes each call of an object out of calls of the coordination service, which
// has get, put, and compare-and-swap by version.
type agent struct {
	bookings *Bookings
	ring     *ring

	n      *sim.Node
	client *coord.Client
	luck   *rand.Rand
	calls  int
}

// callLimit is how long an agent waits for a call, and attemptLimit how long for one attempt if it is to try again
// by itself.
const (
	callLimit    = 4 * time.Second
	attemptLimit = 20 * time.Millisecond
)

func (a *agent) run(ctx context.Context, n *sim.Node) error {
	client, err := a.ring.coordClient(n)
	if err != nil {
		return err
	}
	defer client.Close()
	a.n, a.client, a.luck = n, client, n.Rand("agent")
	wait := 1500 * time.Millisecond // for a leader to be elected
	for sleep(ctx, wait) && n.Now() < a.bookings.Duration-time.Second {
		a.act(ctx)
		wait = time.Duration(-math.Log(1-a.luck.Float64()) / a.bookings.Rate * float64(time.Second))
	}
	return nil
}

// act makes one call, of one of the objects.
func (a *agent) act(ctx context.Context) {
	b, me := a.bookings, a.n.Name()
	switch a.luck.IntN(3) {
	case 0:
		a.useRegistry(ctx, fmt.Sprintf("registry/key-%d", 1+a.luck.IntN(b.Keys)))
	case 1:
		seat := fmt.Sprintf("seat-%d", 1+a.luck.IntN(b.Seats))
		switch a.luck.IntN(4) {
		case 0:
			a.call(ctx, "seats/hall", model.Op("look", seat), func(ctx context.Context) (string, error) { return a.value(ctx, "seats/"+seat) })
		case 1:
			a.call(ctx, "seats/hall", model.Op("cancel", seat, me), func(ctx context.Context) (string, error) { return a.cancel(ctx, "seats/"+seat) })
		default:
			a.call(ctx, "seats/hall", model.Op("reserve", seat, me), func(ctx context.Context) (string, error) { return a.reserve(ctx, "seats/"+seat) })
		}
	default:
		lot := fmt.Sprintf("auction/lot-%d", 1+a.luck.IntN(b.Lots))
		if a.luck.IntN(3) == 0 {
			a.call(ctx, lot, model.Op("look"), func(ctx context.Context) (string, error) { return a.value(ctx, lot) })
			return
		}
		// Bids rise with time, so that most of them are high enough.
		amount := uint64(a.n.Now()/(100*time.Millisecond)) + 1 + a.luck.Uint64N(20)
		a.call(ctx, lot, model.Op("bid", me, strconv.FormatUint(amount, 10)), func(ctx context.Context) (string, error) { return a.bid(ctx, lot, amount) })
	}
}

func (a *agent) useRegistry(ctx context.Context, key string) {
	fresh := fmt.Sprintf("%s-%d", a.n.Name(), a.calls)
	switch a.luck.IntN(4) {
	case 0:
		a.call(ctx, key, model.Op("put", fresh), func(ctx context.Context) (string, error) {
			_, err := a.client.Put(ctx, key, fresh, "")
			return "ok", err
		})
	case 1:
		old, err := a.value(ctx, key)
		if err != nil {
			return
		}
		a.call(ctx, key, model.Op("cas", old, fresh), func(ctx context.Context) (string, error) { return a.cas(ctx, key, old, fresh) })
	default:
		a.call(ctx, key, model.Op("get"), func(ctx context.Context) (string, error) { return a.value(ctx, key) })
	}
}

// call makes a call of an object, and enters it in the history with what came of it.
func (a *agent) call(ctx context.Context, object string, op model.Operation, do func(context.Context) (string, error)) {
	a.calls++
	id := fmt.Sprintf("%s/%d", a.n.Name(), a.calls)
	a.n.Record(model.Event{Kind: model.Call, Object: object, ID: id, Note: op.String()})
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	result, err := do(ctx)
	if err != nil {
		a.n.Record(model.Event{Kind: model.ReturnUnknown, Object: object, ID: id, Note: err.Error()})
		return
	}
	a.n.Record(model.Event{Kind: model.Return, Object: object, ID: id, Note: result})
}

// value reads a key; "" if it is not there.
func (a *agent) value(ctx context.Context, key string) (string, error) {
	item, _, err := a.client.Get(ctx, key)
	return item.Value, err
}

// swap has a key's value replaced by what next makes of it, with no other change in between. next may say that
// nothing is to be changed, and why.
func (a *agent) swap(ctx context.Context, key string, next func(value string) (replaced, why string)) (result string, err error) {
	for {
		item, _, err := a.client.Get(ctx, key)
		if err != nil {
			return "", err
		}
		replaced, why := next(item.Value)
		if why != "" {
			return why, nil
		}
		_, done, err := a.client.CompareAndSwap(ctx, key, item.Version, replaced)
		if err != nil || done {
			return "ok", err
		}
	}
}

// overwrite is swap without the second look.
func (a *agent) overwrite(ctx context.Context, key string, next func(value string) (replaced, why string)) (result string, err error) {
	value, err := a.value(ctx, key)
	if err != nil {
		return "", err
	}
	replaced, why := next(value)
	if why != "" {
		return why, nil
	}
	_, err = a.client.Put(ctx, key, replaced, "")
	return "ok", err
}

func (a *agent) cas(ctx context.Context, key, old, fresh string) (string, error) {
	attempt := func(ctx context.Context) (string, error) {
		return a.swap(ctx, key, func(value string) (replaced, why string) {
			if value != old {
				return "", "no"
			}
			return fresh, ""
		})
	}
	if a.bookings.mutant != mutantRetryBlindly {
		return attempt(ctx)
	}
	for {
		limited, cancel := context.WithTimeout(ctx, attemptLimit)
		result, err := attempt(limited)
		cancel()
		if err == nil || ctx.Err() != nil {
			return result, err
		}
	}
}

func (a *agent) reserve(ctx context.Context, seat string) (string, error) {
	me := a.n.Name()
	change := a.swap
	if a.bookings.mutant == mutantCheckThenAct {
		change = a.overwrite
	}
	return change(ctx, seat, func(whose string) (replaced, why string) {
		switch whose {
		case "":
			return me, ""
		case me:
			return "", "ok"
		}
		return "", "taken"
	})
}

func (a *agent) cancel(ctx context.Context, seat string) (string, error) {
	return a.swap(ctx, seat, func(whose string) (replaced, why string) {
		if whose != a.n.Name() {
			return "", "lost"
		}
		return "", ""
	})
}

func (a *agent) bid(ctx context.Context, lot string, amount uint64) (string, error) {
	change := a.swap
	if a.bookings.mutant == mutantBlindBid {
		change = a.overwrite
	}
	return change(ctx, lot, func(highest string) (replaced, why string) {
		_, text, _ := strings.Cut(highest, " ")
		if taken, err := strconv.ParseUint(text, 10, 64); err == nil && amount <= taken {
			return "", "low"
		}
		return fmt.Sprintf("%s %d", a.n.Name(), amount), ""
	})
}
