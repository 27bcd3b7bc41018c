package properties

import (
	"fmt"

	"github.com/twohop/twohop/model"
)

// LinearizableSeats: a seat map behaves as if its calls took effect one after the other, each at some
// moment between its Call and its Return. So no seat is sold twice, and nobody who looks sees the past.
//
// Formally: for every Object named seats/NAME, and for every seat of it, there is a total order of the
// calls that concern the seat, which keeps the order of those that do not overlap, and in which each
// has the result that this specification says. A call without Return may take effect at any time after
// its Call, or never.
//
//	reserve(seat, who) = ok, if the seat was free, or who's already, and is who's then; or taken
//	cancel(seat, who)  = ok, if the seat was who's, and is free then; or lost
//	look(seat)         = whose the seat is; "" for nobody
//
// It does not cover calls that concern several seats at once. Decided by Porcupine, like
// [Linearizable], within [DefaultLimit] of wall-clock time; otherwise the verdict is Unknown. So it is
// if no call returned, or if there is a call or a result that the specification has not.
func LinearizableSeats() model.Property { return linearizableObject(seatsObject, DefaultLimit) }

var seatsObject = object{
	kind:  "seats",
	check: checkSeats,
	part:  func(op model.Operation) string { return op.Args[0] },
	init:  "", // whose the seat is
	step: func(state any, c *sharedCall) (bool, any) {
		whose := state.(string)
		if c.op.Name == "look" {
			return !c.returned || c.result == whose, whose
		}
		who, next := c.op.Args[1], whose
		done := false
		switch {
		case c.op.Name == "reserve" && (whose == "" || whose == who):
			done, next = true, who
		case c.op.Name == "cancel" && whose == who:
			done, next = true, ""
		}
		return !c.returned || done == (c.result == "ok"), next
	},
	describe: func(state any) string { return fmt.Sprintf("%q", state) },
}

func checkSeats(op model.Operation, result string, returned bool) error {
	refused, known := map[string]string{"reserve": "taken", "cancel": "lost", "look": ""}[op.Name]
	if !known {
		return fmt.Errorf("a seat map has no operation %v; there are reserve, cancel and look", op)
	}
	if op.Name == "look" {
		return wantArgs(op, 1)
	}
	if err := wantArgs(op, 2); err != nil {
		return err
	}
	if op.Args[1] == "" {
		return fmt.Errorf("operation %v: nobody has no name", op)
	}
	return wantResult(op, result, returned, "ok", refused)
}
