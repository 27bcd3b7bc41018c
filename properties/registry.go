package properties

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// property is a named check. The check gets well-formed histories only.
type property struct {
	name  string
	check func(*model.History) model.Verdict
}

func (p property) Name() string { return p.name }

// Check implements [model.Property]: the check decides the outcome, and this whose verdict it is.
func (p property) Check(h *model.History) model.Verdict {
	v := model.Verdict{Outcome: model.Unknown}
	if err := model.WellFormed(h); err != nil {
		v.Detail = "malformed history: " + err.Error()
	} else {
		v = p.check(h)
	}
	v.Property = p.name
	return v
}

// All gives the properties that every run of rooms must have, whatever its parts and its faults, in the
// order in which a report should list them. Those that need a bound, or events that only some worlds
// record, are in [Catalogue].
func All() []model.Property {
	return []model.Property{NoLoss(), NoDuplicate(), InOrder(), Linearizable(), Conforms()}
}

// Entry is a property of the [Catalogue].
type Entry struct {
	// Name is the property's name, and Params what it takes, such as "bound".
	Name   string
	Params []string
	// Example is one in the text form that [Find] reads.
	Example string

	make func(args []string) (model.Property, error)
}

// Catalogue lists every property of this package, in the order in which a report should list them.
func Catalogue() []Entry {
	plain := func(make func() model.Property) Entry {
		name := make().Name()
		return Entry{Name: name, Example: name, make: func([]string) (model.Property, error) { return make(), nil }}
	}
	bound := func(make func(time.Duration) model.Property) Entry {
		name := make(time.Second).Name()
		return Entry{name, []string{"bound"}, name + "(2s)", func(args []string) (model.Property, error) {
			d, err := positive(args[0])
			return make(d), err
		}}
	}
	return []Entry{
		plain(NoLoss), plain(NoDuplicate), plain(InOrder), plain(Linearizable), plain(Conforms),
		plain(FIFO), plain(Causal), plain(TotalOrder), plain(HonestRecovery), plain(Refill),
		bound(Staleness), bound(StalenessThroughout), bound(Reconnect), bound(ReconnectThroughout),
		{"ReconnectRate", []string{"limit", "window"}, "ReconnectRate(20, 50ms)", func(args []string) (model.Property, error) {
			limit, err := strconv.Atoi(args[0])
			if err != nil || limit <= 0 {
				return nil, fmt.Errorf("limit %.40q; want a whole number from 1, such as 20", args[0])
			}
			window, err := positive(args[1])
			return ReconnectRate(limit, window), err
		}},
		plain(NoZombie), bound(Presence),
		{"BoundedQueue", []string{"limit"}, "BoundedQueue(256)", func(args []string) (model.Property, error) {
			limit, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil {
				return nil, fmt.Errorf("limit %.40q; want a whole number, such as 256, or 0 for what each queue declares", args[0])
			}
			return BoundedQueue(int64(limit)), nil
		}},
		{"FanoutBound", []string{"branch", "leaves", "hop", "per copy", "slack"}, "FanoutBound(32, 5000, 40ms, 50us, 100ms)", findFanoutBound},
		{"MinimalMovement", []string{"slack"}, "MinimalMovement(0.5)", func(args []string) (model.Property, error) {
			slack, err := strconv.ParseFloat(args[0], 64)
			if err != nil || !(slack >= 0) {
				return nil, fmt.Errorf("slack %.40q; want a number from 0, or inf", args[0])
			}
			return MinimalMovement(slack), nil
		}},
		plain(DualDelivery), plain(LinearizableRegistry), plain(LinearizableSeats), plain(LinearizableAuction),
	}
}

func positive(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%.40q; want a positive duration, such as 2s", text)
	}
	return d, nil
}

func findFanoutBound(args []string) (model.Property, error) {
	var numbers [2]int
	for i, name := range []string{"branch", "leaves"} {
		n, err := strconv.Atoi(args[i])
		if err != nil {
			return nil, fmt.Errorf("%s %.40q; want a whole number", name, args[i])
		}
		numbers[i] = n
	}
	var times [3]time.Duration
	for i, name := range []string{"hop", "per copy", "slack"} {
		d, err := time.ParseDuration(args[2+i])
		if err != nil || d < 0 {
			return nil, fmt.Errorf("%s %.40q; want a duration, such as 40ms", name, args[2+i])
		}
		times[i] = d
	}
	tree := model.Fanout{Branch: numbers[0], Leaves: numbers[1], Hop: times[0], PerCopy: times[1]}
	return FanoutBound(tree, times[2]), tree.Validate()
}

// Find gives a property of the [Catalogue] by its text form: its name, whatever the case, and in
// parentheses what it takes, as in "Staleness(500ms)". The error says what is wrong, and what there is.
func Find(text string) (model.Property, error) {
	op := model.Op(text)
	if strings.Contains(text, "(") {
		var err error
		if op, err = model.ParseOperation(text); err != nil {
			return nil, fmt.Errorf("property: %w", err)
		}
	}
	var names []string
	for _, e := range Catalogue() {
		names = append(names, e.Name)
		if !strings.EqualFold(e.Name, op.Name) {
			continue
		}
		if len(op.Args) != len(e.Params) {
			return nil, fmt.Errorf("property %s takes %d arguments, not %d; write it as %s", e.Name, len(e.Params), len(op.Args), e.Example)
		}
		p, err := e.make(op.Args)
		if err != nil {
			return nil, fmt.Errorf("property %s: %w", e.Name, err)
		}
		return p, nil
	}
	return nil, fmt.Errorf("no property %.40q; there are %s", op.Name, strings.Join(names, ", "))
}

// Check judges a history by each of props, and gives the verdicts in their order. Without any props it
// judges by [All].
func Check(h *model.History, props ...model.Property) []model.Verdict {
	if len(props) == 0 {
		props = All()
	}
	verdicts := make([]model.Verdict, len(props))
	for i, p := range props {
		verdicts[i] = p.Check(h)
	}
	return verdicts
}

func ok(format string, args ...any) model.Verdict {
	return model.Verdict{Outcome: model.Ok, Detail: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) model.Verdict {
	return model.Verdict{Outcome: model.Unknown, Detail: fmt.Sprintf(format, args...)}
}

func illegal(step uint64, format string, args ...any) model.Verdict {
	return model.Verdict{Outcome: model.Illegal, Step: step, Detail: fmt.Sprintf(format, args...)}
}
