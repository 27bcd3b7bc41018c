package properties

import (
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
)

// LinearizableRegistry: a registry behaves as if its calls took effect one after the other, each at
// some moment between its Call and its Return.
//
// Formally: for every Object named registry/KEY there is a total order of its calls that keeps the order of
// those that do not overlap, and in which each has the result that this specification says. A call without
// Return may take effect at any time after its Call, or never.
//
//	get()              = the value; "" if there is none
//	put(value)         = ok
//	cas(old, new)      = ok, if the value was old, and is new then; or no
//	acquire(owner, ttl) = ok, unless another holds the lease, which the owner does then; or held
//	renew(owner)       = ok, if the owner holds the lease, which lasts its ttl anew; or lost
//	release(owner)     = ok, if the owner held the lease; or lost
//	holder()           = who holds the lease; "" for nobody
//
// The lease of a key and its value are apart. A lease ends when it is released, and may end by itself
// as soon as its ttl has passed since it was granted or renewed, by the virtual time of the run, but
// not before: as the moment of the grant is not known, it is taken to be as early as the order of calls
// lets it. That a lease does end when it is over is not asked for, nor that one is not renewed too late
// if nobody else has it.
//
// Decided by Porcupine, like [Linearizable], within [DefaultLimit] of wall-clock time; otherwise the
// verdict is Unknown. So it is if no call returned, or if there is a call or a result that the
// specification has not.
func LinearizableRegistry() model.Property { return linearizableObject(registryObject, DefaultLimit) }

// registryState is a key's value and lease.
type registryState struct {
	value  string
	holder string
	ttl    time.Duration
	// over is when the lease may end by itself, and now the earliest that it may be, by the calls so far.
	over, now time.Duration
}

var registryObject = object{
	kind:  "registry",
	check: checkRegistry,
	// The value and the lease do not concern one another.
	part: func(op model.Operation) string {
		switch op.Name {
		case "get", "put", "cas":
			return "value"
		}
		return "lease"
	},
	init: registryState{},
	step: func(state any, c *sharedCall) (bool, any) {
		s := state.(registryState)
		switch c.op.Name {
		case "get", "put", "cas":
			return s.valueStep(c)
		}
		return s.leaseStep(c)
	},
	describe: func(state any) string {
		s := state.(registryState)
		return fmt.Sprintf("value %q, lease %q", s.value, s.holder)
	},
}

func checkRegistry(op model.Operation, result string, returned bool) error {
	args := map[string]int{"get": 0, "put": 1, "cas": 2, "acquire": 2, "renew": 1, "release": 1, "holder": 0}
	n, known := args[op.Name]
	if !known {
		return fmt.Errorf("a registry has no operation %v; there are get, put, cas, acquire, renew, release and holder", op)
	}
	if err := wantArgs(op, n); err != nil {
		return err
	}
	switch op.Name {
	case "put":
		return wantResult(op, result, returned, "ok")
	case "cas":
		return wantResult(op, result, returned, "ok", "no")
	case "acquire":
		if ttl, err := time.ParseDuration(op.Args[1]); err != nil || ttl <= 0 {
			return fmt.Errorf("operation %v: ttl %.40q; want a positive duration, such as 5s", op, op.Args[1])
		}
		if op.Args[0] == "" {
			return fmt.Errorf("operation %v: the owner has no name", op)
		}
		return wantResult(op, result, returned, "ok", "held")
	case "renew", "release":
		return wantResult(op, result, returned, "ok", "lost")
	}
	return nil
}

func (s registryState) valueStep(c *sharedCall) (bool, any) {
	switch c.op.Name {
	case "get":
		return !c.returned || c.result == s.value, s
	case "put":
		s.value = c.op.Args[0]
		return true, s
	}
	swaps := s.value == c.op.Args[0]
	if swaps {
		s.value = c.op.Args[1]
	}
	return !c.returned || swaps == (c.result == "ok"), s
}

func (s registryState) leaseStep(c *sharedCall) (bool, any) {
	at, possible := c.later(s.now)
	if !possible {
		return false, s
	}
	s.now = at
	owner := ""
	if len(c.op.Args) > 0 {
		owner = c.op.Args[0]
	}
	switch c.op.Name {
	case "holder":
		if !c.returned || c.result == s.holder {
			return true, s
		}
		return c.result == "" && s.expire(c), s
	case "acquire":
		return s.acquire(c, owner)
	}
	had := s.holder == owner
	if c.returned && c.result == "lost" {
		return !had || s.expire(c), s
	}
	switch {
	case !had:
		return !c.returned, s
	case c.op.Name == "renew":
		s.over = saturatingSum(s.now, s.ttl)
	default:
		s.holder, s.ttl, s.over = "", 0, 0
	}
	return true, s
}

func (s registryState) acquire(c *sharedCall, owner string) (bool, any) {
	another := s.holder != "" && s.holder != owner
	if c.returned && c.result == "held" {
		return another, s
	}
	if another && !s.expire(c) {
		return !c.returned, s
	}
	ttl, err := time.ParseDuration(c.op.Args[1])
	if err != nil {
		return false, s // which checkRegistry has ruled out
	}
	s.holder, s.ttl, s.over = owner, ttl, saturatingSum(s.now, ttl)
	return true, s
}

// expire ends the lease by itself, if it can be over at the time of a call. Then it is at least as late
// as that.
func (s *registryState) expire(c *sharedCall) bool {
	if c.done < s.over {
		return false
	}
	s.now = max(s.now, s.over)
	s.holder, s.ttl, s.over = "", 0, 0
	return true
}
