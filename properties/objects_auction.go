package properties

import (
	"fmt"
	"strconv"

	"github.com/twohop/twohop/model"
)

// LinearizableAuction: an auction behaves as if its calls took effect one after the other, each at some
// moment between its Call and its Return. So no bid is taken that is not higher than all before, none
// after the close, and the highest wins.
//
// Formally: for every Object named auction/LOT there is a total order of its calls that keeps the order of
// those that do not overlap, and in which each has the result that this specification says. A call without
// Return may take effect at any time after its Call, or never.
//
//	bid(who, amount) = ok, if the lot is open and amount higher than any taken; or low; or closed
//	look()           = "who amount" of the highest bid taken; "" for none
//	close()          = the same, and the lot is closed then
//
// Amounts are whole numbers from 1. It does not cover when an auction closes. Decided by Porcupine,
// like [Linearizable], within [DefaultLimit] of wall-clock time; otherwise the verdict is Unknown. So
// it is if no call returned, or if there is a call or a result that the specification has not.
func LinearizableAuction() model.Property { return linearizableObject(auctionObject, DefaultLimit) }

// auctionState is a lot.
type auctionState struct {
	who    string
	amount uint64
	closed bool
}

// highest is the highest bid as a result.
func (s auctionState) highest() string {
	if s.amount == 0 {
		return ""
	}
	return s.who + " " + strconv.FormatUint(s.amount, 10)
}

var auctionObject = object{
	kind:  "auction",
	check: checkAuction,
	part:  func(model.Operation) string { return "" },
	init:  auctionState{},
	step: func(state any, c *sharedCall) (bool, any) {
		s := state.(auctionState)
		if c.op.Name != "bid" {
			legal := !c.returned || c.result == s.highest()
			s.closed = s.closed || c.op.Name == "close"
			return legal, s
		}
		amount, err := strconv.ParseUint(c.op.Args[1], 10, 64)
		result := "ok"
		switch {
		case err != nil: // which checkAuction has ruled out
			return false, s
		case s.closed:
			result = "closed"
		case amount <= s.amount:
			result = "low"
		default:
			s.who, s.amount = c.op.Args[0], amount
		}
		return !c.returned || c.result == result, s
	},
	describe: func(state any) string {
		s := state.(auctionState)
		if s.closed {
			return fmt.Sprintf("closed at %q", s.highest())
		}
		return fmt.Sprintf("%q", s.highest())
	},
}

func checkAuction(op model.Operation, result string, returned bool) error {
	switch op.Name {
	case "look", "close":
		return wantArgs(op, 0)
	case "bid":
	default:
		return fmt.Errorf("an auction has no operation %v; there are bid, look and close", op)
	}
	if err := wantArgs(op, 2); err != nil {
		return err
	}
	if amount, err := strconv.ParseUint(op.Args[1], 10, 64); err != nil || amount == 0 {
		return fmt.Errorf("operation %v: amount %.40q; want a whole number from 1 to 2^64-1", op, op.Args[1])
	}
	return wantResult(op, result, returned, "ok", "low", "closed")
}
