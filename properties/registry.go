package properties

import (
	"fmt"
	"strings"

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

// All gives every property of this package, in the order in which a report should list them.
func All() []model.Property {
	return []model.Property{NoLoss(), NoDuplicate(), InOrder(), Linearizable(), Conforms()}
}

// Find gives a property of [All] by its name, whatever the case.
func Find(name string) (model.Property, error) {
	var names []string
	for _, p := range All() {
		if strings.EqualFold(p.Name(), name) {
			return p, nil
		}
		names = append(names, p.Name())
	}
	return nil, fmt.Errorf("no property %.40q; there are %s", name, strings.Join(names, ", "))
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
