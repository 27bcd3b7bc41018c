package properties

import "github.com/twohop/twohop/model"

// Conforms holds a run against the whole executable specification: that of its rooms, [model.Room], that
// of the sessions of its clients and publishers, [model.Sessions], and that of who owns which room,
// [model.Assignments], if the history tells.
//
// Formally: for every room, the sequence of its events is a path of the state machine model.Room; and
// the sequence of all events is a path of the state machines model.Sessions and model.Assignments.
//
// It is stricter than the other properties together in what a client may see at each moment (the next
// message and nothing else), and stops at the first step that breaks it, whatever follows. It does not
// cover what should have happened and did not: see [NoLoss]. If no room has an event there is nothing to
// check, and the verdict is Unknown.
func Conforms() model.Property { return property{"Conforms", checkConforms} }

func checkConforms(h *model.History) model.Verdict {
	v := model.Validate(h)
	for _, other := range []model.Verdict{model.ValidateSessions(h), model.ValidateAssignments(h)} {
		if other.Outcome == model.Illegal && (v.Outcome != model.Illegal || other.Step < v.Step) {
			v = other
		}
	}
	return v
}
